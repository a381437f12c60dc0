//! Which parts of a playbook its tests have seen: each guard holding and refusing, each step done and failed, each rung of
//! a ladder, each verification green and failed.

use super::scene::Told;
use crate::kernel::domain::{CallResult, ItemId, ItemRole, Record, Resolved, StepPlan};
use crate::kernel::engine::ItemPhase;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Branch {
    Holds,
    Refuses,
    Done,
    /// The step was done by this rung of its ladder.
    Rung(u8),
    Fails,
}

impl Branch {
    fn says(self, name: &str) -> String {
        match self {
            Branch::Holds => format!("{name}: never held"),
            Branch::Refuses => format!("{name}: never refused"),
            Branch::Done => format!("{name}: never came to be done"),
            Branch::Rung(rung) => format!("{name}: never done by rung {}", rung + 1),
            Branch::Fails => format!("{name}: never failed"),
        }
    }
}

/// A branch that no test has gone.
pub type Missed = String;

/// Of one playbook, over all its cases. Copies of a step that `for_each` made count as one.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    all: BTreeMap<String, BTreeSet<Branch>>,
    seen: BTreeMap<String, BTreeSet<Branch>>,
}

impl Coverage {
    /// What there is to see.
    pub fn of(spec: &Resolved) -> Coverage {
        let mut coverage = Coverage::default();
        for item in &spec.items {
            let branches = coverage.all.entry(step_of(item.name.as_str())).or_default();
            match item.role {
                ItemRole::Guard => branches.extend([Branch::Holds, Branch::Refuses]),
                ItemRole::Step | ItemRole::Verify => {
                    branches.insert(Branch::Fails);
                    match item.rungs.len() {
                        0 | 1 => drop(branches.insert(Branch::Done)),
                        rungs => {
                            branches.extend((0..rungs).filter_map(|r| u8::try_from(r).ok()).map(Branch::Rung))
                        }
                    }
                }
            }
        }
        coverage
    }

    pub fn add(&mut self, told: &Told) {
        let (Some(spec), Some(run)) = (&told.spec, &told.run) else { return };
        let mut see = |id: ItemId, branch: Branch| {
            if let Some(item) = spec.items.get(usize::from(id)) {
                self.seen.entry(step_of(item.name.as_str())).or_default().insert(branch);
            }
        };
        let is_guard =
            |id: ItemId| spec.items.get(usize::from(id)).is_some_and(|i| i.role == ItemRole::Guard);
        for stamped in &told.records {
            match &stamped.record {
                Record::Observed { item, plan, seen, .. } if is_guard(*item) => match (seen, plan) {
                    (Ok(_), StepPlan::Nothing { .. }) => see(*item, Branch::Holds),
                    _ => see(*item, Branch::Refuses),
                },
                Record::Ended { call, end } if end.result != CallResult::Applied => {
                    see(call.item, Branch::Fails)
                }
                Record::Parked { item: Some(item), .. } => see(*item, Branch::Fails),
                _ => {}
            }
        }
        for (id, state) in (0..ItemId::MAX).zip(&run.items) {
            match &state.phase {
                ItemPhase::Done { .. } if run.item(id).rungs.len() > 1 => see(id, Branch::Rung(state.rung)),
                ItemPhase::Done { .. } => see(id, Branch::Done),
                ItemPhase::GaveUp { .. } | ItemPhase::Skipped { .. } => see(id, Branch::Fails),
                _ => {}
            }
        }
    }

    /// What another case of the same playbook has seen.
    pub fn join(&mut self, other: Coverage) {
        for (name, branches) in other.all {
            self.all.entry(name).or_default().extend(branches);
        }
        for (name, branches) in other.seen {
            self.seen.entry(name).or_default().extend(branches);
        }
    }

    /// Branches seen, and branches there are.
    pub fn counts(&self) -> (usize, usize) {
        let seen = |(name, branches): (&String, &BTreeSet<Branch>)| {
            self.seen.get(name).map_or(0, |seen| branches.intersection(seen).count())
        };
        (self.all.iter().map(seen).sum(), self.all.values().map(BTreeSet::len).sum())
    }

    /// Rounded down: 100 only when nothing is missing.
    pub fn percent(&self) -> u32 {
        let (seen, all) = self.counts();
        u32::try_from((seen * 100).checked_div(all).unwrap_or(100)).unwrap_or(0)
    }

    pub fn missed(&self) -> Vec<Missed> {
        let none = BTreeSet::new();
        let of = |(name, branches): (&String, &BTreeSet<Branch>)| -> Vec<Missed> {
            let seen = self.seen.get(name).unwrap_or(&none);
            branches.difference(seen).map(|branch| branch.says(name)).collect()
        };
        self.all.iter().flat_map(of).collect()
    }
}

fn step_of(name: &str) -> String {
    name.split(" [").next().unwrap_or(name).to_owned()
}
