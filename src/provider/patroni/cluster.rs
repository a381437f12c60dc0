//! Two Patroni clusters of the same data, of which one follows the other: the one that follows comes to lead
//! (`patroni.promote_standby_cluster`), the one that leads comes to follow (`patroni.demote_cluster`), and that is taken back
//! (`patroni.undemote_cluster`, only ever made as an undo). Bound by `bind`. `superseded` is for the watch of what came back.
//!
//! Each is one key of a cluster's configuration. Patroni compares nothing of ours when it writes it, so that both clusters
//! are looked at once more right before, their whole configurations among what must be as it was planned.

mod apply;
mod bind;
mod demote;
mod plan;
mod promote;
mod seen;
mod superseded;
mod undemote;

pub(super) use bind::bind;
pub(super) use superseded::bind as bind_superseded;

use super::Server;
use super::member::Source;
use super::port::{Endpoint, Port};
use crate::kernel::domain::{CallEnd, Fact, FenceRung, Name, Observation, Span, StepPlan, Time};
use crate::kernel::journal::Permit;
use crate::kernel::port::{Action, Check, Ctx, ProviderError};
use futures_util::future::{BoxFuture, FutureExt as _};
use seen::{Both, Evidences};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a demoted cluster is fenced to: its servers refuse writes themselves, and Patroni keeps them so.
pub(super) const DEMOTED: FenceRung = FenceRung::Lockout;
/// How long after a change of the configuration it may still take effect: a loop of Patroni, and its own tries at the store.
const SETTLE: Span = Span::secs(20);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// `demoted`: the playbook demotes the other one before, so that it is waited for until all of its log is here.
    Promote {
        demoted: bool,
    },
    Demote {
        follow: Source,
    },
    /// Taken back while the other one still follows.
    Undemote {
        followed: Source,
    },
}

/// One cluster that changes sides, and the other one.
pub(super) struct Sides {
    pub port: Arc<dyn Port>,
    pub at: Endpoint,
    pub other: Endpoint,
    pub turn: Turn,
    /// Members of both as targets of kind postgres, by cluster and member.
    pub servers: BTreeMap<(Name, Name), Server>,
    /// Where `at` stands.
    pub site: Option<Name>,
    /// Bytes that the one that follows may lack; none: what its own configuration says.
    pub max_lag: Option<u64>,
}

impl Sides {
    /// The name that facts and rules have for a member.
    fn fact_name(&self, cluster: &Endpoint, member: &Name) -> Name {
        let known = self.servers.get(&(cluster.name.clone(), member.clone()));
        known.map_or_else(|| member.clone(), |server| server.name.clone())
    }

    /// That no member of this cluster takes writes. Each may come to lead, so that each is named.
    fn fences(&self, cluster: &Endpoint, rung: FenceRung) -> Vec<Fact> {
        let one = |member| Fact::Fenced { target: self.fact_name(cluster, member), rung, position: None };
        cluster.conf.members.keys().map(one).collect()
    }

    async fn look(&self, ctx: &Ctx) -> (Both, Evidences) {
        seen::look(self, ctx).await
    }
}

impl Check for Sides {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        async move {
            let at = ctx.now();
            let (state, evidence) = self.look(ctx).await;
            let identity = json!({ "scope": self.at.conf.scope, "system": state.here.state.system });
            Ok(Observation { identity, state: json!(state), evidence: json!(evidence), at })
        }
        .boxed()
    }

    fn plan(&self, seen: &Observation, given: &[Fact], _now: Time) -> StepPlan {
        self.plan_from(seen, given)
    }
}

impl Action for Sides {
    fn apply<'a>(&'a self, ctx: &'a Ctx, permit: Permit) -> BoxFuture<'a, CallEnd> {
        self.carry_out(ctx, permit).boxed()
    }
}
