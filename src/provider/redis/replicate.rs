//! `redis.replicate {target, primary, discard?}`: the target becomes a replica of the primary.
//!
//! Redis makes anybody a replica of anybody, and a replica takes what its primary has in place of what it held: also
//! nothing, also what is older. So the direction is judged here: an empty primary never overwrites a server with keys, a
//! history never the one that was promoted from it or that has more of it. Data of another origin, and writes of the
//! target's own, go only where the playbook says `discard: true`.

mod apply;
mod plan;

use super::fence::busy;
use super::look::look;
use super::node::{Node, Place, Seen};
use super::port::{Endpoint, Port};
use crate::kernel::domain::{CallEnd, Fact, Observation, StepPlan, Time};
use crate::kernel::journal::Permit;
use crate::kernel::port::{Action, Check, Ctx, ProviderError};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

pub struct Replicate {
    pub port: Arc<dyn Port>,
    pub target: Endpoint,
    pub primary: Endpoint,
    /// What the primary does not have may be thrown away.
    pub discard: bool,
}

/// How the target's data stands to the primary's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Relation {
    /// One history, and the target has no more of it.
    Same,
    /// One history, and the target has more of it.
    Ahead,
    /// The history that the primary was promoted from.
    Older,
    /// Its history began where the primary's ended: the primary is what was left behind.
    Newer,
    /// Both went on from one history, each by its own: an old primary that was started again with its data.
    Sibling,
    /// It holds no key.
    Empty,
    Other,
}

/// Facts that the plan stands on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    role: String,
    replid: Option<String>,
    /// Whom it is told to follow.
    follows: Option<Place>,
    primary_role: String,
    /// `None`: it does not tell.
    primary_empty: Option<bool>,
    /// `None`: it cannot be told.
    relation: Option<Relation>,
    /// It has something that the primary does not; `None`: it cannot be told.
    own: Option<bool>,
    /// It hears the primary by the address that we know, and has a whole copy.
    whole: bool,
    manager: Option<String>,
    busy: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Evidence {
    target: Seen,
    primary: Seen,
    /// Bytes of its stream that the primary does not have; `None`: it cannot be told.
    discards: Option<u64>,
}

impl Replicate {
    /// The target first: what it has then, its primary has when it is asked after it, or lacks.
    async fn observe(&self, ctx: &Ctx) -> Result<Observation, ProviderError> {
        let at = ctx.now();
        let port = self.port.as_ref();
        let target = look(port, &self.target, ctx).await?;
        let primary = look(port, &self.primary, ctx).await?;
        let state = self.state(&target, &primary);
        let discards = discards(&target, &primary, state.relation);
        Ok(Observation {
            identity: json!({ "replid": state.replid, "address": self.target.address() }),
            state: json!(state),
            evidence: json!(Evidence { target, primary, discards }),
            at,
        })
    }

    fn state(&self, target: &Seen, primary: &Seen) -> State {
        let (node, leader) = (target.node(), primary.node());
        let both = node.zip(leader);
        let relation = both.and_then(|(node, leader)| relation(node, leader));
        let follows = node.and_then(Node::told);
        let told = follows.as_ref() == Some(&self.primary.place());
        State {
            role: target.role().to_owned(),
            replid: node.map(|node| node.replid.clone()),
            primary_role: primary.role().to_owned(),
            primary_empty: leader.and_then(|leader| leader.keys).map(|keys| keys == 0),
            own: discards(target, primary, relation).map(|bytes| bytes > 0),
            relation,
            whole: told && both.is_some_and(|(node, leader)| whole(node, leader)),
            follows,
            manager: node.and_then(Node::manager).or_else(|| leader.and_then(Node::manager)),
            busy: leader.and_then(busy).or_else(|| node.and_then(busy)),
        }
    }

    /// That this run made the primary what it is, or promises to.
    fn promoted(&self, given: &[Fact]) -> Option<Fact> {
        let is = |fact: &&Fact| matches!(fact, Fact::Primary { target, .. } if *target == self.primary.name);
        given.iter().find(is).cloned()
    }
}

fn whole(node: &Node, leader: &Node) -> bool {
    let up = node.link.as_ref().is_some_and(|link| link.up && !link.syncing);
    node.replica && up && node.offset.is_some() && node.replid == leader.replid
}

/// `None`: the target does not tell whether it holds anything.
fn relation(node: &Node, leader: &Node) -> Option<Relation> {
    let both_know = node.replid2.as_ref().is_some_and(|before| leader.replid2.as_ref() == Some(before));
    Some(match node.keys? {
        // An offset that is not known is less than any.
        _ if node.replid == leader.replid && node.offset > leader.offset => Relation::Ahead,
        _ if node.replid == leader.replid => Relation::Same,
        _ if node.replid2.as_ref() == Some(&leader.replid) => Relation::Newer,
        0 => Relation::Empty,
        _ if leader.replid2.as_ref() == Some(&node.replid) => Relation::Older,
        _ if both_know => Relation::Sibling,
        _ => Relation::Other,
    })
}

/// Bytes of the target's stream that the primary does not have.
fn discards(target: &Seen, primary: &Seen, relation: Option<Relation>) -> Option<u64> {
    let (node, leader) = (target.node()?, primary.node()?);
    match relation? {
        Relation::Empty => Some(0),
        // A replica has nothing of its own, unless it takes writes that it tells nobody of.
        Relation::Same => (node.replica && !node.writable_replica).then_some(0),
        // Offsets go on counting where the common history ended.
        Relation::Older | Relation::Sibling => Some(node.offset?.saturating_sub(leader.forked()?)),
        Relation::Ahead => Some(node.offset?.saturating_sub(leader.offset?)),
        Relation::Newer | Relation::Other => None,
    }
}

impl Check for Replicate {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        Replicate::observe(self, ctx).boxed()
    }
    fn plan(&self, seen: &Observation, given: &[Fact], _now: Time) -> StepPlan {
        self.plan_from(seen, given)
    }
}

impl Action for Replicate {
    fn apply<'a>(&'a self, ctx: &'a Ctx, permit: Permit) -> BoxFuture<'a, CallEnd> {
        self.carry_out(ctx, permit).boxed()
    }
}
