//! A fence that is meant for a primary that lives: `planned: true`. A person starts such a move, never an alert; it is proven
//! to lose nothing, or it does not happen. Called by `safety`; the engine and the provider hold the same lines (decision 0051).

use super::actions::HAND_OVER;
use super::model::{Playbook, Step};
use crate::document::{At, Sink, code};
use crate::kernel::domain::{ItemRole, OnFailure, RunKind};
use serde_json::Value;

/// Whether this step fences a primary that lives, on purpose.
pub(super) fn is_meant(step: &Step) -> bool {
    place(step).is_some()
}

/// Where it says so. Whatever is not plainly `false` counts: the provider refuses what is no word of truth.
fn place(step: &Step) -> Option<At> {
    let (_, with, args) = step.way("postgres.fence")?.action()?;
    let said = with.get("planned")?;
    (said.fixed() != Some(&Value::Bool(false))).then(|| args.value_at("planned"))
}

pub(super) fn outline(sink: &Sink, playbook: &Playbook) {
    if playbook.of_role(ItemRole::Step).any(|(_, step)| is_meant(step)) {
        gives_back(sink, playbook);
    }
    for (_, step) in playbook.of_role(ItemRole::Step) {
        if step.way(HAND_OVER).is_some() && playbook.kind != RunKind::Switchover {
            let says = "only a primary that lives hands over, in a planned move";
            let hint = "write kind: switchover; for an outage there are redis.fence and redis.promote";
            sink.error_hint(code::PLANNED, step.at.clone(), says, hint);
        }
        let Some(at) = place(step) else { continue };
        if playbook.kind != RunKind::Switchover {
            let says = "planned: true would fence a primary that lives, in a playbook that is no switchover";
            sink.error_hint(code::PLANNED, at.clone(), says, "write kind: switchover, or take it away");
        }
        if let Some(trigger) = playbook.triggers.first() {
            let says = "an alert could start this, and it fences a primary that lives";
            let hint = "take the triggers away: a person starts a planned move";
            sink.error_hint(code::PLANNED, trigger.at.clone(), says, hint);
        }
        if step.ways.len() > 1 || step.accept_unfenced.is_some() {
            let says =
                "a planned fence is the only way of its step: what lives is not cut off by other means";
            let hint = "take the other ways and accept_unfenced away; they belong to the failover";
            sink.error_hint(code::PLANNED, step.at.clone(), says, hint);
        }
        let rung = step.way("postgres.fence").and_then(|way| way.action()?.1.get("min_rung")?.fixed());
        if rung == Some(&Value::from("read_only")) {
            let says = "with read_only a client could go on writing after the last position was read";
            sink.error_hint(code::PLANNED, at, says, "write min_rung: lockout");
        }
    }
}

/// A drain that does not end leaves nobody who takes writes.
fn gives_back(sink: &Sink, playbook: &Playbook) {
    for (_, step) in playbook.of_role(ItemRole::Step) {
        let between = is_meant(step) || step.way("postgres.promote").is_some();
        if between && step.on_failure != OnFailure::Undo {
            let says = "if this step fails, nothing takes writes until a person comes";
            let hint = "add on_failure: undo: the fence of the living primary is taken back then";
            sink.warn(code::PLANNED, step.at.clone(), says, hint);
        }
    }
}
