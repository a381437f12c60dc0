//! What the shell implements and the kernel calls: checks, actions, the registry that binds them, the world.

use crate::domain::{
    CallEnd, Epoch, Fact, Finding, Lsn, Name, Observation, RunId, Span, Spec, Spent, StepPlan, Time,
};
use crate::journal::Permit;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// A clock pushed ahead by more than this, at once, has leapt.
pub const LEAP: Span = Span::secs(5);

/// Time and chance. The only clock that kernel and actions may read.
pub trait World: Send + Sync {
    fn now(&self) -> Time;
    /// How far the time that `now` tells was pushed ahead after `at` without passing: somebody set the clock, or the
    /// machine slept. Leaps under [`LEAP`] are none. A clock that is never pushed has none.
    fn leapt_since(&self, _at: Time) -> Span {
        Span::ZERO
    }
    fn sleep_until(&self, at: Time) -> BoxFuture<'_, ()>;
    fn random(&self) -> u64;
}

/// One pair of positions taken at the same time by the sampler. `None` is unknown, never zero.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Sample {
    /// When the primary was asked, before the question was sent.
    pub at: Time,
    /// Position of the primary.
    pub primary: Option<Lsn>,
    /// Position received by the standby.
    pub standby: Option<Lsn>,
    /// Timeline of the primary.
    pub timeline: Option<u32>,
    /// System identifier seen.
    pub lineage: Option<String>,
}

/// The sampler's ring: what was seen of a pair before it was lost.
pub trait Samples: Send + Sync {
    /// Newest last, at most the ring's size; `target` is the standby's name.
    fn recent(&self, target: &Name) -> Vec<Sample>;
}

/// Changes begun by every run of the instance, for the limit that is common to all of them.
pub trait Ledger: Send + Sync {
    /// What was begun within the hour before `now`. `Err`: it is not known.
    fn spent(&self, run: &RunId, now: Time) -> Result<Spent, String>;
    /// Books one change, right before its intent is written, and for a run's first one what is left of its plan as well.
    /// Nothing is booked, and it answers false, where `room` says no to what stands there at that moment.
    fn begin(&self, run: &RunId, now: Time, left: u32, room: &dyn Fn(&Spent) -> bool) -> bool;
    /// The intents of this many changes were not written.
    fn take_back(&self, run: &RunId, calls: usize);
    /// The run is finished: it needs nothing more.
    fn release(&self, run: &RunId);
}

/// What a check or an action may use besides its own remote. Time inside actions comes from here only.
#[derive(Clone)]
pub struct Ctx {
    pub world: Arc<dyn World>,
    pub samples: Arc<dyn Samples>,
    pub began: Time,
    /// Nothing may go on after this, leaps of the clock not counted: see `left`.
    pub deadline: Time,
    pub run: RunId,
    pub service: Name,
    pub epoch: Epoch,
    /// When the alert's outage began as its source says, for bounds on the age of samples.
    pub since: Option<Time>,
}

impl Ctx {
    pub fn now(&self) -> Time {
        self.world.now()
    }

    /// Sleeps, but never past the deadline. False: the deadline has come.
    pub async fn sleep(&self, span: Span) -> bool {
        let at = self.now() + span.min(self.left());
        self.world.sleep_until(at).await;
        self.left() > Span::ZERO
    }

    pub fn left(&self) -> Span {
        (self.deadline + self.world.leapt_since(self.began)).since(self.now())
    }
}

/// A check could not be made for a reason of ours: configuration, credentials that cannot be read.
/// What a remote did or did not answer is an [`Observation`], not this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {says}")]
pub struct ProviderError {
    pub code: String,
    pub says: String,
}

impl ProviderError {
    pub fn new(code: &str, says: impl Into<String>) -> ProviderError {
        ProviderError { code: code.to_owned(), says: says.into() }
    }
}

pub trait Check: Send + Sync {
    /// Read-only, bounded by `ctx.deadline`.
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>>;
    /// Pure. `given` is what earlier steps promise while planning, and only what is proven before an intent.
    /// A check never returns `Change`.
    fn plan(&self, seen: &Observation, given: &[Fact], now: Time) -> StepPlan;
    /// For readiness, what the verdict over a look does not show: whether the change would be allowed, what would be
    /// worse than it need be. May ask the remote, and changes nothing there. `None`: it cannot be asked ahead.
    fn rehearse<'a>(&'a self, _ctx: &'a Ctx, _seen: &'a Observation) -> BoxFuture<'a, Option<Vec<Finding>>> {
        Box::pin(std::future::ready(None))
    }
}

pub trait Action: Check {
    /// One conditional call. The change is inside the permit; nothing else may be changed.
    fn apply<'a>(&'a self, ctx: &'a Ctx, permit: Permit) -> BoxFuture<'a, CallEnd>;
}

/// A spec bound to the code that carries it out.
pub enum Bound {
    Check(Box<dyn Check>),
    Action(Box<dyn Action>),
}

impl Bound {
    pub fn check(&self) -> &dyn Check {
        match self {
            Bound::Check(check) => check.as_ref(),
            Bound::Action(action) => action.as_ref(),
        }
    }
}

pub trait Registry: Send + Sync {
    /// All problems at once: unknown kind, unknown target, wrong parameters.
    fn bind(&self, spec: &Spec) -> Result<Bound, Vec<String>>;
}
