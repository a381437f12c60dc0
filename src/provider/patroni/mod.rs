//! A PostgreSQL cluster that Patroni runs: its leader is moved through Patroni, never underneath it. `patroni.switchover`
//! moves a living leader, `patroni.failover` replaces a lost one; of two clusters of the same data `cluster` changes the
//! sides. The registry calls [`bind`].
//!
//! `port` names the remote verbs, `wire` speaks to the members' REST APIs, `simulated::patroni` models them; `look` makes
//! one picture of what all members say, and everything else is written against that.

mod apply;
mod bind;
mod cluster;
mod look;
mod member;
mod plan;
mod port;
mod wire;

pub use bind::bind;
pub use member::{Answer, Node, Row, Settings, Source};
pub use port::{Endpoint, Order, Port, Verb};
pub use wire::Wire;

use crate::kernel::domain::{CallEnd, Fact, FenceRung, Name, Observation, Rpo, StepPlan, Time};
use crate::kernel::journal::Permit;
use crate::kernel::port::{Action, Check, Ctx, ProviderError};
use futures_util::future::{BoxFuture, FutureExt as _};
use look::{Evidence, State};
use serde_json::json;
use std::sync::Arc;

/// The least that keeps an old leader from coming back as a second one: Patroni would take back anything softer.
const FENCE: FenceRung = FenceRung::Stopped;

/// One move of the leader.
pub struct Move {
    pub port: Arc<dyn Port>,
    pub at: Endpoint,
    pub verb: Verb,
    /// Who leads before it; compared by Patroni itself.
    pub leader: Name,
    pub candidate: Name,
    /// The targets that the two are as servers of PostgreSQL, where they are configured.
    pub old: Option<Server>,
    pub new: Option<Server>,
    /// Bytes that the candidate may lack; none: what the cluster's own configuration says.
    pub max_lag: Option<u64>,
    /// Also while Patroni is paused.
    pub while_paused: bool,
}

/// A member as a target of kind postgres.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub name: Name,
    pub site: Option<Name>,
}

impl Move {
    /// The name that facts and rules have for a member.
    fn fact_name(&self, member: &Name) -> Name {
        let known = match member {
            name if *name == self.leader => &self.old,
            name if *name == self.candidate => &self.new,
            _ => &None,
        };
        known.as_ref().map_or_else(|| member.clone(), |server| server.name.clone())
    }

    async fn look(&self, ctx: &Ctx) -> (State, Evidence) {
        let (state, mut evidence) = look::look(self.port.as_ref(), &self.at, &self.candidate, ctx).await;
        evidence.rpo = self.loss(&state, &evidence, ctx);
        (state, evidence)
    }

    /// Of a switchover Patroni itself waits for the candidate, and tells nobody how far it came.
    fn loss(&self, state: &State, evidence: &Evidence, ctx: &Ctx) -> Option<Rpo> {
        let node = &evidence.answers.get(&self.candidate)?.node;
        if self.verb == Verb::Switchover || node.writes() == Some(true) {
            return None;
        }
        let samples = self.new.as_ref().map(|server| ctx.samples.recent(&server.name)).unwrap_or_default();
        Some(look::loss(&samples, state, node.position))
    }
}

impl Check for Move {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        async move {
            let at = ctx.now();
            let (state, evidence) = self.look(ctx).await;
            let identity = json!({ "scope": self.at.conf.scope, "system": state.system });
            Ok(Observation { identity, state: json!(state), evidence: json!(evidence), at })
        }
        .boxed()
    }

    fn plan(&self, seen: &Observation, given: &[Fact], _now: Time) -> StepPlan {
        self.plan_from(seen, given)
    }
}

impl Action for Move {
    fn apply<'a>(&'a self, ctx: &'a Ctx, permit: Permit) -> BoxFuture<'a, CallEnd> {
        self.carry_out(ctx, permit).boxed()
    }
}
