//! Which records an age may take away (decision 0021), and how they go. The journal is counted to its head, record by
//! record; what still counts lowers the cut below its first record, and is told by name. In doubt everything stays.
//!
//! ```text
//! all records ─▶ Counted ─cut─▶ Cut{before, held} ── records below `before` ─▶ Parting ─▶ Sealed ─▶ signed ─▶ gone
//! ```
//!
//! Two walks, since what `Sealed` carries is known only once the cut is. `counted` and `parting` are pure; `steps` reads the
//! journal and takes the steps that change it, for the server (`task`) and for `pointsman db retain` without one.

mod counted;
mod offline;
mod parting;
mod steps;
mod task;

pub use counted::Counted;
pub use offline::{Gone, Offline, retain_offline};
pub use parting::{Parted, Parting};
pub use steps::{CutError, Cutter, Pace, Unhurried, count};
pub use task::{Retained, document, keep_retention};

pub use crate::config::LEAST_AGE;
use crate::kernel::domain::{Name, Position, Sealed, Span, Time};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a cut is asked with.
#[derive(Clone, Debug)]
pub struct Terms {
    pub now: Time,
    pub older_than: Span,
    /// The longest cooldown of the active playbooks of each service. A service that is not here has one that nobody knows,
    /// and an unknown cooldown is not over.
    pub cooldowns: BTreeMap<Name, Span>,
    /// What each reader of the journal has passed.
    pub readers: Vec<(String, Position)>,
    /// Why the instance itself is frozen, where that is in no record (a journal behind its head file).
    pub frozen: Option<String>,
}

/// Why there is no cut to speak of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetainError {
    #[error("records are kept for 35 days at least; {0} is too short")]
    TooYoung(Span),
    #[error("after position {after} comes {found}: what lies between is missing, and may count")]
    Gap { after: Position, found: Position },
    #[error("the record at position {0} does not lie before the cut")]
    Beyond(Position),
}

/// The kinds of things that count, for those who count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    OpenRun,
    /// Its records do not fold: nobody knows whether it is over.
    BrokenRun,
    /// It is over, and its records reach beyond the cut.
    RunGoesOn,
    FenceWatch,
    CommitWindow,
    Unseen,
    Cooldown,
    Occurrence,
    /// It is closed, and its close lies beyond the cut.
    OccurrenceGoesOn,
    Freeze,
    Disabled,
    Breaker,
    Reader,
}

/// Something that counts still, from its first record on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    pub first: Position,
    pub kind: Kind,
    pub says: String,
}

/// What may go: everything in front of `before`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The first record that there is now.
    pub first: Position,
    /// The first one that stays.
    pub before: Position,
    /// The last one that is old enough, whatever counts.
    pub aged: Position,
    /// All that lies in what is old enough, oldest first: the cut is below the first record of each.
    pub held: Vec<Held>,
    /// What the cut before this one carries; the next one carries it on.
    pub earlier: Option<Box<Sealed>>,
}

impl Cut {
    pub fn goes(&self) -> u64 {
        self.before.saturating_sub(self.first)
    }
}

#[cfg(test)]
mod tests;
