//! `changes_per_hour`: a runaway is stopped before its first change. A run that has begun keeps what its plan needs, so
//! that the limit never leaves a service between two sites; what goes beyond that (attempts anew) asks again.
//!
//! Exempt: the way back, what follows the commit point, and the new fence of an old primary that came back. To stop any
//! of these would do more harm than one change more.

use super::{ItemPhase, Run};
use crate::domain::{Form, ItemRole, Override, Reason, Rule, RunKind, Spent, StepPlan, Time};

impl Run {
    /// Changes that the run has still before it, as far as its plan tells.
    pub fn changes_left(&self) -> u32 {
        let acts = |id: &crate::domain::ItemId| {
            let (item, state) = (self.item(*id), self.state(*id));
            let planned = state.planned.as_ref();
            let rung = planned.map_or(state.rung.max(state.plan_rung), |seen| seen.rung);
            item.role != ItemRole::Guard
                && matches!(state.phase, ItemPhase::Idle)
                && matches!(self.rung(*id, rung).form, Form::Act(_))
                && !matches!(planned.map(|seen| &seen.plan), Some(StepPlan::Nothing { .. }))
        };
        u32::try_from(self.ids().filter(acts).count()).unwrap_or(u32::MAX)
    }

    /// The limit says no to the next change.
    pub(super) fn over_budget(&self, now: Time) -> Option<Reason> {
        if self.lifted_now(Rule::ChangesPerHour, now).is_some() {
            return None;
        }
        self.budget_broken()
    }

    /// The override that the next change stands on.
    pub(super) fn budget_lifted(&self, now: Time) -> Option<&Override> {
        self.budget_broken().and_then(|_| self.lifted_now(Rule::ChangesPerHour, now))
    }

    fn budget_broken(&self) -> Option<Reason> {
        let why = match self.spent.as_ref()? {
            Ok(spent) if self.has_room(spent) => return None,
            Ok(spent) => self.why_no_room(spent),
            Err(_) if self.is_exempt() => return None,
            Err(why) => format!("how many changes were begun within the hour is not known: {why}"),
        };
        let rule = Rule::ChangesPerHour;
        Some(Reason::new(rule.code(), format!("{rule}: {why}")))
    }

    fn is_exempt(&self) -> bool {
        self.undoing.is_some() || self.committed.is_some() || self.spec.kind == RunKind::Refence
    }

    fn needed(&self, spent: &Spent) -> u32 {
        match (self.first_change.is_none(), spent.own) {
            (true, _) => self.changes_left(),
            (false, 0) => 1,
            (false, _) => 0,
        }
    }

    fn has_room(&self, spent: &Spent) -> bool {
        let taken = u64::from(spent.begun) + u64::from(spent.reserved) + u64::from(self.needed(spent));
        self.is_exempt() || self.needed(spent) == 0 || taken <= u64::from(spent.most)
    }

    /// Asked by `drive` once more when it books the change: of two runs at the same moment only one may have the rest.
    pub fn may_spend(&self, spent: &Spent, now: Time) -> bool {
        self.lifted_now(Rule::ChangesPerHour, now).is_some() || self.has_room(spent)
    }

    fn why_no_room(&self, spent: &Spent) -> String {
        let others = match spent.reserved {
            0 => String::new(),
            n => format!(", {n} more are in the plans of other runs under way"),
        };
        format!(
            "{} changes were begun within the hour{others}, this run needs {} more, and the limit is {}",
            spent.begun,
            self.needed(spent),
            spent.most
        )
    }
}
