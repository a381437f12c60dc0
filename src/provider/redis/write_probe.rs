//! `redis.write_probe {target, as}`: one key, set as the application's user. The last proof that users can write.
//!
//! The key is this run's own and carries its epoch: seen, it is never written again. It expires after a week.

use super::look::{CALL, LOOK, look, ours, untouched, within};
use super::node::Seen;
use super::port::{Endpoint, Port, Trouble};
use crate::kernel::domain::{
    CallEnd, Change, Epoch, Fact, Finding, Grade, Observation, Settle, Span, StepPlan, Time, Undo,
};
use crate::kernel::journal::Permit;
use crate::kernel::port::{Action, Check, Ctx, ProviderError};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

/// A server that answers again has carried out what it was told before.
const SETTLE: Span = Span::secs(5);

pub struct WriteProbe {
    pub port: Arc<dyn Port>,
    pub target: Endpoint,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    role: String,
    replid: Option<String>,
    /// `Err`: it could not be asked, and why.
    key: Result<Option<Epoch>, String>,
}

impl WriteProbe {
    async fn observe(&self, ctx: &Ctx) -> Result<Observation, ProviderError> {
        let at = ctx.now();
        let key = self.port.marker(&self.target, &ctx.run, within(ctx, LOOK));
        let (seen, key) = join(look(self.port.as_ref(), &self.target, ctx), key).await;
        let seen = seen?;
        let key = match key {
            Err(Trouble::Ours { says }) => return Err(ours(says)),
            other => other.map_err(|trouble| trouble.to_string()),
        };
        let replid = seen.node().map(|node| node.replid.clone());
        let silent = match &seen {
            Seen::Silent(silent) => Some(silent),
            Seen::Answers(_) => None,
        };
        Ok(Observation {
            identity: json!({ "replid": replid, "address": self.target.address() }),
            state: json!(State { role: seen.role().to_owned(), replid, key }),
            evidence: json!({ "silent": silent }),
            at,
        })
    }

    fn judge(&self, state: &State) -> StepPlan {
        let target = &self.target.name;
        match (state.role.as_str(), &state.key) {
            (_, Err(why)) => {
                StepPlan::unknown("PM3401", format!("{target} could not be asked as the application: {why}"))
            }
            ("primary", Ok(Some(_))) => {
                StepPlan::nothing(format!("the application's user has written to {target}"))
            }
            ("primary", Ok(None)) => {
                let mut change = Change::new(json!({ "key": null }), json!({ "key": "set" }));
                change.undo =
                    Undo::ByHand("nothing needs to be taken back: one key of this run expires".into());
                change.settle = Settle::After(SETTLE);
                change.now = "no write of this run".into();
                change.after = "one key set as the application's user".into();
                StepPlan::Change(Box::new(change))
            }
            (role, Ok(_)) => {
                StepPlan::unknown("PM3402", format!("{target} is {role} and cannot take a write yet"))
            }
        }
    }

    async fn write(&self, ctx: &Ctx, permit: &Permit) -> CallEnd {
        let epoch = permit.epoch();
        match self.port.write_marker(&self.target, &ctx.run, epoch, within(ctx, CALL)).await {
            Ok(()) => CallEnd::applied(json!({ "epoch": epoch })),
            Err(Trouble::Denied { sqlstate, says }) => {
                CallEnd::rejected(true, format!("the write was refused ({sqlstate}): {says}"))
            }
            Err(other) => untouched(other),
        }
    }
}

impl Check for WriteProbe {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        WriteProbe::observe(self, ctx).boxed()
    }
    fn plan(&self, seen: &Observation, _given: &[Fact], _now: Time) -> StepPlan {
        match State::deserialize(&seen.state) {
            Ok(state) => self.judge(&state),
            Err(_) => StepPlan::unknown("PM3109", "the observation cannot be read; look again"),
        }
    }
    /// A replica takes no write; that the application's user is let in can be seen on it all the same.
    fn rehearse<'a>(&'a self, _ctx: &'a Ctx, seen: &'a Observation) -> BoxFuture<'a, Option<Vec<Finding>>> {
        let target = &self.target.name;
        let finding = match State::deserialize(&seen.state).map(|state| state.key) {
            Ok(Ok(_)) => {
                Some(Finding::ok(format!("the application's user is let in at {target}, and reads")))
            }
            Ok(Err(why)) => {
                let says = format!("the application's user cannot be asked at {target}: {why}");
                Some(Finding::of(
                    Grade::Bad,
                    "PM5803",
                    says,
                    "see `app_role` in pointsman.toml, and the ACL there",
                ))
            }
            Err(_) => None,
        };
        std::future::ready(Some(finding.into_iter().collect())).boxed()
    }
}

impl Action for WriteProbe {
    fn apply<'a>(&'a self, ctx: &'a Ctx, permit: Permit) -> BoxFuture<'a, CallEnd> {
        async move { self.write(ctx, &permit).await }.boxed()
    }
}
