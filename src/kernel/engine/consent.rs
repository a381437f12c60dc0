//! Between the plan and the first change: whose yes is needed, and how long it may take.

use super::{Consent, Next, Run, approval};
use crate::domain::{Digest, Mode, OnExpiry, Outcome, Reason, Record, Time};

impl Run {
    pub(super) fn consented(&self) -> bool {
        match self.spec.mode {
            Mode::Auto => true,
            Mode::Observe => false,
            Mode::Approve => self.committed.is_some() || matches!(self.consent, Consent::Given { .. }),
        }
    }

    pub(super) fn next_of_consent(&self, now: Time) -> Next {
        let mut next = Next::default();
        match &self.consent {
            Consent::Asked { until, .. } if now >= *until && self.first_change.is_none() => {
                self.next_of_expiry(now)
            }
            Consent::Asked { digest, until, yes, .. } if now < *until => {
                next.wake_at(*until);
                let so_far = match yes.is_empty() {
                    true => String::new(),
                    false => {
                        let need = self.spec.approval.need;
                        format!(": {} of {need} said yes ({})", yes.len(), approval::said(yes))
                    }
                };
                next.says(format!("waits for approval of plan {}{so_far}", digest.short()))
            }
            // Not asked yet; or asked again after a gap, past the first change, and nobody answered in time.
            Consent::None | Consent::Asked { .. } => {
                let record = self.ask(now);
                let says = match &record {
                    Record::Asked { says, .. } => says.clone(),
                    _ => String::new(),
                };
                next.record(record);
                next.says(says)
            }
            Consent::Given { .. } | Consent::Denied { .. } => next.says("decided"),
        }
    }

    fn ask(&self, now: Time) -> Record {
        let rule = &self.spec.approval;
        let digest = self.plan.as_ref().map_or(Digest::ZERO, |p| p.digest);
        let people = match rule.need {
            1 => String::new(),
            need => format!(", by {need} people"),
        };
        let again = match self.expiries {
            0 => String::new(),
            1 => "; nobody decided in time before".to_owned(),
            n => format!("; nobody decided in time {n} times before"),
        };
        let says = format!("approval of plan {} is asked for{people}{again}", digest.short());
        let level = if rule.on_expiry == OnExpiry::Escalate { self.expiries } else { 0 };
        Record::Asked { digest, item: None, until: Some(now + rule.expires), says, level }
    }

    fn next_of_expiry(&self, now: Time) -> Next {
        let mut next = Next::default();
        if self.spec.approval.on_expiry == OnExpiry::Reject {
            let says = "nobody approved in time, and the playbook ends the run then".to_owned();
            next.record(self.finish(Outcome::Cancelled, says.clone()));
            return next.says(says);
        }
        let why = vec![Reason::new("PM5103", "nobody approved in time; a new plan is made and asked for")];
        next.record(Record::Held { why, occurrence: None, playbook: None, until: now });
        next.says("the approval expired")
    }
}
