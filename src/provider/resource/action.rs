//! One action for every resource: seen, compared with what is wanted, looked at again right before the write, written
//! once. What differs is in [`Kind`].

use super::kind::Kind;
use super::port::{Fields, Port, Resource, Seen, Write};
use crate::kernel::domain::{CallEnd, Change, Fact, Finding, Observation, Span, StepPlan, Time};
use crate::kernel::journal::Permit;
use crate::kernel::port::{Action, Check, Ctx, ProviderError};
use crate::provider::dns::NoAnswer;
use crate::provider::hosted::end::{Codes, Limited};
use futures_util::future::{BoxFuture, FutureExt as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

const ASK: Span = Span::secs(10);
const CALL: Span = Span::secs(20);
const CODES: Codes = Codes { refused: "PM4405", not_sent: "PM4406", doubt: "PM4407", limited: "PM4408" };

pub struct ResourceAction {
    pub resource: Resource,
    pub kind: Box<dyn Kind>,
    pub port: Arc<dyn Port>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// `None`: the remote gave no usable answer.
    fields: Option<Fields>,
    /// Where it failed, when it did.
    silent: Option<String>,
    /// Between two states.
    pending: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Evidence {
    says: Option<String>,
    pending: Option<String>,
    seen: Value,
}

impl ResourceAction {
    fn judge(&self, state: State, evidence: &Evidence, given: &[Fact]) -> StepPlan {
        let says = evidence.says.as_deref().unwrap_or_default();
        let Some(now) = state.fields else {
            let layer = state.silent.as_deref().unwrap_or("unknown");
            return StepPlan::unknown("PM4401", format!("no usable answer ({layer}: {says})"));
        };
        if state.pending {
            let what = evidence.pending.as_deref().unwrap_or("something is under way");
            return StepPlan::unknown("PM4402", format!("{}: {what}", self.kind.show(&now)));
        }
        let wanted = match self.kind.wanted(&now, &evidence.seen, given) {
            Ok(wanted) => wanted,
            Err(plan) => return plan,
        };
        if wanted == now {
            return StepPlan::nothing(self.kind.show(&now));
        }
        StepPlan::Change(Box::new(self.change(&now, &wanted, &evidence.seen)))
    }

    fn change(&self, now: &Fields, wanted: &Fields, evidence: &Value) -> Change {
        let (kind, nature) = (&self.kind, self.kind.nature());
        let mut change = Change::new(json!(now), json!(wanted));
        (change.now, change.after) = (kind.show(now), kind.show(wanted));
        (change.by_hand, change.undo_by_hand) = (kind.by_hand(wanted), kind.by_hand(now));
        change.undo = kind.undo(now);
        change.effects = kind.effects(now, wanted, evidence);
        change.settle = nature.settle;
        change.warnings = vec![nature.plane.to_owned()];
        change.warnings.extend(kind.warnings(now, evidence));
        change
    }

    /// One conditional write. `Err`: the remote asks to wait.
    async fn write(&self, ctx: &Ctx, before: &Fields, after: &Fields) -> Result<CallEnd, Limited> {
        let looked = ctx.now();
        let seen = match self.port.read(&self.resource, ASK.min(ctx.left())).await {
            Ok(seen) => seen,
            Err(NoAnswer { layer, says }) => {
                let says = format!("{}: the look right before failed ({layer}: {says})", CODES.not_sent);
                return Ok(CallEnd::rejected(true, says));
            }
        };
        if let Some(pending) = seen.pending {
            let says = format!("{}: nothing was sent: {pending}", CODES.not_sent);
            return Ok(CallEnd::rejected(true, says));
        }
        if seen.fields != *before {
            let now = self.kind.show(&seen.fields);
            let says =
                format!("{}: it was changed since it was read: now {now}; nothing was sent", CODES.refused);
            return Ok(CallEnd::rejected(false, says));
        }
        let write = Write { before, after, handle: &seen.handle };
        let written = self.port.write(&self.resource, write, CALL.min(ctx.left())).await;
        CODES.end(written, (!self.kind.nature().compares).then(|| ctx.now().since(looked)))
    }
}

impl Check for ResourceAction {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        async move {
            let seen = self.port.read(&self.resource, ASK.min(ctx.left())).await;
            let (state, evidence) = match seen {
                Ok(Seen { fields, pending, evidence, .. }) => (
                    State { fields: Some(fields), silent: None, pending: pending.is_some() },
                    Evidence { says: None, pending, seen: evidence },
                ),
                Err(NoAnswer { layer, says }) => (
                    State { silent: Some(layer.to_owned()), ..State::default() },
                    Evidence { says: Some(says), ..Evidence::default() },
                ),
            };
            let identity = self.kind.identity();
            Ok(Observation { identity, state: json!(state), evidence: json!(evidence), at: ctx.now() })
        }
        .boxed()
    }

    fn plan(&self, seen: &Observation, given: &[Fact], _now: Time) -> StepPlan {
        match (State::deserialize(&seen.state), Evidence::deserialize(&seen.evidence)) {
            (Ok(state), Ok(evidence)) => self.judge(state, &evidence, given),
            (Err(e), _) | (_, Err(e)) => {
                StepPlan::unknown("PM4400", format!("what was seen cannot be read: {e}"))
            }
        }
    }

    fn rehearse<'a>(&'a self, ctx: &'a Ctx, seen: &'a Observation) -> BoxFuture<'a, Option<Vec<Finding>>> {
        async move {
            // What could not be looked at is told by the plan.
            let looked = State::deserialize(&seen.state).is_ok_and(|state| state.fields.is_some());
            if !looked {
                return Some(vec![]);
            }
            let rights = self.port.rights(&self.resource, ctx.now(), ASK.min(ctx.left())).await;
            Some(rights.into_iter().map(|right| right.finding()).collect())
        }
        .boxed()
    }
}

impl Action for ResourceAction {
    fn apply<'a>(&'a self, ctx: &'a Ctx, permit: Permit) -> BoxFuture<'a, CallEnd> {
        async move {
            let change = permit.change();
            let (Some(before), Some(after)) = (change.from.as_object(), change.to.as_object()) else {
                return CallEnd::rejected(false, "PM4409: the change on record is none of a resource");
            };
            if before.is_empty() || !before.keys().eq(after.keys()) {
                return CallEnd::rejected(false, "PM4409: the change on record names other fields");
            }
            CODES.patiently(ctx, CALL, || self.write(ctx, before, after)).await
        }
        .boxed()
    }
}
