//! `redis.failover {target, old, timeout?, max_behind?}`: a living primary hands over to its replica, and loses nothing.
//! Planned moves only. NO UNDO once it is done.
//!
//! `FAILOVER TO` (Redis 6.2): the primary lets writes wait, waits until the replica has everything, tells it to take over,
//! and follows it. Where the replica does not catch up in time, the primary itself goes on as if nothing had been. It is never
//! called off by us, and never forced: the one may leave two primaries, the other loses what was taken.

mod apply;
mod plan;

use super::fence::busy;
use super::look::look;
use super::node::{MinReplicas, Node, Place, Seen};
use super::port::{Endpoint, Port};
use crate::kernel::domain::{CallEnd, Fact, Observation, Span, StepPlan, Time};
use crate::kernel::journal::Permit;
use crate::kernel::port::{Action, Check, Ctx, ProviderError};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

pub struct Failover {
    pub port: Arc<dyn Port>,
    pub target: Endpoint,
    pub old: Endpoint,
    /// How long the primary lets writes wait at most.
    pub timeout: Span,
    /// How many bytes the replica may lack before it begins.
    pub max_behind: u64,
}

/// Facts that the plan stands on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    role: String,
    replid: Option<String>,
    replid2: Option<String>,
    old_role: String,
    old_replid: Option<String>,
    manager: Option<String>,
    busy: Option<String>,
    /// The replica as the primary names it; only by that name can it be handed over to.
    known_as: Option<Place>,
    /// It hears the primary, and has a whole copy of the same history.
    follows: bool,
    /// The old primary follows the target.
    handed_over: bool,
    /// The old primary refuses writes by a fence, and would as a replica.
    fenced: bool,
    /// With one replica the target would refuse writes.
    trap: Option<MinReplicas>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Evidence {
    target: Seen,
    old: Seen,
    /// Bytes that the replica has yet to get.
    behind: Option<u64>,
}

impl Failover {
    async fn observe(&self, ctx: &Ctx) -> Result<Observation, ProviderError> {
        let at = ctx.now();
        let port = self.port.as_ref();
        let (target, old) = join(look(port, &self.target, ctx), look(port, &self.old, ctx)).await;
        let (target, old) = (target?, old?);
        let behind = match (old.primary().and_then(|old| old.offset), target.node().and_then(|n| n.offset)) {
            (Some(end), Some(had)) => Some(end.saturating_sub(had)),
            _ => None,
        };
        let state = self.state(&target, &old);
        Ok(Observation {
            identity: json!({ "replid": state.replid, "address": self.target.address() }),
            state: json!(state),
            evidence: json!(Evidence { target, old, behind }),
            at,
        })
    }

    fn state(&self, target: &Seen, old: &Seen) -> State {
        let (node, leader) = (target.node(), old.node());
        let both = node.zip(leader);
        State {
            role: target.role().to_owned(),
            replid: node.map(|node| node.replid.clone()),
            replid2: node.and_then(|node| node.replid2.clone()),
            old_role: old.role().to_owned(),
            old_replid: leader.map(|node| node.replid.clone()),
            manager: node.and_then(Node::manager).or_else(|| leader.and_then(Node::manager)),
            busy: leader.and_then(busy).or_else(|| node.and_then(busy)),
            known_as: old.primary().and_then(|leader| self.known_as(leader)),
            follows: both.is_some_and(|(node, leader)| follows(node, leader)),
            handed_over: both.is_some_and(|(node, leader)| follows(leader, node)),
            fenced: old.primary().is_some_and(|node| node.min_replicas.fenced()),
            trap: node.map(|node| node.min_replicas).filter(|setting| setting.refuses(1)),
        }
    }

    /// By its address; where there is one replica alone, that one.
    fn known_as(&self, leader: &Node) -> Option<Place> {
        let place = |one: &super::node::Connected| Place { host: one.host.clone(), port: one.port };
        let online = || leader.replicas.iter().filter(|one| one.online).map(place);
        let only =
            || online().next().filter(|one| online().count() == 1 && one.port == self.target.conf.port);
        online().find(|one| *one == self.target.place()).or_else(only)
    }
}

fn follows(node: &Node, leader: &Node) -> bool {
    let up = node.link.as_ref().is_some_and(|link| link.up && !link.syncing);
    node.replica && !leader.replica && up && node.offset.is_some() && node.replid == leader.replid
}

impl Check for Failover {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        Failover::observe(self, ctx).boxed()
    }
    fn plan(&self, seen: &Observation, given: &[Fact], _now: Time) -> StepPlan {
        self.plan_from(seen, given)
    }
}

impl Action for Failover {
    fn apply<'a>(&'a self, ctx: &'a Ctx, permit: Permit) -> BoxFuture<'a, CallEnd> {
        self.carry_out(ctx, permit).boxed()
    }
}
