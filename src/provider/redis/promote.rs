//! `redis.promote {target, old, fence_rung, drain_timeout?, replicas?, may_be_empty?}`: the replica becomes the primary.
//! NO UNDO.
//!
//! Needs the proven fence of the old primary; while a replica hears an unfenced one it refuses. A replica that never had
//! a whole copy, whose copy broke off, or that is empty would be promoted just as readily by the server itself, and serve
//! nothing: here it refuses. After the fence of a *reachable* primary it first drains, so that nothing is lost.

mod apply;
mod plan;

use super::fence::busy;
use super::look::{look, look_at_all, witnesses};
use super::node::{MinReplicas, Node, Peer, Seen};
use super::port::{Endpoint, Port};
use crate::kernel::domain::{
    CallEnd, Fact, FenceRung, Finding, Grade, Lsn, Name, Observation, Rpo, Span, StepPlan, Time,
};
use crate::kernel::journal::Permit;
use crate::kernel::port::{Action, Check, Ctx, ProviderError, Sample};
use crate::provider::postgres::known_loss;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join3};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

pub struct Promote {
    pub port: Arc<dyn Port>,
    pub target: Endpoint,
    pub old: Endpoint,
    /// The least fence of the old primary that it may go on with.
    pub fence_rung: FenceRung,
    pub drain_timeout: Span,
    /// Other servers that may be replicas of the same primary.
    pub others: Vec<Endpoint>,
    /// Those of them that the playbook names.
    pub named: Vec<Name>,
    pub may_be_empty: bool,
}

/// Facts that the plan stands on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    role: String,
    replid: Option<String>,
    replid2: Option<String>,
    /// The history that the old primary had, as it says itself or as samples do; the target's own where it is among them.
    lineage: Option<String>,
    /// The old primary has begun another history since the one that the target has.
    left_behind: bool,
    old_role: String,
    old_replid: Option<String>,
    old_fenced: bool,
    /// Replicas, the target among them, that hear the old primary.
    witnesses: Vec<Name>,
    /// Other replicas of the same history that have more of it.
    ahead: Vec<Name>,
    /// Settings with which it would refuse writes once it is the primary.
    trap: Option<MinReplicas>,
    manager: Option<String>,
    busy: Option<String>,
    /// It has all that it was ever sent, and no copy is on its way.
    whole: bool,
    /// `None`: it does not tell.
    empty: Option<bool>,
    config_file: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Evidence {
    target: Seen,
    old: Seen,
    peers: Vec<Peer>,
    /// Of a replica: what would be lost by the last samples. Of a new primary: what may have been.
    rpo: Rpo,
}

impl Promote {
    async fn observe(&self, ctx: &Ctx) -> Result<Observation, ProviderError> {
        let at = ctx.now();
        let port = self.port.as_ref();
        let (target, old, peers) = join3(
            look(port, &self.target, ctx),
            look(port, &self.old, ctx),
            look_at_all(port, &self.others, ctx),
        )
        .await;
        let (target, old, peers) = (target?, old?, peers?);
        let samples = ctx.samples.recent(&self.target.name);
        let state = self.state(&target, &old, &peers, &samples);
        let rpo = risk(&state, &target, &old, &samples, at);
        Ok(Observation {
            identity: json!({ "replid": state.replid, "address": self.target.address() }),
            state: json!(state),
            evidence: json!(Evidence { target, old, peers, rpo }),
            at,
        })
    }

    fn state(&self, target: &Seen, old: &Seen, peers: &[Peer], samples: &[Sample]) -> State {
        let hidden = Node::default();
        let node = target.node().unwrap_or(&hidden);
        let origin = old.primary();
        let histories = histories(origin, samples);
        let shared = histories.iter().find(|history| node.knows(history)).cloned();
        let trap = node.min_replicas.refuses(node.replicas.iter().filter(|one| one.online).count());
        State {
            role: target.role().to_owned(),
            replid: target.node().map(|node| node.replid.clone()),
            replid2: node.replid2.clone(),
            left_behind: shared.is_some() && shared.as_ref() != histories.first(),
            lineage: shared.or_else(|| histories.first().cloned()),
            old_role: old.role().to_owned(),
            old_replid: origin.map(|node| node.replid.clone()),
            old_fenced: origin.is_some_and(|node| node.min_replicas.fenced()),
            witnesses: self.witnesses(target, peers),
            ahead: ahead(node, peers),
            trap: trap.then_some(node.min_replicas),
            manager: node.manager().or_else(|| origin.and_then(Node::manager)),
            busy: target.node().and_then(busy),
            whole: node.offset.is_some() && !node.link.as_ref().is_some_and(|link| link.syncing),
            empty: node.keys.map(|keys| keys == 0),
            config_file: node.config_file,
        }
    }

    /// The target follows the old primary because the playbook says so; of others, those whose primary it is.
    fn witnesses(&self, target: &Seen, peers: &[Peer]) -> Vec<Name> {
        let own = Peer { name: self.target.name.clone(), seen: target.clone() };
        let all: Vec<Peer> = std::iter::once(own).chain(peers.iter().cloned()).collect();
        let sure: Vec<&Name> = std::iter::once(&self.target.name).chain(&self.named).collect();
        witnesses(&all, &self.old, &sure)
    }
}

/// Names that the old primary's history has had, the newest first: as it says itself, and as samples of it do.
pub(super) fn histories(origin: Option<&Node>, samples: &[Sample]) -> Vec<String> {
    let own = origin.into_iter().flat_map(|node| std::iter::once(&node.replid).chain(&node.replid2));
    let sampled = samples.iter().rev().filter(|sample| sample.primary.is_some());
    let mut all: Vec<String> = vec![];
    for history in own.cloned().chain(sampled.filter_map(|sample| sample.lineage.clone())) {
        if !all.contains(&history) {
            all.push(history);
        }
    }
    all
}

/// Compared within one history only: offsets of different ones say nothing of each other.
fn ahead(node: &Node, peers: &[Peer]) -> Vec<Name> {
    let more = |peer: &&Peer| {
        peer.seen
            .node()
            .is_some_and(|other| other.replica && other.replid == node.replid && other.offset > node.offset)
    };
    peers.iter().filter(more).map(|peer| peer.name.clone()).collect()
}

fn risk(state: &State, target: &Seen, old: &Seen, samples: &[Sample], at: Time) -> Rpo {
    let node = target.node();
    let promoted = node.is_some_and(|node| !node.replica);
    let history = if promoted { state.replid2.clone() } else { state.replid.clone() };
    let had = node.and_then(|node| if promoted { node.forked() } else { node.offset });
    // A fenced primary that answers tells its end itself; `at` is from before it was asked.
    let all_there = |end: &Node| {
        state.old_fenced && Some(&end.replid) == history.as_ref() && end.offset.is_some() && end.offset <= had
    };
    let drained = old.primary().filter(|end| all_there(end)).map(|_| at);
    loss(samples, history.as_deref(), had, drained)
}

/// What may be lost, from samples of this one history. Unknown is `None`.
pub(super) fn loss(
    samples: &[Sample],
    history: Option<&str>,
    had: Option<u64>,
    drained: Option<Time>,
) -> Rpo {
    if let Some(at) = drained {
        let says = "nothing is lost: the replica had all of the fenced primary's stream".to_owned();
        return Rpo { bytes: Some(0), last_safe: Some(at), says };
    }
    let unknown = |says: &str| Rpo { bytes: None, last_safe: None, says: says.to_owned() };
    let (Some(history), Some(had)) = (history, had) else {
        return unknown("unknown: it cannot be told what the replica had when it was promoted");
    };
    let sampled = samples.iter().rev().find(|sample| sample.primary.is_some());
    if sampled.is_some_and(|last| last.lineage.as_deref() != Some(history)) {
        return unknown("unknown: the old primary began another history, of which the replica has nothing");
    }
    known_loss(samples, &|sample| sample.lineage.as_deref() == Some(history), Lsn(had))
        .unwrap_or_else(|| unknown("unknown: no offset of the old primary was sampled"))
}

impl Check for Promote {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        Promote::observe(self, ctx).boxed()
    }
    fn plan(&self, seen: &Observation, given: &[Fact], _now: Time) -> StepPlan {
        self.plan_from(seen, given)
    }
    /// That it follows while its primary lives is not in the plan.
    fn rehearse<'a>(&'a self, _ctx: &'a Ctx, seen: &'a Observation) -> BoxFuture<'a, Option<Vec<Finding>>> {
        let state = State::deserialize(&seen.state).ok();
        let state = state.filter(|state| state.role == "replica" && state.old_role == "primary");
        let finding = state.map(|state| match state.witnesses.contains(&self.target.name) {
            true => Finding::ok(format!("it hears {}", self.old.name)),
            false => {
                let says = format!("it does not hear {0}: what {0} takes now would be lost", self.old.name);
                Finding::of(Grade::Bad, "PM5806", says, "see the replica's log; mend the replication")
            }
        });
        std::future::ready(Some(finding.into_iter().collect())).boxed()
    }
}

impl Action for Promote {
    fn apply<'a>(&'a self, ctx: &'a Ctx, permit: Permit) -> BoxFuture<'a, CallEnd> {
        self.carry_out(ctx, permit).boxed()
    }
}
