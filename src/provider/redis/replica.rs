//! `redis.replica {target, replid}`: the server that a run was to promote is still a replica. Asked by the engine right
//! before the fence of its old primary is taken back; playbooks cannot name it.

use super::look::look;
use super::node::Seen;
use super::port::{Endpoint, Port};
use crate::kernel::domain::{Fact, Observation, StepPlan, Time};
use crate::kernel::port::{Check, Ctx, ProviderError};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;
use std::sync::Arc;

pub struct Replica {
    pub port: Arc<dyn Port>,
    pub target: Endpoint,
    pub replid: String,
}

impl Check for Replica {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        async move {
            let at = ctx.now();
            let seen = look(self.port.as_ref(), &self.target, ctx).await?;
            let replid = seen.node().map(|node| node.replid.clone());
            let says = match &seen {
                Seen::Silent(silent) => format!("{}: {}", silent.layer, silent.says),
                Seen::Answers(_) => String::new(),
            };
            Ok(Observation {
                identity: json!({ "replid": replid, "address": self.target.address() }),
                state: json!({ "role": seen.role(), "replid": replid }),
                evidence: json!({ "says": says }),
                at,
            })
        }
        .boxed()
    }

    fn plan(&self, seen: &Observation, _given: &[Fact], _now: Time) -> StepPlan {
        let target = &self.target.name;
        match (seen.state["role"].as_str(), seen.state["replid"].as_str()) {
            (Some("replica"), Some(replid)) if replid == self.replid => {
                StepPlan::nothing(format!("{target} is still a replica"))
            }
            (Some("primary"), _) => StepPlan::refuse(
                "PM3110",
                format!("{target} is a primary: with the fence taken back there would be two writers"),
            ),
            (Some("replica"), _) => {
                StepPlan::refuse("PM3506", format!("{target} holds other data than when the plan was made"))
            }
            _ => {
                let says = seen.evidence["says"].as_str().unwrap_or_default();
                StepPlan::unknown("PM3502", format!("{target} does not answer ({says})"))
            }
        }
    }
}
