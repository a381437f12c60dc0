//! Planted mistakes, for the tests of the tests: away from the real path, and compiled only where the feature `planted`
//! is on, which no shipped program has. The simulator asks for one.

use super::{Driver, Passing};
use crate::domain::{Call, Change, Effect, ItemId, Spec, StepPlan, WhyObserved};
use crate::journal::Permit;

/// `None` is the real thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mistake {
    #[default]
    None,
    /// Applies again when a call is in doubt.
    ReapplyInDoubt,
    /// Applies again when a verification still shows the old value.
    ReapplyOnStaleVerify,
    /// Calls first, writes the intent afterwards.
    CallBeforeIntent,
    /// Lets an intent pass with an unproven need.
    UnprovenNeed,
}

impl Driver<'_> {
    pub fn with_mistake(mut self, mistake: Mistake) -> Self {
        self.mistake = mistake;
        self
    }
}

impl Passing<'_> {
    /// The planted call before its intent; false: nothing was done.
    pub(super) fn calls_too_early(&mut self, call: &Call, spec: &Spec, change: &Change) -> bool {
        let planted = self.driver.mistake == Mistake::CallBeforeIntent && self.mistaken.insert(call.item);
        if planted {
            self.call_by_mistake((*call, spec.clone(), change.clone()));
        }
        planted
    }

    pub(super) fn mistaken_call(&mut self, item: ItemId, why: WhyObserved) -> Option<(Call, Spec, Change)> {
        let wanted = match self.driver.mistake {
            Mistake::ReapplyInDoubt => WhyObserved::Classify,
            Mistake::ReapplyOnStaleVerify => WhyObserved::Verify,
            Mistake::None | Mistake::CallBeforeIntent | Mistake::UnprovenNeed => return None,
        };
        let state = self.run.state(item);
        let stale = why != WhyObserved::Verify || state.polls > 0;
        let change = state.own_change().filter(|_| why == wanted && stale)?.clone();
        let spec = self.run.form(item).spec()?.clone();
        let call = Call { item, rung: state.rung, attempt: state.numbered, undo: state.back.is_some() };
        self.mistaken.insert(item).then_some((call, spec, change))
    }

    pub(super) fn call_by_mistake(&mut self, (call, spec, change): (Call, Spec, Change)) {
        let permit = Permit::forged(call, spec, change);
        self.call(permit, self.driver.world.now());
    }

    pub(super) fn with_mistake(&self, plan: StepPlan) -> StepPlan {
        match plan {
            StepPlan::Change(mut change) if self.driver.mistake == Mistake::UnprovenNeed => {
                change.needs.clear();
                for effect in &mut change.effects {
                    if let Effect::Writer { others, .. } = effect {
                        others.clear();
                    }
                }
                StepPlan::Change(change)
            }
            plan => plan,
        }
    }
}
