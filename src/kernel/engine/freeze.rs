//! A freeze by people, as one run has been told of it. A run that has changed nothing is held; one between its first
//! change and its commit point pauses where it is; one past its commit point finishes.
//!
//! The worker tells each open run (`Command::Freeze`, `Command::Thaw`), so that the order of a freeze and an intent is
//! the order of the run's own records. The end by time is the engine's to write down.

use super::{Next, Refused, Run};
use crate::domain::{Actor, Form, Name, Reason, Record, Role, Time, Via};

/// Who stopped it, why, and for how long. `service`: none where everything is frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    pub service: Option<Name>,
    pub by: Actor,
    pub reason: String,
    pub until: Time,
}

impl Freeze {
    pub fn what(&self) -> &str {
        self.service.as_ref().map_or("everything", Name::as_str)
    }

    /// For people: what, by whom, until when, why.
    pub fn says(&self) -> String {
        format!("{} is frozen by {} until {}: {}", self.what(), self.by, self.until, self.reason)
    }
}

/// Freezing and thawing is for whoever leads the incident.
pub fn may_freeze(by: &Actor) -> Result<(), Refused> {
    match by.has(Role::IncidentLead) || by.has(Role::Admin) {
        true => Ok(()),
        false => Err(Refused::NotAllowed(format!("{by} does not have the role incident-lead or admin"))),
    }
}

impl Run {
    /// The freeze that lasts longest.
    pub fn frozen(&self) -> Option<&Freeze> {
        self.freezes.iter().max_by_key(|f| f.until)
    }

    /// Stopped by people between the first change and the commit point.
    pub fn paused(&self) -> bool {
        !self.freezes.is_empty() && self.first_change.is_some() && self.committed.is_none()
    }

    /// What a freeze has the run do now; none: go on.
    pub(super) fn next_of_freeze(&self, now: Time) -> Option<Next> {
        let mut next = Next::default();
        if let Some(over) = self.freezes.iter().find(|f| f.until <= now) {
            let reason = "its time is over".to_owned();
            next.record(Record::Thawed { service: over.service.clone(), by: None, reason });
            return Some(next.says("a freeze is over; looking again"));
        }
        let freeze = self.frozen().filter(|_| self.first_change.is_none())?;
        let says = freeze.says();
        if self.hold.as_ref().is_none_or(|hold| hold.until < freeze.until) {
            let why = vec![Reason::new("PM5410", says.clone())];
            next.record(Record::Held { why, occurrence: None, playbook: None, until: freeze.until });
        }
        next.wake_at(freeze.until);
        Some(next.says(format!("held: {says}")))
    }

    pub(super) fn decide_freeze(&self, freeze: Freeze, now: Time) -> Result<Record, Refused> {
        may_freeze(&freeze.by)?;
        if freeze.until <= now {
            return Err(Refused::Conflict("a freeze ends in the future".into()));
        }
        if self.freezes.contains(&freeze) {
            return Err(Refused::Conflict("already known".into()));
        }
        let Freeze { service, by, reason, until } = freeze;
        Ok(Record::Frozen { service, by, reason, until })
    }

    pub(super) fn decide_thaw(
        &self,
        service: &Option<Name>,
        by: &Actor,
        reason: &str,
    ) -> Result<Record, Refused> {
        // Pointsman itself, when the run missed a thaw.
        let person = by.via != Via::Internal;
        if person {
            may_freeze(by)?;
        }
        match self.freezes.iter().any(|f| f.service == *service) {
            true => Ok(Record::Thawed {
                service: service.clone(),
                by: person.then(|| by.clone()),
                reason: reason.to_owned(),
            }),
            false => Err(Refused::Conflict("the run is not frozen so".into())),
        }
    }

    pub(super) fn on_freeze(&mut self, record: &Record, at: Time) {
        match record {
            Record::Frozen { service, by, reason, until } => {
                let (service, by, reason) = (service.clone(), by.clone(), reason.clone());
                self.freezes.retain(|f| f.service != service);
                self.freezes.push(Freeze { service, by, reason, until: *until });
            }
            Record::Thawed { service, .. } => self.on_thawed(service, at),
            _ => {}
        }
    }

    /// Nothing that was seen, planned or approved before the freeze counts after it.
    fn on_thawed(&mut self, service: &Option<Name>, at: Time) {
        self.freezes.retain(|f| f.service != *service);
        if !self.freezes.is_empty() || self.committed.is_some() {
            return;
        }
        if self.first_change.is_none() {
            self.forget_plan();
            if let Some(hold) = &mut self.hold {
                hold.until = hold.until.min(at);
            }
            return;
        }
        self.look_anew = true;
        let acted: Vec<bool> = self.ids().map(|id| matches!(self.form(id), Form::Act(_))).collect();
        for (state, acted) in self.items.iter_mut().zip(acted) {
            match state.phase {
                super::ItemPhase::Done { .. } => state.recheck |= acted,
                // Its time did not run while it was not allowed to begin.
                super::ItemPhase::Idle => state.rung_began = None,
                _ => {}
            }
        }
    }
}
