//! How a call ended, and how a run ended. Three ways for a call: doubt is not an error, it is a state.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallResult {
    Applied,
    /// The remote proved that nothing happened. `retry`: trying again may help.
    Rejected {
        retry: bool,
    },
    /// Time-out, lost connection, 5xx after the bytes left. Never retried blindly.
    Indeterminate,
}

/// The end of a call with what the remote said, already redacted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallEnd {
    pub result: CallResult,
    pub detail: Value,
}

impl CallEnd {
    pub fn applied(detail: Value) -> CallEnd {
        CallEnd { result: CallResult::Applied, detail }
    }
    pub fn rejected(retry: bool, says: impl Into<String>) -> CallEnd {
        CallEnd { result: CallResult::Rejected { retry }, detail: Value::String(says.into()) }
    }
    /// We did not call at all; no attempt is spent.
    pub fn not_sent(says: impl std::fmt::Display) -> CallEnd {
        CallEnd::rejected(true, format!("{NOT_SENT}: {says}"))
    }
    pub fn was_sent(&self) -> bool {
        !self.detail.as_str().is_some_and(|says| says.starts_with(NOT_SENT))
    }
    pub fn indeterminate(says: impl Into<String>) -> CallEnd {
        CallEnd { result: CallResult::Indeterminate, detail: Value::String(says.into()) }
    }
}

/// The code that a call begins with which was never made.
const NOT_SENT: &str = "PM5205";

/// How a run ended; the words and exit codes of the playbook language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Succeeded,
    Unchanged,
    Refused,
    Cancelled,
    Failed,
    Partial,
    Undone,
    Unknown,
}

impl Outcome {
    pub fn exit_code(self) -> u8 {
        match self {
            Outcome::Succeeded | Outcome::Unchanged => 0,
            Outcome::Refused => 7,
            Outcome::Failed => 10,
            Outcome::Partial => 11,
            Outcome::Undone => 12,
            Outcome::Unknown => 13,
            Outcome::Cancelled => 14,
        }
    }
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Succeeded => "succeeded",
            Outcome::Unchanged => "unchanged",
            Outcome::Refused => "refused",
            Outcome::Cancelled => "cancelled",
            Outcome::Failed => "failed",
            Outcome::Partial => "partial",
            Outcome::Undone => "undone",
            Outcome::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
