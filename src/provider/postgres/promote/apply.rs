//! Carries out a promotion that is on record: drain, free the commits, signal, and look until it is there.

use super::Promote;
use crate::kernel::domain::{CallEnd, Lsn, Span};
use crate::kernel::journal::Permit;
use crate::kernel::port::Ctx;
use crate::provider::postgres::look::{LOOK, within};
use crate::provider::postgres::node::Progress;
use crate::provider::postgres::port::Trouble;
use crate::provider::postgres::rpo::{Ends, rpo};
use serde::Deserialize;
use serde_json::json;

const CALL: Span = Span::secs(3);
const POLL: Span = Span::millis(5);
/// What has not come after a second is looked for less often.
const PATIENT: Span = Span::millis(100);
const SOON: Span = Span::secs(1);

#[derive(Deserialize)]
struct Detail {
    timeline: u32,
    system: String,
    drain_to: Option<Lsn>,
    clear_sync: bool,
}

impl Promote {
    pub(super) async fn carry_out(&self, ctx: &Ctx, permit: Permit) -> CallEnd {
        let Ok(detail) = Detail::deserialize(&permit.change().detail) else {
            return CallEnd::rejected(
                false,
                "PM3109: the change on record cannot be read; nothing was changed",
            );
        };
        let before = match self.ready(ctx, &detail).await {
            Ok(progress) => progress,
            Err(end) => return end,
        };
        let drained = match detail.drain_to {
            Some(end) => match self.drain(ctx, &detail, end).await {
                Ok(()) => Some(ctx.now()),
                Err(end) => return end,
            },
            None if self.planned => {
                let says = format!("not promoted: {}. Nothing was changed.", self.no_end());
                return CallEnd::rejected(false, says);
            }
            None => None,
        };
        if let Some(end) = self.old_lives(ctx).await {
            return end;
        }
        if detail.clear_sync
            && let Err(trouble) = self.port.clear_sync_standbys(&self.target, within(ctx, CALL)).await
        {
            return self.not_signalled(trouble, "synchronous_standby_names may be changed");
        }
        if let Err(trouble) = self.port.signal_promote(&self.target, within(ctx, CALL)).await {
            return self.not_signalled(trouble, "nothing else was changed");
        }
        match self.promoted(ctx).await {
            Some(after) => {
                let had = after.replayed.or(before.position);
                let samples = ctx.samples.recent(&self.target.name);
                let rpo = rpo(&samples, Ends { timeline: Some(detail.timeline), had, drained });
                CallEnd::applied(json!({ "timeline": after.timeline, "had": had, "rpo": rpo }))
            }
            None => CallEnd::indeterminate(format!(
                "{} was told to promote and is still in recovery at the deadline. The signal stands: it may \
                still become a primary. It replays what it can get first; see its log.",
                self.target.name
            )),
        }
    }

    /// The last look before the first change.
    async fn ready(&self, ctx: &Ctx, detail: &Detail) -> Result<Progress, CallEnd> {
        let progress = self.port.progress(&self.target, within(ctx, CALL)).await;
        let progress =
            progress.map_err(|trouble| CallEnd::rejected(true, format!("nothing was changed: {trouble}")))?;
        let same = progress.system.as_deref() == Some(detail.system.as_str())
            && progress.timeline == Some(detail.timeline);
        if !progress.in_recovery || !same {
            let says =
                format!("{} is not the standby that was planned for; nothing was changed", self.target.name);
            return Err(CallEnd::rejected(false, says));
        }
        Ok(progress)
    }

    /// Right before the point of no return: a fence that was proven, by whatever rung, may have been taken back
    /// since. A server that does not answer leaves its fence as it was proven; one that answers as an unfenced
    /// primary would be a second writer.
    async fn old_lives(&self, ctx: &Ctx) -> Option<CallEnd> {
        let node = self.port.node(&self.old, within(ctx, LOOK)).await.ok()?;
        let fenced = node.hba_fenced == Some(true) || node.read_only;
        (!node.in_recovery && !fenced).then(|| {
            let says = format!(
                "not promoted: {} answers as a primary, and its fence is not in place any more: two writers \
                would diverge. Nothing was changed. Fence it again, then retry.",
                self.old.name
            );
            CallEnd::rejected(false, says)
        })
    }

    /// Waits until the standby has all of the fenced primary's log; in a planned move, until it has replayed it, so that the
    /// promotion itself takes no time. Bounded; on time-out nothing is promoted.
    async fn drain(&self, ctx: &Ctx, detail: &Detail, end: Lsn) -> Result<(), CallEnd> {
        // Of the time left after it, whatever the clock is set to meanwhile.
        let spared = Span(ctx.left().0.saturating_sub(self.drain_timeout.0));
        let (mut had, began) = (None, ctx.left());
        loop {
            if let Ok(progress) = self.port.progress(&self.target, within(ctx, CALL)).await {
                if progress.timeline != Some(detail.timeline) {
                    let says = format!("{} went to another timeline; nothing was changed", self.target.name);
                    return Err(CallEnd::rejected(false, says));
                }
                had = if self.planned { progress.replayed } else { progress.position };
            }
            if had >= Some(end) {
                return Ok(());
            }
            let soon = began.0.saturating_sub(ctx.left().0) < SOON.0;
            if ctx.left() <= spared || !ctx.sleep(if soon { POLL } else { PATIENT }).await {
                let had = had.map_or("unknown".into(), |position| position.to_string());
                return Err(CallEnd::rejected(
                    false,
                    format!(
                        "not promoted: {} has {had} of {end} after {}, and {} stays fenced. Either let it \
                        catch up and retry, or take the fence back as its step says.",
                        self.target.name, self.drain_timeout, self.old.name
                    ),
                ));
            }
        }
    }

    /// Looks every few milliseconds until the deadline; a look that fails is not an end.
    async fn promoted(&self, ctx: &Ctx) -> Option<Progress> {
        loop {
            if let Ok(progress) = self.port.progress(&self.target, within(ctx, CALL)).await
                && !progress.in_recovery
            {
                return Some(progress);
            }
            if !ctx.sleep(POLL).await {
                return None;
            }
        }
    }

    fn not_signalled(&self, trouble: Trouble, state: &str) -> CallEnd {
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
