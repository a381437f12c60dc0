//! `redis.unfence {before, rung}`: takes back what `redis.fence` did. Only ever made as the undo of a fence, before any
//! promotion; playbooks cannot name it.
//!
//! It is right when the server accepts a fresh write of the application's user again, which deletes nothing.

use super::look::{CALL, LOOK, look, ours, unasked, untouched, within};
use super::node::{FENCE, MinReplicas, Seen};
use super::port::{Attempt, Endpoint, Port, Trouble};
use crate::kernel::domain::{
    CallEnd, Change, Effect, Fact, FenceRung, Observation, Settle, Span, StepPlan, Time, Undo,
};
use crate::kernel::journal::Permit;
use crate::kernel::port::{Action, Check, Ctx, ProviderError};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

const SETTLE: Span = Span::secs(10);

pub struct Unfence {
    pub port: Arc<dyn Port>,
    pub target: Endpoint,
    pub before: MinReplicas,
    /// What the fence reached: from lockout on, the file is written again, too.
    pub rung: FenceRung,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    role: String,
    min_replicas: MinReplicas,
    /// Whether a fresh write was accepted; `Err`: it gave no answer that says yes or no.
    accepts: Option<Result<bool, String>>,
}

impl Unfence {
    async fn observe(&self, ctx: &Ctx) -> Result<Observation, ProviderError> {
        let at = ctx.now();
        let seen = look(self.port.as_ref(), &self.target, ctx).await?;
        let mut accepts = None;
        if seen.primary().is_some() {
            accepts = Some(match self.port.write_attempt_as_app(&self.target, within(ctx, LOOK)).await {
                Ok(Attempt::Accepted) => Ok(true),
                Ok(attempt) if attempt.proves_fence() => Ok(false),
                Ok(Attempt::Refused { code, says }) => Err(format!("{says} ({code})")),
                Err(Trouble::Ours { says }) => return Err(ours(says)),
                Err(trouble) => Err(trouble.to_string()),
            });
        }
        let silent = match &seen {
            Seen::Silent(silent) => format!("{}: {}", silent.layer, silent.says),
            Seen::Answers(_) => String::new(),
        };
        let min_replicas = seen.node().map(|node| node.min_replicas).unwrap_or_default();
        Ok(Observation {
            identity: json!({ "replid": seen.node().map(|node| &node.replid), "address": self.target.address() }),
            state: json!(State { role: seen.role().to_owned(), min_replicas, accepts }),
            evidence: json!({ "says": silent }),
            at,
        })
    }

    fn judge(&self, seen: &Observation) -> StepPlan {
        let target = &self.target.name;
        let Ok(state) = State::deserialize(&seen.state) else {
            return StepPlan::unknown("PM3109", "the observation cannot be read; look again");
        };
        match state.role.as_str() {
            "primary" => {}
            "replica" => {
                return StepPlan::refuse(
                    "PM3503",
                    format!("{target} is a replica now: its fence is not taken back"),
                );
            }
            _ => {
                let says = seen.evidence["says"].as_str().unwrap_or_default();
                return StepPlan::unknown("PM3502", format!("{target} does not answer ({says})"));
            }
        }
        let ours = state.min_replicas.to_write >= FENCE;
        match state.accepts {
            Some(Ok(true)) if !ours => {
                StepPlan::nothing(format!("{target} accepts writes of the application again"))
            }
            Some(Ok(_)) if ours => {
                let mut change = Change::new(json!({ "fence": self.rung }), json!({ "fence": "none" }));
                change.undo = Undo::None;
                // Whether another one was promoted, the run knows, and `before_undo` of the promotion looks.
                change.effects = vec![Effect::Writer { target: target.clone(), others: vec![] }];
                change.settle = Settle::After(SETTLE);
                change.now = format!("refuses every write (rung: {})", self.rung);
                change.after = "as before the fence, accepts writes".into();
                StepPlan::Change(Box::new(change))
            }
            Some(Ok(_)) => {
                let says = format!(
                    "{target} has min-replicas-to-write {} and refuses writes, and that is not our fence",
                    state.min_replicas.to_write
                );
                StepPlan::unknown("PM3111", says)
            }
            Some(Err(why)) => {
                StepPlan::unknown("PM3111", format!("whether {target} accepts writes is not known: {why}"))
            }
            None => StepPlan::unknown("PM3111", format!("whether {target} accepts writes was not tried")),
        }
    }

    async fn carry_out(&self, ctx: &Ctx) -> CallEnd {
        let node = match self.port.node(&self.target, within(ctx, CALL)).await {
            Ok(node) => node,
            Err(trouble) => return unasked(trouble),
        };
        if node.replica || node.manager().is_some() {
            return CallEnd::rejected(false, "it is not the primary that was fenced; nothing was changed");
        }
        if node.min_replicas.to_write < FENCE {
            return CallEnd::rejected(false, "the fence is not ours any more; nothing was changed");
        }
        if let Err(trouble) = self.port.set_min_replicas(&self.target, self.before, within(ctx, CALL)).await {
            return untouched(trouble);
        }
        if self.rung >= FenceRung::Lockout
            && let Err(trouble) = self.port.rewrite_config(&self.target, within(ctx, CALL)).await
        {
            let says = format!("it accepts writes again, and a restart may bring the fence back: {trouble}");
            return CallEnd::indeterminate(says);
        }
        CallEnd::applied(json!({ "min_replicas": self.before }))
    }
}

impl Check for Unfence {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        Unfence::observe(self, ctx).boxed()
    }
    fn plan(&self, seen: &Observation, _given: &[Fact], _now: Time) -> StepPlan {
        self.judge(seen)
    }
}

impl Action for Unfence {
    fn apply<'a>(&'a self, ctx: &'a Ctx, _permit: Permit) -> BoxFuture<'a, CallEnd> {
        self.carry_out(ctx).boxed()
    }
}
