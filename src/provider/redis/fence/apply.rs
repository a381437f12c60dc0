//! Carries out a fence that is on record: the setting, the file, and then the setting that says so.

use super::super::look::{CALL, unasked, untouched, within};
use super::super::node::{FENCE, MinReplicas, SEALED};
use super::super::port::Trouble;
use super::{Fence, busy};
use crate::kernel::domain::{CallEnd, FenceRung};
use crate::kernel::journal::Permit;
use crate::kernel::port::Ctx;
use serde::Deserialize;
use serde_json::json;

/// Where a lag of zero turned the check off.
const LAG: u64 = 10;

#[derive(Deserialize)]
struct Detail {
    rung: FenceRung,
    replid: Option<String>,
    found: MinReplicas,
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
        // Redis compares nothing for us, so that this look is as close to the write as can be.
        let looked = ctx.now();
        let node = match self.port.node(&self.target, within(ctx, CALL)).await {
            Ok(node) => node,
            Err(trouble) => return unasked(trouble),
        };
        if node.replica || Some(&node.replid) != detail.replid.as_ref() || node.manager().is_some() {
            return CallEnd::rejected(
                false,
                "it is not the primary that was planned for; nothing was changed",
            );
        }
        if let Some(busy) = busy(&node) {
            return CallEnd::rejected(true, format!("{busy}; nothing was changed"));
        }
        if node.min_replicas != detail.found && !node.min_replicas.fenced() {
            let says = "min-replicas-to-write has changed since the plan was made; nothing was changed";
            return CallEnd::rejected(false, says);
        }
        let lasting = detail.rung >= FenceRung::Lockout;
        // Before anything is refused: a file that cannot be written is a reason for the next way, not for half a fence.
        if lasting && let Err(trouble) = self.port.rewrite_config(&self.target, within(ctx, CALL)).await {
            return match trouble {
                Trouble::Denied { says, .. } => {
                    let says =
                        format!("its configuration file cannot be written ({says}); nothing was changed");
                    CallEnd::rejected(false, says)
                }
                other => untouched(other),
            };
        }
        let lag = if node.min_replicas.max_lag == 0 { LAG } else { node.min_replicas.max_lag };
        let wanted = MinReplicas::new(FENCE, lag);
        if let Err(trouble) = self.port.set_min_replicas(&self.target, wanted, within(ctx, CALL)).await {
            return untouched(trouble);
        }
        let window = ctx.now().since(looked);
        if lasting && let Err(end) = self.seal(ctx, lag).await {
            return end;
        }
        let window = u64::try_from(window.as_duration().as_millis()).unwrap_or(u64::MAX);
        CallEnd::applied(json!({ "rung": detail.rung, "window_ms": window }))
    }

    /// The value that says "it stands in the file" is set when it does.
    async fn seal(&self, ctx: &Ctx, lag: u64) -> Result<(), CallEnd> {
        let written = self.port.rewrite_config(&self.target, within(ctx, CALL)).await;
        written.map_err(|trouble| halfway("it refuses writes, and a restart may forget that", &trouble))?;
        let sealed = MinReplicas::new(SEALED, lag);
        let set = self.port.set_min_replicas(&self.target, sealed, within(ctx, CALL)).await;
        set.map_err(|trouble| halfway("it refuses writes, also after a restart", &trouble))
    }
}
