//! What a run took and what it lost: recovery time by phase, and the recovery point.

use super::Time;
use serde::{Deserialize, Serialize};

/// The phases that recovery time is split into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Detect,
    Decide,
    Fence,
    Promote,
    Config,
    Verify,
    Dns,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Detect => "detect",
            Phase::Decide => "decide",
            Phase::Fence => "fence",
            Phase::Promote => "promote",
            Phase::Config => "config",
            Phase::Verify => "verify",
            Phase::Dns => "dns",
        }
    }
}

/// What may have been lost. `bytes` is a bound from samples; everything committed before `last_safe` is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rpo {
    pub bytes: Option<u64>,
    pub last_safe: Option<Time>,
    pub says: String,
}
