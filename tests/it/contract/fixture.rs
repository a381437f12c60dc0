//! What a provider brings to the contract: a remote that can be set back, looked at by another way, changed by
//! somebody else, and made to fail.

use crate::remote::Remote;
use futures_util::future::{BoxFuture, FutureExt as _};
use pointsman::kernel::domain::Fact;
use serde_json::Value;

/// What can be said of an action before it runs.
#[derive(Clone, Copy, Debug)]
pub struct Nature {
    /// One change is one call: it happens whole or not at all.
    pub whole: bool,
    /// The remote itself compares; else the change says how long the window was.
    pub compares: bool,
    /// The change names an undo that the rules can run.
    pub undo: bool,
    /// It goes to a provider's API: the plan says whose, and limits are honoured.
    pub api: bool,
    /// A limit closes the API for us until the named time.
    pub closes: bool,
}

pub const LOCAL: Nature = Nature { whole: true, compares: true, undo: true, api: false, closes: false };

/// What goes wrong. Reads and writes are those of the remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The write is refused, provably.
    Refused,
    /// 403.
    Denied,
    /// 404.
    Missing,
    /// 429 with `Retry-After`, in seconds.
    Limited(u64),
    /// 429 on a read.
    ReadLimited(u64),
    /// 500, and nothing happened.
    Broken,
    /// No connection.
    Closed,
    /// The bytes are taken, nothing happens, nobody answers.
    Swallowed,
    /// It happens, nobody answers.
    LostReply,
    /// It happens, the answer is nonsense.
    Garbage,
    /// It happens, and the answer comes after that many seconds.
    Late(u64),
    /// Success is said, nothing happened.
    Lie,
    /// A read shows what was before the last change.
    StaleRead,
    /// A read fails.
    ReadFails,
    /// 401 on a read.
    ReadDenied,
    /// A read is answered with nonsense.
    ReadGarbage,
}

pub trait Fixture: Send + Sync {
    fn kind(&self) -> &'static str;
    fn nature(&self) -> Nature;
    /// New clients for the target named `target`.
    fn remote(&self) -> Remote;
    /// Parameters of what is wanted; it does not stand there after a reset.
    fn with(&self) -> Value;
    fn given(&self) -> Vec<Fact> {
        vec![]
    }
    /// As it is at the beginning.
    fn reset(&self) -> BoxFuture<'_, ()>;
    /// What stands at the remote, seen by another way than the action's own.
    fn standing(&self) -> BoxFuture<'_, Value>;
    /// Somebody else changes what is wanted to be changed. `None`: there is nothing to compare.
    fn by_hand(&self) -> Option<BoxFuture<'_, ()>>;
    /// The next such exchange goes wrong. False: cannot be made to happen here.
    fn plant(&self, trouble: Trouble) -> bool;
    fn calm(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
    /// Requests that came in, where they are counted.
    fn requests(&self) -> Option<u32> {
        None
    }
    fn secrets(&self) -> Vec<String> {
        vec![]
    }
}
