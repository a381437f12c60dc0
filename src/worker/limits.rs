//! What stops automation: freezes by people, cooldowns and budgets, windows, the storm breaker. The journal holds all of
//! it; this is its fold, and the verbs that write it. Triage asks before it opens a run; people call the verbs.

mod disabled;
mod history;
mod ledger;
mod overrides;
mod standing;

pub use history::{Own, Past, Sick, last_change, unseen};
pub use ledger::Changes;
pub use standing::{Standing, Tripped};

use super::{App, CommandError};
use crate::kernel::domain::{Actor, Name, Position, Reason, Record, Resolved, RunId, Span, Stream, Time};
use crate::kernel::engine::{Command, Freeze, Refused, Run, Summary, may_freeze};
use crate::kernel::journal::{AppendError, Batch, ReadError};
use crate::playbook::Playbook;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio_util::sync::CancellationToken;

/// Races for the end of a stream before giving up.
const RACES: u32 = 20;
/// Runs that limits look back at, newest first.
const LOOK_BACK: u32 = 1_000;
/// Where a playbook says nothing; `check` asks for a cooldown in mode auto.
pub const COOLDOWN: Span = Span::mins(60);
const PER_DAY: u32 = 3;
/// A freeze is no switch to be forgotten.
pub const LONGEST_FREEZE: Span = Span::mins(31 * 24 * 60);
const LOOK_AT_LEAST: Span = Span::mins(10);

impl App {
    /// The fold of what people and the breaker said, and every open run told of it. Called once, before any task starts.
    pub async fn load_limits(&self) -> Result<(), CommandError> {
        let mut standing = Standing::default();
        for stamped in self.journal.read(&Stream::Instance, 1).await? {
            standing.apply(&stamped);
        }
        self.metrics.breaker(standing.tripped.is_some());
        *self.standing() = standing;
        self.load_changes().await?;
        for run in self.open_runs().await? {
            self.tell_freezes(&run.run).await?;
            self.tell_overrides(&run.run).await?;
        }
        Ok(())
    }

    /// Freezes by people that last.
    pub fn freezes(&self) -> Vec<Freeze> {
        let now = self.world.now();
        self.standing().freezes.iter().filter(|f| f.until > now).cloned().collect()
    }

    /// The freeze that a run of this service would meet.
    pub fn frozen_by(&self, service: &Name) -> Option<Freeze> {
        let hits = |f: &Freeze| f.service.as_ref().is_none_or(|s| s == service);
        self.freezes().into_iter().filter(hits).max_by_key(|f| f.until)
    }

    pub fn tripped(&self) -> Option<Tripped> {
        self.standing().tripped.clone()
    }

    /// A person stops everything, or one service. The record first; then every open run hears of it.
    pub async fn freeze(
        &self,
        service: Option<Name>,
        by: &Actor,
        reason: &str,
        lasts: Span,
    ) -> Result<(Position, String), CommandError> {
        may_freeze(by).map_err(CommandError::Refused)?;
        reasoned(reason)?;
        self.known(service.as_ref())?;
        not_for_ever("a freeze lasts", lasts)?;
        let until = self.world.now() + lasts;
        let freeze = Freeze { service, by: by.clone(), reason: reason.to_owned(), until };
        let Freeze { service, .. } = freeze.clone();
        let record =
            Record::Frozen { service: service.clone(), by: by.clone(), reason: reason.to_owned(), until };
        let position = self.note(Stream::Instance, record).await?;
        let command = Command::Freeze { service: service.clone(), until };
        let told = self.tell_runs(&service, &command, by, reason).await?;
        Ok((position, format!("{}; {told} open runs were told", freeze.says())))
    }

    /// A person ends a freeze before its time. What waited is looked at again, not started.
    pub async fn thaw(
        &self,
        service: Option<Name>,
        by: &Actor,
        reason: &str,
    ) -> Result<(Position, String), CommandError> {
        may_freeze(by).map_err(CommandError::Refused)?;
        reasoned(reason)?;
        let itself = service.is_none() && self.frozen().is_some();
        if !itself && !self.freezes().iter().any(|f| f.service == service) {
            let none = service
                .as_ref()
                .map_or("nothing is frozen as a whole".to_owned(), |s| format!("{s} is not frozen"));
            let left: Vec<String> = self.freezes().iter().map(Freeze::says).collect();
            let left = if left.is_empty() { String::new() } else { format!("; {}", left.join("; ")) };
            return Err(CommandError::Refused(Refused::Conflict(format!("{none}{left}"))));
        }
        let record =
            Record::Thawed { service: service.clone(), by: Some(by.clone()), reason: reason.to_owned() };
        let position = self.note(Stream::Instance, record).await?;
        if itself {
            self.thaw_itself().await?;
        }
        self.tell_runs(&service, &Command::Thaw { service: service.clone() }, by, reason).await?;
        self.look_now();
        let left: Vec<String> = self.freezes().iter().map(Freeze::says).collect();
        let left = if left.is_empty() { String::new() } else { format!("; still: {}", left.join("; ")) };
        Ok((position, format!("thawed by {by}: what waited is looked at again{left}")))
    }

    /// A person has seen what the last automatic run of this service did.
    pub async fn acknowledge(
        &self,
        service: &Name,
        by: &Actor,
        reason: &str,
    ) -> Result<(Position, String), CommandError> {
        reasoned(reason)?;
        self.known(Some(service))?;
        let runs = self.past().await?;
        let of: Vec<&Past> = runs.iter().filter(|run| run.service == *service).collect();
        let Some(run) = history::unseen(&of, self.seen(service).await?) else {
            let why = format!("there is no automatic run of {service} that nobody has seen");
            return Err(CommandError::Refused(Refused::Conflict(why)));
        };
        let record = Record::Acknowledged { by: by.clone(), reason: reason.to_owned() };
        let position = self.note(Stream::Service(service.clone()), record).await?;
        self.look_now();
        Ok((
            position,
            format!("{by} has seen run {run}: once its cooldown is over, {service} may move by itself"),
        ))
    }

    /// A person has looked at the storm. What waited is looked at again, up to the budget.
    pub async fn reset_breaker(&self, by: &Actor, reason: &str) -> Result<(Position, String), CommandError> {
        may_freeze(by).map_err(CommandError::Refused)?;
        reasoned(reason)?;
        if self.tripped().is_none() {
            return Err(CommandError::Refused(Refused::Conflict("the storm breaker has not tripped".into())));
        }
        let sick = self.sick.load(Ordering::Relaxed);
        let record = Record::BreakerReset { by: by.clone(), reason: reason.to_owned(), sick };
        let position = self.note(Stream::Instance, record).await?;
        self.metrics.breaker(false);
        self.look_now();
        Ok((
            position,
            format!("{by} reset the storm breaker ({sick} services sick): alerts are looked at again"),
        ))
    }

    /// Everything that stands against one more automatic run of this playbook. Trips the breaker where it must.
    pub async fn against(&self, playbook: &Playbook, sick: Sick) -> Result<Vec<Reason>, CommandError> {
        let now = self.world.now();
        let runs = self.past().await?;
        let mut why = self.against_service(playbook, &runs, now).await?;
        if let Some(tripped) = self.tripped() {
            why.push(tripped.reason());
            return Ok(why);
        }
        let limits = self.config.storm;
        let reset = self.standing().reset;
        let trips = history::storm(&runs, limits, reset, sick, now);
        // A run that its own service holds back is no storm.
        if why.is_empty() && !trips.is_empty() {
            self.note(Stream::Instance, Record::BreakerTripped { why: trips }).await?;
            self.metrics.breaker(true);
            tracing::error!("the storm breaker tripped: no automatic run starts before a person resets it");
            why.extend(self.tripped().map(|tripped| tripped.reason()));
        }
        why.extend(history::full(&runs, limits));
        Ok(why)
    }

    /// What the service's own limits say, for `status` and `why` too.
    pub async fn against_service(
        &self,
        playbook: &Playbook,
        runs: &[Past],
        now: Time,
    ) -> Result<Vec<Reason>, CommandError> {
        let own = Own {
            cooldown: playbook.cooldown.unwrap_or(COOLDOWN),
            per_day: playbook.per_day.unwrap_or(PER_DAY),
        };
        let of: Vec<&Past> = runs.iter().filter(|run| run.service == playbook.service).collect();
        let mut why = history::of_service(&of, own, self.seen(&playbook.service).await?, now);
        why.extend(outside(playbook, now));
        Ok(why)
    }

    /// The runs that limits look back at.
    pub async fn past(&self) -> Result<Vec<Past>, ReadError> {
        let mut past = vec![];
        for summary in self.summaries(LOOK_BACK).await? {
            let ended = match (summary.outcome, summary.changed) {
                (None, _) => None,
                (Some(_), false) => Some(summary.updated),
                (Some(_), true) => Some(self.end_of(&summary).await?),
            };
            let Summary { run, service, automatic, changed, opened, .. } = summary;
            past.push(Past { run, service, automatic, changed, opened, ended });
        }
        Ok(past)
    }

    /// A finished run may be written to for long (its fence is watched); its end is that of its last record but these.
    async fn end_of(&self, summary: &Summary) -> Result<Time, ReadError> {
        if let Some(at) = self.standing().ends.get(&summary.run) {
            return Ok(*at);
        }
        let end = self.journal.newest(&Stream::Run(summary.run.clone()), &["finished"], 1).await?;
        let at = end.last().map_or(summary.updated, |stamped| stamped.at);
        let mut standing = self.standing();
        if standing.ends.len() > 10 * LOOK_BACK as usize {
            standing.ends.clear();
        }
        standing.ends.insert(summary.run.clone(), at);
        Ok(at)
    }

    /// When a person last acknowledged a run of this service.
    async fn seen(&self, service: &Name) -> Result<Option<Time>, ReadError> {
        if let Some(at) = self.standing().seen.get(service) {
            return Ok(*at);
        }
        let said = self.journal.newest(&Stream::Service(service.clone()), &["acknowledged"], 1).await?;
        let at = said.last().map(|stamped| stamped.at);
        // One that was written meanwhile is newer.
        Ok(*self.standing().seen.entry(service.clone()).or_insert(at))
    }

    /// A person's run that was not opened, on record.
    pub async fn not_opened(&self, playbook: &Playbook, by: &Actor, why: Reason) -> Result<(), CommandError> {
        let (name, stream) = (playbook.name.clone(), Stream::Service(playbook.service.clone()));
        self.note(stream, Record::NotOpened { playbook: name, by: by.clone(), why: vec![why] }).await?;
        Ok(())
    }

    /// A run hears of every freeze that it does not know of yet, and of every one that is over.
    pub async fn tell_freezes(&self, id: &RunId) -> Result<(), CommandError> {
        let Some(run) = self.run(id).await? else { return Ok(()) };
        let known = |f: &Freeze| run.freezes.contains(f);
        for freeze in self.freezes() {
            if freeze.service.as_ref().is_none_or(|s| *s == run.spec.service) && !known(&freeze) {
                let Freeze { service, by, reason, until } = freeze;
                self.tell(&run, &Command::Freeze { service, until }, &by, &reason).await?;
            }
        }
        for freeze in &run.freezes {
            if !self.freezes().iter().any(|f| f.service == freeze.service) {
                let command = Command::Thaw { service: freeze.service.clone() };
                self.tell(&run, &command, &Actor::internal(), "it is over").await?;
            }
        }
        Ok(())
    }

    async fn tell(&self, run: &Run, command: &Command, by: &Actor, why: &str) -> Result<bool, CommandError> {
        match self.command(run.id(), command, by, why).await {
            Ok(_) => Ok(true),
            // It is finished, or knows.
            Err(CommandError::Refused(_) | CommandError::NoSuchRun) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn tell_runs(
        &self,
        service: &Option<Name>,
        command: &Command,
        by: &Actor,
        reason: &str,
    ) -> Result<u32, CommandError> {
        let mut told = 0;
        for summary in self.open_runs().await? {
            if service.as_ref().is_none_or(|s| *s == summary.service)
                && let Some(run) = self.run(&summary.run).await?
            {
                told += u32::from(self.tell(&run, command, by, reason).await?);
            }
        }
        Ok(told)
    }

    fn look_now(&self) {
        self.look_now.store(true, Ordering::Relaxed);
        self.wakes.triage.notify_one();
    }

    /// Targets that another service's run has locked. (Opening compares again; this spares a look at the source.)
    pub async fn locked(&self, spec: &Resolved) -> Result<Vec<Reason>, ReadError> {
        let mut why = vec![];
        for open in self.open_runs().await? {
            let Some(Record::Opened(other)) = self.first_record(&Stream::Run(open.run.clone())).await? else {
                continue;
            };
            let shared = spec.locks.iter().filter(|target| other.locks.contains(target));
            let say = |target: &Name| {
                Reason::new(
                    "PM5408",
                    format!("target:{target} is locked by run {} of {}", open.run, open.service),
                )
            };
            why.extend(shared.map(say));
        }
        Ok(why)
    }

    /// A run that was opened in a window, and has changed nothing, does not begin outside of it.
    pub async fn keep_window(&self, id: &RunId) -> Result<(), CommandError> {
        let playbooks = self.playbooks();
        if !playbooks.active().any(|(_, playbook)| playbook.windows.is_some()) {
            return Ok(());
        }
        let Some(run) = self.run(id).await? else { return Ok(()) };
        let now = self.world.now();
        let waits = run.hold.as_ref().is_some_and(|hold| hold.until > now);
        if !run.spec.is_automatic() || run.first_change.is_some() || run.finished.is_some() || waits {
            return Ok(());
        }
        let playbook = playbooks.active().map(|(_, p)| p).find(|p| p.name == run.spec.playbook);
        let Some(reason) = playbook.and_then(|playbook| outside(playbook, now)) else { return Ok(()) };
        let until = now + run.spec.limits.look_again;
        let record = Record::Held { why: vec![reason], occurrence: None, playbook: None, until };
        let summary = run.with(&record, now)?.summary().cached();
        let batch =
            Batch::new(now).part(Stream::Run(id.clone()), Some(run.seq), vec![record]).summary(summary);
        match self.journal.append(batch).await {
            Ok(_) | Err(AppendError::Moved { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The run of this service that is not finished.
    pub async fn open_run(&self, service: &Name) -> Result<Option<RunId>, ReadError> {
        let runs = self.open_runs().await?;
        Ok(runs.into_iter().find(|run| run.service == *service).map(|run| run.run))
    }

    pub(super) async fn open_runs(&self) -> Result<Vec<Summary>, ReadError> {
        let mut runs = self.summaries(10_000).await?;
        runs.retain(|run| run.outcome.is_none());
        Ok(runs)
    }

    /// Appends one record to a stream that others write to as well, and folds it.
    pub(super) async fn note(&self, stream: Stream, record: Record) -> Result<Position, CommandError> {
        for _ in 0..RACES {
            let (seq, now) = (self.seq(&stream).await?, self.world.now());
            match self.journal.write(now, stream.clone(), Some(seq), record.clone()).await {
                Ok(receipt) => {
                    for stamped in &receipt.stamped {
                        self.standing().apply(stamped);
                    }
                    let position = receipt.stamped.last().map_or(0, |s| s.position);
                    self.wakes.limits.notify_one();
                    return Ok(position);
                }
                Err(AppendError::Moved { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommandError::Store("too many others write at the same time".into()))
    }

    fn known(&self, service: Option<&Name>) -> Result<(), CommandError> {
        match service {
            Some(service) if !self.services().contains(service) => {
                let all: Vec<String> = self.services().iter().map(Name::to_string).collect();
                let what = format!("service {service:?}; there are: {}", all.join(", "));
                Err(CommandError::Refused(Refused::NoSuch(what)))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// The playbook's windows say no.
pub fn outside(playbook: &Playbook, now: Time) -> Option<Reason> {
    let why = playbook.windows.as_ref()?.allow(now).err()?;
    Some(Reason::new("PM5416", format!("automation has no window now: {why}")))
}

/// What a person stops has an end.
fn not_for_ever(what: &str, lasts: Span) -> Result<(), CommandError> {
    if lasts == Span::ZERO || lasts > LONGEST_FREEZE {
        let why = format!("{what} up to {LONGEST_FREEZE}, and not {lasts}");
        return Err(CommandError::Refused(Refused::Conflict(why)));
    }
    Ok(())
}

fn reasoned(reason: &str) -> Result<(), CommandError> {
    match reason.trim().is_empty() {
        true => Err(CommandError::Refused(Refused::NotAllowed("a reason is required".into()))),
        false => Ok(()),
    }
}

/// Writes the ends of freezes, and of what is disabled, down when their time comes, so that the end too is on record. Runs until `stop`.
pub async fn end_freezes(app: Arc<App>, stop: CancellationToken) {
    loop {
        let now = app.world.now();
        let over = app.standing().over(now);
        let mut failed = false;
        for record in over {
            if let Err(error) = app.note(Stream::Instance, record).await {
                tracing::error!(%error, "the end of what people stopped cannot be written down now");
                failed = true;
            }
            app.look_now();
        }
        let next = app.standing().next_end();
        let longest = if failed { Span::secs(1) } else { LOOK_AT_LEAST };
        let due = next.filter(|_| !failed).unwrap_or(now + longest).min(now + longest);
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.wakes.limits.notified() => {}
            () = app.world.sleep_until(due) => {}
        }
    }
}
