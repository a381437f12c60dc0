//! What waits for what: names of `after` to steps, the rule that order is said for all steps or for none,
//! cycles.

use super::model::{Playbook, Step};
use crate::document::{Sink, code};
use crate::kernel::domain::ItemRole;

/// Fills `after` of every step.
pub(super) fn link(sink: &Sink, playbook: &mut Playbook) {
    unique_names(sink, &playbook.steps);
    let steps: Vec<usize> = playbook.of_role(ItemRole::Step).map(|(i, _)| i).collect();
    let any_after = steps.iter().any(|i| playbook.steps[*i].has_after);
    for (nth, index) in steps.iter().enumerate() {
        let step = &playbook.steps[*index];
        let after = if !any_after {
            nth.checked_sub(1).map(|before| steps[before]).into_iter().collect()
        } else {
            if !step.has_after && nth > 0 && !step.is_inner_stage() {
                let says = format!("step {:?} has no \"after\", but other steps have", step.name);
                let hint =
                    "say it for every step but the first: a line put in between must never reorder others";
                sink.error_hint(code::AFTER_MISSING, step.at.clone(), says, hint);
            }
            named(sink, playbook, *index, &steps)
        };
        playbook.steps[*index].after = after;
    }
    let verifications: Vec<usize> = playbook.of_role(ItemRole::Verify).map(|(i, _)| i).collect();
    for index in verifications {
        playbook.steps[index].after = steps.clone();
    }
    cycles(sink, playbook, &steps);
}

fn unique_names(sink: &Sink, steps: &[Step]) {
    for (index, step) in steps.iter().enumerate() {
        let taken = step.name.as_str() != "?" && steps[..index].iter().any(|other| other.name == step.name);
        if taken {
            let says = format!("the name {:?} is taken by another guard, step or verification", step.name);
            sink.error(code::DUPLICATE_NAME, step.at.clone(), says);
        }
    }
}

fn named(sink: &Sink, playbook: &Playbook, index: usize, steps: &[usize]) -> Vec<usize> {
    let mut after = vec![];
    for (name, at) in &playbook.steps[index].after_names {
        let found = playbook.step_named(name.as_str()).filter(|i| steps.contains(i));
        match found {
            Some(before) if before == index => {
                sink.error(code::CYCLE, at.clone(), format!("step {name:?} waits for itself"));
            }
            Some(before) => after.push(before),
            None if playbook.step_named(name.as_str()).is_some() => {
                let says =
                    format!("{name:?} is a guard or a verification; steps come after every guard anyway");
                sink.error(code::UNKNOWN_STEP, at.clone(), says);
            }
            None => {
                let known: Vec<&str> = steps.iter().map(|i| playbook.steps[*i].name.as_str()).collect();
                let says = format!("there is no step {name:?}");
                sink.unknown(code::UNKNOWN_STEP, at.clone(), says, name.as_str(), known);
            }
        }
    }
    after.sort_unstable();
    after.dedup();
    after
}

/// Names each ring of steps once.
fn cycles(sink: &Sink, playbook: &Playbook, steps: &[usize]) {
    let mut told: Vec<usize> = vec![];
    for index in steps {
        let before = playbook.before(*index);
        if !before.contains(index) || told.contains(index) {
            continue;
        }
        let ring: Vec<usize> =
            before.into_iter().filter(|other| playbook.before(*other).contains(index)).collect();
        let mut names: Vec<&str> = ring.iter().map(|i| playbook.steps[*i].name.as_str()).collect();
        names.sort_unstable();
        let says = format!("these steps wait for each other: {}", names.join(", "));
        sink.error(code::CYCLE, playbook.steps[*index].at.clone(), says);
        told.extend(ring);
    }
}

/// Indices of all steps so that each comes after those it waits for; the order of the file where it is free.
/// Only without cycles; with them the rest keeps the order of the file.
pub(super) fn sorted(playbook: &Playbook) -> Vec<usize> {
    let mut order: Vec<usize> = vec![];
    let mut left: Vec<usize> = (0..playbook.steps.len()).collect();
    while !left.is_empty() {
        let ready = left
            .iter()
            .position(|i| playbook.steps[*i].after.iter().all(|before| order.contains(before)))
            .unwrap_or(0);
        order.push(left.remove(ready));
    }
    order
}
