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
        match (&self.phase, plan) {
            (
                ItemPhase::Idle | ItemPhase::Doubt { .. } | ItemPhase::Applied { .. },
                StepPlan::Nothing { gives, .. },
            ) => {
                self.phase = done(gives);
                self.ended = Some(at);
                self.settle_made(rung, false);
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
