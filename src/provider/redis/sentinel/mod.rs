//! `sentinel.failover {target, old, new, fence_rung, drain_timeout?, may_be_empty?}`: the Sentinels make another server the
//! primary, because they are told to. NO UNDO. Called through the registry.
//!
//! `told` reads what one Sentinel says, `wire` asks it, `look` makes one picture of all of them and both servers, `plan`
//! judges it, `apply` carries it out. Sentinel's own command asks nobody and holds no writes back: what the old primary
//! takes until it is made a replica, some ten seconds later, is lost. So a living one is held first, and drained.

mod apply;
mod look;
mod plan;
mod told;
pub(super) mod wire;

pub use told::{Answer, Row};

use super::node::Place;
use super::port::{Endpoint, Port};
use crate::config::{Config, SentinelTarget, TargetKind};
use crate::kernel::domain::{CallEnd, Fact, FenceRung, Name, Observation, Span, StepPlan, Time};
use crate::kernel::journal::Permit;
use crate::kernel::port::{Action, Check, Ctx, ProviderError};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;
use std::sync::Arc;

/// Configured Sentinels under their name. The configuration holds references to secrets, never a secret.
#[derive(Clone, Debug)]
pub struct Sentinels {
    pub name: Name,
    pub conf: SentinelTarget,
}

impl Sentinels {
    pub fn of(config: &Config, name: &Name) -> Option<Sentinels> {
        match &config.target(name)?.kind {
            TargetKind::Sentinel(conf) => Some(Sentinels { name: name.clone(), conf: conf.clone() }),
            _ => None,
        }
    }

    /// The n-th of them, to connect to like any server.
    pub(super) fn server(&self, n: usize) -> Endpoint {
        Endpoint { name: self.name.clone(), site: None, conf: self.conf.servers[n].clone() }
    }

    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.conf.servers.iter().map(|one| Place { host: one.address.clone(), port: one.port })
    }
}

/// One move of the primary.
pub struct Move {
    pub port: Arc<dyn Port>,
    pub at: Sentinels,
    pub old: Endpoint,
    pub new: Endpoint,
    /// The least fence of an old primary that is silent.
    pub fence_rung: FenceRung,
    pub drain_timeout: Span,
    pub may_be_empty: bool,
}

impl Check for Move {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        async move {
            let at = ctx.now();
            let (state, evidence) = self.look(ctx).await?;
            let identity = json!({ "master": self.at.conf.master, "replid": state.lineage });
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
