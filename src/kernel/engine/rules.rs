//! The rules of the instance over what a change would leave behind: judged when the plan is made, with what earlier steps
//! promise, and again right before each write, with what is proven and with a look no older than `Limits::fresh`.
//!
//! An effect that is not told, or cannot be known, breaks the rule that asks for it. What a person lifted is no longer
//! in the way; it stands in the plan and in its digest.

use super::Run;
use crate::domain::{
    Change, Effect, Fact, FenceRung, ItemId, Other, Override, Reason, Rule, StepPlan, Time, place,
};
use std::collections::BTreeMap;

/// When it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    /// For the plan: earlier steps only promise.
    Plan,
    /// Right before the write.
    Write,
    /// Right before a change is taken back.
    Back,
}

type Broken = Vec<(Rule, String)>;

impl Run {
    /// Every rule that `change` breaks, lifted ones too.
    pub(super) fn broken(
        &self,
        (id, rung): (ItemId, u8),
        change: &Change,
        given: &[Fact],
        when: Ahead,
    ) -> Broken {
        let kind = match self.form_at(id, rung).spec() {
            Some(spec) => spec.kind.to_string(),
            None => String::new(),
        };
        let mut broken = vec![];
        broken.extend(never_empty(&kind, &change.effects).map(|says| (Rule::NeverEmptyRrset, says)));
        broken.extend(self.too_many_writers(&kind, change, given, when).map(|says| (Rule::MaxWriters, says)));
        if when != Ahead::Back {
            // The way back leads where users were before; whether that answers is what the run was about.
            let least = self.spec.limits.min_live_targets;
            broken.extend(too_few_live(least, change, given).map(|says| (Rule::MinLiveTargets, says)));
        }
        broken
    }

    /// What of it nobody lifted.
    pub(super) fn standing(&self, broken: Broken, now: Time) -> Vec<Reason> {
        let bound = |(rule, _): &(Rule, String)| self.lifted_now(*rule, now).is_none();
        broken
            .into_iter()
            .filter(bound)
            .map(|(rule, says)| Reason::new(rule.code(), format!("{rule}: {says}")))
            .collect()
    }

    /// Overrides that this change of the plan stands on.
    pub(super) fn lifted_for(
        &self,
        (id, rung): (ItemId, u8),
        change: &Change,
        now: Time,
    ) -> impl Iterator<Item = &Override> {
        let broken = self.broken((id, rung), change, &self.promised(id), Ahead::Plan);
        broken.into_iter().filter_map(move |(rule, _)| self.lifted_now(rule, now))
    }

    /// Every rule that the plan breaks and a person lifted.
    pub(super) fn rules_lifted(&self, now: Time) -> Vec<Rule> {
        let of = |id: ItemId| match self.state(id).planned.as_ref().map(|p| (p.rung, &p.plan)) {
            Some((rung, StepPlan::Change(change))) => {
                self.lifted_for((id, rung), change, now).map(|lifted| lifted.rule).collect()
            }
            _ => vec![],
        };
        let mut rules: Vec<Rule> = self.ids().flat_map(of).collect();
        rules.extend(self.budget_lifted(now).map(|lifted| lifted.rule));
        rules.sort();
        rules.dedup();
        rules
    }

    fn too_many_writers(&self, kind: &str, change: &Change, given: &[Fact], when: Ahead) -> Option<String> {
        let told: Vec<(&crate::domain::Name, &Vec<Other>)> = change
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Writer { target, others } => Some((target, others)),
                Effect::Records { .. } => None,
            })
            .collect();
        let makes = kind.ends_with(".promote") || kind.ends_with(".unfence");
        let gives = change.gives.iter().any(|fact| matches!(fact, Fact::Primary { .. }));
        if told.is_empty() {
            return (makes || gives).then(|| "which servers would accept writes is not told".to_owned());
        }
        let mut writers = vec![];
        for (target, others) in told {
            let promoted = given.iter().filter_map(|fact| match fact {
                Fact::Primary { target, lineage } if same_data(change, lineage) => {
                    Some(Other { target: target.clone(), writes: Some(true) })
                }
                _ => None,
            });
            let all = others.iter().cloned().chain(promoted).filter(|other| other.target != *target);
            writers.extend(all.filter_map(|other| self.may_write(&other, given, when)));
        }
        writers.sort();
        writers.dedup();
        let target = change.effects.iter().find_map(|effect| match effect {
            Effect::Writer { target, .. } => Some(target.as_str()),
            Effect::Records { .. } => None,
        });
        (!writers.is_empty())
            .then(|| format!("{} would be a writer beside {}", target.unwrap_or(kind), writers.join(" and ")))
    }

    /// Why this server counts as a writer.
    fn may_write(&self, other: &Other, given: &[Fact], when: Ahead) -> Option<String> {
        let fence = given.iter().filter_map(|fact| match fact {
            Fact::Fenced { target, rung, .. } if *target == other.target => Some(*rung),
            _ => None,
        });
        let fence = fence.max().filter(|rung| *rung > FenceRung::None);
        match (other.writes, fence) {
            (Some(false), _) => None,
            (None, Some(_)) => None,
            // A fence of this run is still to come, or the person is still to be asked.
            (Some(true), Some(_)) if when == Ahead::Plan => None,
            // It answers us, and others may have been locked out all the same.
            (Some(true), Some(rung)) if rung < FenceRung::Stopped => None,
            (Some(true), Some(rung)) => {
                Some(format!("{}, which is said to be fenced ({rung}) and accepts writes", other.target))
            }
            (Some(true), None) => Some(format!("{}, which accepts writes", other.target)),
            (None, None) if self.overrides.contains_key(&other.target) => None,
            (None, None) if when == Ahead::Plan && self.asks_about(&other.target) => None,
            (None, None) => Some(format!("{}, of which it is not known whether it writes", other.target)),
        }
    }
}

/// A primary of other data is no second writer: a run may move a database and a cache. Who does not tell which data it
/// makes writable is held against every one.
fn same_data(change: &Change, lineage: &str) -> bool {
    let mut told = change.gives.iter().filter_map(|fact| match fact {
        Fact::Primary { lineage, .. } => Some(lineage),
        _ => None,
    });
    let first = told.next();
    first.is_none_or(|first| first == lineage) || told.any(|other| other == lineage)
}

fn never_empty(kind: &str, effects: &[Effect]) -> Option<String> {
    let mut sets = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Records { name, kind, after, .. } => Some((name, kind, after)),
            Effect::Writer { .. } => None,
        })
        .peekable();
    if sets.peek().is_none() {
        let must = kind.starts_with("dns.") || kind.ends_with(".record");
        return must.then(|| "which records it would leave is not told".to_owned());
    }
    let empty: Vec<String> = sets
        .filter(|(_, _, after)| after.is_empty())
        .map(|(name, kind, _)| format!("{name} {kind}"))
        .collect();
    (!empty.is_empty()).then(|| format!("{} would be left without records", empty.join(", ")))
}

/// Counted by name, whatever the type: users take what they find.
fn too_few_live(least: u32, change: &Change, given: &[Fact]) -> Option<String> {
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for effect in &change.effects {
        if let Effect::Records { name, kind, after, .. } = effect
            && matches!(kind.as_str(), "A" | "AAAA" | "CNAME")
            && !after.is_empty()
        {
            by_name.entry(name).or_default().extend(after.iter().map(String::as_str));
        }
    }
    let live =
        |at: &&str| given.iter().any(|fact| matches!(fact, Fact::Live { at: known } if *known == place(at)));
    let short = |(name, places): (&&str, &Vec<&str>)| {
        let count = places.iter().copied().filter(|at| live(at)).count();
        let says = || {
            format!(
                "{name} would lead to {}; {count} of {} proven to answer, and at least {least} must be",
                places.join(", "),
                places.len()
            )
        };
        (u32::try_from(count).unwrap_or(u32::MAX) < least).then(says)
    };
    let all: Vec<String> = by_name.iter().filter_map(short).collect();
    (!all.is_empty()).then(|| all.join("; "))
}
