//! The transitions of one item: it begins, goes on to its next rung, and a fresh look says where it is. `fold` calls them.

use super::{ItemPhase, ItemState};
use crate::domain::{Fact, Settle, Span, StepPlan, Time};

/// Attempts after which a doubt that proved harmless gives no new time any more: time-outs stay bounded.
pub(super) const FRESH_STARTS: u32 = 2;

impl ItemState {
    pub(super) fn start(&mut self, at: Time) {
        self.began.get_or_insert(at);
        self.rung_began.get_or_insert(at);
    }

    /// Goes on to the rung after `from`.
    pub(super) fn step_up(&mut self, from: u8) {
        self.rung = from + 1;
        self.attempts = 0;
        self.rejected = None;
        self.seen = None;
        self.not_before = None;
        self.rung_began = None;
        self.polls = 0;
    }

    /// What a fresh look means for an item at work.
    pub(super) fn settle(&mut self, plan: &StepPlan, proves: &[Fact], stepped: bool, at: Time) {
        let done = |gives: &[Fact]| ItemPhase::Done { gives: gives.iter().chain(proves).cloned().collect() };
        let rung = self.rung;
        if !matches!(plan, StepPlan::Nothing { .. }) {
            self.wait_from_the_start();
        }
        match (&self.phase, plan) {
            (
                ItemPhase::Idle | ItemPhase::Doubt { .. } | ItemPhase::Applied { .. },
                StepPlan::Nothing { gives, lingers, .. },
            ) => {
                let clear = self.is_clear(lingers.as_ref(), at);
                self.settle_made(rung, false);
                if clear {
                    self.phase = done(gives);
                    self.ended = Some(at);
                } else if let ItemPhase::Doubt { call, change, .. } = self.phase.clone() {
                    self.phase = ItemPhase::Applied { call, change, since: at };
                }
            }
            (ItemPhase::Doubt { change, since, .. }, StepPlan::Change(seen)) if seen.from == change.from => {
                let waited = at.since(*since);
                let proven = match change.settle {
                    Settle::AtOnce => true,
                    Settle::After(span) => waited >= span,
                    Settle::Repeatable(_) | Settle::Never => false,
                };
                if matches!(change.settle, Settle::Repeatable(span) if waited >= span) {
                    // It may have been heard: the change stays ours, and the step's time goes on.
                    self.attempts = self.attempts.saturating_sub(1);
                    self.phase = ItemPhase::Idle;
                }
                if proven {
                    // The call did nothing: as good as a rejection that may be tried again.
                    self.attempts = self.attempts.saturating_sub(1);
                    self.settle_made(rung, true);
                    self.changed = !self.made.is_empty();
                    self.not_before = Some(at + Span::millis(200));
                    self.phase = ItemPhase::Idle;
                    // The time that it took to know is not the new attempt's.
                    if self.numbered <= FRESH_STARTS {
                        self.rung_began = Some(at);
                    }
                }
            }
            // Neither as it was nor as wanted, and the call is over: half of it is done, and the rest is planned anew.
            (ItemPhase::Doubt { change, since, .. }, StepPlan::Change(_)) if matches!(change.settle, Settle::After(span) if at.since(*since) >= span) =>
            {
                self.attempts = self.attempts.saturating_sub(1);
                self.phase = ItemPhase::Idle;
                self.settle_made(rung, false);
            }
            (ItemPhase::Idle, StepPlan::Unknown(_)) if stepped => self.step_up(rung),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Call, Change, Reason};
    use serde_json::json;

    const BEGAN: Time = Time(1_000_000_000);
    const MICRO: Span = Span(1);

    fn change(settle: Settle) -> Change {
        Change { settle, ..Change::new(json!("old"), json!("new")) }
    }

    /// A call whose end nobody heard, at its second attempt.
    fn doubt(settle: Settle) -> ItemState {
        let call = Call { item: 0, rung: 0, attempt: 2, undo: false };
        let phase = ItemPhase::Doubt { call, change: Box::new(change(settle)), since: BEGAN };
        let (rung_began, changed) = (Some(BEGAN), true);
        ItemState { phase, attempts: 2, numbered: 1, rung_began, changed, ..ItemState::new() }
    }

    /// A look finds it so, that long after the call.
    fn found(mut state: ItemState, from: &str, after: Span) -> ItemState {
        let seen = StepPlan::Change(Box::new(Change::new(json!(from), json!("new"))));
        state.settle(&seen, &[], false, BEGAN + after);
        state
    }

    fn in_doubt(state: &ItemState) -> bool {
        matches!(state.phase, ItemPhase::Doubt { .. }) && state.attempts == 2 && state.not_before.is_none()
    }

    #[test]
    fn the_old_state_proves_what_the_change_says_that_it_proves() {
        let half_a_minute = Span::secs(30);
        for (settle, after) in [(Settle::AtOnce, Span(0)), (Settle::After(half_a_minute), half_a_minute)] {
            let state = found(doubt(settle), "old", after);
            assert_eq!((&state.phase, state.attempts), (&ItemPhase::Idle, 1), "{settle:?}");
            assert_eq!(state.not_before, Some(BEGAN + after + Span::millis(200)), "{settle:?}");
            assert_eq!(state.rung_began, Some(BEGAN + after), "the new attempt has its own time");
            assert!(!state.changed, "nothing of it is there");
        }
        assert!(in_doubt(&found(doubt(Settle::After(half_a_minute)), "old", Span(half_a_minute.0 - 1))));
        assert!(in_doubt(&found(doubt(Settle::Never), "old", Span::mins(600))));
        // To ask again is as good as the first time; but what was asked may still happen.
        let again = Settle::Repeatable(half_a_minute);
        assert!(in_doubt(&found(doubt(again), "old", Span(half_a_minute.0 - 1))));
        let state = found(doubt(again), "old", half_a_minute);
        assert_eq!((&state.phase, state.attempts, state.not_before), (&ItemPhase::Idle, 1, None));
        assert_eq!((state.rung_began, state.changed), (Some(BEGAN), true));
    }

    #[test]
    fn only_the_first_doubts_that_were_harmless_give_new_time() {
        let at = BEGAN + Span::secs(9);
        for (numbered, began) in [(FRESH_STARTS, at), (FRESH_STARTS + 1, BEGAN)] {
            let state = found(ItemState { numbered, ..doubt(Settle::AtOnce) }, "old", Span::secs(9));
            assert_eq!(state.rung_began, Some(began), "{numbered}");
        }
    }

    #[test]
    fn a_state_between_old_and_wanted_is_planned_anew_once_the_call_is_over() {
        let half_a_minute = Span::secs(30);
        for settle in [Settle::AtOnce, Settle::Repeatable(MICRO), Settle::Never] {
            assert!(in_doubt(&found(doubt(settle), "half", Span::mins(600))), "{settle:?}");
        }
        assert!(in_doubt(&found(doubt(Settle::After(half_a_minute)), "half", Span(half_a_minute.0 - 1))));
        let state = found(doubt(Settle::After(half_a_minute)), "half", half_a_minute);
        assert_eq!((&state.phase, state.attempts, state.not_before), (&ItemPhase::Idle, 1, None));
        assert_eq!((state.rung_began, state.changed), (Some(BEGAN), true), "half of it is there");
    }

    #[test]
    fn what_cannot_be_told_goes_on_to_the_next_rung_where_there_is_a_ladder() {
        let unknown = StepPlan::Unknown(vec![Reason::new("PM3102", "silent")]);
        for (stepped, rung) in [(true, 1), (false, 0)] {
            let mut state = ItemState { attempts: 1, ..ItemState::new() };
            state.settle(&unknown, &[], stepped, BEGAN);
            assert_eq!((state.rung, state.attempts), (rung, u32::from(!stepped)));
        }
        let mut state = doubt(Settle::Never);
        state.settle(&unknown, &[], true, BEGAN);
        assert!(in_doubt(&state) && state.rung == 0, "a doubt stays where it is");
    }
}
