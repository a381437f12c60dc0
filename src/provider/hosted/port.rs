//! The few things asked of a provider that serves a zone. `wire` speaks to real ones; the simulator has a zone behind
//! the same verbs.

use super::rights::Rights;
use super::set::Held;
use crate::config::HostedTarget;
use crate::kernel::domain::{Span, Time};
use crate::provider::dns::{NoAnswer, RrSet};
use futures_util::future::BoxFuture;
use serde_json::Value;

/// What one look is about.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// All sets of these names are read, of the types that we know.
    pub names: &'a [String],
    /// Values of the lost site, to find other names that hold one; none: nobody asks.
    pub stale: &'a [String],
    /// How many records the zone has is asked as well.
    pub count: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub sets: Vec<Held>,
    /// Other names that hold a stale value, or why that is not known.
    pub others: Result<Vec<RrSet>, String>,
    pub count: Option<u64>,
    /// The provider has taken a change and has not yet published it: its own name for the change.
    pub pending: Option<String>,
    /// What only the wire understands: ids of records, texts to keep. Handed back with a write.
    pub handle: Value,
}

/// `before` as it was seen, `after` as it shall be; both hold the same keys in the same order.
#[derive(Clone, Debug)]
pub struct Write<'a> {
    pub before: &'a [Held],
    pub after: &'a [Held],
    /// Of the look right before; of no use where the remote compares by itself.
    pub handle: &'a Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// Evidence for the record: the provider's id of the change.
    Done(Value),
    /// The provider answered and proved that nothing was changed.
    Refused { says: String },
    /// It takes no more requests for a while; nothing was changed.
    Limited { after: Option<Span>, says: String },
    /// No byte left. `retry`: trying again may help.
    NotSent { retry: bool, says: String },
    /// The bytes left; what they did is not known, or only a part of it was done.
    Doubt(String),
}

pub trait Port: Send + Sync {
    fn read<'a>(
        &'a self,
        zone: &'a HostedTarget,
        look: Look<'a>,
        within: Span,
    ) -> BoxFuture<'a, Result<Seen, NoAnswer>>;

    /// What the provider tells about a change of such records, without one.
    fn rights<'a>(&'a self, zone: &'a HostedTarget, now: Time, within: Span) -> BoxFuture<'a, Vec<Rights>>;

    fn write<'a>(&'a self, zone: &'a HostedTarget, write: Write<'a>, within: Span) -> BoxFuture<'a, Written>;
}
