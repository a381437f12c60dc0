//! One record of the journal as the API gives it, with short ways to the parts that tests and the demo look at.

use serde::Deserialize;
use serde_json::Value;

#[derive(Clone, Debug, Deserialize)]
pub struct Record {
    pub position: u64,
    pub stream: String,
    /// Microseconds since the epoch.
    pub at: i64,
    pub kind: String,
    /// One English sentence.
    pub says: String,
    pub body: Value,
}

/// Which call of which step an intent or an end is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Call {
    pub item: usize,
    pub rung: usize,
    pub attempt: u32,
}

impl Record {
    /// The run in whose stream it is.
    pub fn run(&self) -> Option<&str> {
        self.stream.strip_prefix("run:")
    }

    /// Of an intent or the end of a call.
    pub fn call(&self) -> Option<Call> {
        serde_json::from_value(self.body["call"].clone()).ok()
    }

    /// Of the end of a call: the remote did it.
    pub fn is_applied(&self) -> bool {
        self.kind == "ended" && self.body["end"]["result"] == "applied"
    }

    /// Of an intent: the action, such as `postgres.promote`.
    pub fn action(&self) -> Option<&str> {
        self.body["spec"]["kind"].as_str()
    }
}
