//! A person takes one playbook out of use for a while, and back into it: a word about the future. Runs that are open go on;
//! a freeze is what stops those. Alerts that only this playbook waits for are held, and looked at again at its end.

use super::{App, CommandError, not_for_ever, reasoned};
use crate::kernel::domain::{Actor, Disabled, Name, Position, Reason, Record, Span, Stream};
use crate::kernel::engine::{Refused, may_freeze};

impl App {
    /// Playbooks that people took out of use, and whose time is not over.
    pub fn disabled(&self) -> Vec<Disabled> {
        let now = self.world.now();
        self.standing().disabled.iter().filter(|disabled| disabled.until > now).cloned().collect()
    }

    /// Why nothing starts this playbook now.
    pub fn disabled_by(&self, playbook: &Name) -> Option<Disabled> {
        self.disabled().into_iter().find(|disabled| disabled.playbook == *playbook)
    }

    /// The same, as one of the reasons why something did not begin.
    pub fn out_of_use(&self, playbook: &Name) -> Option<Reason> {
        self.disabled_by(playbook).map(|disabled| Reason::new("PM5420", disabled.says()))
    }

    pub async fn disable(
        &self,
        playbook: &Name,
        by: &Actor,
        reason: &str,
        lasts: Span,
    ) -> Result<(Position, String), CommandError> {
        may_freeze(by).map_err(CommandError::Refused)?;
        reasoned(reason)?;
        if self.playbooks().find(playbook.as_str()).is_none() {
            return Err(CommandError::Refused(Refused::NoSuch(format!("playbook {playbook:?}"))));
        }
        not_for_ever("a playbook is disabled for", lasts)?;
        let (playbook, until) = (playbook.clone(), self.world.now() + lasts);
        let disabled = Disabled { playbook, by: by.clone(), reason: reason.to_owned(), until };
        let position = self.note(Stream::Instance, Record::Disabled(disabled.clone())).await?;
        Ok((position, format!("{}; runs that are open go on", disabled.says())))
    }

    /// Before its time. Alerts that wait for it are looked at again, at their source first.
    pub async fn enable(
        &self,
        playbook: &Name,
        by: &Actor,
        reason: &str,
    ) -> Result<(Position, String), CommandError> {
        may_freeze(by).map_err(CommandError::Refused)?;
        reasoned(reason)?;
        if self.disabled_by(playbook).is_none() {
            let why = format!("playbook {playbook} is not disabled");
            return Err(CommandError::Refused(Refused::Conflict(why)));
        }
        let (name, why) = (playbook.clone(), reason.to_owned());
        let record = Record::Enabled { playbook: name, by: Some(by.clone()), reason: why };
        let position = self.note(Stream::Instance, record).await?;
        self.look_now();
        Ok((position, format!("playbook {playbook} is enabled: alerts that wait are looked at again")))
    }
}
