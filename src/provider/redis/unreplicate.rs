//! `redis.unreplicate {primary, before?}`: takes back what `redis.replicate` did. Only ever made as its undo; playbooks
//! cannot name it.
//!
//! A replica goes back to whom it followed. A primary is one again only where it does not become a second writer: the
//! effect is told, and the rules of the instance judge it.

use super::fence::busy;
use super::look::{CALL, look, managed, unasked, untouched, window, within, written};
use super::node::{Node, Place, Seen};
use super::port::{Endpoint, Port};
use crate::kernel::domain::{
    CallEnd, Change, Effect, Fact, Observation, Other, Settle, Span, StepPlan, Time, Undo,
};
use crate::kernel::journal::Permit;
use crate::kernel::port::{Action, Check, Ctx, ProviderError};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

const AGAIN: Span = Span::secs(5);

pub struct Unreplicate {
    pub port: Arc<dyn Port>,
    pub target: Endpoint,
    /// Whom it was made to follow.
    pub primary: Endpoint,
    /// Whom it followed before; `None`: it was a primary.
    pub before: Option<Place>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    role: String,
    follows: Option<Place>,
    manager: Option<String>,
    busy: Option<String>,
    /// As a primary it would refuse writes.
    fenced: bool,
    /// Whether the other one accepts writes; `None`: it cannot be seen.
    primary_writes: Option<bool>,
}

impl Unreplicate {
    async fn observe(&self, ctx: &Ctx) -> Result<Observation, ProviderError> {
        let at = ctx.now();
        let port = self.port.as_ref();
        let (target, primary) = join(look(port, &self.target, ctx), look(port, &self.primary, ctx)).await;
        let (target, primary) = (target?, primary?);
        let node = target.node();
        let silent = match &target {
            Seen::Silent(silent) => format!("{}: {}", silent.layer, silent.says),
            Seen::Answers(_) => String::new(),
        };
        let state = State {
            role: target.role().to_owned(),
            follows: node.and_then(Node::told),
            manager: node.and_then(Node::manager),
            busy: node.and_then(busy),
            fenced: node.is_some_and(|node| node.min_replicas.fenced()),
            primary_writes: primary.node().map(|node| !node.replica && !node.min_replicas.fenced()),
        };
        Ok(Observation {
            identity: json!({ "replid": node.map(|node| &node.replid), "address": self.target.address() }),
            state: json!(state),
            evidence: json!({ "says": silent }),
            at,
        })
    }

    fn judge(&self, seen: &Observation) -> StepPlan {
        let target = &self.target.name;
        let Ok(state) = State::deserialize(&seen.state) else {
            return StepPlan::unknown("PM3109", "the observation cannot be read; look again");
        };
        if state.role == "unreachable" {
            let says = seen.evidence["says"].as_str().unwrap_or_default();
            return StepPlan::unknown("PM3502", format!("{target} does not answer ({says})"));
        }
        if let Some(manager) = &state.manager {
            return StepPlan::refuse("PM3505", managed(target, manager));
        }
        if let Some(busy) = &state.busy {
            return StepPlan::unknown("PM3512", format!("{target} cannot be judged now: {busy}"));
        }
        if state.follows == self.before {
            return StepPlan::nothing(format!("{target} is {} again", self.was()));
        }
        if state.follows.as_ref() != Some(&self.primary.place()) {
            let now = state.follows.map_or("nobody".into(), |place| place.to_string());
            let says =
                format!("{target} follows {now}: that is neither {} nor what was before", self.primary.name);
            return StepPlan::refuse("PM3518", says);
        }
        let mut change = Change::new(json!({ "follows": state.follows }), json!({ "follows": self.before }));
        change.undo = Undo::None;
        change.settle = Settle::Repeatable(AGAIN);
        if self.before.is_none() && !state.fenced {
            let other = Other { target: self.primary.name.clone(), writes: state.primary_writes };
            change.effects = vec![Effect::Writer { target: target.clone(), others: vec![other] }];
        }
        change.now = format!("replica of {}", self.primary.name);
        change.after = format!("{} again", self.was());
        StepPlan::Change(Box::new(change))
    }

    fn was(&self) -> String {
        self.before.as_ref().map_or("a primary".into(), |place| format!("a replica of {place}"))
    }

    async fn carry_out(&self, ctx: &Ctx) -> CallEnd {
        let looked = ctx.now();
        let node = match self.port.node(&self.target, within(ctx, CALL)).await {
            Ok(node) => node,
            Err(trouble) => return unasked(trouble),
        };
        if node.told() != Some(self.primary.place()) || node.manager().is_some() {
            let says =
                format!("{} does not follow {}; nothing was changed", self.target.name, self.primary.name);
            return CallEnd::rejected(false, says);
        }
        let told = match &self.before {
            Some(place) => self.port.follow(&self.target, place, within(ctx, CALL)).await,
            None => self.port.promote(&self.target, within(ctx, CALL)).await,
        };
        if let Err(trouble) = told {
            return untouched(trouble);
        }
        let window = window(ctx, looked);
        let file = written(self.port.as_ref(), &self.target, node.config_file, ctx).await;
        CallEnd::applied(json!({ "file": file, "window_ms": window }))
    }
}

impl Check for Unreplicate {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        Unreplicate::observe(self, ctx).boxed()
    }
    fn plan(&self, seen: &Observation, _given: &[Fact], _now: Time) -> StepPlan {
        self.judge(seen)
    }
}

impl Action for Unreplicate {
    fn apply<'a>(&'a self, ctx: &'a Ctx, _permit: Permit) -> BoxFuture<'a, CallEnd> {
        self.carry_out(ctx).boxed()
    }
}
