//! The way back: what a run made, and the fold of taking it back. The old value and the way were fixed when the change
//! was planned; here they only take their turn, newest first.
//!
//! A step that is taken back goes through the same phases as one that is done: observed, intended, applied, seen in
//! effect, or in doubt. `turn` decides whether and in which order.

use super::{ItemPhase, ItemState, Run};
use crate::domain::{Change, Form, ItemId, Reason, Seq, Settle, Span, StepPlan, Time, Undo};

/// How long the old value must be seen where no call of ours has just brought it back: one look may be stale.
pub(super) const SURE: Span = Span::secs(1);

/// Calls of one undo whose end nobody heard and which did nothing; after that a person is asked.
const TRIES: u32 = 5;

/// One change that this run made, or may have made.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// Of its intent: the order in which things were done.
    pub seq: Seq,
    pub rung: u8,
    pub change: Box<Change>,
    pub open: Open,
}

/// Whether the call may still take effect, so that seeing the old value proves nothing; the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Open {
    No,
    Until(Time),
    Always,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    Call,
    ByHand(String),
    Never,
}

/// One item on the way back.
#[derive(Clone, Debug, PartialEq)]
pub struct Back {
    pub made: Made,
    pub way: Way,
    /// What is bound: the undo, or, where a person takes it back, the step itself, to look at it.
    pub form: Form,
    /// Made by earlier rungs of the same item, oldest first.
    pub left: Vec<Made>,
    /// A person was told, and says that it is time to look.
    pub asked: bool,
    pub tries: u32,
    /// Since when it is seen as it was before.
    pub since: Option<Time>,
}

impl Open {
    pub(super) fn of(change: &Change, since: Time) -> Open {
        match change.settle {
            Settle::AtOnce => Open::Until(since),
            Settle::After(span) => Open::Until(since + span),
            Settle::Repeatable(_) | Settle::Never => Open::Always,
        }
    }
}

impl ItemState {
    /// A call took effect, or may have. Of several on one rung the first knows the old value.
    pub(super) fn note_made(&mut self, rung: u8, change: &Change, open: Open) {
        self.changed = true;
        match self.made.iter_mut().find(|made| made.rung == rung) {
            Some(made) => made.open = open,
            None => {
                let change = Box::new(change.clone());
                self.made.push(Made { seq: self.intended, rung, change, open });
            }
        }
    }

    /// Seen in effect, or proven to have done nothing: of this rung no call is open any more.
    pub(super) fn settle_made(&mut self, rung: u8, nothing: bool) {
        match nothing {
            true => self.made.retain(|made| made.rung != rung),
            false => self.made.iter_mut().filter(|m| m.rung == rung).for_each(|m| m.open = Open::No),
        }
    }

    /// Begins to take back the newest of what is left. False: nothing is.
    fn turn_back(&mut self, mut left: Vec<Made>, form_of: impl Fn(u8) -> Form) -> bool {
        let Some(made) = left.pop() else { return false };
        let (way, form) = match &made.change.undo {
            Undo::To(spec) => (Way::Call, Form::Act(spec.clone())),
            Undo::ByHand(text) => (Way::ByHand(text.clone()), form_of(made.rung)),
            Undo::None => (Way::Never, form_of(made.rung)),
        };
        self.rung = made.rung;
        self.phase = ItemPhase::Idle;
        self.attempts = 0;
        self.polls = 0;
        (self.seen, self.rejected, self.not_before) = (None, None, None);
        (self.rung_began, self.ended, self.recheck) = (None, None, false);
        self.lingering = None;
        self.back = Some(Back { made, way, form, left, asked: false, tries: 0, since: None });
        true
    }
}

impl Run {
    pub(super) fn on_undoing(&mut self, why: &[Reason]) -> Result<(), String> {
        if let Some(why) = self.cannot_go_back() {
            return Err(why);
        }
        if self.calls_open() {
            return Err("a call is on its way".into());
        }
        for (id, left) in self.ids().zip(self.to_take_back()) {
            let rungs = self.item(id).rungs.clone();
            let form_of = |rung: u8| rungs[usize::from(rung)].form.clone();
            let state = &mut self.items[usize::from(id)];
            if state.before_undo.is_some() {
                (state.seen, state.polls) = (None, 0);
            }
            let begun = state.turn_back(left, form_of);
            if !begun && matches!(state.phase, ItemPhase::Parked { .. } | ItemPhase::AwaitingPerson) {
                state.phase = ItemPhase::Idle;
            }
        }
        self.undoing = Some(why.to_vec());
        self.hold = None;
        Ok(())
    }

    /// By item. Stages of one shift go back in one call, by the first that changed anything: it knows how it was before all
    /// of them. A call of a later one that may still take effect is waited for all the same.
    fn to_take_back(&self) -> Vec<Vec<Made>> {
        let of = |id| self.state(id).made.iter().cloned().chain(self.done_by_hand(id)).collect::<Vec<Made>>();
        let mut all: Vec<Vec<Made>> = self.ids().map(of).collect();
        for id in self.ids() {
            let (mut at, mut first) = (id, None);
            while let Some(before) = self.item(at).continues {
                at = before;
                first = Some(at).filter(|at| !all[usize::from(*at)].is_empty()).or(first);
            }
            let Some(first) = first else { continue };
            let open = all[usize::from(id)].drain(..).map(|made| made.open).max();
            if let (Some(open), Some(made)) = (open, all[usize::from(first)].last_mut()) {
                made.open = made.open.max(open);
            }
        }
        all
    }

    /// A later stage of the same shift has changed what this one set.
    pub fn is_passed(&self, id: ItemId) -> bool {
        let later = self.ids().filter(|later| self.item(*later).continues == Some(id));
        later.into_iter().any(|later| self.state(later).changed || self.is_passed(later))
    }

    /// What a person did and confirmed is a person's to take back.
    fn done_by_hand(&self, id: ItemId) -> Option<Made> {
        let state = self.state(id);
        let confirmed = match state.phase {
            ItemPhase::Done { .. } => state.changed,
            // Confirmed before, and being asked whether it is still so: it was done all the same.
            ItemPhase::AwaitingPerson => state.changed && state.ended.is_some(),
            _ => false,
        };
        let Form::Manual { text } = &self.rung(id, state.rung).form else { return None };
        let mut change = Change::new(serde_json::Value::Null, serde_json::Value::Null);
        change.undo = Undo::ByHand(format!("a person did and confirmed this, and takes it back: {text}"));
        let change = Box::new(change);
        confirmed.then_some(Made { seq: state.intended, rung: state.rung, change, open: Open::No })
    }

    /// A fresh look at an item on its way back.
    pub(super) fn on_observed_back(&mut self, id: ItemId, plan: &StepPlan, at: Time) {
        let rungs = self.item(id).rungs.clone();
        let state = &mut self.items[usize::from(id)];
        let Some(back) = &mut state.back else { return };
        let as_before = match (&back.way, plan) {
            (Way::Call, StepPlan::Nothing { .. }) => true,
            (Way::ByHand(_), StepPlan::Change(change)) => change.from == back.made.change.from,
            _ => false,
        };
        if !as_before {
            back.since = None;
            state.settle_back(plan, at);
            return;
        }
        let since = *back.since.get_or_insert(at);
        let settled = match back.made.open {
            Open::No => true,
            Open::Until(time) => at >= time,
            Open::Always => false,
        };
        let ours = matches!(state.phase, ItemPhase::Applied { .. });
        if !(ours || settled && at.since(since) >= SURE) {
            return;
        }
        let left = std::mem::take(&mut back.left);
        if !state.turn_back(left, |rung| rungs[usize::from(rung)].form.clone()) {
            state.phase = ItemPhase::Done { gives: vec![] };
            state.ended = Some(at);
        }
    }
}

impl ItemState {
    /// The undo's own call in doubt: what was done still stands, and its `settle` says whether that proves anything.
    fn settle_back(&mut self, plan: &StepPlan, at: Time) {
        let (ItemPhase::Doubt { change, since, .. }, StepPlan::Change(seen)) = (&self.phase, plan) else {
            return;
        };
        let again = match change.settle {
            Settle::AtOnce => true,
            Settle::After(span) | Settle::Repeatable(span) => at.since(*since) >= span,
            Settle::Never => false,
        };
        let Some(back) = self.back.as_mut().filter(|back| back.tries < TRIES) else { return };
        if seen.from == change.from && again {
            back.tries += 1;
            self.attempts = self.attempts.saturating_sub(1);
            self.not_before = Some(at + Span::millis(200));
            self.phase = ItemPhase::Idle;
        }
    }
}
