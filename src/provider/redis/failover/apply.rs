//! Carries out a hand-over that is on record, and looks until one of the two ends of it is seen.

use super::super::look::{CALL, unasked, window, within, written};
use super::super::node::{Node, Seen};
use super::super::port::Trouble;
use super::super::promote::loss;
use super::plan::Detail;
use super::{Failover, busy};
use crate::kernel::domain::{CallEnd, Span};
use crate::kernel::journal::Permit;
use crate::kernel::port::Ctx;
use serde::Deserialize;
use serde_json::json;

const POLL: Span = Span::millis(20);
/// What is left of the step's time to write the files.
const SPARED: Span = Span::secs(6);
/// Looks in a row at which nothing is under way, after a call that nobody answered.
const UNHEARD: u32 = 50;

impl Failover {
    pub(super) async fn carry_out(&self, ctx: &Ctx, permit: Permit) -> CallEnd {
        let Ok(detail) = Detail::deserialize(&permit.change().detail) else {
            return CallEnd::rejected(
                false,
                "PM3109: the change on record cannot be read; nothing was changed",
            );
        };
        let looked = ctx.now();
        let (old, new) = match self.ready(ctx, &detail).await {
            Ok(both) => both,
            Err(end) => return end,
        };
        let told = self.port.hand_over(&self.old, &detail.known_as, self.timeout, within(ctx, CALL)).await;
        let heard = match told {
            Ok(()) => true,
            Err(Trouble::Doubt { .. }) => false,
            Err(Trouble::Denied { sqlstate, says }) => {
                let says =
                    format!("PM3543: {} refused: {sqlstate} {says}; nothing was changed", self.old.name);
                return CallEnd::rejected(false, says);
            }
            Err(trouble) => return unasked(trouble),
        };
        let window = window(ctx, looked);
        if let Some(end) = self.watch(ctx, heard).await {
            return end;
        }
        let mut files = serde_json::Map::new();
        for (at, there) in [(&self.target, new.config_file), (&self.old, old.config_file)] {
            files.insert(at.name.to_string(), written(self.port.as_ref(), at, there, ctx).await);
        }
        let rpo = loss(&[], None, None, Some(ctx.now()));
        CallEnd::applied(json!({ "from": detail.replid, "rpo": rpo, "files": files, "window_ms": window }))
    }

    /// The last look before the call.
    async fn ready(&self, ctx: &Ctx, detail: &Detail) -> Result<(Node, Node), CallEnd> {
        let old = self.port.node(&self.old, within(ctx, CALL)).await.map_err(unasked)?;
        let new = self.port.node(&self.target, within(ctx, CALL)).await.map_err(unasked)?;
        let seen = |node: &Node| Seen::Answers(Box::new(node.clone()));
        let state = self.state(&seen(&new), &seen(&old));
        if let Some(why) = state.manager.as_ref().or(state.busy.as_ref()) {
            return Err(CallEnd::rejected(true, format!("not now: {why}; nothing was changed")));
        }
        let same = state.old_replid.as_ref() == Some(&detail.replid)
            && state.known_as.as_ref() == Some(&detail.known_as)
            && state.follows;
        if !same || state.fenced || state.trap.is_some() {
            let says = "the two are not as they were planned for; nothing was changed";
            return Err(CallEnd::rejected(false, says));
        }
        Ok((old, new))
    }

    /// `None`: it is done. It ends with the roles changed, or with the primary as it was.
    async fn watch(&self, ctx: &Ctx, heard: bool) -> Option<CallEnd> {
        let (target, old) = (&self.target.name, &self.old.name);
        let mut quiet = 0;
        while ctx.left() > SPARED && ctx.sleep(POLL).await {
            let was = self.port.node(&self.old, within(ctx, CALL)).await;
            let new = self.port.progress(&self.target, within(ctx, CALL)).await;
            let (Ok(was), Ok(new)) = (was, new) else { continue };
            match (was.replica, new.replica) {
                (true, false) => return None,
                (false, true) if busy(&was).is_none() && heard => {
                    let says = format!(
                        "PM3544: {target} did not catch up within {}: {old} goes on as the primary, and nothing was changed",
                        self.timeout
                    );
                    return Some(CallEnd::rejected(true, says));
                }
                (false, true) if busy(&was).is_none() => quiet += 1,
                _ => quiet = 0,
            }
            if quiet > UNHEARD {
                let says =
                    format!("PM3545: {old} may have been told to hand over, and nothing of that is seen");
                return Some(CallEnd::indeterminate(says));
            }
        }
        Some(CallEnd::indeterminate(format!(
            "PM3545: {old} began to hand over to {target}, and no end of that was seen. It is not called off: once the replica \
             was told, that may leave two primaries"
        )))
    }
}
