//! A run in one row, for lists. A cache, written in the same transaction as the records it sums up.

use super::{Consent, ItemPhase, Run};
use crate::domain::{Digest, Epoch, Mode, Name, Outcome, RunId, Time};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub run: RunId,
    pub service: Name,
    pub playbook: Name,
    pub mode: Mode,
    pub from: Name,
    pub to: Name,
    /// `planning`, `held`, `waits for approval`, `running`, `waits for a person`, `parked`, `finished`.
    pub state: String,
    pub says: String,
    pub outcome: Option<Outcome>,
    pub opened: Time,
    pub updated: Time,
    pub plan: Option<Digest>,
    pub epoch: Epoch,
    /// Opened by an alert, and nobody is asked.
    #[serde(default)]
    pub automatic: bool,
    /// When the first change was begun.
    #[serde(default)]
    pub changed: Option<Time>,
    #[serde(default)]
    pub ended: Option<Time>,
}

impl Run {
    pub fn summary(&self) -> Summary {
        let state = match (&self.finished, &self.hold, &self.consent) {
            (Some(_), _, _) => "finished",
            _ if self.is_parked() => "parked",
            (_, Some(_), _) => "held",
            _ if self.items.iter().any(|i| i.phase == ItemPhase::AwaitingPerson) => "waits for a person",
            (_, _, Consent::Asked { .. }) => "waits for approval",
            _ if self.plan.is_none() => "planning",
            _ => "running",
        };
        Summary {
            run: self.id().clone(),
            service: self.spec.service.clone(),
            playbook: self.spec.playbook.clone(),
            mode: self.spec.mode,
            from: self.spec.from.clone(),
            to: self.spec.to.clone(),
            state: state.to_owned(),
            says: self.next(self.at).says,
            outcome: self.finished,
            opened: self.opened,
            updated: self.at,
            plan: self.plan.as_ref().map(|p| p.digest),
            epoch: self.epoch,
            automatic: self.spec.is_automatic(),
            changed: self.first_change,
            ended: self.finished_at,
        }
    }
}
