//! Between the plan and the first change: whose yes is needed, and how long it may take.

use super::{Consent, Next, Run};
use crate::domain::{Mode, Reason, Record, Time};

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
                let why =
                    vec![Reason::new("PM5103", "nobody approved in time; a new plan is made and asked for")];
                next.record(Record::Held { why, occurrence: None, playbook: None, until: now });
                next.says("the approval expired")
            }
            Consent::Asked { digest, until } if now < *until => {
                next.wake_at(*until);
                next.says(format!("waits for approval of plan {}", digest.short()))
            }
            // Not asked yet; or asked again after a gap, past the first change, and nobody answered in time.
            Consent::None | Consent::Asked { .. } => {
                let digest = self.plan.as_ref().map_or(crate::domain::Digest::ZERO, |p| p.digest);
                let until = now + self.spec.approval.expires;
                let says = format!("approval of plan {} is asked for", digest.short());
                next.record(Record::Asked { digest, item: None, until: Some(until), says: says.clone() });
                next.says(says)
            }
            Consent::Given { .. } | Consent::Denied { .. } => next.says("decided"),
        }
    }
}
