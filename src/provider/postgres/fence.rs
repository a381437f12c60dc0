//! `postgres.fence {target, min_rung, witness?, planned?}`: the old primary can accept no more writes, and that
//! is proven.
//!
//! Rungs by SQL: *lockout* (pg_hba of this server rewritten, clients ended) for a superuser, else
//! *read_only*, which a client can undo. Proof is a fresh attempt to write as the application's role that the
//! server refuses, then no client session left; it is taken only where a fence is in place, never while
//! planning one. A server that does not answer is not fenced by that: the ladder goes on with ways that do
//! not need it.

mod apply;
mod plan;

pub(super) use apply::untouched;

use super::hba;
use super::look::{LOOK, Witness, look, look_at_all, within, witness};
use super::node::{Node, Peer, Seen};
use super::port::{Attempt, Endpoint, Port, Trouble};
use crate::kernel::domain::{CallEnd, Fact, FenceRung, Finding, Lsn, Name, Observation, StepPlan, Time};
use crate::kernel::journal::Permit;
use crate::kernel::port::{Action, Check, Ctx, ProviderError};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

pub struct Fence {
    pub port: Arc<dyn Port>,
    pub target: Endpoint,
    pub min_rung: FenceRung,
    /// Standbys that can tell that the target lives.
    pub witnesses: Vec<Endpoint>,
    /// The playbook named them; otherwise they are what the configuration holds.
    pub named: bool,
    /// A living primary is meant, in a move that a person asked for.
    pub planned: bool,
}

/// Facts that the plan stands on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    role: String,
    timeline: Option<u32>,
    system: Option<String>,
    /// System identifier that the samples of its standbys tell.
    lineage: Option<String>,
    manager: Option<String>,
    /// By what the server's own files and settings say.
    in_place: FenceRung,
    /// By a fresh attempt.
    proven: FenceRung,
    /// The highest that our role can reach here.
    best: FenceRung,
    why_not_higher: Option<String>,
    witnesses: Vec<(Name, Witness)>,
}

/// The file as it was, for the record: digest of the whole, text without passwords.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct OldHba {
    path: String,
    sha256: String,
    text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Evidence {
    target: Seen,
    peers: Vec<Peer>,
    attempt: Option<Result<Attempt, String>>,
    /// Last position, read when no client was left.
    position: Option<Lsn>,
    hba: Option<OldHba>,
}

impl Evidence {
    /// What writes here without being a client.
    fn workers(&self) -> &[String] {
        self.target.node().map(|node| node.workers.as_slice()).unwrap_or_default()
    }
}

impl Fence {
    async fn observe(&self, ctx: &Ctx) -> Result<Observation, ProviderError> {
        let at = ctx.now();
        let port = self.port.as_ref();
        let (target, peers) =
            join(look(port, &self.target, ctx), look_at_all(port, &self.witnesses, ctx)).await;
        let (target, peers) = (target?, peers?);
        let mut state = self.state(&target, &peers, self.lineage(ctx));
        let mut seen = Evidence { target, peers, attempt: None, position: None, hba: None };
        if let Some(node) = seen.target.primary().cloned() {
            seen.hba = self.reach(&node, &mut state, ctx).await?;
            if state.in_place > FenceRung::None {
                self.prove(&mut state, &mut seen, ctx).await?;
            }
        }
        let conf = &self.target.conf;
        Ok(Observation {
            identity: json!({ "system": state.system, "address": format!("{}:{}", conf.address, conf.port) }),
            state: json!(state),
            evidence: json!(seen),
            at,
        })
    }

    fn state(&self, target: &Seen, peers: &[Peer], lineage: Option<String>) -> State {
        let node = target.node();
        let system = node.and_then(|node| node.system.clone());
        let ask = |peer: &Peer| {
            (peer.name.clone(), witness(peer, &self.target, system.as_deref(), &self.witnesses, self.named))
        };
        State {
            role: target.role().to_owned(),
            timeline: node.and_then(|node| node.timeline),
            manager: node.and_then(|node| node.manager.clone()),
            in_place: target.primary().map_or(FenceRung::None, in_place),
            proven: FenceRung::None,
            best: FenceRung::None,
            why_not_higher: None,
            witnesses: peers.iter().map(ask).collect(),
            system,
            lineage,
        }
    }

    /// Only of standbys that the playbook names: another's may follow somebody else.
    fn lineage(&self, ctx: &Ctx) -> Option<String> {
        let newest =
            |at: &Endpoint| ctx.samples.recent(&at.name).into_iter().rev().find_map(|one| one.lineage);
        if self.named { self.witnesses.iter().find_map(newest) } else { None }
    }

    /// What our role can do here, and the old file where lockout is possible.
    async fn reach(
        &self,
        node: &Node,
        state: &mut State,
        ctx: &Ctx,
    ) -> Result<Option<OldHba>, ProviderError> {
        state.best = FenceRung::ReadOnly;
        if !node.superuser {
            let says = format!("{} is not a superuser and cannot rewrite pg_hba", self.target.conf.user);
            state.why_not_higher = Some(says);
            return Ok(None);
        }
        let hba = match self.port.read_hba(&self.target, within(ctx, LOOK)).await {
            Ok(hba) => hba,
            Err(Trouble::Ours { says }) => return Err(ProviderError::new("PM3100", says)),
            Err(trouble) => {
                state.why_not_higher = Some(format!("pg_hba cannot be read: {trouble}"));
                return Ok(None);
            }
        };
        match hba::fenced(&hba, &self.target.conf.user, &node.superusers, self.app(), &ctx.run) {
            Ok(_) => state.best = FenceRung::Lockout,
            Err(why) => state.why_not_higher = Some(why),
        }
        Ok(Some(OldHba { sha256: hba::digest(&hba.text), text: hba::redacted(&hba.text), path: hba.path }))
    }

    /// First the attempt, which shows that the rules are loaded, and only then who is still connected.
    async fn prove(&self, state: &mut State, seen: &mut Evidence, ctx: &Ctx) -> Result<(), ProviderError> {
        let attempt = match self.port.write_attempt_as_app(&self.target, within(ctx, LOOK)).await {
            Err(Trouble::Ours { says }) => return Err(ProviderError::new("PM3100", says)),
            other => other.map_err(|trouble| trouble.to_string()),
        };
        let after = look(self.port.as_ref(), &self.target, ctx).await?;
        if let (Ok(attempt), Some(node)) = (&attempt, after.primary()) {
            state.proven = proven(state.in_place, attempt, node);
            if state.proven > FenceRung::None && node.clients == Some(0) {
                seen.position = node.position;
            }
            seen.target = after;
        }
        seen.attempt = Some(attempt);
        Ok(())
    }

    fn app(&self) -> &str {
        self.target.conf.app_role.as_ref().map_or("", |app| app.user.as_str())
    }
}

fn in_place(node: &Node) -> FenceRung {
    match (node.hba_fenced, node.read_only) {
        (Some(true), _) => FenceRung::Lockout,
        (_, true) => FenceRung::ReadOnly,
        _ => FenceRung::None,
    }
}

/// A wrong password, a full server or a timeout refuse too, and prove nothing.
fn proven(in_place: FenceRung, attempt: &Attempt, node: &Node) -> FenceRung {
    let Attempt::RefusedBy { sqlstate, by_rules, .. } = attempt else { return FenceRung::None };
    match in_place {
        FenceRung::Lockout if *by_rules && node.clients == Some(0) => FenceRung::Lockout,
        // Clients may come back to read; none may be in the middle of a write.
        FenceRung::Lockout | FenceRung::ReadOnly if sqlstate == "25006" && node.writers == Some(0) => {
            FenceRung::ReadOnly
        }
        _ => FenceRung::None,
    }
}

impl Check for Fence {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        Fence::observe(self, ctx).boxed()
    }
    fn plan(&self, seen: &Observation, given: &[Fact], _now: Time) -> StepPlan {
        self.plan_from(seen, given)
    }
    /// The plan compares what our role can reach with what is asked for; here it is said.
    fn rehearse<'a>(&'a self, _ctx: &'a Ctx, seen: &'a Observation) -> BoxFuture<'a, Option<Vec<Finding>>> {
        let state = State::deserialize(&seen.state).ok().filter(|state| state.role == "primary");
        let user = &self.target.conf.user;
        let says = |state: State| Finding::ok(format!("{user} may fence it by SQL up to {}", state.best));
        std::future::ready(Some(state.map(says).into_iter().collect())).boxed()
    }
}

impl Action for Fence {
    fn apply<'a>(&'a self, ctx: &'a Ctx, permit: Permit) -> BoxFuture<'a, CallEnd> {
        self.carry_out(ctx, permit).boxed()
    }
}
