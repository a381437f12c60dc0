//! `redis.fence {target, min_rung, witness?}`: the old primary accepts no more writes, and that is proven.
//!
//! A primary with more `min-replicas-to-write` than anybody has replicas refuses every write of every client at once, and
//! goes on serving reads and its replicas. Rungs: *read_only*, which a restart forgets, or whoever may change settings
//! takes back; *lockout*, where the setting stands in the server's file and the application's user may not change it.
//! The value itself tells which: it is raised by one only after the file was written. Proof is a fresh write as the
//! application's user being refused for want of replicas. `CLIENT PAUSE` ends by itself, so that it is no fence.

mod apply;
mod plan;

use super::look::{LOOK, said_down};
use super::look::{look, look_at_all, ours, within, witnesses};
use super::node::{MinReplicas, Node, Peer, Seen};
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
    /// Replicas that can tell that the target lives.
    pub witnesses: Vec<Endpoint>,
    /// Of those, what the playbook names.
    pub named: Option<Name>,
}

/// Facts that the plan stands on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    role: String,
    replid: Option<String>,
    manager: Option<String>,
    /// It reads its data from disk, or is handing over.
    busy: Option<String>,
    min_replicas: MinReplicas,
    /// By a fresh attempt.
    proven: FenceRung,
    /// The highest that can be reached here.
    best: FenceRung,
    why_not_higher: Option<String>,
    /// Replicas that hear it.
    witnesses: Vec<Name>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Evidence {
    target: Seen,
    peers: Vec<Peer>,
    attempt: Option<Result<Attempt, String>>,
    /// End of its stream, read after the proof.
    position: Option<Lsn>,
}

impl Fence {
    async fn observe(&self, ctx: &Ctx) -> Result<Observation, ProviderError> {
        let at = ctx.now();
        let port = self.port.as_ref();
        let (target, peers) =
            join(look(port, &self.target, ctx), look_at_all(port, &self.witnesses, ctx)).await;
        let (target, peers) = (target?, peers?);
        let mut state = self.state(&target, &peers);
        let mut seen = Evidence { target, peers, attempt: None, position: None };
        if let Some(node) = seen.target.primary().cloned() {
            (state.best, state.why_not_higher) = self.reach(&node, ctx).await?;
            if node.min_replicas.fenced() {
                self.prove(&node, &mut state, &mut seen, ctx).await?;
            }
        }
        Ok(Observation {
            identity: json!({ "replid": state.replid, "address": self.target.address() }),
            state: json!(state),
            evidence: json!(seen),
            at,
        })
    }

    fn state(&self, target: &Seen, peers: &[Peer]) -> State {
        let node = target.node();
        let named: Vec<&Name> = self.named.iter().collect();
        State {
            role: target.role().to_owned(),
            replid: node.map(|node| node.replid.clone()),
            manager: node.and_then(Node::manager),
            busy: node.and_then(busy),
            min_replicas: node.map(|node| node.min_replicas).unwrap_or_default(),
            proven: FenceRung::None,
            best: FenceRung::None,
            why_not_higher: None,
            witnesses: witnesses(peers, &self.target, &named),
        }
    }

    /// How far commands reach on this server, and why no further.
    async fn reach(&self, node: &Node, ctx: &Ctx) -> Result<(FenceRung, Option<String>), ProviderError> {
        let soft = |why: &str| Ok((FenceRung::ReadOnly, Some(why.to_owned())));
        if !node.config_file {
            return soft("it runs without a configuration file, so that a restart forgets the fence");
        }
        let Some(app) = &self.target.conf.app_role else {
            return soft("the target names no app_role, so that whoever writes may also change settings");
        };
        match self.port.app_may_configure(&self.target, within(ctx, LOOK)).await {
            Ok(false) => Ok((FenceRung::Lockout, None)),
            Ok(true) => soft(&format!("the application's user {} may change settings: -@admin", app.user)),
            Err(Trouble::Ours { says }) => Err(ours(says)),
            Err(trouble) => soft(&format!("what {} may do is not known: {trouble}", app.user)),
        }
    }

    /// The attempt first, and only then the end of the stream.
    async fn prove(
        &self,
        before: &Node,
        state: &mut State,
        seen: &mut Evidence,
        ctx: &Ctx,
    ) -> Result<(), ProviderError> {
        let attempt = match self.port.write_attempt_as_app(&self.target, within(ctx, LOOK)).await {
            Err(Trouble::Ours { says }) => return Err(ours(says)),
            other => other.map_err(|trouble| trouble.to_string()),
        };
        let after = look(self.port.as_ref(), &self.target, ctx).await?;
        if let (Ok(attempt), Some(node)) = (&attempt, after.primary())
            && attempt.proves_fence()
            && node.min_replicas.fenced()
            && node.run_id == before.run_id
        {
            let sealed = node.min_replicas.sealed() && state.best == FenceRung::Lockout;
            state.proven = if sealed { FenceRung::Lockout } else { FenceRung::ReadOnly };
            seen.position = node.offset.map(Lsn);
            seen.target = after;
        }
        seen.attempt = Some(attempt);
        Ok(())
    }

    fn down(&self, given: &[Fact]) -> bool {
        said_down(&self.target, given)
    }
}

/// Nothing is decided over a server that is between two states.
pub(super) fn busy(node: &Node) -> Option<String> {
    match (node.loading, node.failover.as_str()) {
        (true, _) => Some("it reads its data from disk".into()),
        (false, "no-failover" | "") => None,
        (false, state) => Some(format!("it is handing over ({state})")),
    }
}

impl Check for Fence {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        Fence::observe(self, ctx).boxed()
    }
    fn plan(&self, seen: &Observation, given: &[Fact], _now: Time) -> StepPlan {
        self.plan_from(seen, given)
    }
    fn rehearse<'a>(&'a self, _ctx: &'a Ctx, seen: &'a Observation) -> BoxFuture<'a, Option<Vec<Finding>>> {
        let state = State::deserialize(&seen.state).ok().filter(|state| state.role == "primary");
        let says = |state: State| Finding::ok(format!("it can be fenced by commands up to {}", state.best));
        std::future::ready(Some(state.map(says).into_iter().collect())).boxed()
    }
}

impl Action for Fence {
    fn apply<'a>(&'a self, ctx: &'a Ctx, permit: Permit) -> BoxFuture<'a, CallEnd> {
        self.carry_out(ctx, permit).boxed()
    }
}
