//! `postgres.standby {target, system}`: the server that a run was to promote is still a standby. Asked by the engine
//! right before the fence of its old primary is taken back; playbooks cannot name it.

use super::look::look;
use super::node::Seen;
use super::port::{Endpoint, Port};
use crate::kernel::domain::{Fact, Observation, StepPlan, Time};
use crate::kernel::port::{Check, Ctx, ProviderError};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;
use std::sync::Arc;

pub struct Standby {
    pub port: Arc<dyn Port>,
    pub target: Endpoint,
    pub system: String,
}

impl Check for Standby {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        async move {
            let at = ctx.now();
            let seen = look(self.port.as_ref(), &self.target, ctx).await?;
            let system = seen.node().and_then(|node| node.system.clone());
            let says = match &seen {
                Seen::Silent(silent) => format!("{}: {}", silent.layer, silent.says),
                Seen::Answers(_) => String::new(),
            };
            Ok(Observation {
                identity: json!({ "system": system }),
                state: json!({ "role": seen.role(), "system": system }),
                evidence: json!({ "says": says }),
                at,
            })
        }
        .boxed()
    }

    fn plan(&self, seen: &Observation, _given: &[Fact], _now: Time) -> StepPlan {
        let target = &self.target.name;
        match (seen.state["role"].as_str(), seen.state["system"].as_str()) {
            (Some("standby"), Some(system)) if system == self.system => {
                StepPlan::nothing(format!("{target} is still a standby"))
            }
            (Some("primary"), _) => StepPlan::refuse(
                "PM3110",
                format!("{target} is a primary: with the fence taken back there would be two writers"),
            ),
            (Some("standby"), _) => {
                StepPlan::refuse("PM3106", format!("{target} holds other data than when the plan was made"))
            }
            _ => {
                let says = seen.evidence["says"].as_str().unwrap_or_default();
                StepPlan::unknown("PM3201", format!("{target} does not answer ({says})"))
            }
        }
    }
}
