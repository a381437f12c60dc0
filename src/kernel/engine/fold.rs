//! The transition table: a record applied to what is known. Anything the table does not allow is `Illegal`.

use super::back::Open;
use super::item::FRESH_STARTS;
use super::overrides::is_word;
use super::{Consent, Hold, ItemPhase, ItemState, Run, Seen, pace};
use crate::domain::{
    Call, CallEnd, CallResult, Change, Form, ItemId, ItemRole, Outcome, Record, Resolved, Span, Stamped,
    StepPlan, Time, Told, WhyObserved,
};
use std::sync::Arc;

/// A record that cannot follow what stands before it. Both sides are in the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {kind} (sequence {seq}) cannot follow: {why}")]
pub struct Illegal {
    pub kind: &'static str,
    pub seq: u64,
    pub why: String,
}

impl Run {
    /// Begins a run from its first record.
    pub fn open(first: &Stamped) -> Result<Run, Illegal> {
        let Record::Opened(spec) = &first.record else {
            return Err(Illegal {
                kind: first.record.kind(),
                seq: first.seq,
                why: "a run begins with `opened`".into(),
            });
        };
        let spec: Arc<Resolved> = Arc::new((**spec).clone());
        Ok(Run {
            seq: first.seq,
            at: first.at,
            opened: first.at,
            epoch: spec.epoch,
            owner: spec.owner.clone(),
            items: spec.items.iter().map(|_| ItemState::new()).collect(),
            spec,
            plan: None,
            consent: Consent::None,
            expiries: 0,
            hold: None,
            overrides: Default::default(),
            aborted: None,
            closed: None,
            undoing: None,
            freezes: vec![],
            lifted: Default::default(),
            spent: None,
            look_anew: false,
            resolved: false,
            late: false,
            first_change: None,
            deadline_from: None,
            committed: None,
            losses: Default::default(),
            end_says: None,
            finished: None,
            ended: None,
            watches: Default::default(),
            window: Default::default(),
        })
    }

    /// The whole fold.
    pub fn fold(records: &[Stamped]) -> Result<Run, Illegal> {
        let (first, rest) = records.split_first().ok_or(Illegal {
            kind: "none",
            seq: 0,
            why: "there is no such run".into(),
        })?;
        let mut run = Run::open(first)?;
        rest.iter().try_for_each(|s| run.apply(s))?;
        Ok(run)
    }

    pub fn apply(&mut self, stamped: &Stamped) -> Result<(), Illegal> {
        let illegal = |why: String| Err(Illegal { kind: stamped.record.kind(), seq: stamped.seq, why });
        if stamped.seq != self.seq + 1 {
            return illegal(format!("the run stands at sequence {}", self.seq));
        }
        let after = matches!(stamped.record, Record::FenceWatch { .. } | Record::CommitWindow { .. });
        if self.finished.is_some() && !after {
            return illegal("the run is finished".into());
        }
        let at = stamped.at;
        let done = match &stamped.record {
            Record::Taken { epoch, owner, gap } => self.on_taken(*epoch, owner, *gap, at),
            Record::Clock { jump, .. } => self.time_was_lost(Span(jump.unsigned_abs()), at),
            Record::Observed { item, rung, why, seen, plan, undo } => {
                let back = usize::from(*item) < self.items.len() && self.turned(*item);
                // A look that was on its way when the run turned speaks of the other direction.
                if back != *undo {
                    self.seq = stamped.seq;
                    self.at = at;
                    return Ok(());
                }
                if let Ok(seen) = seen {
                    self.note_loss(*item, &seen.evidence, false);
                }
                self.on_observed(*item, *rung, *why, plan, at)
            }
            Record::Planned(sheet) => {
                self.plan = Some((**sheet).clone());
                self.hold = None;
                self.consent = Consent::None;
                Ok(())
            }
            Record::Asked { digest, item, until, .. } => self.on_asked(*digest, *item, *until, at),
            decided @ Record::Decided { .. } => self.on_decided(decided, at),
            Record::Passed { by, .. } => self.on_passed(by, at),
            Record::Told { what, by, reason } => self.on_told(what, by, reason, at),
            Record::Intended { call, change, .. } => self.on_intended(*call, change, at),
            Record::Ended { call, end } => {
                self.note_loss(call.item, &end.detail, true);
                self.on_ended(*call, end, at)
            }
            Record::Parked { item, doubt, why } => self.on_parked(*item, *doubt, why, at),
            Record::Held { why, until, .. } => {
                self.on_held(Hold { why: why.clone(), until: *until }, at);
                Ok(())
            }
            word if is_word(word) => {
                self.on_freeze(word, at);
                self.on_override(word, at);
                Ok(())
            }
            Record::Finished { outcome, says, .. } => self.on_finished(*outcome, says, at),
            Record::Undoing { why } => self.on_undoing(why),
            Record::FenceWatch { target, rung, state, says, .. } => {
                self.on_fence_watch(target, *rung, *state, says, at)
            }
            Record::CommitWindow { item, state, says } => self.on_window(*item, *state, says),
            other => Err(format!("{} is no record of a run", other.kind())),
        };
        if let Err(why) = done {
            return illegal(why);
        }
        self.seq = stamped.seq;
        self.at = at;
        Ok(())
    }

    fn on_finished(&mut self, outcome: Outcome, says: &str, at: Time) -> Result<(), String> {
        self.finished = Some(outcome);
        self.end_says = Some(says.to_owned());
        self.ended = Some(at);
        Ok(())
    }

    pub(super) fn at_mut(&mut self, id: ItemId) -> Result<&mut ItemState, String> {
        self.items.get_mut(usize::from(id)).ok_or_else(|| format!("there is no item {id}"))
    }

    fn on_observed(
        &mut self,
        id: ItemId,
        rung: u8,
        why: WhyObserved,
        plan: &StepPlan,
        at: Time,
    ) -> Result<(), String> {
        let guard = self.spec.items.get(usize::from(id)).is_some_and(|i| i.role == ItemRole::Guard);
        let last = self.is_last_rung(id, rung);
        // A refusal stops the ladder ("must not"); only not knowing, or not being able to, goes on to the next rung.
        let stepped = !last && matches!(plan, StepPlan::Unknown(_));
        let planning = why == WhyObserved::Plan;
        let proves = self.rung(id, rung).proves.clone();
        let turned = usize::from(id) < self.items.len() && self.turned(id);
        let state = self.at_mut(id)?;
        let seen = Seen { rung, plan: plan.clone(), at };
        state.polls += 1;
        if let (false, StepPlan::Change(change)) = (turned, plan) {
            state.before_undo = change.before_undo.clone().map(Form::Check).or(state.before_undo.take());
        }
        if planning {
            match stepped {
                true => state.plan_rung = rung + 1,
                false => state.planned = Some(seen.clone()),
            }
        }
        if guard || planning {
            state.seen = Some(seen);
            return Ok(());
        }
        if turned && state.back.is_none() {
            state.seen = Some(seen);
            return Ok(());
        }
        if state.back.is_some() {
            state.start(at);
            state.seen = Some(seen);
            self.on_observed_back(id, plan, at);
            return Ok(());
        }
        if matches!(state.phase, ItemPhase::Done { .. }) {
            self.on_looked_again(id, plan, stepped, at);
            return Ok(());
        }
        state.start(at);
        state.seen = Some(seen);
        if state.rung == rung {
            state.settle(plan, &proves, stepped, at);
        }
        self.note_commit(id, at);
        Ok(())
    }

    fn on_asked(
        &mut self,
        digest: crate::domain::Digest,
        item: Option<ItemId>,
        until: Option<Time>,
        at: Time,
    ) -> Result<(), String> {
        match (item, until) {
            (Some(id), _) => {
                let state = self.at_mut(id)?;
                state.phase = ItemPhase::AwaitingPerson;
                state.start(at);
                Ok(())
            }
            (None, Some(until)) => {
                self.consent = Consent::Asked { digest, until, yes: vec![], passed: vec![] };
                Ok(())
            }
            (None, None) => Err("an approval is asked for until a time".into()),
        }
    }

    fn on_intended(&mut self, call: Call, change: &Change, at: Time) -> Result<(), String> {
        self.first_change.get_or_insert(at);
        self.look_anew = false;
        self.deadline_from.get_or_insert(at);
        self.late = false;
        let seq = self.seq + 1;
        let state = self.at_mut(call.item)?;
        if call.undo != state.back.is_some() {
            return Err(format!("item {} does not go that way", call.item));
        }
        if state.phase != ItemPhase::Idle || state.numbered + 1 != call.attempt {
            return Err(format!("item {} is {:?} after attempt {}", call.item, state.phase, state.numbered));
        }
        state.start(at);
        state.rung = call.rung;
        state.attempts += 1;
        state.numbered = call.attempt;
        state.intended = seq;
        state.rejected = None;
        state.polls = 0;
        state.phase = ItemPhase::InFlight { call, change: Box::new(change.clone()) };
        Ok(())
    }

    fn on_ended(&mut self, call: Call, end: &CallEnd, at: Time) -> Result<(), String> {
        let (run, retry) = (self.spec.run.clone(), self.item(call.item).retry);
        let last = call.undo || self.is_last_rung(call.item, call.rung);
        let state = self.at_mut(call.item)?;
        let ItemPhase::InFlight { call: flying, change } = state.phase.clone() else {
            return Err(format!("item {} has no call in flight", call.item));
        };
        if flying != call {
            return Err(format!("attempt {} is in flight, not {}", flying.attempt, call.attempt));
        }
        state.polls = 0;
        state.phase = match end.result {
            CallResult::Applied => {
                if !call.undo {
                    state.note_made(call.rung, &change, Open::No);
                }
                ItemPhase::Applied { call, change, since: at }
            }
            CallResult::Indeterminate => {
                if !call.undo {
                    state.note_made(call.rung, &change, Open::of(&change, at));
                }
                ItemPhase::Doubt { call, change, since: at }
            }
            CallResult::Rejected { retry: again } => {
                state.seen = None;
                if !end.was_sent() {
                    state.attempts = state.attempts.saturating_sub(1);
                    // Nor is it the step's time, in which this process stood still.
                    if state.numbered <= FRESH_STARTS {
                        state.rung_began = Some(at);
                    }
                }
                let says = end.detail.as_str().map_or_else(|| end.detail.to_string(), str::to_owned);
                let spent = !again || state.attempts >= retry.attempts;
                if spent && !last {
                    state.step_up(call.rung);
                } else {
                    state.rejected = Some((!spent, says));
                    state.not_before = Some(at + pace::backoff(&retry, state.attempts, &run));
                }
                ItemPhase::Idle
            }
        };
        if let CallResult::Applied = end.result {
            self.note_commit(call.item, at);
        }
        Ok(())
    }

    fn on_parked(
        &mut self,
        item: Option<ItemId>,
        doubt: bool,
        why: &[crate::domain::Reason],
        at: Time,
    ) -> Result<(), String> {
        let Some(id) = item else { return Err("a parked record names its item".into()) };
        if let Some(rule) = self.item(id).accept_unfenced.clone() {
            // What was accepted before this stop is not accepted after it, whatever other way to fence there is.
            self.overrides.remove(&rule.target);
        }
        let back = self.state(id).back.is_some();
        let optional = self.item(id).optional && !back;
        let rung = self.state(id).rung;
        let last = back || self.is_last_rung(id, rung);
        let state = self.at_mut(id)?;
        if !last {
            // A ladder goes on: a stronger fence on top of a doubtful weaker one does no harm.
            state.step_up(rung);
            state.phase = ItemPhase::Idle;
            return Ok(());
        }
        state.ended = Some(at);
        let why = why.to_vec();
        state.phase = match optional {
            true => ItemPhase::GaveUp { why },
            false => ItemPhase::Parked { why, doubt },
        };
        Ok(())
    }

    fn on_held(&mut self, hold: Hold, at: Time) {
        if matches!(&self.consent, Consent::Asked { until, .. } if at >= *until) {
            self.expiries += 1;
        }
        self.hold = Some(hold);
        self.forget_plan();
    }

    pub(super) fn forget_plan(&mut self) {
        self.plan = None;
        self.consent = Consent::None;
        for state in &mut self.items {
            state.planned = None;
            state.plan_rung = 0;
        }
    }

    fn on_told(
        &mut self,
        what: &Told,
        by: &crate::domain::Actor,
        reason: &str,
        at: Time,
    ) -> Result<(), String> {
        let said = Some((by.clone(), reason.to_owned()));
        match what {
            Told::Abort => self.aborted = said,
            Told::Close => self.closed = said,
            Told::Resolved => {
                self.resolved = true;
                // What guards said before it says nothing of it.
                for id in self.ids_of(ItemRole::Guard).collect::<Vec<_>>() {
                    self.items[usize::from(id)].seen = None;
                }
            }
            Told::Retry(id) => return self.on_retry(*id, at),
            Told::Confirm(id) => return self.on_confirm(*id, at),
            Told::Skip(id) => return self.on_skip(*id, by, reason, at),
            Told::Replan => self.forget_plan(),
            Told::Pause | Told::Resume => {
                return Err("not in this version".into());
            }
        }
        Ok(())
    }

    /// A named override takes the place of the fence step that could not prove its fence.
    pub(super) fn skip_overridden(&mut self, at: Time) {
        for id in self.ids() {
            let Some(rule) = self.item(id).accept_unfenced.clone() else { continue };
            let Some(accepted) = self.overrides.get(&rule.target).cloned() else { continue };
            let state = &mut self.items[usize::from(id)];
            if matches!(state.phase, ItemPhase::Parked { .. } | ItemPhase::AwaitingPerson) {
                state.ended = Some(at);
                let why = format!("{} accepted that {} is not fenced", accepted.by, rule.target);
                state.phase = ItemPhase::Skipped { why };
            }
        }
    }

    fn note_commit(&mut self, id: ItemId, at: Time) {
        let reached = matches!(self.state(id).phase, ItemPhase::Done { .. } | ItemPhase::Applied { .. });
        if self.item(id).commit_point && reached {
            self.committed.get_or_insert(at);
        }
    }
}
