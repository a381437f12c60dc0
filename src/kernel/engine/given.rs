//! Which facts a plan may build on: promises while planning, proofs before an intent.

use super::{ItemPhase, Run};
use crate::domain::{Cause, Fact, ItemId, ItemRole, RunKind, StepPlan};

impl Run {
    /// Facts for planning item `id` ahead: guards that hold, and what earlier steps promise.
    pub fn promised(&self, id: ItemId) -> Vec<Fact> {
        let mut facts = self.guard_facts(id);
        for earlier in self.ids_of(ItemRole::Step).filter(|e| *e < id) {
            let state = self.state(earlier);
            if let ItemPhase::Done { gives } = &state.phase {
                facts.extend(gives.iter().cloned());
                continue;
            }
            if let Some(planned) = &state.planned {
                match &planned.plan {
                    StepPlan::Nothing { gives, .. } => facts.extend(gives.iter().cloned()),
                    StepPlan::Change(change) => facts.extend(change.gives.iter().cloned()),
                    StepPlan::Refuse(_) | StepPlan::Unknown(_) => {}
                }
            }
            let rung = state.planned.as_ref().map_or(state.plan_rung, |p| p.rung);
            facts.extend(self.rung(earlier, rung).proves.iter().cloned());
        }
        facts
    }

    /// Facts for acting on item `id`: guards that hold, what this run has verified, and its own open intent.
    pub fn proven(&self, id: ItemId) -> Vec<Fact> {
        let mut facts = self.guard_facts(id);
        for state in &self.items {
            if let ItemPhase::Done { gives } = &state.phase {
                facts.extend(gives.iter().filter(|f| !matches!(f, Fact::Rendered { .. })).cloned());
            }
        }
        let state = self.state(id);
        let target = self.form(id).spec().map(|s| s.target.clone());
        let own = state.own_change().map(|c| c.to.clone()).or_else(|| {
            let planned = state.planned.as_ref().filter(|_| state.changed && state.back.is_none())?;
            match &planned.plan {
                StepPlan::Change(change) => Some(change.to.clone()),
                StepPlan::Nothing { .. } | StepPlan::Refuse(_) | StepPlan::Unknown(_) => None,
            }
        });
        if let (Some(target), Some(to)) = (target, own) {
            facts.push(Fact::Ours { target, to });
        }
        facts
    }

    fn guard_facts(&self, id: ItemId) -> Vec<Fact> {
        let others = self.ids_of(ItemRole::Guard).filter(|guard| *guard != id);
        others.flat_map(|guard| self.facts_of_guard(guard)).chain(self.asked_for()).collect()
    }

    /// A move of a service whose both sides live, asked for by a person. An alert never opens one, whatever its playbook
    /// says.
    pub(super) fn is_planned_move(&self) -> bool {
        self.spec.kind == RunKind::Switchover && matches!(self.spec.cause, Cause::Person { .. })
    }

    fn asked_for(&self) -> Option<Fact> {
        self.is_planned_move().then(|| Fact::Planned { service: self.spec.service.clone() })
    }

    /// What a guard proves while it holds.
    pub(super) fn facts_of_guard(&self, guard: ItemId) -> Vec<Fact> {
        match self.state(guard).seen.as_ref().map(|seen| &seen.plan) {
            Some(StepPlan::Nothing { gives, .. }) => {
                gives.iter().chain(&self.rung(guard, 0).proves).cloned().collect()
            }
            Some(StepPlan::Change(_) | StepPlan::Refuse(_) | StepPlan::Unknown(_)) | None => vec![],
        }
    }

    /// Needs of a change that neither a proof nor a named override meets.
    pub fn unmet<'a>(&self, needs: &'a [Fact], given: &[Fact]) -> Vec<&'a Fact> {
        let overridden = |need: &Fact| match need {
            Fact::Fenced { target, .. } => self.overrides.contains_key(target),
            _ => false,
        };
        needs.iter().filter(|need| !overridden(need) && !given.iter().any(|f| f.meets(need))).collect()
    }
}
