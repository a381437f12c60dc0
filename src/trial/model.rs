//! A test file as it was read: cases, each with alerts, a world, what goes wrong, what people say, and what is expected.

use crate::document::At;
use crate::kernel::domain::{Mode, Name, Role, SourceKind, Span};
use crate::simulated::world::{Hand, Start};
use std::collections::BTreeMap;

/// A name that the test speaks of, with its place.
pub type Named = (String, At);

#[derive(Clone, Debug)]
pub struct TestFile {
    pub file: String,
    pub text: String,
    /// File of the playbook, beside this one.
    pub playbook: Named,
    /// File of the configuration, beside this one.
    pub config: Option<Named>,
    pub cases: Vec<Case>,
}

#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub at: At,
    /// Instead of the playbook's own.
    pub mode: Option<Mode>,
    pub alerts: Vec<Incoming>,
    /// A person starts the run, and no alert.
    pub started_by: Option<Person>,
    pub start: Start,
    pub faults: Vec<Fault>,
    pub meanwhile: Vec<Deed>,
    pub people: Vec<Word>,
    /// How long the story is followed while nothing but waiting happens.
    pub patience: Option<Span>,
    pub expect: Expect,
}

#[derive(Clone, Debug)]
pub enum Incoming {
    Labels {
        from: SourceKind,
        source: Option<Name>,
        labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
    },
    /// A body as its source sent it, in a file beside the test.
    Payload { from: SourceKind, source: Option<Name>, file: Named },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Refused, and trying again may help.
    Fail,
    /// Refused for good.
    Refuse,
    /// No reply, and nothing happened.
    Timeout,
    /// It happened, and the reply is lost.
    TimeoutAfterApplied,
    /// Looks after the call still show the world before it.
    StaleRead,
    /// The process dies right before the call.
    Crash,
    /// The process dies after the call and before the reply.
    CrashAfterApplied,
    /// The process dies after the call, and stays away for an hour.
    Gap,
    /// Somebody changes the world right before the call.
    ByHand(Hand),
}

#[derive(Clone, Debug)]
pub struct Fault {
    pub step: Named,
    pub kind: FaultKind,
    pub times: u32,
}

/// Somebody changes the world, so long after the alert.
#[derive(Clone, Debug)]
pub struct Deed {
    pub after: Span,
    pub what: WorldDeed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorldDeed {
    Hand(Hand),
    PowerOffOld,
}

#[derive(Clone, Debug)]
pub struct Person {
    pub name: Named,
    /// Instead of the roles that the configuration gives.
    pub roles: Option<Vec<Role>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    Approve,
    /// Who asked for the run approves it, since nobody else is there.
    ApproveAlone,
    Pass,
    AcceptUnfenced,
    Reject,
    Confirm,
    Retry,
    Skip,
    Abort,
    Close,
}

/// What a person says to the run: when it asks for the first time after the word before, or at a time.
#[derive(Clone, Debug)]
pub struct Word {
    pub who: Person,
    pub says: Says,
    pub step: Option<Named>,
    /// After the question; with `at`, after the alert.
    pub after: Span,
    pub at_time: bool,
    /// They power the old primary off first.
    pub powers_off: bool,
    /// It is expected to be refused, with these words.
    pub refused: Option<String>,
    pub at: At,
}

#[derive(Clone, Debug, Default)]
pub struct Expect {
    pub outcome: Option<Named>,
    pub says: Vec<String>,
    pub steps: Vec<(Named, Named)>,
    pub order: Vec<Named>,
    pub journal: Vec<String>,
    pub never: Vec<String>,
    pub within: Option<Span>,
    pub loses_at_most: Option<u64>,
    pub writers: Option<Vec<String>>,
}
