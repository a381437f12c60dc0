//! Time in which nobody looked after a run: a death and a new runner, or a clock that was set ahead. `fold` calls it.

use super::back::Open;
use super::{Consent, ItemPhase, ItemState, Run};
use crate::domain::{Form, Span, Time};

impl Run {
    /// A call in flight under an older runner is in doubt, by definition.
    pub(super) fn on_taken(&mut self, epoch: u64, owner: &str, gap: Span, at: Time) -> Result<(), String> {
        if epoch <= self.epoch {
            return Err(format!("epoch {epoch} does not rise above {}", self.epoch));
        }
        self.epoch = epoch;
        self.owner = owner.to_owned();
        for state in &mut self.items {
            if let ItemPhase::InFlight { call, change } = &state.phase {
                let (call, change) = (*call, change.clone());
                if !call.undo {
                    state.note_made(call.rung, &change, Open::of(&change, at));
                }
                state.phase = ItemPhase::Doubt { call, change, since: at };
                state.polls = 0;
            }
        }
        self.time_was_lost(gap, at)
    }

    /// Between the last record and `at` nobody looked after the run, for so long as the clock says: a death, or a clock that
    /// was set ahead. How much time really went by is not known.
    pub(super) fn time_was_lost(&mut self, gap: Span, at: Time) -> Result<(), String> {
        for state in &mut self.items {
            // Time-outs count from the look that comes next, not from before the gap.
            state.rung_began = state.rung_began.map(|_| at);
            // Nor is a look from before it trusted: a clock that was set back would make it fresh for long.
            state.seen = None;
            state.wait_anew(at);
            // What went by before was watched, and counts.
            if let Some(wait) = &mut state.lingering {
                (wait.began, wait.until) = (wait.began + gap, wait.until.map(|until| until + gap));
            }
        }
        if gap > self.spec.limits.resume_within {
            let stands = |id| matches!(self.form(id), Form::Act(_)) && !self.is_passed(id);
            let acted: Vec<bool> = self.ids().map(stands).collect();
            for (state, acted) in self.items.iter_mut().zip(acted) {
                state.recheck = acted && matches!(state.phase, ItemPhase::Done { .. });
            }
            self.late |= self.committed.is_none() && self.first_change.is_some();
            if self.committed.is_none() && matches!(self.consent, Consent::Given { .. }) {
                self.consent = Consent::None;
            }
        }
        Ok(())
    }
}

impl ItemState {
    /// A call that may still take effect is waited for as if it had just been made: time is only believed while it passes.
    fn wait_anew(&mut self, at: Time) {
        if let ItemPhase::Doubt { since, .. } | ItemPhase::Applied { since, .. } = &mut self.phase {
            *since = at;
            self.polls = 0;
        }
        for made in self.made.iter_mut().chain(self.back.iter_mut().map(|back| &mut back.made)) {
            if let Open::Until(_) = made.open {
                made.open = Open::of(&made.change, at);
            }
        }
        if let Some(back) = &mut self.back {
            back.since = None;
        }
    }
}
