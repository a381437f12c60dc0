//! What must be said of a step that changes the sides of two Patroni clusters: every member of the old one is fenced, or
//! that cluster is demoted before; the new one is written to. Called by `safety` and `patroni`.

use super::expand::{Expanded, Scene, fenced_by};
use super::model::Playbook;
use super::owed;
use crate::config::{Config, TargetKind};
use crate::document::{Sink, code};
use crate::kernel::domain::{Fact, FenceRung, ItemRole, Name, OnFailure, RunKind, Spec};
use serde_json::Value;

pub(super) const PROMOTE: &str = "patroni.promote_standby_cluster";
pub(super) const DEMOTE: &str = "patroni.demote_cluster";

/// Rules that need no values. `guarded`: some guard asks whether the origin is down.
pub(super) fn outline(sink: &Sink, playbook: &Playbook, guarded: bool) {
    let demotes = playbook.of_role(ItemRole::Step).any(|(_, step)| step.way(DEMOTE).is_some());
    for (_, step) in playbook.of_role(ItemRole::Step) {
        let between = step.way(DEMOTE).is_some() || step.way(PROMOTE).is_some();
        if step.way(DEMOTE).is_some() && playbook.kind != RunKind::Switchover && !guarded {
            let says =
                "a cluster that lives refuses to be demoted, and no guard asks whether the origin is down";
            let hint = "for a planned move write kind: switchover; else add a guard with quorum: { …, down: majority }";
            sink.warn(code::ALIVE_REFUSES, step.at.clone(), says, hint);
        }
        if step.way(DEMOTE).is_some() && step.ways.len() > 1 {
            let says = "a demotion is the only way of its step: which of several was gone would not be known";
            let hint = "fence the members one by one in a playbook of its own, for when the cluster is lost";
            sink.error_hint(code::BAD_VALUE, step.at.clone(), says, hint);
        }
        if demotes && between && step.on_failure != OnFailure::Undo {
            let says = "if this step fails, nothing takes writes until a person comes";
            let hint = "add on_failure: undo: the old cluster leads again then";
            sink.warn(code::PLANNED, step.at.clone(), says, hint);
        }
    }
}

/// One promotion, with its values.
pub(super) fn check(
    sink: &Sink,
    playbook: &Playbook,
    config: &Config,
    scene: &Scene<'_>,
    items: &[Expanded],
    (item, spec): (&Expanded, &Spec),
) {
    let step = &playbook.steps[item.step];
    let primary = Name::from(spec.with.get("primary").and_then(Value::as_str).unwrap_or_default());
    let before = playbook.before(item.step);
    let demoted = items.iter().any(|other| {
        let forms = other.item.rungs.iter().filter_map(|rung| rung.form.spec());
        let mut demotes = forms.filter(|spec| spec.kind.as_str() == DEMOTE && spec.target == primary);
        before.contains(&other.step) && demotes.next().is_some()
    });
    if !demoted {
        fenced(sink, playbook, items, (item, spec), &servers(config, &primary), &primary);
    }
    let ours = servers(config, &spec.target);
    if !owed::is_written(playbook, items, item.step, &ours) {
        let says =
            format!("nothing writes to {} after it came to lead: green would not mean served", spec.target);
        let hint = format!(
            "add to verify: {{ action: sql.write_probe, with: {{ target: …, as: app }} }}, where the target of kind postgres \
             has patroni = {:?} and is the member that leads there",
            spec.target.as_str()
        );
        sink.error_hint(code::NO_WRITE_VERIFIED, step.at.clone(), says, hint);
    }
    owed::sites(sink, config, scene, &step.at, Some(&spec.target), (Some(&primary), "the old primary"));
}

/// The members of a cluster, as far as they are targets of kind postgres.
fn servers<'a>(config: &'a Config, cluster: &Name) -> Vec<&'a Name> {
    let Some(TargetKind::Patroni(conf)) = config.targets.get(cluster).map(|target| &target.kind) else {
        return vec![];
    };
    let server = |member| config.patroni_member(cluster, member).map(|(name, _)| name);
    conf.members.keys().filter_map(server).collect()
}

/// Some step before it proves of every member that it is stopped, or off: each may come to lead there.
fn fenced(
    sink: &Sink,
    playbook: &Playbook,
    items: &[Expanded],
    (item, spec): (&Expanded, &Spec),
    members: &[&Name],
    primary: &Name,
) {
    let step = &playbook.steps[item.step];
    let before = playbook.before(item.step);
    for member in members {
        let of = |other: &&Expanded| {
            before.contains(&other.step) && fenced_by(&other.item.rungs).as_ref() == Some(*member)
        };
        let mut fences = items.iter().filter(of).peekable();
        if fences.peek().is_none() {
            let says =
                format!("{} comes to lead, but no step before it fences {member} of {primary}", spec.target);
            let hint = "every member of the old cluster may come to lead there: stop or switch off each with proves: { fenced: \
                        …, rung: stopped }, or in a planned move demote the cluster first (patroni.demote_cluster)";
            sink.error_hint(code::NO_FENCE, step.at.clone(), says, hint);
        }
        for fence in fences {
            for (rung, way) in fence.item.rungs.iter().zip(&playbook.steps[fence.step].ways) {
                let weak =
                    |fact: &Fact| matches!(fact, Fact::Fenced { rung, .. } if *rung < FenceRung::Stopped);
                if rung.proves.iter().any(weak) {
                    let at = way.proves.as_ref().map_or(way.at.clone(), |proves| proves.at.clone());
                    let says = "Patroni would take this fence back: the promotion needs at least stopped";
                    sink.error(code::NO_FENCE, at, says);
                }
            }
        }
    }
}
