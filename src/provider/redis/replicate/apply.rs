//! Carries out what is on record: looks at both once more, tells the target, and writes its file.

use super::super::look::{CALL, unasked, untouched, window, within, written};
use super::super::node::{Place, Seen};
use super::{Replicate, discards};
use crate::kernel::domain::CallEnd;
use crate::kernel::journal::Permit;
use crate::kernel::port::Ctx;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Detail {
    role: String,
    replid: Option<String>,
    follows: Option<Place>,
    promoted: bool,
}

impl Replicate {
    pub(super) async fn carry_out(&self, ctx: &Ctx, permit: Permit) -> CallEnd {
        let Ok(detail) = Detail::deserialize(&permit.change().detail) else {
            return CallEnd::rejected(
                false,
                "PM3109: the change on record cannot be read; nothing was changed",
            );
        };
        let looked = ctx.now();
        // In the order of the look: whatever the target has by now, its primary is asked for after it.
        let target = match self.port.node(&self.target, within(ctx, CALL)).await {
            Ok(node) => Seen::Answers(Box::new(node)),
            Err(trouble) => return unasked(trouble),
        };
        let primary = match self.port.node(&self.primary, within(ctx, CALL)).await {
            Ok(node) => Seen::Answers(Box::new(node)),
            Err(trouble) => return unasked(trouble),
        };
        let state = self.state(&target, &primary);
        if (&state.role, &state.replid, &state.follows) != (&detail.role, &detail.replid, &detail.follows) {
            let says = format!("{} is not as it was planned for; nothing was changed", self.target.name);
            return CallEnd::rejected(false, says);
        }
        if state.primary_role != "primary" {
            let says = format!("{} is a replica; nothing was changed", self.primary.name);
            return CallEnd::rejected(true, says);
        }
        if let Some(why) = state.manager.as_ref().or(state.busy.as_ref()) {
            return CallEnd::rejected(true, format!("not now: {why}; nothing was changed"));
        }
        // A primary may have been emptied, and the target written to, since the plan.
        if let Some(refused) = self.direction(&state, detail.promoted) {
            let says = refused.reasons().first().map_or("", |reason| reason.says.as_str());
            return CallEnd::rejected(false, format!("{says}. Nothing was changed."));
        }
        let discarded = discards(&target, &primary, state.relation);
        let place = self.primary.place();
        if let Err(trouble) = self.port.follow(&self.target, &place, within(ctx, CALL)).await {
            return untouched(trouble);
        }
        let window = window(ctx, looked);
        let there = target.node().is_some_and(|node| node.config_file);
        let file = written(self.port.as_ref(), &self.target, there, ctx).await;
        CallEnd::applied(json!({ "file": file, "discarded": discarded, "window_ms": window }))
    }
}
