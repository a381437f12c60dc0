//! `postgres.promote {target, old, fence_rung, drain_timeout?, standbys?, planned?}`: the standby becomes the primary.
//! NO UNDO.
//!
//! Needs the proven fence of the old primary; while a standby streams from an unfenced one it refuses. After
//! the fence of a *reachable* primary it first drains, so that nothing is lost. It signals and polls every
//! few milliseconds, since the server's own waiting looks ten times a second; a signal that was given stands,
//! so a promotion that was not seen to end is in doubt, never failed.

mod apply;
mod plan;

pub(in crate::provider) use plan::bound as loss_bound;

use super::look::{LOOK, Witness, look, look_at_all, within, witness};
use super::node::{Node, Peer, Seen};
use super::port::{Endpoint, Port};
use super::rpo::{Ends, rpo};
use super::sync_names::is_trap;
use crate::kernel::domain::{
    CallEnd, Epoch, Fact, FenceRung, Finding, Grade, Lsn, Name, Observation, Reason, Rpo, Span, StepPlan,
    Time,
};
use crate::kernel::journal::Permit;
use crate::kernel::port::{Action, Check, Ctx, ProviderError, Sample};
use crate::provider::owner::{Claim, Owner};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join4};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

pub struct Promote {
    pub owner: Owner,
    pub port: Arc<dyn Port>,
    pub target: Endpoint,
    pub old: Endpoint,
    /// The least fence of the old primary that it may go on with.
    pub fence_rung: FenceRung,
    pub drain_timeout: Span,
    /// Other standbys of the same primary.
    pub standbys: Vec<Endpoint>,
    /// The playbook named them; otherwise they are what the configuration holds.
    pub named: bool,
    /// The old primary lives and is fenced on purpose: nothing may be lost, or nothing is promoted.
    pub planned: bool,
}

/// Facts that the plan stands on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    role: String,
    system: Option<String>,
    timeline: Option<u32>,
    old_role: String,
    /// The old primary has the mark of a fence in its own files or settings.
    old_marked: bool,
    /// Lineage and timeline that samples, or the old primary itself, tell.
    lineage: Option<String>,
    recorded_timeline: Option<u32>,
    /// Standbys, the target among them, that stream from the old primary or hide it.
    witnesses: Vec<(Name, Witness)>,
    /// Other standbys of the same lineage that have more of the log.
    ahead: Vec<Name>,
    /// Value of `synchronous_standby_names` that no connected standby would satisfy.
    sync_trap: Option<String>,
    read_only: bool,
    paused: bool,
    manager: Option<String>,
    can_promote: bool,
    superuser: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Evidence {
    target: Seen,
    old: Seen,
    peers: Vec<Peer>,
    /// Of a standby: what would be lost by the last samples. Of a new primary: what may have been.
    rpo: Rpo,
    /// What stands against this run in the claims that the standby holds; `Err`: they could not be read.
    #[serde(default = "nothing_claimed")]
    claims: Result<Vec<Reason>, String>,
    /// An epoch of ours that this journal does not know.
    #[serde(default)]
    ahead: Option<Epoch>,
}

fn nothing_claimed() -> Result<Vec<Reason>, String> {
    Ok(vec![])
}

impl Promote {
    /// Rows of earlier runs, replicated to the standby: another Pointsman, or a newer epoch than this journal knows.
    async fn claims(&self, ctx: &Ctx) -> (Result<Vec<Reason>, String>, Option<Epoch>) {
        let mine = self.owner.claim(ctx, ctx.epoch).filter(|_| self.target.conf.app_role.is_some());
        let Some(mine) = mine else { return (Ok(vec![]), None) };
        let all = match self.port.claims(&self.target, within(ctx, LOOK)).await {
            Ok(all) => all,
            Err(trouble) => return (Err(trouble.to_string()), None),
        };
        let of_service = |claim: &&Claim| claim.service == mine.service;
        // The newest says whose it is; of our own, every one that we cannot have written counts.
        let newest = all.iter().find(of_service);
        let ahead = all.iter().filter(|claim| claim.is_ahead_of(&mine)).max_by_key(|claim| claim.epoch);
        let against = |claim: &Claim| claim.against(&mine, &format!("the data of {}", self.target.name));
        let mut why: Vec<Reason> = newest.into_iter().chain(ahead).filter_map(against).collect();
        why.dedup();
        (Ok(why), ahead.map(|claim| claim.epoch))
    }

    async fn observe(&self, ctx: &Ctx) -> Result<Observation, ProviderError> {
        let at = ctx.now();
        let port = self.port.as_ref();
        let (target, old, peers, (claims, ahead)) = join4(
            look(port, &self.target, ctx),
            look(port, &self.old, ctx),
            look_at_all(port, &self.standbys, ctx),
            self.claims(ctx),
        )
        .await;
        let (target, old, peers) = (target?, old?, peers?);
        let samples = ctx.samples.recent(&self.target.name);
        let state = self.state(&target, &old, &peers, &samples);
        let rpo = risk(&state, &target, &old, &samples, at);
        let conf = &self.target.conf;
        Ok(Observation {
            identity: json!({ "system": state.system, "address": format!("{}:{}", conf.address, conf.port) }),
            state: json!(state),
            evidence: json!(Evidence { target, old, peers, rpo, claims, ahead }),
            at,
        })
    }

    fn state(&self, target: &Seen, old: &Seen, peers: &[Peer], samples: &[Sample]) -> State {
        let hidden = Node::default();
        let node = target.node().unwrap_or(&hidden);
        let sampled = |pick: fn(&Sample) -> bool| samples.iter().rev().find(|sample| pick(sample));
        // A node that answers as the old primary knows better than any sample.
        let origin = old.primary();
        let lineage = origin
            .and_then(|node| node.system.clone())
            .or_else(|| sampled(|sample| sample.lineage.is_some()).and_then(|sample| sample.lineage.clone()));
        let recorded_timeline = origin
            .and_then(|node| node.timeline)
            .or_else(|| sampled(|sample| sample.timeline.is_some()).and_then(|sample| sample.timeline));
        let trap = is_trap(&node.sync_names, &node.standbys);
        State {
            role: target.role().to_owned(),
            system: node.system.clone(),
            timeline: node.timeline,
            old_role: old.role().to_owned(),
            old_marked: origin.is_some_and(|node| node.hba_fenced == Some(true) || node.read_only),
            witnesses: self.witnesses(target, peers, lineage.as_deref()),
            ahead: ahead(node, peers),
            sync_trap: trap.then(|| node.sync_names.clone()),
            read_only: node.read_only,
            paused: node.paused == Some(true),
            manager: node.manager.clone(),
            can_promote: node.can_promote,
            superuser: node.superuser,
            lineage,
            recorded_timeline,
        }
    }

    /// Who follows the old primary. The target does, because the playbook says so.
    fn witnesses(&self, target: &Seen, peers: &[Peer], lineage: Option<&str>) -> Vec<(Name, Witness)> {
        let own = Peer { name: self.target.name.clone(), seen: target.clone() };
        let mut all = vec![(own.name.clone(), witness(&own, &self.old, lineage, &[], true))];
        all.extend(
            peers.iter().map(|peer| {
                (peer.name.clone(), witness(peer, &self.old, lineage, &self.standbys, self.named))
            }),
        );
        all.retain(|(_, witness)| *witness != Witness::No);
        all
    }
}

/// Compared on one timeline only: positions of different timelines say nothing of each other.
fn ahead(node: &Node, peers: &[Peer]) -> Vec<Name> {
    let more = |peer: &&Peer| {
        peer.seen.node().is_some_and(|other| {
            other.in_recovery
                && other.system.is_some()
                && other.system == node.system
                && (other.timeline, other.position) > (node.timeline, node.position)
        })
    };
    peers.iter().filter(more).map(|peer| peer.name.clone()).collect()
}

fn risk(state: &State, target: &Seen, old: &Seen, samples: &[Sample], at: Time) -> Rpo {
    let node = target.node();
    let promoted = node.is_some_and(|node| !node.in_recovery);
    let timeline =
        if promoted { state.timeline.map(|timeline| timeline.saturating_sub(1)) } else { state.timeline };
    let had: Option<Lsn> = node.and_then(|node| if promoted { node.forked } else { node.position });
    // A fenced primary that answers tells its end itself; `at` is from before it was asked.
    let all_there = |end: &Node| state.old_marked && end.timeline == timeline && end.position <= had;
    let drained = old.primary().filter(|end| end.position.is_some() && all_there(end)).map(|_| at);
    rpo(samples, Ends { timeline, had, drained })
}

impl Check for Promote {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        Promote::observe(self, ctx).boxed()
    }
    fn plan(&self, seen: &Observation, given: &[Fact], _now: Time) -> StepPlan {
        self.plan_from(seen, given)
    }
    fn rehearse<'a>(&'a self, _ctx: &'a Ctx, seen: &'a Observation) -> BoxFuture<'a, Option<Vec<Finding>>> {
        std::future::ready(Some(self.rehearsed(seen))).boxed()
    }
}

impl Promote {
    /// That our role may promote is in the plan; that the standby follows while its primary lives is not.
    fn rehearsed(&self, seen: &Observation) -> Vec<Finding> {
        let state = State::deserialize(&seen.state).ok().filter(|state| state.role == "standby");
        let Some(state) = state else { return vec![] };
        let mut findings = vec![];
        if state.can_promote {
            findings.push(Finding::ok(format!("{} may promote it", self.target.conf.user)));
        }
        if state.old_role == "primary" {
            let old = &self.old.name;
            let follows = state.witnesses.iter().find(|(name, _)| *name == self.target.name);
            findings.push(match follows {
                Some((_, Witness::Streams)) => Finding::ok(format!("it streams from {old}")),
                Some((_, Witness::Hidden)) => {
                    let says = format!("whether it streams from {old} is hidden from our role");
                    let fix = format!("grant pg_monitor to {}", self.target.conf.user);
                    Finding::of(Grade::Unknown, "PM5806", says, fix)
                }
                _ => {
                    let says = format!("it does not stream from {old}: what {old} takes now would be lost");
                    Finding::of(Grade::Bad, "PM5806", says, "see the standby's log; mend the replication")
                }
            });
        }
        findings
    }
}

impl Action for Promote {
    fn apply<'a>(&'a self, ctx: &'a Ctx, permit: Permit) -> BoxFuture<'a, CallEnd> {
        self.carry_out(ctx, permit).boxed()
    }
}
