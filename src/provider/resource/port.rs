//! What is asked of a remote that holds a resource. `wire` speaks to real ones; the simulator has fields behind the
//! same verbs.

use crate::config::ResourceTarget;
use crate::kernel::domain::{Name, Span, Time};
use crate::provider::dns::NoAnswer;
use crate::provider::hosted::{Rights, Written};
use futures_util::future::BoxFuture;
use serde_json::Value;

/// Normalised facts, by name. Two looks at the same state give equal fields.
pub type Fields = serde_json::Map<String, Value>;

/// A configured resource, and which part of it is meant.
#[derive(Clone, Debug)]
pub struct Resource {
    pub name: Name,
    pub target: ResourceTarget,
    pub part: Part,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// Of a load balancer. `sessions`: whether those of a server in maintenance are a fact that is asked for.
    Server {
        backend: String,
        server: String,
        sessions: bool,
    },
    /// The order of a load balancer's pools. `first`: of this pool the provider's own checks are asked.
    Order {
        first: Option<String>,
    },
    /// One pool of a load balancer, by its id, and which of its origins are facts that are asked for.
    Pool {
        id: String,
        origins: Vec<String>,
    },
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub fields: Fields,
    /// It is on its way to another state, in the remote's own words.
    pub pending: Option<String>,
    /// Measurements, and what the kind's rules look at.
    pub evidence: Value,
    /// What only the wire understands; handed back with a write.
    pub handle: Value,
}

/// `before` as it was seen, `after` as it shall be.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    pub before: &'a Fields,
    pub after: &'a Fields,
    pub handle: &'a Value,
}

pub trait Port: Send + Sync {
    fn read<'a>(&'a self, resource: &'a Resource, within: Span) -> BoxFuture<'a, Result<Seen, NoAnswer>>;

    /// What the remote tells about a change of it, without one.
    fn rights<'a>(&'a self, resource: &'a Resource, now: Time, within: Span) -> BoxFuture<'a, Vec<Rights>>;

    fn write<'a>(&'a self, resource: &'a Resource, write: Write<'a>, within: Span) -> BoxFuture<'a, Written>;
}
