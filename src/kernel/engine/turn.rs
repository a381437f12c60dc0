//! Whether a run goes back, and in which order: called off by a person, a step that failed and says so, or an alert
//! that is over while users are served. Only before the commit point; after it a run goes forward.

use super::back::Way;
use super::rules::Ahead;
use super::{ItemPhase, Next, Run, next::Act, steps::park};
use crate::domain::{
    Fact, Form, ItemId, ItemRole, OnFailure, Outcome, Reason, Record, StepPlan, Time, WhyObserved,
};
use std::cmp::Reverse;

impl Run {
    /// A person's abort or a step's `on_failure` turns the run; an alert that is over may. `None`: it goes on as it is.
    pub(super) fn next_of_turn(&self, now: Time) -> Option<Next> {
        if self.first_change.is_none() || self.committed.is_some() {
            return None;
        }
        let wanted = self.wants_back();
        // Frozen, nothing begins by itself, the way back neither; a person's abort does.
        if self.paused() && self.aborted.is_none() {
            return None;
        }
        if wanted.is_none() && !self.asks_whether_well() {
            return None;
        }
        let mut next = Next::default();
        if self.calls_open() {
            let next = self.next_of_open_calls(now);
            return Some(next.says("stopping: what is on its way is seen to its end first"));
        }
        match (wanted, self.commit_in_doubt()) {
            (None, Some(_)) => return None,
            (None, None) => return self.next_of_resolved(now),
            (Some(why), None) => next.record(Record::Undoing { why: vec![why] }),
            (Some(_), Some(id)) if self.state(id).phase == ItemPhase::Idle => {
                let says = "it may have been told to happen, and may still: what came before it (the fence) is not taken \
                            back beside that. Look at the target; retry goes on, close ends the run as it stands";
                next.record(park(id, true, "PM5707", says));
            }
            (Some(_), Some(_)) => {}
        }
        Some(next.says(self.where_it_stands()))
    }

    /// Nothing begins; what is on its way is seen to its end.
    pub(super) fn next_of_open_calls(&self, now: Time) -> Next {
        let mut next = Next::default();
        for id in self.ids().filter(|id| self.state(*id).own_change().is_some()) {
            self.next_of_item(id, now, &mut next);
        }
        next
    }

    fn wants_back(&self) -> Option<Reason> {
        if let Some((by, reason)) = &self.aborted {
            return Some(Reason::new("PM5701", format!("{by} aborted the run: {reason}")));
        }
        let failed = |(id, _, doubt): &(ItemId, &Vec<Reason>, bool)| {
            !doubt && self.item(*id).on_failure == OnFailure::Undo
        };
        let (id, why, _) = self.parked().find(failed)?;
        let why: Vec<&str> = why.iter().map(|r| r.says.as_str()).collect();
        let says = format!("{} failed, and says on_failure: undo: {}", self.item(id).name, why.join("; "));
        Some(Reason::new("PM5702", says))
    }

    /// The commit point, where there is one still ahead.
    fn commit_point(&self) -> Option<ItemId> {
        self.ids().find(|id| self.item(*id).commit_point)
    }

    fn asks_whether_well(&self) -> bool {
        self.resolved && self.commit_point().is_some()
    }

    /// A call that may still change something by itself, or is not seen in effect yet.
    pub(super) fn calls_open(&self) -> bool {
        self.items.iter().any(|i| i.own_change().is_some() && i.lingering.is_none())
    }

    /// The commit point, if it may have been passed without anybody knowing.
    pub(super) fn commit_in_doubt(&self) -> Option<ItemId> {
        let doubt = |id: &ItemId| {
            let state = self.state(*id);
            let open = matches!(
                state.phase,
                ItemPhase::Doubt { .. } | ItemPhase::Applied { .. } | ItemPhase::Parked { doubt: true, .. }
            );
            state.changed || open
        };
        self.commit_point().filter(doubt)
    }

    /// An abort now would turn the run, or call it off.
    pub fn may_abort(&self) -> bool {
        self.finished.is_none()
            && self.undoing.is_none()
            && self.aborted.is_none()
            && self.cannot_go_back().is_none()
    }

    /// Why nothing can be taken back any more.
    pub(super) fn cannot_go_back(&self) -> Option<String> {
        if self.committed.is_some() {
            let says =
                "the run is past its commit point: it can only go forward; `close` ends it as it stands";
            return Some(says.into());
        }
        let id = self.commit_in_doubt()?;
        Some(format!(
            "{} may have been told to happen, and may still: taking back what came before it could make two writers. \
             Look at the target; `retry` goes on, `close` ends the run as it stands once it is parked",
            self.item(id).name
        ))
    }

    /// Resolved alone cancels nothing. The guards say whether users are served; if not surely, people are asked.
    fn next_of_resolved(&self, now: Time) -> Option<Next> {
        let mut next = Next::default();
        let waits = self.is_parked() || self.waits_for_person();
        let fresh = |id: &ItemId| {
            self.state(*id).seen.as_ref().is_some_and(|s| waits || now.since(s.at) <= self.spec.limits.fresh)
        };
        let unseen: Vec<ItemId> = self.ids_of(ItemRole::Guard).filter(|id| !fresh(id)).collect();
        if !unseen.is_empty() {
            let look = |item| Act::Observe { item, rung: 0, why: WhyObserved::Recheck };
            next.acts.extend(unseen.into_iter().map(look));
            return Some(next.says("the alert is resolved: looking whether users are served"));
        }
        if self.served_by_the_old_side() {
            let says =
                "the alert is resolved at its source and the probes say up: users are served as before";
            next.record(Record::Undoing { why: vec![Reason::new("PM5703", says)] });
            return Some(next.says(says));
        }
        let id = self.commit_point().filter(|_| !waits)?;
        let says = "every alert is resolved, changes are made already, and it is not proven that users are served: \
                    abort takes the changes back, retry goes on, close leaves it as it is";
        next.record(park(id, false, "PM5106", says));
        Some(next.says(says))
    }

    /// Every guard that asks the source hears *resolved*, and every one that asks whether the origin is down hears *up*.
    fn served_by_the_old_side(&self) -> bool {
        let says = |kind: &str, asks: &dyn Fn(&serde_json::Value) -> bool, code: &str| {
            let mut found = self
                .ids_of(ItemRole::Guard)
                .filter(|id| {
                    let spec = self.form(*id).spec();
                    spec.is_some_and(|s| s.kind.as_str() == kind && asks(&s.with))
                })
                .peekable();
            let contrary = |id: ItemId| match self.state(id).seen.as_ref().map(|s| &s.plan) {
                Some(StepPlan::Refuse(why)) => why.iter().any(|r| r.code == code),
                _ => false,
            };
            found.peek().is_some() && found.all(contrary)
        };
        says("still_firing", &|_| true, "PM4322")
            && says("quorum", &|with| with.get("down").is_some(), "PM4310")
    }

    /// Items that this run changed, newest first.
    pub(super) fn way_back(&self) -> Vec<ItemId> {
        let seq = |id: &ItemId| self.state(*id).back.as_ref().map_or(0, |back| back.made.seq);
        let mut all: Vec<ItemId> = self.ids().filter(|id| self.state(*id).back.is_some()).collect();
        all.sort_by_key(|id| Reverse((seq(id), *id)));
        all
    }

    /// What is taken back next. `None`: all is, or a person is needed first: an undo that failed holds up what was done
    /// before it, one that is a person's deed from the start does not.
    pub(super) fn next_back(&self) -> Option<ItemId> {
        for id in self.way_back() {
            let state = self.state(id);
            let by_call = state.back.as_ref().is_some_and(|back| back.way == Way::Call);
            match &state.phase {
                ItemPhase::Done { .. } | ItemPhase::Skipped { .. } | ItemPhase::GaveUp { .. } => {}
                ItemPhase::Parked { .. } if by_call => return None,
                ItemPhase::Parked { .. } => {}
                ItemPhase::Idle
                | ItemPhase::InFlight { .. }
                | ItemPhase::Doubt { .. }
                | ItemPhase::Applied { .. }
                | ItemPhase::AwaitingPerson => return Some(id),
            }
        }
        None
    }

    pub(super) fn next_of_undo(&self, now: Time) -> Next {
        let mut next = Next::default();
        if let Some(id) = self.next_back() {
            self.next_of_back(id, now, &mut next);
        } else if self.parked().next().is_none() {
            let (outcome, says) = self.end_of_undo();
            next.record(self.finish(outcome, says));
        }
        next.says(self.where_it_stands())
    }

    fn next_of_back(&self, id: ItemId, now: Time, next: &mut Next) {
        let state = self.state(id);
        let Some(back) = &state.back else { return };
        if state.phase != ItemPhase::Idle {
            return self.next_of_item(id, now, next);
        }
        match &back.way {
            Way::Never => {
                return next.record(park(id, false, "PM5705", "it cannot be taken back: it stands"));
            }
            Way::ByHand(text) if !back.asked || matches!(back.form, Form::Manual { .. }) => {
                return next.record(park(id, false, "PM5704", text));
            }
            Way::Call | Way::ByHand(_) => {}
        }
        if let Some((false, why)) = &state.rejected {
            return next.record(park(id, false, "PM5203", &format!("taking it back was rejected: {why}")));
        }
        if back.since.is_some() && back.made.open == super::back::Open::Always {
            let says = "it is as it was before, but the call of this run may still take effect";
            return next.record(park(id, true, "PM5706", says));
        }
        if state.rung_began.is_some_and(|began| now > began + self.item(id).timeout) {
            let why = self.last_reasons(id);
            return next.record(Record::Parked { item: Some(id), doubt: false, why });
        }
        if let Some(at) = state.not_before.filter(|at| now < *at) {
            return next.wake_at(at);
        }
        let last = state.seen.as_ref().filter(|s| now.since(s.at) <= self.spec.limits.fresh);
        match (last.map(|s| &s.plan), &back.way) {
            (None, _) => {
                next.acts.push(Act::Observe { item: id, rung: state.rung, why: WhyObserved::Recheck });
            }
            (Some(StepPlan::Change(change)), Way::Call) => {
                let broken =
                    self.standing(self.broken((id, state.rung), change, &self.proven(id), Ahead::Back), now);
                if !broken.is_empty() {
                    next.record(Record::Parked { item: Some(id), doubt: false, why: broken });
                } else if self.may_unfence(id, now, next) {
                    self.call_back(id, change, next);
                }
            }
            (Some(StepPlan::Change(_)), Way::ByHand(text)) if back.since.is_none() => {
                next.record(park(id, false, "PM5704", &format!("it is not as it was: {text}")));
            }
            (Some(StepPlan::Refuse(why)), _) => {
                next.record(Record::Parked { item: Some(id), doubt: false, why: why.clone() });
            }
            (Some(_), _) => self.poll(id, WhyObserved::Recheck, Time(0), now, next),
        }
    }

    /// A fence is taken back only while what it was made for has not happened, by whomever: seen right before.
    fn may_unfence(&self, id: ItemId, now: Time, next: &mut Next) -> bool {
        let fenced = |fact: &Fact| matches!(fact, Fact::Fenced { .. });
        let Some(back) = &self.state(id).back else { return false };
        let fences = back.made.change.gives.iter().any(fenced)
            || self.rung(id, back.made.rung).proves.iter().any(fenced);
        let Some(other) = self.commit_point().filter(|other| self.turned(*other) && fences) else {
            return true;
        };
        let seen = self.state(other).seen.as_ref().filter(|s| now.since(s.at) <= self.spec.limits.fresh);
        match seen.map(|s| &s.plan) {
            None => next.acts.push(Act::Observe { item: other, rung: 0, why: WhyObserved::Recheck }),
            Some(StepPlan::Nothing { .. }) => return true,
            Some(StepPlan::Unknown(_)) => self.poll(other, WhyObserved::Recheck, Time(0), now, next),
            Some(StepPlan::Refuse(_) | StepPlan::Change(_)) => {
                let why = self.last_reasons(other);
                next.record(Record::Parked { item: Some(id), doubt: false, why });
            }
        }
        false
    }

    fn call_back(&self, id: ItemId, change: &crate::domain::Change, next: &mut Next) {
        let state = self.state(id);
        let Form::Act(spec) = self.form(id) else { return };
        let call =
            crate::domain::Call { item: id, rung: state.rung, attempt: state.numbered + 1, undo: true };
        next.acts.push(Act::Apply { call, spec: spec.clone(), change: Box::new(change.clone()) });
    }

    fn end_of_undo(&self) -> (Outcome, String) {
        let why: Vec<&str> = self.undoing.iter().flatten().map(|r| r.says.as_str()).collect();
        let why = why.join("; ");
        let failed = self.undoing.iter().flatten().any(|r| r.code == "PM5702");
        let names = |skipped: bool| -> Vec<String> {
            let is = |id: &ItemId| matches!(self.state(*id).phase, ItemPhase::Skipped { .. }) == skipped;
            self.way_back().into_iter().filter(is).map(|id| self.item(id).name.to_string()).collect()
        };
        let (back, stands) = (names(false), names(true));
        match (back.is_empty(), stands.is_empty()) {
            (true, true) if failed => (Outcome::Failed, format!("nothing was changed: {why}")),
            (true, true) => (Outcome::Cancelled, format!("nothing was changed: {why}")),
            (_, true) => {
                (Outcome::Undone, format!("taken back and verified: {}. Why: {why}", back.join(", ")))
            }
            (_, false) => {
                let done = if back.is_empty() { "nothing".to_owned() } else { back.join(", ") };
                let says = format!(
                    "taken back: {done}; it stands, by a person's word: {}. Why: {why}",
                    stands.join(", ")
                );
                (Outcome::Partial, says)
            }
        }
    }
}
