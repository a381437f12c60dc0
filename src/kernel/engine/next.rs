//! What a run would do next. Reads nothing but itself and the time it is given.

use super::{Consent, Run};
use crate::domain::{Call, Change, ItemId, Mode, Outcome, Record, RunId, Spec, Time, WhyObserved};

/// One thing for `drive` to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    Observe {
        item: ItemId,
        rung: u8,
        why: WhyObserved,
    },
    /// Write this down.
    Record(Box<Record>),
    /// Write the intent down, and only then call.
    Apply {
        call: Call,
        spec: Spec,
        change: Box<Change>,
    },
}

#[derive(Clone, Debug, Default)]
pub struct Next {
    pub acts: Vec<Act>,
    /// When to ask again even if nothing happens.
    pub wake: Option<Time>,
    /// Where things stand, in one sentence.
    pub says: String,
}

impl Next {
    pub(super) fn record(&mut self, record: Record) {
        self.acts.push(Act::Record(Box::new(record)));
    }
    pub(super) fn wake_at(&mut self, at: Time) {
        self.wake = Some(self.wake.map_or(at, |w| w.min(at)));
    }
    pub(super) fn says(mut self, words: impl Into<String>) -> Next {
        self.says = words.into();
        self
    }
}

impl Run {
    pub fn id(&self) -> &RunId {
        &self.spec.run
    }

    pub fn next(&self, now: Time) -> Next {
        if let Some(outcome) = self.finished {
            return Next::default().says(format!("finished: {outcome}"));
        }
        let owed = self.watches_owed();
        if !owed.is_empty() {
            let mut next = Next::default();
            owed.into_iter().for_each(|record| next.record(record));
            return next.says("the old primary is watched from now on");
        }
        if let Some(end) = self.called_off() {
            let mut next = Next::default();
            if !self.in_flight() {
                next.record(self.finish(end.0, end.1.clone()));
            }
            return next.says(end.1);
        }
        if self.undoing.is_some() {
            return self.next_of_undo(now);
        }
        if let Some(next) = self.next_of_freeze(now) {
            return next;
        }
        if let Some(next) = self.next_of_turn(now) {
            return next;
        }
        if self.plan.is_none() && self.first_change.is_none() {
            return self.next_of_planning(now);
        }
        if self.spec.mode == Mode::Observe {
            return Next::default().says("planned; this playbook only observes");
        }
        if !self.consented() && !self.paused() {
            // What was on its way is looked at without anybody's word: it may have committed the run already.
            if self.calls_open() {
                return self.next_of_open_calls(now).says("finding out what the calls on their way came to");
            }
            return self.next_of_consent(now);
        }
        self.next_of_steps(now)
    }

    /// Reasons to end without going on: a person's word, or the alert's own end before the first change.
    fn called_off(&self) -> Option<(Outcome, String)> {
        if let Some((by, reason)) = &self.closed {
            let says = format!("closed by {by}: {reason}; {}", self.what_stands());
            return Some((self.outcome_as_it_stands(), says));
        }
        if self.first_change.is_some() {
            return None;
        }
        if let Some((by, reason)) = &self.aborted {
            return Some((Outcome::Cancelled, format!("aborted by {by} before the first change: {reason}")));
        }
        if let Consent::Denied { by, reason, .. } = &self.consent {
            return Some((Outcome::Cancelled, format!("rejected by {by}: {reason}")));
        }
        self.resolved
            .then(|| (Outcome::Cancelled, "the alert was resolved before the first change".to_owned()))
    }

    /// The outcome when a person ends the run where it is.
    pub(super) fn outcome_as_it_stands(&self) -> Outcome {
        let doubt = self.parked().any(|(_, _, doubt)| doubt)
            || self.items.iter().any(|i| matches!(i.phase, super::ItemPhase::Doubt { .. }));
        match (doubt, self.changed(), self.parked().next().is_some()) {
            (true, _, _) => Outcome::Unknown,
            (false, true, _) => Outcome::Partial,
            (false, false, true) => Outcome::Failed,
            (false, false, false) => Outcome::Cancelled,
        }
    }
}
