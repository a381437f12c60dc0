//! `sql.write_probe {target, as}`: one row, committed as the application's role. The last proof that users
//! can write.
//!
//! The row is this run's own and carries its epoch: seen, it is never written again. The time-out is ours,
//! since a server's own does not end a commit that waits for a synchronous standby.

use super::look::{LOOK, look, within};
use super::node::Seen;
use super::port::{Endpoint, Marker, Port, Trouble};
use crate::kernel::domain::{
    CallEnd, Change, Fact, Finding, Grade, Observation, Settle, Span, StepPlan, Time, Undo,
};
use crate::kernel::journal::Permit;
use crate::kernel::port::{Action, Check, Ctx, ProviderError};
use crate::provider::Owner;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

const WRITE: Span = Span::secs(5);
/// A commit whose answer was lost is visible after this, or waits for a standby.
const SETTLE: Span = Span::secs(5);

pub struct WriteProbe {
    pub owner: Owner,
    pub port: Arc<dyn Port>,
    pub target: Endpoint,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    role: String,
    timeline: Option<u32>,
    /// `Err`: it could not be asked, and why.
    row: Result<Option<Marker>, String>,
}

impl WriteProbe {
    async fn observe(&self, ctx: &Ctx) -> Result<Observation, ProviderError> {
        let at = ctx.now();
        let row = self.port.marker_row(&self.target, &ctx.run, within(ctx, LOOK));
        let (seen, row) = join(look(self.port.as_ref(), &self.target, ctx), row).await;
        let seen = seen?;
        let row = match row {
            Err(Trouble::Ours { says }) => return Err(ProviderError::new("PM3100", says)),
            other => other.map_err(|trouble| trouble.to_string()),
        };
        let node = seen.node();
        let state =
            State { role: seen.role().to_owned(), timeline: node.and_then(|node| node.timeline), row };
        Ok(Observation {
            identity: json!({ "system": node.and_then(|node| node.system.clone()) }),
            state: json!(state),
            evidence: json!({ "sync_waiters": node.and_then(|node| node.sync_waiters),
                "silent": match &seen { Seen::Silent(silent) => Some(silent), Seen::Answers(_) => None } }),
            at,
        })
    }

    fn judge(&self, state: &State) -> StepPlan {
        let target = &self.target.name;
        match (state.role.as_str(), &state.row) {
            (_, Err(why)) => {
                StepPlan::unknown("PM3401", format!("{target} could not be asked as the application: {why}"))
            }
            (_, Ok(Some(_))) => {
                StepPlan::nothing(format!("the application's role has committed a write on {target}"))
            }
            ("primary", Ok(None)) => {
                let mut change = Change::new(json!({ "row": null }), json!({ "row": "committed" }));
                change.undo = Undo::ByHand(
                    "nothing needs to be taken back: one row of this run in pointsman_marker".into(),
                );
                change.settle = Settle::After(SETTLE);
                change.now = "no write of this run".into();
                change.after = "one row committed as the application's role".into();
                StepPlan::Change(Box::new(change))
            }
            (role, Ok(None)) => {
                StepPlan::unknown("PM3402", format!("{target} is {role} and cannot take a write yet"))
            }
        }
    }

    async fn write(&self, ctx: &Ctx, permit: &Permit) -> CallEnd {
        let epoch = permit.epoch();
        let claim = self.owner.claim(ctx, epoch);
        let written =
            self.port.write_marker(&self.target, &ctx.run, epoch, claim.as_ref(), within(ctx, WRITE)).await;
        match written {
            Ok(()) => CallEnd::applied(json!({ "epoch": permit.epoch() })),
            Err(Trouble::Silent(silent)) => {
                CallEnd::rejected(true, format!("not written ({}): {}", silent.layer, silent.says))
            }
            Err(Trouble::Denied { sqlstate, says }) => {
                CallEnd::rejected(true, format!("the write was refused ({sqlstate}): {says}"))
            }
            Err(Trouble::Ours { says }) => CallEnd::rejected(false, says),
            Err(Trouble::Doubt { says }) => CallEnd::indeterminate(self.diagnose(ctx, &says).await),
        }
    }

    /// From a second connection: is it the commit that waits?
    async fn diagnose(&self, ctx: &Ctx, says: &str) -> String {
        let node = self.port.node(&self.target, within(ctx, LOOK)).await.ok();
        match node.as_ref().and_then(|node| node.sync_waiters) {
            Some(waiters) if waiters > 0 => format!(
                "no answer within {WRITE}: {waiters} commits wait for a synchronous standby that is missing \
                 (synchronous_standby_names = '{}'). Run on {}: alter system set synchronous_standby_names \
                 = ''; select pg_reload_conf(); the waiting commits then end at once.",
                node.map(|node| node.sync_names).unwrap_or_default(),
                self.target.name
            ),
            _ => format!("no answer within {WRITE}, and it may be committed: {says}"),
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
    fn rehearse<'a>(&'a self, _ctx: &'a Ctx, seen: &'a Observation) -> BoxFuture<'a, Option<Vec<Finding>>> {
        std::future::ready(Some(self.rehearsed(seen))).boxed()
    }
}

impl WriteProbe {
    /// A standby takes no write; that the application's role is let in can be seen on it all the same.
    fn rehearsed(&self, seen: &Observation) -> Vec<Finding> {
        let (target, role) =
            (&self.target.name, self.target.conf.app_role.as_ref().map_or("-", |app| &app.user));
        match State::deserialize(&seen.state).map(|state| state.row) {
            Ok(Ok(_)) => vec![Finding::ok(format!("{role} is let in at {target}, and reads"))],
            Ok(Err(why)) => {
                let says = format!("{role} cannot be asked at {target}: {why}");
                vec![Finding::of(
                    Grade::Bad,
                    "PM5803",
                    says,
                    "see `app_role` in pointsman.toml, and pg_hba there",
                )]
            }
            Err(_) => vec![],
        }
    }
}

impl Action for WriteProbe {
    fn apply<'a>(&'a self, ctx: &'a Ctx, permit: Permit) -> BoxFuture<'a, CallEnd> {
        async move { self.write(ctx, &permit).await }.boxed()
    }
}
