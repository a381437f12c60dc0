//! Carries out a move that is on record: looks once more, holds and drains a living primary, tells one Sentinel once, and
//! looks until all of them and both servers say the same. Whatever the end, a held server is let go, or it is said.

use super::super::look::{CALL, LOOK, unasked, untouched, window, within, written};
use super::super::node::{MinReplicas, Node, Place};
use super::super::port::{Attempt, Trouble};
use super::super::promote::loss;
use super::Move;
use super::look::{Evidence, Leader, State};
use super::plan::Detail;
use crate::kernel::domain::{CallEnd, CallResult, Span, Time};
use crate::kernel::journal::Permit;
use crate::kernel::port::Ctx;
use serde::Deserialize;
use serde_json::{Value, json};

const POLL: Span = Span::millis(200);
/// While writes are refused.
const DRAIN_POLL: Span = Span::millis(5);
/// What is left of the step's time to let the held one go.
const SPARED: Span = Span::secs(8);
/// Looks in a row, over a second, at which nothing is under way any more and nothing has changed.
const GIVEN_UP: u32 = 6;

/// What was planned.
struct Plan {
    via: Place,
    epoch: u64,
    replid: String,
    lives: bool,
}

/// How the Sentinels came to an end.
enum End {
    Moved,
    Other(Place),
    GivenUp,
    Unseen(String),
}

impl Move {
    pub(super) async fn carry_out(&self, ctx: &Ctx, permit: Permit) -> CallEnd {
        match Detail::deserialize(&permit.change().detail) {
            Ok(Detail::Move { via, epoch, replid, lives }) => {
                self.carry_over(ctx, &Plan { via, epoch, replid, lives }).await
            }
            Ok(Detail::Release { before }) => self.only_release(ctx, before).await,
            Err(_) => {
                CallEnd::rejected(false, "PM3109: the change on record cannot be read; nothing was changed")
            }
        }
    }

    async fn only_release(&self, ctx: &Ctx, before: MinReplicas) -> CallEnd {
        let (state, _) = match self.look(ctx).await {
            Ok(seen) => seen,
            Err(error) => return CallEnd::rejected(false, error.to_string()),
        };
        if state.leader != Some(Leader::New) || state.old_role != "replica" || state.held != Some(before) {
            let says = format!("{} is not as it was planned for; nothing was changed", self.old.name);
            return CallEnd::rejected(true, says);
        }
        match self.give_back(ctx, before).await {
            Ok(file) => CallEnd::applied(json!({ "released": true, "file": file })),
            Err(trouble) => untouched(trouble),
        }
    }

    async fn carry_over(&self, ctx: &Ctx, plan: &Plan) -> CallEnd {
        if let Err(end) = self.ready(ctx, plan, false).await {
            return end;
        }
        let held = match self.hold(ctx, plan).await {
            Ok(held) => held,
            Err(end) => return end,
        };
        let end = self.held(ctx, plan, held.is_some()).await;
        match held {
            Some(before) => self.let_go(ctx, before, end).await,
            None => end,
        }
    }

    /// From here on a living one takes no writes.
    async fn held(&self, ctx: &Ctx, plan: &Plan, held: bool) -> CallEnd {
        let drained = match plan.lives {
            true => match self.drain(ctx, plan).await {
                Ok(at) => Some(at),
                Err(end) => return end,
            },
            false => None,
        };
        let (looked, seen) = (ctx.now(), self.ready(ctx, plan, held).await);
        let had = match seen {
            Ok(evidence) => evidence.new.node().and_then(|node| node.offset),
            Err(end) => return end,
        };
        let Some(n) = self.at.places().position(|place| place == plan.via) else {
            let says = format!("PM3531: {} is no configured Sentinel any more; nothing was sent", plan.via);
            return CallEnd::rejected(true, says);
        };
        let told = self.port.sentinel_failover(&self.at, n, within(ctx, CALL)).await;
        if let Err(trouble) = told.as_ref()
            && let Some(end) = self.not_told(trouble, &plan.via)
        {
            return end;
        }
        // One that may have been heard is watched, too.
        let window = window(ctx, looked);
        let (end, state) = self.watch(ctx, plan).await;
        let rpo = loss(&ctx.samples.recent(&self.new.name), Some(&plan.replid), had, drained);
        let detail = json!({ "via": plan.via, "epoch": { "from": plan.epoch, "to": state.map(|state| state.epoch) },
            "from": plan.replid, "had": had, "rpo": rpo, "window_ms": window });
        self.ended(end, detail)
    }

    fn ended(&self, end: End, mut detail: Value) -> CallEnd {
        match end {
            End::Moved => CallEnd::applied(detail),
            // Rejected is for what provably did nothing.
            End::Other(place) => {
                detail["promoted"] = json!(place);
                detail["instead_of"] = json!(self.new.name);
                detail["code"] = json!("PM3525");
                CallEnd::applied(detail)
            }
            End::GivenUp => CallEnd::indeterminate(format!(
                "PM3532: the Sentinels began the failover and gave it up: {} still leads, and {} is seen as a replica",
                self.old.name, self.new.name
            )),
            End::Unseen(why) => CallEnd::indeterminate(format!(
                "PM3532: a Sentinel was told to fail over, and no end of that is seen ({why})"
            )),
        }
    }

    /// The last look before the first change, and the last one before the call.
    async fn ready(&self, ctx: &Ctx, plan: &Plan, held: bool) -> Result<Evidence, CallEnd> {
        let not = |retry, why: String| CallEnd::rejected(retry, format!("PM3531: nothing was sent: {why}"));
        let (state, evidence) = self.look(ctx).await.map_err(|error| not(false, error.to_string()))?;
        match self.is_other(&state, &evidence, plan, held) {
            Some((retry, why)) => Err(not(retry, why)),
            None => Ok(evidence),
        }
    }

    /// Why this is not what was planned for any more, and whether a later look may find it again.
    fn is_other(
        &self,
        state: &State,
        evidence: &Evidence,
        plan: &Plan,
        held: bool,
    ) -> Option<(bool, String)> {
        let (old, new) = (&self.old.name, &self.new.name);
        if let Some(why) = &state.foreign {
            return Some((false, why.clone()));
        }
        let silent = evidence.silent.get(&plan.via.to_string()).map(|why| format!("{}: {why}", plan.via));
        let passing =
            [state.few.clone(), silent, state.disagree.clone(), state.no_quorum.clone(), state.busy.clone()];
        if let Some(why) = passing.into_iter().flatten().next() {
            return Some((true, why));
        }
        if state.under_way || state.electing {
            return Some((true, "a failover is under way already".into()));
        }
        if state.leader == Some(Leader::New) {
            return Some((true, format!("the Sentinels were faster, and {new} leads already")));
        }
        if state.leader != Some(Leader::Old) || state.epoch != plan.epoch {
            return Some((false, format!("{old} does not lead any more, or another epoch has begun")));
        }
        if let Some(why) = state.barred.as_ref().or(state.rival.as_ref()) {
            return Some((true, format!("they would not promote {new} any more: {why}")));
        }
        let same = state.new_role == "replica" && state.replid.as_ref() == Some(&plan.replid);
        if !same || !state.whole || (state.empty != Some(false) && !self.may_be_empty) {
            return Some((false, format!("{new} is not the replica that was planned for")));
        }
        match (plan.lives, state.old_role.as_str()) {
            (true, "primary") if !held || state.held.is_some() => None,
            (true, "primary") => Some((false, format!("somebody let {old} go"))),
            (true, role) => Some((true, format!("{old} was to be held and is {role}"))),
            (false, "unreachable") => None,
            (false, role) => Some((false, format!("{old} answers again, as a {role}"))),
        }
    }

    /// What was set before; `None`: nothing was held by us, since it is silent, or is fenced by somebody.
    async fn hold(&self, ctx: &Ctx, plan: &Plan) -> Result<Option<MinReplicas>, CallEnd> {
        if !plan.lives {
            return Ok(None);
        }
        let node = self.port.node(&self.old, within(ctx, CALL)).await.map_err(unasked)?;
        if let Some(before) = node.min_replicas.before_hold() {
            return Ok(Some(before));
        }
        let Some(hold) = node.min_replicas.hold() else {
            let says = format!(
                "{} refuses writes by {} min-replicas-to-write already: take that fence back first; nothing was changed",
                self.old.name, node.min_replicas.to_write
            );
            return Err(CallEnd::rejected(false, says));
        };
        match self.port.set_min_replicas(&self.old, hold, within(ctx, CALL)).await {
            Ok(()) => Ok(Some(node.min_replicas)),
            // It may have been heard.
            Err(trouble @ Trouble::Doubt { .. }) => {
                Err(self.let_go(ctx, node.min_replicas, untouched(trouble)).await)
            }
            Err(trouble) => Err(untouched(trouble)),
        }
    }

    /// A fresh write is refused, and the new one has all there is.
    async fn drain(&self, ctx: &Ctx, plan: &Plan) -> Result<Time, CallEnd> {
        let (old, new) = (&self.old.name, &self.new.name);
        let not = |says: String| CallEnd::rejected(true, format!("PM3531: nothing was sent: {says}"));
        match self.port.write_attempt_as_app(&self.old, within(ctx, LOOK)).await {
            Ok(attempt) if attempt.proves_fence() => {}
            Ok(Attempt::Accepted) => return Err(not(format!("{old} takes writes although it is held"))),
            Ok(Attempt::Refused { says, .. }) => {
                return Err(not(format!("whether {old} refuses writes is not known: {says}")));
            }
            Err(trouble) => return Err(not(format!("whether {old} refuses writes is not known: {trouble}"))),
        }
        let end = self.port.progress(&self.old, within(ctx, CALL)).await.map_err(unasked)?;
        let Some(end) = end.offset.filter(|_| !end.replica && end.replid == plan.replid) else {
            return Err(not(format!("{old} is not the primary that was planned for")));
        };
        let spared = Span(ctx.left().0.saturating_sub(self.drain_timeout.0)).max(SPARED);
        loop {
            let progress = self.port.progress(&self.new, within(ctx, CALL)).await;
            let had = progress
                .ok()
                .filter(|one| one.replica && one.replid == plan.replid)
                .and_then(|one| one.offset);
            if had.is_some_and(|had| had >= end) {
                return Ok(ctx.now());
            }
            if ctx.left() <= spared || !ctx.sleep(DRAIN_POLL).await {
                let had = had.map_or("unknown".into(), |had| had.to_string());
                return Err(not(format!("{new} has {had} of {end} after {}", self.drain_timeout)));
            }
        }
    }

    /// In the Sentinel's own words. `None`: it may have been told.
    fn not_told(&self, trouble: &Trouble, via: &Place) -> Option<CallEnd> {
        Some(match trouble {
            Trouble::Denied { sqlstate, says } => {
                let says =
                    format!("PM3530: the Sentinel {via} refused: {sqlstate} {says}; nothing was moved");
                CallEnd::rejected(sqlstate == "INPROG", says)
            }
            Trouble::Silent(silent) => {
                let says = format!("PM3531: nothing was sent to {via} ({}: {})", silent.layer, silent.says);
                CallEnd::rejected(true, says)
            }
            Trouble::Ours { says } => CallEnd::rejected(false, format!("PM3531: nothing was sent: {says}")),
            Trouble::Doubt { .. } => return None,
        })
    }

    /// Until all that answer say the same, and both servers do.
    async fn watch(&self, ctx: &Ctx, plan: &Plan) -> (End, Option<State>) {
        let (mut quiet, mut why, mut last) = (0, String::from("nothing was seen"), None);
        while ctx.left() > SPARED && ctx.sleep(POLL).await {
            let Ok((state, evidence)) = self.look(ctx).await else { continue };
            let before = std::mem::take(&mut quiet);
            match state.leader.clone().filter(|_| is_clear(&state)) {
                Some(Leader::New) if state.new_role == "primary" && state.old_role != "primary" => {
                    return (End::Moved, Some(state));
                }
                Some(Leader::New) => self.demote(ctx, &evidence).await,
                Some(Leader::Other(place)) => return (End::Other(place), Some(state)),
                // As it was, and whoever was told says so, too.
                Some(Leader::Old)
                    if self.stays(&state) && evidence.answers.contains_key(&plan.via.to_string()) =>
                {
                    quiet = before + 1;
                }
                _ => {}
            }
            if quiet >= GIVEN_UP {
                return (End::GivenUp, Some(state));
            }
            why =
                format!("{} is a {}, {} a {}", self.new.name, state.new_role, self.old.name, state.old_role);
            last = Some(state);
        }
        (End::Unseen(why), last)
    }

    fn stays(&self, state: &State) -> bool {
        state.leader == Some(Leader::Old) && state.new_role == "replica" && state.old_role != "replica"
    }

    /// The Sentinels do this some ten seconds later, by the same address; until then nobody follows the new one. A held
    /// server has nothing of its own.
    async fn demote(&self, ctx: &Ctx, evidence: &Evidence) {
        let held = |node: &&Node| node.min_replicas.before_hold().is_some();
        let place = evidence.answers.values().next().map(|answer| &answer.master.place);
        if let (Some(_), Some(place)) = (evidence.old.primary().filter(held), place) {
            let _seen_by_the_next_look = self.port.follow(&self.old, place, within(ctx, CALL)).await;
        }
    }

    /// Sets back what was set before, in the file too: a Sentinel has the file written when it makes a server a replica.
    async fn give_back(&self, ctx: &Ctx, before: MinReplicas) -> Result<Value, Trouble> {
        let node = self.port.node(&self.old, within(ctx, CALL)).await?;
        self.port.set_min_replicas(&self.old, before, within(ctx, CALL)).await?;
        Ok(written(self.port.as_ref(), &self.old, node.config_file, ctx).await)
    }

    /// Not while it is open who leads: a second writer would be worse than none.
    async fn let_go(&self, ctx: &Ctx, before: MinReplicas, mut end: CallEnd) -> CallEnd {
        let safe = match self.look(ctx).await {
            Ok((state, _)) => is_clear(&state) && (state.old_role == "replica" || self.stays(&state)),
            Err(_) => false,
        };
        let done = match safe {
            true => self.give_back(ctx, before).await.map_err(|trouble| trouble.to_string()),
            false => Err("who leads is not clear yet".into()),
        };
        let says = match done {
            Ok(file) => {
                if end.result == CallResult::Applied {
                    end.detail["file"] = file;
                }
                return end;
            }
            Err(says) => format!(
                "{} is still held and refuses writes ({says}): config set min-replicas-to-write {} gives it back",
                self.old.name, before.to_write
            ),
        };
        match (end.result, &end.detail) {
            (CallResult::Applied, _) => {
                CallEnd::indeterminate(format!("PM3532: {} leads; {says}", self.new.name))
            }
            (_, detail) => {
                let first = detail.as_str().map_or_else(|| detail.to_string(), str::to_owned);
                CallEnd::indeterminate(format!("{first}; {says}"))
            }
        }
    }
}

fn is_clear(state: &State) -> bool {
    state.few.is_none() && state.disagree.is_none() && !state.under_way
}
