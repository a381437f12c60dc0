//! What is still owed once a standby is promoted: an eye on the old primary until it is seen as a standby of the new
//! timeline or a person closes the watch, and a report when the end state drifts within the commit window.
//!
//! Decided here from records alone, so that a restart changes nothing; the shell looks (`worker/watch`).

use super::{FenceWatch, ItemPhase, Refused, Run, WatchLine};
use crate::domain::{
    Actor, Fact, FenceRung, FenceWatchState, Form, ItemId, Name, Outcome, Record, Role, Time, Watched,
    WindowState,
};

impl Run {
    /// Watches that begin now: the promotion happened, or may have; or this run has fenced the old one and found the other
    /// promoted, as where a manager of the servers was faster.
    pub(super) fn watches_owed(&self) -> Vec<Record> {
        let begun = |w: &Watched| match &self.state(w.item).phase {
            ItemPhase::Applied { .. } => self.state(w.item).changed,
            ItemPhase::Done { .. } => self.state(w.item).changed || self.has_fenced(&w.target),
            ItemPhase::Parked { doubt, .. } => *doubt,
            ItemPhase::Idle
            | ItemPhase::InFlight { .. }
            | ItemPhase::Doubt { .. }
            | ItemPhase::AwaitingPerson
            | ItemPhase::Skipped { .. }
            | ItemPhase::GaveUp { .. } => false,
        };
        let watched = self.spec.afterwards.fence_watch.iter();
        let owed = watched.filter(|w| begun(w) && !self.watches.contains_key(&w.target));
        owed.map(|w| {
            let rung = self.rung_of(&w.target);
            Record::FenceWatch {
                target: w.target.clone(),
                rung,
                state: FenceWatchState::Watching,
                says: format!(
                    "watched (fence: {rung}) until it is seen as a standby of {} or a person closes the watch",
                    w.promoted
                ),
                by: None,
            }
        })
        .collect()
    }

    /// By a call of this run, or by the hand of a person whom it asked.
    fn has_fenced(&self, target: &Name) -> bool {
        (0..).zip(&self.items).any(|(id, state)| {
            let ItemPhase::Done { gives } = &state.phase else { return false };
            let done = state.changed || matches!(self.form(id), Form::Manual { .. });
            done && gives
                .iter()
                .any(|fact| matches!(fact, Fact::Fenced { target: fenced, .. } if fenced == target))
        })
    }

    /// The strongest fence of `target` that this run has proven.
    fn rung_of(&self, target: &Name) -> FenceRung {
        let proven = self.items.iter().filter_map(|state| match &state.phase {
            ItemPhase::Done { gives } => Some(gives),
            _ => None,
        });
        let rungs = proven.flatten().filter_map(|fact| match fact {
            Fact::Fenced { target: fenced, rung, .. } if fenced == target => Some(*rung),
            _ => None,
        });
        rungs.max().unwrap_or(FenceRung::None)
    }

    pub(super) fn on_fence_watch(
        &mut self,
        target: &Name,
        rung: FenceRung,
        state: FenceWatchState,
        says: &str,
        at: Time,
    ) -> Result<(), String> {
        let watched = self.spec.afterwards.fence_watch.iter().find(|w| w.target == *target);
        let promoted = watched.ok_or_else(|| format!("this run watches no {target}"))?.promoted.clone();
        if self.watches.get(target).is_some_and(|watch| watch.state.is_over()) {
            return Err(format!("the watch of {target} is over"));
        }
        let watch = FenceWatch { promoted, rung, state, says: says.to_owned(), since: at };
        self.watches.insert(target.clone(), watch);
        Ok(())
    }

    pub(super) fn on_window(
        &mut self,
        item: Option<ItemId>,
        state: WindowState,
        says: &str,
    ) -> Result<(), String> {
        if self.finished.is_none() || self.window.over {
            return Err("the commit window is not open".into());
        }
        match (item, state) {
            (Some(id), WindowState::Drifted) if usize::from(id) < self.items.len() => {
                self.window.drifted.insert(id, says.to_owned());
            }
            (Some(id), WindowState::Back) => drop(self.window.drifted.remove(&id)),
            (_, WindowState::Over) => {
                self.window.over = true;
                self.window.drifted.clear();
            }
            (item, state) => return Err(format!("{state:?} of step {item:?} means nothing")),
        }
        Ok(())
    }

    /// Until when the end state of a run that came to its end is looked at.
    pub fn window_until(&self) -> Option<Time> {
        let span = self.spec.afterwards.commit_window;
        let ended = matches!(self.finished, Some(Outcome::Succeeded | Outcome::Partial));
        let open = ended && !self.window.over && span.0 > 0;
        self.ended.filter(|_| open).map(|at| at + span)
    }

    pub fn watch_lines(&self) -> Vec<WatchLine> {
        let open = self.watches.iter().filter(|(_, watch)| !watch.state.is_over());
        open.map(|(target, watch)| WatchLine {
            target: target.clone(),
            promoted: watch.promoted.clone(),
            rung: watch.rung,
            state: watch.state,
            says: watch.says.clone(),
        })
        .collect()
    }

    /// A person has dealt with the old primary; nothing looks at it any more.
    pub fn decide_close_watch(&self, target: &Name, by: &Actor, reason: &str) -> Result<Record, Refused> {
        if ![Role::Approver, Role::Operator, Role::IncidentLead, Role::Admin].into_iter().any(|r| by.has(r)) {
            return Err(Refused::NotAllowed(format!("{by} may not close a fence watch")));
        }
        if reason.trim().is_empty() {
            return Err(Refused::NotAllowed("a reason is required".into()));
        }
        let Some(watch) = self.watches.get(target) else {
            return Err(Refused::NoSuch(format!("run {} watches no {target}", self.id())));
        };
        if watch.state.is_over() {
            return Err(Refused::Conflict(format!("the watch of {target} is over: {}", watch.says)));
        }
        Ok(Record::FenceWatch {
            target: target.clone(),
            rung: watch.rung,
            state: FenceWatchState::Closed,
            says: reason.to_owned(),
            by: Some(by.clone()),
        })
    }
}
