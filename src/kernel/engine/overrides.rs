//! One rule lifted for one service, as a run has been told: by a named person of the role incident-lead, with a reason and
//! an end. Like a freeze, it is in the run's own records, so that the order of it and of an intent is theirs.
//!
//! `max_writers` is never lifted so: two writers are accepted by name, in a run that asks (`accept_unfenced`).

use super::{Refused, Run};
use crate::domain::{Actor, Override, Record, Role, Rule, Time};

/// Whether this person may lift this rule at all.
pub fn may_override(by: &Actor, rule: Rule) -> Result<(), Refused> {
    if !by.has(Role::IncidentLead) {
        return Err(Refused::NotAllowed(format!("{by} does not have the role incident-lead")));
    }
    match rule {
        Rule::MaxWriters => Err(Refused::NotAllowed(
            "max_writers is not lifted: where a playbook offers it, `approve --accept-unfenced` accepts by name, in the \
             run that asks, that one server may still write"
                .into(),
        )),
        Rule::NeverEmptyRrset | Rule::MinLiveTargets | Rule::ChangesPerHour => Ok(()),
    }
}

/// What people say about everything, or about a service, and each run of it is told.
pub(super) fn is_word(record: &Record) -> bool {
    matches!(
        record,
        Record::Frozen { .. } | Record::Thawed { .. } | Record::Overridden(_) | Record::OverrideEnded { .. }
    )
}

impl Run {
    /// The override in force, if there is one.
    pub fn lifted_now(&self, rule: Rule, now: Time) -> Option<&Override> {
        self.lifted.get(&rule).filter(|lifted| now < lifted.until && rule != Rule::MaxWriters)
    }

    pub(super) fn decide_override(&self, lifted: &Override, now: Time) -> Result<Record, Refused> {
        may_override(&lifted.by, lifted.rule)?;
        if lifted.service != self.spec.service {
            return Err(Refused::Conflict("the run is of another service".into()));
        }
        if lifted.until <= now {
            return Err(Refused::Conflict("an override ends in the future".into()));
        }
        if self.lifted.get(&lifted.rule) == Some(lifted) {
            return Err(Refused::Conflict("already known".into()));
        }
        Ok(Record::Overridden(lifted.clone()))
    }

    pub(super) fn decide_enforce(&self, rule: Rule, by: &Actor, reason: &str) -> Result<Record, Refused> {
        match self.lifted.contains_key(&rule) {
            true => Ok(Record::OverrideEnded {
                rule,
                service: self.spec.service.clone(),
                by: by.clone(),
                reason: reason.to_owned(),
            }),
            false => Err(Refused::Conflict("that rule is not lifted for this run".into())),
        }
    }

    pub(super) fn on_override(&mut self, record: &Record, at: Time) {
        match record {
            Record::Overridden(lifted) => drop(self.lifted.insert(lifted.rule, lifted.clone())),
            Record::OverrideEnded { rule, .. } => drop(self.lifted.remove(rule)),
            _ => return,
        }
        self.plan_again(at);
    }

    /// A plan, and a consent, from before it says something else now.
    fn plan_again(&mut self, at: Time) {
        if self.first_change.is_some() {
            return;
        }
        self.forget_plan();
        if let Some(hold) = &mut self.hold {
            hold.until = hold.until.min(at);
        }
    }
}
