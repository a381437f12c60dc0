//! What people and the storm breaker said last: the fold of the instance's stream.

use super::history::Reset;
use crate::kernel::domain::{Disabled, Name, Override, Reason, Record, RunId, Stamped, Stream, Time};
use crate::kernel::engine::Freeze;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// At most one for each scope; also those whose time is over and whose end is not on record yet.
    pub freezes: Vec<Freeze>,
    /// At most one for each rule and service; also those whose time is over.
    pub overrides: Vec<Override>,
    /// At most one for each playbook; also those whose time is over and whose end is not on record yet.
    pub disabled: Vec<Disabled>,
    pub tripped: Option<Tripped>,
    pub reset: Option<Reset>,
    /// Ends of runs that were looked up; they never change. No more than the runs that limits look back at, and some.
    pub ends: BTreeMap<RunId, Time>,
    /// When a person last acknowledged a run of each service that was asked about. One process writes: what it does not
    /// see itself was there when it first looked.
    pub seen: BTreeMap<Name, Option<Time>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tripped {
    pub at: Time,
    pub why: Vec<Reason>,
}

impl Tripped {
    pub fn reason(&self) -> Reason {
        let why: Vec<&str> = self.why.iter().map(|r| r.says.as_str()).collect();
        let says = format!("the storm breaker tripped at {}: {}", self.at, why.join("; "));
        Reason::new("PM5414", says)
    }
}

impl Standing {
    /// What ended by its time, and is not on record as such yet.
    pub fn over(&self, now: Time) -> Vec<Record> {
        let freezes = self.freezes.iter().filter(|f| f.until <= now).map(|freeze| {
            let reason = "its time is over; what waited is looked at again".to_owned();
            Record::Thawed { service: freeze.service.clone(), by: None, reason }
        });
        let disabled = self.disabled.iter().filter(|d| d.until <= now).map(|disabled| {
            let reason = "its time is over; alerts that wait are looked at again".to_owned();
            Record::Enabled { playbook: disabled.playbook.clone(), by: None, reason }
        });
        freezes.chain(disabled).collect()
    }

    /// When the next of these ends.
    pub fn next_end(&self) -> Option<Time> {
        let freezes = self.freezes.iter().map(|freeze| freeze.until);
        freezes.chain(self.disabled.iter().map(|disabled| disabled.until)).min()
    }

    pub fn apply(&mut self, stamped: &Stamped) {
        match &stamped.record {
            Record::Frozen { service, by, reason, until } => {
                self.freezes.retain(|f| f.service != *service);
                let (service, by, reason) = (service.clone(), by.clone(), reason.clone());
                self.freezes.push(Freeze { service, by, reason, until: *until });
            }
            Record::Thawed { service, .. } => self.freezes.retain(|f| f.service != *service),
            Record::Overridden(lifted) => {
                self.overrides.retain(|old| (old.rule, &old.service) != (lifted.rule, &lifted.service));
                self.overrides.push(lifted.clone());
            }
            Record::OverrideEnded { rule, service, .. } => {
                self.overrides.retain(|old| (old.rule, &old.service) != (*rule, service));
            }
            Record::Disabled(disabled) => {
                self.disabled.retain(|old| old.playbook != disabled.playbook);
                self.disabled.push(disabled.clone());
            }
            Record::Enabled { playbook, .. } => self.disabled.retain(|old| old.playbook != *playbook),
            Record::BreakerTripped { why } => {
                self.tripped = Some(Tripped { at: stamped.at, why: why.clone() });
            }
            Record::BreakerReset { sick, .. } => {
                self.tripped = None;
                self.reset = Some(Reset { at: stamped.at, sick: *sick });
            }
            Record::Acknowledged { .. } => {
                if let Stream::Service(service) = &stamped.stream {
                    self.seen.insert(service.clone(), Some(stamped.at));
                }
            }
            _ => {}
        }
    }
}
