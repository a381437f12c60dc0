//! A playbook for one run: everything fixed, nothing secret, nothing left to evaluate. Called once, at
//! opening.

use super::actions::{PROMOTES, promoted};
use super::expand::{Scene, expand, fenced_by};
use super::{AlertView, Playbook, Problem, patroni, sites};
use crate::config::Config;
use crate::document::{Sink, code};
use crate::kernel::domain::{
    Afterwards, Cause, Epoch, Form, Item, ItemId, Limits, Name, Resolved, RunId, Watched,
};

/// The fold that runs opened by this version begin with.
const FOLD: u16 = 1;

/// What opening adds to the playbook.
#[derive(Clone, Debug)]
pub struct Opening {
    pub run: RunId,
    pub epoch: Epoch,
    pub owner: String,
    pub cause: Cause,
    /// The alert that opened it; none where a person starts the run.
    pub alert: Option<AlertView>,
}

/// Errors point into the playbook's text; nothing was opened.
pub fn resolve(playbook: &Playbook, config: &Config, opening: Opening) -> Result<Resolved, Vec<Problem>> {
    let sink = Sink::new(&playbook.file, &playbook.text);
    let scene = sites::of_run(&sink, playbook, config, opening.alert.as_ref());
    let Some((from, to, alert)) = scene else { return Err(sink.finish()) };
    let expanded =
        expand(&sink, playbook, config, &Scene { from: &from, to: &to, alert: &alert, sample: false });
    // A step that became nothing would be a step silently left out.
    for (index, step) in playbook.steps.iter().enumerate() {
        if !sink.has_errors() && !expanded.iter().any(|item| item.step == index) {
            sink.error(code::EVALUATION, step.at.clone(), format!("{:?} cannot be carried out", step.name));
        }
    }
    if sink.has_errors() {
        return Err(sink.finish());
    }
    let items: Vec<Item> = expanded.into_iter().map(|expanded| expanded.item).collect();
    let defaults = Limits::default();
    Ok(Resolved {
        run: opening.run,
        playbook: playbook.name.clone(),
        playbook_digest: playbook.digest,
        text: playbook.text.clone(),
        service: playbook.service.clone(),
        kind: playbook.kind,
        mode: playbook.mode,
        from,
        to,
        locks: locks(&items),
        afterwards: afterwards(playbook, config, &items),
        items,
        approval: playbook.approval.clone(),
        limits: Limits {
            min_live_targets: playbook.min_live_targets.unwrap_or(super::live::LEAST),
            resume_within: playbook.resume_within.unwrap_or(defaults.resume_within),
            ..defaults
        },
        objective: playbook.objective.clone(),
        cause: opening.cause,
        epoch: opening.epoch,
        owner: opening.owner,
        fold: FOLD,
    })
}

/// Every target that is written, whichever rung is taken, and every target that is fenced by hand.
fn locks(items: &[Item]) -> Vec<Name> {
    let mut locks: Vec<Name> = vec![];
    for item in items {
        for rung in &item.rungs {
            if let Form::Act(spec) = &rung.form {
                locks.push(spec.target.clone());
            }
        }
        locks.extend(fenced_by(&item.rungs));
    }
    locks.sort();
    locks.dedup();
    locks
}

/// Each promotion leaves an old primary behind that must not come back as a second one.
fn afterwards(playbook: &Playbook, config: &Config, items: &[Item]) -> Afterwards {
    let ids = 0..ItemId::try_from(items.len()).unwrap_or(ItemId::MAX);
    let promotions = ids.zip(items).filter_map(|(id, item)| {
        let spec = item.rungs.iter().find_map(|rung| match &rung.form {
            Form::Act(spec) if PROMOTES.contains(&spec.kind.as_str()) => Some(spec),
            _ => None,
        })?;
        let left = match spec.with.get("old").and_then(|old| old.as_str()) {
            Some(old) => vec![(Name::from(old), promoted(spec))],
            None => patroni::left_behind(config, spec),
        };
        Some(left.into_iter().map(move |(target, promoted)| Watched { target, promoted, item: id }))
    });
    let fence_watch = if playbook.fence_watch { promotions.flatten().collect() } else { vec![] };
    Afterwards { fence_watch, commit_window: playbook.commit_window }
}
