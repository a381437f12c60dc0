//! Carries out a fence that is on record: the file, the reload, the end of every client session.

use super::{Fence, OldHba};
use crate::kernel::domain::{CallEnd, FenceRung, Span};
use crate::kernel::journal::Permit;
use crate::kernel::port::Ctx;
use crate::provider::postgres::hba;
use crate::provider::postgres::look::within;
use crate::provider::postgres::port::{Attempt, Trouble};
use serde::Deserialize;
use serde_json::json;

const CALL: Span = Span::secs(3);
/// Passes over the client sessions; each ends what slipped in before the new rules were loaded.
const PASSES: u32 = 50;

#[derive(Deserialize)]
struct Detail {
    rung: FenceRung,
    system: Option<String>,
    hba: Option<OldHba>,
}

/// Nothing was touched yet.
pub fn untouched(trouble: Trouble) -> CallEnd {
    match trouble {
        Trouble::Silent(silent) => CallEnd::rejected(true, format!("{}: {}", silent.layer, silent.says)),
        Trouble::Denied { sqlstate, says } => CallEnd::rejected(false, format!("{says} ({sqlstate})")),
        Trouble::Ours { says } => CallEnd::rejected(false, says),
        Trouble::Doubt { says } => CallEnd::indeterminate(says),
    }
}

/// A part is done: whatever it was, the whole is in doubt until it is observed.
fn halfway(done: &str, trouble: &Trouble) -> CallEnd {
    CallEnd::indeterminate(format!("{done}; then: {trouble}"))
}

impl Fence {
    pub(super) async fn carry_out(&self, ctx: &Ctx, permit: Permit) -> CallEnd {
        let Ok(detail) = Detail::deserialize(&permit.change().detail) else {
            return CallEnd::rejected(
                false,
                "PM3109: the change on record cannot be read; nothing was changed",
            );
        };
        let node = match self.port.node(&self.target, within(ctx, CALL)).await {
            Ok(node) => node,
            // A question that was not answered changed nothing.
            Err(Trouble::Doubt { says }) => return CallEnd::rejected(true, says),
            Err(trouble) => return untouched(trouble),
        };
        if node.in_recovery || node.system != detail.system {
            return CallEnd::rejected(
                false,
                "it is not the primary that was planned for; nothing was changed",
            );
        }
        let begun = match detail.rung {
            FenceRung::Lockout => self.lock_out(ctx, &node.superusers, detail.hba.as_ref()).await,
            _ => self.port.set_read_only(&self.target, within(ctx, CALL)).await.map_err(untouched),
        };
        if let Err(end) = begun {
            return end;
        }
        if let Err(trouble) = self.port.reload(&self.target, within(ctx, CALL)).await {
            return halfway("the fence is written and may not be loaded", &trouble);
        }
        self.clear_out(ctx, detail.rung).await
    }

    async fn lock_out(&self, ctx: &Ctx, superusers: &[String], old: Option<&OldHba>) -> Result<(), CallEnd> {
        let unchanged = |trouble| match trouble {
            Trouble::Doubt { says } => CallEnd::rejected(true, says),
            other => untouched(other),
        };
        let now = self.port.read_hba(&self.target, within(ctx, CALL)).await.map_err(unchanged)?;
        if old.is_none_or(|old| old.sha256 != hba::digest(&now.text)) {
            let says = format!("{} has changed since the plan was made; nothing was changed", now.path);
            return Err(CallEnd::rejected(false, says));
        }
        if now.text.starts_with(hba::MARK) {
            return Ok(());
        }
        let text = hba::fenced(&now, &self.target.conf.user, superusers, self.app(), &ctx.run)
            .map_err(|why| CallEnd::rejected(false, why))?;
        self.port.write_hba(&self.target, &text, within(ctx, CALL)).await.map_err(untouched)
    }

    /// Ends client sessions until none is left and a new one is refused. Not getting there is seen by the
    /// proof.
    async fn clear_out(&self, ctx: &Ctx, rung: FenceRung) -> CallEnd {
        let mut ended = 0;
        for _ in 0..PASSES {
            match self.port.terminate_clients(&self.target, within(ctx, CALL)).await {
                Ok(count) => ended += count,
                Err(trouble) => return halfway("the fence is written and loaded", &trouble),
            }
            let refused = match self.port.write_attempt_as_app(&self.target, within(ctx, CALL)).await {
                Ok(Attempt::RefusedBy { by_rules, sqlstate, .. }) => by_rules || sqlstate == "25006",
                _ => false,
            };
            let node = self.port.node(&self.target, within(ctx, CALL)).await;
            let left = node.ok().and_then(|node| node.clients);
            if refused && (left == Some(0) || rung == FenceRung::ReadOnly) {
                break;
            }
            if !ctx.sleep(Span::millis(20)).await {
                break;
            }
        }
        CallEnd::applied(json!({ "rung": rung, "sessions_ended": ended }))
    }
}
