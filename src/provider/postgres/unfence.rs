//! `postgres.unfence {rung, system, sha256?}`: takes back what `postgres.fence` did, from the fenced file alone. Only
//! ever made as the undo of a fence, before any promotion; playbooks cannot name it.
//!
//! It is right when the server accepts a fresh write of the application's role again, which is tried and rolled back.

use super::fence::untouched;
use super::hba;
use super::look::{LOOK, look, within};
use super::node::Seen;
use super::port::{Attempt, Endpoint, Port, Trouble};
use crate::kernel::domain::{
    CallEnd, Change, Effect, Fact, FenceRung, Observation, Settle, Span, StepPlan, Time, Undo,
};
use crate::kernel::journal::Permit;
use crate::kernel::port::{Action, Check, Ctx, ProviderError};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;
use std::sync::Arc;

const CALL: Span = Span::secs(3);
const SETTLE: Span = Span::secs(10);

pub struct Unfence {
    pub port: Arc<dyn Port>,
    pub target: Endpoint,
    /// What the fence reached, so what there is to take back.
    pub rung: FenceRung,
    pub system: Option<String>,
    /// Of the file as it was before the fence.
    pub sha256: Option<String>,
}

impl Unfence {
    async fn observe(&self, ctx: &Ctx) -> Result<Observation, ProviderError> {
        let at = ctx.now();
        let seen = look(self.port.as_ref(), &self.target, ctx).await?;
        let mut attempt = json!(null);
        if let Some(node) = seen.primary() {
            let marked = match self.rung {
                FenceRung::Lockout => node.hba_fenced,
                _ => Some(node.read_only),
            };
            attempt = match self.port.write_attempt_as_app(&self.target, within(ctx, LOOK)).await {
                Err(Trouble::Ours { says }) => return Err(ProviderError::new("PM3100", says)),
                Err(trouble) => json!({ "says": trouble.to_string(), "marked": marked }),
                Ok(Attempt::Accepted) => json!({ "accepted": true, "marked": marked }),
                Ok(Attempt::RefusedBy { says, .. }) => {
                    json!({ "accepted": false, "says": says, "marked": marked })
                }
            };
        }
        let system = seen.node().and_then(|node| node.system.clone());
        let says = match &seen {
            Seen::Silent(silent) => format!("{}: {}", silent.layer, silent.says),
            Seen::Answers(_) => String::new(),
        };
        Ok(Observation {
            identity: json!({ "system": system }),
            state: json!({ "role": seen.role(), "system": system, "attempt": attempt }),
            evidence: json!({ "says": says }),
            at,
        })
    }

    fn judge(&self, seen: &Observation) -> StepPlan {
        let target = &self.target.name;
        let (state, attempt) = (&seen.state, &seen.state["attempt"]);
        let says = |value: &serde_json::Value| value["says"].as_str().unwrap_or_default().to_owned();
        match state["role"].as_str() {
            Some("primary") => {}
            Some("standby") => {
                return StepPlan::refuse(
                    "PM3103",
                    format!("{target} is a standby now: its fence is not taken back"),
                );
            }
            _ => {
                let says = says(&seen.evidence);
                return StepPlan::unknown("PM3102", format!("{target} does not answer ({says})"));
            }
        }
        if self.system.is_some() && state["system"].as_str() != self.system.as_deref() {
            return StepPlan::refuse("PM3106", format!("{target} holds other data than when it was fenced"));
        }
        match (attempt["accepted"].as_bool(), attempt["marked"].as_bool()) {
            (Some(true), Some(false)) => {
                StepPlan::nothing(format!("{target} accepts writes of the application again"))
            }
            (Some(_), Some(_)) => {
                let mut change = Change::new(json!({ "fence": self.rung }), json!({ "fence": "none" }));
                change.undo = Undo::None;
                // Whether another one was promoted, the run knows, and `before_undo` of the promotion looks.
                change.effects = vec![Effect::Writer { target: target.clone(), others: vec![] }];
                change.settle = Settle::After(SETTLE);
                change.now = format!("clients refused (rung: {})", self.rung);
                change.after = "as before the fence, accepts writes".into();
                StepPlan::Change(Box::new(change))
            }
            (_, None) => {
                StepPlan::unknown("PM3104", format!("{target} does not tell whether its fence is in place"))
            }
            (None, Some(_)) => {
                let says = says(attempt);
                StepPlan::unknown("PM3111", format!("whether {target} accepts writes is not known: {says}"))
            }
        }
    }

    async fn carry_out(&self, ctx: &Ctx) -> CallEnd {
        // A question that was not answered changed nothing.
        let unchanged = |trouble| match trouble {
            Trouble::Doubt { says } => CallEnd::rejected(true, says),
            other => untouched(other),
        };
        let node = match self.port.node(&self.target, within(ctx, CALL)).await {
            Ok(node) => node,
            Err(trouble) => return unchanged(trouble),
        };
        if node.in_recovery || (self.system.is_some() && node.system != self.system) {
            return CallEnd::rejected(false, "it is not the primary that was fenced; nothing was changed");
        }
        let written = match self.rung {
            FenceRung::Lockout => self.restore(ctx).await,
            _ => self.port.reset_read_only(&self.target, within(ctx, CALL)).await.map_err(untouched),
        };
        if let Err(end) = written {
            return end;
        }
        match self.port.reload(&self.target, within(ctx, CALL)).await {
            Ok(()) => CallEnd::applied(json!({ "rung": self.rung })),
            Err(trouble) => {
                CallEnd::indeterminate(format!("the fence is gone, and not loaded yet: {trouble}"))
            }
        }
    }

    /// The old text rides in the fenced file; only that very text goes back.
    async fn restore(&self, ctx: &Ctx) -> Result<(), CallEnd> {
        let now = match self.port.read_hba(&self.target, within(ctx, CALL)).await {
            Ok(hba) => hba,
            Err(Trouble::Doubt { says }) => return Err(CallEnd::rejected(true, says)),
            Err(trouble) => return Err(untouched(trouble)),
        };
        if !now.text.starts_with(hba::MARK) {
            return Ok(());
        }
        if self.sha256.as_deref() != Some(hba::digest(&now.text).as_str()) {
            let says =
                format!("{} does not hold the text from before the fence; nothing was changed", now.path);
            return Err(CallEnd::rejected(false, says));
        }
        let text = hba::original(&now.text);
        self.port.write_hba(&self.target, &text, within(ctx, CALL)).await.map_err(untouched)
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
