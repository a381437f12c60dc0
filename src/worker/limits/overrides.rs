//! A person lifts one rule for one service, for a while: the record first, in the instance's stream, and then in that of
//! each open run of the service. Like a freeze, and the other way round.

use super::{App, CommandError, reasoned};
use crate::kernel::domain::{Actor, Name, Override, Position, Record, Rule, RunId, Span, Stream, Time};
use crate::kernel::engine::{Command, Refused, Run, may_override};

/// Longer than an incident's next step, it would be a setting.
pub const LONGEST_OVERRIDE: Span = Span::mins(60);

impl App {
    /// Rules that people lifted, and that are still lifted.
    pub fn overrides(&self, now: Time) -> Vec<Override> {
        self.standing().overrides.iter().filter(|lifted| lifted.until > now).cloned().collect()
    }

    fn overrides_of(&self, service: &Name) -> Vec<Override> {
        let mut all = self.overrides(self.world.now());
        all.retain(|lifted| lifted.service == *service);
        all
    }

    /// What a run of this service is told right after it opened.
    pub fn overrides_told(&self, service: &Name) -> Vec<Record> {
        self.overrides_of(service).into_iter().map(Record::Overridden).collect()
    }

    pub async fn lift(
        &self,
        (rule, service): (Rule, Name),
        by: &Actor,
        reason: &str,
        lasts: Span,
    ) -> Result<(Position, String), CommandError> {
        may_override(by, rule).map_err(CommandError::Refused)?;
        reasoned(reason)?;
        self.known(Some(&service))?;
        if lasts == Span::ZERO || lasts > LONGEST_OVERRIDE {
            let why = format!("an override lasts up to {LONGEST_OVERRIDE}, and not {lasts}");
            return Err(CommandError::Refused(Refused::Conflict(why)));
        }
        let until = self.world.now() + lasts;
        let lifted =
            Override { rule, service: service.clone(), by: by.clone(), reason: reason.to_owned(), until };
        let position = self.note(Stream::Instance, Record::Overridden(lifted.clone())).await?;
        let command = Command::Override(lifted.clone());
        let told = self.tell_runs(&Some(service), &command, by, reason).await?;
        self.look_now();
        Ok((position, format!("{}; {told} open runs were told", lifted.says())))
    }

    pub async fn enforce(
        &self,
        (rule, service): (Rule, Name),
        by: &Actor,
        reason: &str,
    ) -> Result<(Position, String), CommandError> {
        may_override(by, rule).map_err(CommandError::Refused)?;
        reasoned(reason)?;
        if !self.overrides_of(&service).iter().any(|lifted| lifted.rule == rule) {
            let why = format!("{rule} is not lifted for {service}");
            return Err(CommandError::Refused(Refused::Conflict(why)));
        }
        let (of, why) = (service.clone(), reason.to_owned());
        let record = Record::OverrideEnded { rule, service: of, by: by.clone(), reason: why };
        let position = self.note(Stream::Instance, record).await?;
        self.tell_runs(&Some(service.clone()), &Command::Enforce(rule), by, reason).await?;
        Ok((position, format!("{rule} binds {service} again")))
    }

    /// A run hears of every override that it does not know of yet, and of every one that a person ended.
    pub async fn tell_overrides(&self, id: &RunId) -> Result<(), CommandError> {
        let Some(run) = self.run(id).await? else { return Ok(()) };
        let (now, said) = (self.world.now(), self.overrides_of(&run.spec.service));
        for lifted in &said {
            if run.lifted.get(&lifted.rule) != Some(lifted) {
                self.hear(&run, Command::Override(lifted.clone()), &lifted.by, &lifted.reason).await?;
            }
        }
        for lifted in run.lifted.values().filter(|lifted| lifted.until > now && !said.contains(lifted)) {
            self.hear(&run, Command::Enforce(lifted.rule), &Actor::internal(), "a person ended it").await?;
        }
        Ok(())
    }

    async fn hear(&self, run: &Run, command: Command, by: &Actor, why: &str) -> Result<(), CommandError> {
        self.tell(run, &command, by, why).await.map(|_| ())
    }
}
