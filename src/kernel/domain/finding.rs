//! One thing that a rehearsal found: what would stand in the way of a change that nobody wants yet. Made by providers, and
//! by the worker's readiness, which shows all of them.

use serde::{Deserialize, Serialize};

/// How much it counts. Unknown counts as much as bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    Bad,
    Unknown,
    /// It would work, and worse than it could.
    Warn,
    /// Nobody can tell without doing it: what drills are for.
    Open,
    Ok,
}

impl Grade {
    /// The playbook could not be trusted to work now.
    pub fn stops(self) -> bool {
        matches!(self, Grade::Bad | Grade::Unknown)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub grade: Grade,
    /// Empty: all is well.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    pub says: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fix: String,
}

impl Finding {
    pub fn ok(says: impl Into<String>) -> Finding {
        Finding { grade: Grade::Ok, code: String::new(), says: says.into(), fix: String::new() }
    }
    pub fn of(grade: Grade, code: &str, says: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { grade, code: code.to_owned(), says: says.into(), fix: fix.into() }
    }
}
