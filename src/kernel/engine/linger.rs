//! A change that is seen in effect where it was made, while others may still see what was there before (DNS: resolvers
//! keep a record for as long as its old TTL said). A step that says so waits for them: with nothing held meanwhile, until a
//! look finds nobody any more, or their time is over. `item` and `steps` ask.

use super::{ItemPhase, Next, Run, next::Act, steps::park};
use crate::domain::{ItemId, Lingers, Span, StepPlan, Time, WhyObserved};

/// Looks while waiting are at least this far apart, and at most.
const PACE: (Span, Span) = (Span::secs(1), Span::secs(30));

/// Seen in effect, and not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lingering {
    /// The first look that found it so.
    pub began: Time,
    /// When nobody may rightly see the old state any more. `None`: the last look did not find it as wanted, so that others
    /// may have got the old state anew; it counts from the next that does.
    pub until: Option<Time>,
    pub lasts: Span,
}

impl Lingering {
    /// When the step gives up: once begun anew for its whole length, or after the longest wait.
    pub(super) fn gives_up(&self) -> Time {
        match self.lasts > Lingers::LONGEST {
            true => self.began + Lingers::LONGEST,
            false => self.began + Span(self.lasts.0.saturating_mul(2)),
        }
    }
}

impl super::ItemState {
    /// A look found it as wanted: whether the step is over with that.
    pub(super) fn is_clear(&mut self, lingers: Option<&Lingers>, at: Time) -> bool {
        let Some(lingers) = lingers.filter(|lingers| lingers.waits) else {
            self.lingering = None;
            return true;
        };
        let lasts = self.own_lasts().unwrap_or(lingers.at_most);
        let wait = self.lingering.get_or_insert(Lingering { began: at, until: None, lasts });
        let until = *wait.until.get_or_insert(at + wait.lasts);
        let over = at >= until;
        self.lingering = self.lingering.filter(|_| !over);
        over
    }

    /// When the wait is over, while it counts.
    pub(super) fn waits_until(&self) -> Option<Time> {
        let at_work =
            matches!(self.phase, ItemPhase::Idle | ItemPhase::Applied { .. }) && self.back.is_none();
        self.lingering.filter(|_| at_work).and_then(|wait| wait.until)
    }

    /// A look did not find it as wanted: nothing of the wait so far counts.
    pub(super) fn wait_from_the_start(&mut self) {
        if let Some(wait) = &mut self.lingering {
            wait.until = None;
        }
    }

    /// How long others may see what was there before this run changed it. `None`: it changed nothing, or that was not told.
    fn own_lasts(&self) -> Option<Span> {
        let own = self.own_change().and_then(|change| change.lasts);
        self.made.iter().filter_map(|made| made.change.lasts).chain(own).max()
    }
}

impl Run {
    /// The next look at a step that is done but for what others see.
    pub(super) fn next_of_lingering(
        &self,
        id: ItemId,
        until: Time,
        expired: bool,
        now: Time,
        next: &mut Next,
    ) {
        let state = self.state(id);
        if expired {
            let said = match state.seen.as_ref().map(|seen| &seen.plan) {
                Some(StepPlan::Nothing { says, .. }) => says.as_str(),
                _ => "it was not looked at since",
            };
            let says = format!("it is done, but others may still see what was there before: {said}");
            return next.record(park(id, false, "PM5206", &says));
        }
        let due = match state.seen.as_ref().map(|seen| (&seen.plan, seen.at)) {
            Some((StepPlan::Nothing { lingers: Some(lingers), .. }, at)) => {
                (at + lingers.at_most.clamp(PACE.0, PACE.1)).min(until.max(at + PACE.0))
            }
            _ => now,
        };
        match due <= now {
            true => {
                let why = WhyObserved::Verify;
                next.acts.push(Act::Observe { item: id, rung: state.rung, why });
            }
            false => next.wake_at(due),
        }
    }

    /// For the commit window: somebody still sees what this run replaced, and should no longer.
    pub fn outlasts(&self, id: ItemId, lingers: &Lingers, now: Time) -> bool {
        let state = self.state(id);
        let over = state.ended.zip(state.own_lasts()).map(|(ended, lasts)| ended + lasts);
        lingers.seen && over.is_some_and(|over| now > over)
    }

    /// In words, for the status line; without times, which the store decides.
    pub(super) fn waits_for_others(&self) -> Option<String> {
        let waiting = self.ids().filter_map(|id| {
            let wait = self.state(id).lingering.filter(|_| !self.state(id).is_over())?;
            let lasts = wait.lasts.min(Lingers::LONGEST);
            Some(format!("{} (up to {lasts})", self.item(id).name))
        });
        let waiting: Vec<String> = waiting.collect();
        (!waiting.is_empty()).then(|| {
            format!("done, and waiting until nobody sees what was there before: {}", waiting.join(", "))
        })
    }
}
