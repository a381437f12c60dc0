//! A playbook that people took out of use for a while: who, why, until when. In the instance's stream; triage and the verbs
//! that open runs ask for it.

use super::{Actor, Name, Time};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    pub playbook: Name,
    pub by: Actor,
    pub reason: String,
    pub until: Time,
}

impl Disabled {
    /// For people: what, by whom, until when, why.
    pub fn says(&self) -> String {
        format!("playbook {} is disabled by {} until {}: {}", self.playbook, self.by, self.until, self.reason)
    }
}
