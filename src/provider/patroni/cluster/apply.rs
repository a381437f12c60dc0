//! Carries out a change of sides that is on record: both clusters are looked at once more, and judged by the same plan;
//! then the leader is told, once.

use super::plan::Detail;
use super::seen::Both;
use super::{Sides, Turn};
use crate::kernel::domain::{CallEnd, CallResult, Change, Fact, Observation, Span, StepPlan};
use crate::kernel::journal::Permit;
use crate::kernel::port::{Check as _, Ctx};
use crate::provider::hosted::end::Codes;
use serde::Deserialize;

const CODES: Codes = Codes { refused: "PM3620", not_sent: "PM3621", doubt: "PM3630", limited: "PM3623" };
/// Patroni answers when its store has the new configuration.
const CALL: Span = Span::secs(15);

impl Sides {
    pub(super) async fn carry_out(&self, ctx: &Ctx, permit: Permit) -> CallEnd {
        let Ok(detail) = Detail::deserialize(&permit.change().detail) else {
            return CallEnd::rejected(
                false,
                "PM3109: the change on record cannot be read; nothing was changed",
            );
        };
        let looked = ctx.now();
        let seen = match self.observe(ctx).await {
            Ok(seen) => seen,
            Err(e) => return CallEnd::rejected(true, format!("{}: nothing was sent: {e}", CODES.not_sent)),
        };
        if let Some((retry, why)) = self.is_other(&seen, permit.change(), &detail) {
            return CallEnd::rejected(retry, format!("{}: nothing was sent: {why}", CODES.not_sent));
        }
        let window = ctx.now().since(looked);
        let source = match &self.turn {
            Turn::Demote { follow } => Some(follow),
            Turn::Promote { .. } | Turn::Undemote { .. } => None,
        };
        let written = self.port.follow(&self.at, &detail.via, source, CALL.min(ctx.left())).await;
        match CODES.end(written, Some(window)) {
            Ok(mut end) => {
                if let (CallResult::Applied, Some(rpo)) = (end.result, seen.evidence.get("rpo")) {
                    end.detail["rpo"] = rpo.clone();
                }
                end
            }
            Err((_, says)) => CallEnd::rejected(true, format!("{}: {says}", CODES.limited)),
        }
    }

    /// Why this is not what was planned any more, and whether a later look may find it so again. Patroni compares nothing of
    /// ours: what changes between this look and its write is written over.
    fn is_other(&self, seen: &Observation, planned: &Change, detail: &Detail) -> Option<(bool, String)> {
        // Who opened the run was judged when it was planned, and is no matter of the world.
        let asked = [Fact::Planned { service: "".into() }];
        let change = match self.plan_from(seen, &asked) {
            StepPlan::Change(change) => change,
            StepPlan::Nothing { says, .. } => return Some((false, says)),
            plan @ (StepPlan::Refuse(_) | StepPlan::Unknown(_)) => {
                let retry = matches!(plan, StepPlan::Unknown(_));
                let why = plan.reasons().iter().map(|reason| reason.says.as_str()).collect::<Vec<_>>();
                return Some((retry, why.join("; ")));
            }
        };
        if !change.within(planned) {
            return Some((false, format!("it is not as it was planned: now it is {}", change.now)));
        }
        if Detail::deserialize(&change.detail).ok().as_ref() != Some(detail) {
            return Some((false, "somebody changed the configuration of one of the clusters".into()));
        }
        let both = Both::deserialize(&seen.state).unwrap_or_default();
        let waits = matches!(self.turn, Turn::Promote { demoted: true });
        let why = both.there.not_demoted().filter(|_| waits)?;
        Some((true, format!("{} is not proven to be demoted: {why}", self.other.name)))
    }
}
