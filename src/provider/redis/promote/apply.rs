//! Carries out a promotion that is on record: drain, let writes in, promote, look until it is there, write the file.

use super::super::look::{CALL, LOOK, unasked, window, within, written};
use super::super::node::{MinReplicas, Progress};
use super::super::port::Trouble;
use super::{Promote, loss};
use crate::kernel::domain::{CallEnd, Lsn, Span};
use crate::kernel::journal::Permit;
use crate::kernel::port::Ctx;
use serde::Deserialize;
use serde_json::json;

const POLL: Span = Span::millis(5);

#[derive(Deserialize)]
struct Detail {
    replid: String,
    drain_to: Option<Lsn>,
    trap: Option<MinReplicas>,
    config_file: bool,
}

impl Promote {
    pub(super) async fn carry_out(&self, ctx: &Ctx, permit: Permit) -> CallEnd {
        let Ok(detail) = Detail::deserialize(&permit.change().detail) else {
            return CallEnd::rejected(
                false,
                "PM3109: the change on record cannot be read; nothing was changed",
            );
        };
        let began = ctx.now();
        let before = match self.ready(ctx, &detail).await {
            Ok(progress) => progress,
            Err(end) => return end,
        };
        let mut had = before.offset;
        let mut drained = None;
        if let Some(end) = detail.drain_to {
            match self.drain(ctx, &detail, end.0).await {
                Ok(offset) => (had, drained) = (Some(offset), Some(ctx.now())),
                Err(end) => return end,
            }
        }
        if let Some(end) = self.old_lives(ctx).await {
            return end;
        }
        if let Some(trap) = detail.trap {
            let free = MinReplicas { to_write: 0, ..trap };
            if let Err(trouble) = self.port.set_min_replicas(&self.target, free, within(ctx, CALL)).await {
                return self.not_told(trouble, "min-replicas-to-write may be changed");
            }
        }
        if let Err(trouble) = self.port.promote(&self.target, within(ctx, CALL)).await {
            return self.not_told(trouble, "nothing else was changed");
        }
        let window = window(ctx, began);
        if !self.promoted(ctx).await {
            return CallEnd::indeterminate(format!(
                "{} took the promotion, and is not seen as a primary at the deadline",
                self.target.name
            ));
        }
        let file = written(self.port.as_ref(), &self.target, detail.config_file, ctx).await;
        let rpo = loss(&ctx.samples.recent(&self.target.name), Some(&detail.replid), had, drained);
        CallEnd::applied(
            json!({ "from": detail.replid, "had": had, "rpo": rpo, "file": file, "window_ms": window }),
        )
    }

    /// The last look before the first change.
    async fn ready(&self, ctx: &Ctx, detail: &Detail) -> Result<Progress, CallEnd> {
        let node = self.port.node(&self.target, within(ctx, CALL)).await.map_err(unasked)?;
        if !node.replica || node.replid != detail.replid || node.manager().is_some() {
            let says =
                format!("{} is not the replica that was planned for; nothing was changed", self.target.name);
            return Err(CallEnd::rejected(false, says));
        }
        if node.offset.is_none() || node.link.as_ref().is_some_and(|link| link.syncing) || node.loading {
            let says = format!("{} has no whole copy any more; nothing was changed", self.target.name);
            return Err(CallEnd::rejected(false, says));
        }
        if node.keys != Some(0) || self.may_be_empty {
            return Ok(Progress { replica: true, replid: node.replid, offset: node.offset });
        }
        Err(CallEnd::rejected(false, format!("{} is empty now; nothing was changed", self.target.name)))
    }

    /// Right before the point of no return: a fence that was proven, by whatever rung, may have been taken back since. A
    /// server that does not answer leaves its fence as it was proven; one that answers as an unfenced primary would be a
    /// second writer.
    async fn old_lives(&self, ctx: &Ctx) -> Option<CallEnd> {
        let node = self.port.node(&self.old, within(ctx, LOOK)).await.ok()?;
        (!node.replica && !node.min_replicas.fenced()).then(|| {
            let says = format!(
                "not promoted: {} answers as a primary, and its fence is not in place any more: two writers would \
                 diverge. Nothing was changed. Fence it again, then retry.",
                self.old.name
            );
            CallEnd::rejected(false, says)
        })
    }

    /// Waits until the replica has all of the fenced primary's stream. Bounded; on time-out nothing is promoted.
    async fn drain(&self, ctx: &Ctx, detail: &Detail, end: u64) -> Result<u64, CallEnd> {
        // Of the time left after it, whatever the clock is set to meanwhile.
        let spared = Span(ctx.left().0.saturating_sub(self.drain_timeout.0));
        let mut had = None;
        loop {
            if let Ok(progress) = self.port.progress(&self.target, within(ctx, CALL)).await {
                if progress.replid != detail.replid || !progress.replica {
                    let says = format!("{} went to another history; nothing was changed", self.target.name);
                    return Err(CallEnd::rejected(false, says));
                }
                had = progress.offset;
            }
            if let Some(offset) = had.filter(|had| *had >= end) {
                return Ok(offset);
            }
            if ctx.left() <= spared || !ctx.sleep(POLL).await {
                let had = had.map_or("unknown".into(), |offset| offset.to_string());
                let says = format!(
                    "not promoted: {} has {had} of {end} after {}, and {} stays fenced. Either let it catch up and \
                     retry, or take the fence back as its step says.",
                    self.target.name, self.drain_timeout, self.old.name
                );
                return Err(CallEnd::rejected(false, says));
            }
        }
    }

    /// Looks every few milliseconds until the deadline; a look that fails is not an end.
    async fn promoted(&self, ctx: &Ctx) -> bool {
        loop {
            if let Ok(progress) = self.port.progress(&self.target, within(ctx, CALL)).await
                && !progress.replica
            {
                return true;
            }
            if !ctx.sleep(POLL).await {
                return false;
            }
        }
    }

    fn not_told(&self, trouble: Trouble, state: &str) -> CallEnd {
        let target = &self.target.name;
        match trouble {
            Trouble::Silent(silent) => CallEnd::rejected(
                true,
                format!("{target} was not told to promote ({}); {state}", silent.says),
            ),
            Trouble::Denied { sqlstate, says } => {
                CallEnd::rejected(false, format!("{target} refused ({sqlstate}: {says}); {state}"))
            }
            Trouble::Ours { says } => CallEnd::rejected(false, says),
            Trouble::Doubt { says } => {
                CallEnd::indeterminate(format!("{target} may have been told to promote: {says}"))
            }
        }
    }
}
