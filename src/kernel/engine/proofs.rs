//! How old a proof may be when a change stands on it. What can be seen is looked at again; what a person said is asked
//! for again. Asked by `steps`, right before an intent; the fold of such a look is here, too.

use super::{ItemPhase, Next, Run, next::Act};
use crate::domain::{
    Change, Effect, Fact, FenceRung, Form, ItemId, ItemRole, Reason, Record, Span, StepPlan, Time,
    WhyObserved, place,
};

/// A fence, or an address that answers, seen longer ago than this is looked at again before a change stands on it.
pub const PROVEN_FOR: Span = Span::secs(10);
/// That a server is off, or may go on without being fenced, by a person's word alone: no look can renew it.
pub const WORD_FOR: Span = Span::mins(15);

impl Run {
    /// Whether every proof that `change` stands on is fresh; where not, `next` has what is to be done first.
    pub(super) fn proofs_are_fresh(&self, id: ItemId, change: &Change, now: Time, next: &mut Next) -> bool {
        let given = self.proven(id);
        let mut fresh = true;
        for needed in stands_on(change) {
            if !given.iter().any(|fact| fact.meets(&needed)) {
                continue;
            }
            let provers: Vec<ItemId> = self.ids().filter(|p| *p != id && self.proves(*p, &needed)).collect();
            if provers.iter().any(|prover| self.is_fresh(*prover, now)) {
                continue;
            }
            fresh = false;
            provers.into_iter().for_each(|prover| self.prove_again(prover, next));
        }
        fresh
    }

    fn proves(&self, id: ItemId, needed: &Fact) -> bool {
        match self.item(id).role {
            ItemRole::Guard => self.facts_of_guard(id).iter().any(|fact| fact.meets(needed)),
            ItemRole::Step | ItemRole::Verify => match &self.state(id).phase {
                ItemPhase::Done { gives } => gives.iter().any(|fact| fact.meets(needed)),
                _ => false,
            },
        }
    }

    fn is_fresh(&self, id: ItemId, now: Time) -> bool {
        let state = self.state(id);
        let seen = state.seen.as_ref().filter(|seen| matches!(seen.plan, StepPlan::Nothing { .. }));
        let last = seen.map(|seen| seen.at).max(state.ended);
        let lasts = match self.form(id) {
            Form::Manual { .. } => WORD_FOR,
            Form::Act(_) | Form::Check(_) => PROVEN_FOR,
        };
        last.is_some_and(|at| now.since(at) <= lasts)
    }

    fn prove_again(&self, id: ItemId, next: &mut Next) {
        let rung = self.state(id).rung;
        match self.form(id) {
            Form::Manual { text } => {
                let digest = self.plan.as_ref().map_or(crate::domain::Digest::ZERO, |plan| plan.digest);
                let says = format!(
                    "said more than {WORD_FOR} ago, and nothing stood on it so far; is it still so? {text}"
                );
                let ask = Act::Record(Box::new(Record::Asked {
                    digest,
                    item: Some(id),
                    until: None,
                    says,
                    level: 0,
                }));
                if !next.acts.contains(&ask) {
                    next.acts.push(ask);
                }
            }
            Form::Act(_) | Form::Check(_) => {
                let again = Act::Observe { item: id, rung, why: WhyObserved::Recheck };
                if !next.acts.contains(&again) {
                    next.acts.push(again);
                }
            }
        }
    }

    /// That a server may go on without being fenced holds for one run and a while, and then it is asked for again.
    pub(super) fn acceptance_over(&self, now: Time) -> Option<Record> {
        if self.committed.is_some() {
            return None;
        }
        self.ids().find_map(|id| {
            let rule = self.item(id).accept_unfenced.as_ref()?;
            let accepted = self.overrides.get(&rule.target).filter(|accepted| now >= accepted.until)?;
            let says = format!(
                "{} accepted that {} is not proven to be fenced; that held for {WORD_FOR}, until {}, and nothing was promoted \
                 in that time. Look at it again: `retry` tries the fence, `approve --accept-unfenced={}` accepts anew",
                accepted.by, rule.target, accepted.until, rule.target
            );
            let why = vec![Reason::new("PM5108", says)];
            let skipped = matches!(self.state(id).phase, ItemPhase::Skipped { .. });
            skipped.then_some(Record::Parked { item: Some(id), doubt: false, why })
        })
    }

    /// A finished step was looked at again: after a gap, or since another stands on what it proved.
    pub(super) fn on_looked_again(&mut self, id: ItemId, plan: &StepPlan, stepped: bool, at: Time) {
        let rung = self.state(id).rung;
        let (proves, check) = (self.rung(id, rung).proves.clone(), matches!(self.form(id), Form::Check(_)));
        let commits = self.item(id).commit_point;
        let state = &mut self.items[usize::from(id)];
        let after_gap = std::mem::take(&mut state.recheck);
        let ItemPhase::Done { gives: before } = &state.phase else { return };
        if let StepPlan::Nothing { gives, .. } = plan {
            let now: Vec<Fact> = gives.iter().chain(&proves).cloned().collect();
            // What was measured when it was done (a fence's last position) is not there to be seen again.
            if !before.iter().all(|old| now.iter().any(|new| new.meets(old))) {
                state.phase = ItemPhase::Done { gives: now };
            }
            state.seen = Some(super::Seen { rung, plan: plan.clone(), at });
            return;
        }
        let unknown = matches!(plan, StepPlan::Unknown(_));
        if !after_gap && !commits && (unknown || check) {
            return self.begin_again(id, plan, stepped, at);
        }
        let says = match plan {
            StepPlan::Change(change) if !change.now.is_empty() => {
                format!("it is no longer as this run left it: now it is {}", change.now)
            }
            StepPlan::Change(_) | StepPlan::Nothing { .. } => {
                "it is no longer as this run left it".to_owned()
            }
            StepPlan::Refuse(why) | StepPlan::Unknown(why) => {
                let why: Vec<&str> = why.iter().map(|r| r.says.as_str()).collect();
                let what = if unknown {
                    "whether it is still as this run left it is not known"
                } else {
                    "it is no longer as this run left it"
                };
                format!("{what}: {}", why.join("; "))
            }
        };
        state.phase = ItemPhase::Parked { why: vec![Reason::new("PM5105", says)], doubt: false };
    }

    /// It cannot be seen any more: looked for in its own time, or by the next way, as when it was done first.
    fn begin_again(&mut self, id: ItemId, plan: &StepPlan, stepped: bool, at: Time) {
        for other in self.items.iter_mut().filter(|other| other.phase == ItemPhase::Idle) {
            // Its time did not run while it was not allowed to begin.
            other.rung_began = None;
        }
        let state = &mut self.items[usize::from(id)];
        state.phase = ItemPhase::Idle;
        (state.ended, state.rung_began, state.polls) = (None, Some(at), 0);
        state.seen = Some(super::Seen { rung: state.rung, plan: plan.clone(), at });
        if stepped {
            state.step_up(state.rung);
        }
    }
}

/// What must be true of the world for this change to be right.
fn stands_on(change: &Change) -> Vec<Fact> {
    let mut facts = change.needs.clone();
    for effect in &change.effects {
        match effect {
            Effect::Writer { others, .. } => facts.extend(others.iter().map(|other| Fact::Fenced {
                target: other.target.clone(),
                rung: FenceRung::ReadOnly,
                position: None,
            })),
            Effect::Records { after, .. } => {
                facts.extend(after.iter().map(|at| Fact::Live { at: place(at) }));
            }
        }
    }
    facts
}
