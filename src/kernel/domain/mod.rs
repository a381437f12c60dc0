//! Values, no behaviour that can fail on I/O: the vocabulary that every other room speaks.

mod actor;
mod delivered;
mod digest;
mod disabled;
mod effect;
mod fact;
mod finding;
mod id;
mod item;
mod measured;
mod outcome;
mod plan;
mod record;
mod sealed;
mod secret;
mod source;
mod time;

pub use actor::{Actor, Role, Via};
pub use delivered::Delivered;
pub use digest::{Digest, canonical};
pub use disabled::Disabled;
pub use effect::{Effect, Other, Override, Rule, Spent, place};
pub use fact::{Fact, FenceRung, Lsn};
pub use finding::{Finding, Grade};
pub use id::{Epoch, ItemId, Name, OccurrenceId, Position, RunId, Seq, Stream};
pub use item::{
    Afterwards, ApprovalRule, Cause, Form, Item, ItemRole, Limits, Mode, Objective, OnExpiry, OnFailure,
    Resolved, Retry, RunKind, Rung, Spec, UnfencedRule, Watched, Way,
};
pub use measured::{Phase, Rpo};
pub use outcome::{CallEnd, CallResult, Outcome};
pub use plan::{Change, Lingers, Observation, PlanLine, PlanSheet, Reason, Settle, StepPlan, Undo, Verdict};
pub use record::{
    Call, FenceWatchState, PlaybookVerdict, Record, SignIn, Stamped, Told, WhyObserved, WindowState,
};
pub use sealed::Sealed;
pub use secret::Secret;
pub use source::{FOUND, SourceKind, TAGS_UNKNOWN, VALUES_APART, ZABBIX_SEVERITIES};
pub use time::{Span, Time};
