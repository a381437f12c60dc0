//! What must be said of a step that moves the leader of a Patroni cluster: the fence of a lost one, the write that proves
//! the new one, and that a pause is no fence. Called by `safety`.

use super::actions::LIVING;
use super::expand::{Expanded, Scene, fenced_by};
use super::model::{Playbook, Step};
use super::owed;
use crate::config::Config;
use crate::document::{Sink, code};
use crate::kernel::domain::{Fact, FenceRung, ItemRole, Name, RunKind, Spec};
use serde_json::Value;

pub(super) const MOVES: [&str; 2] = ["patroni.switchover", "patroni.failover"];
pub(super) const PAUSE: &str =
    "a paused Patroni leaves an old leader running, and ends no second one: a pause is no fence";

/// Rules that need no values.
pub(super) fn outline(sink: &Sink, playbook: &Playbook, asks_down: impl Fn(&Step) -> bool) {
    let guarded = playbook.of_role(ItemRole::Guard).any(|(_, guard)| asks_down(guard));
    super::patroni_clusters::outline(sink, playbook, guarded);
    for (_, step) in playbook.of_role(ItemRole::Step) {
        if LIVING.iter().any(|it| step.way(it).is_some()) && playbook.kind != RunKind::Switchover && !guarded
        {
            let says = "what lives refuses to be moved, and no guard asks whether the origin is down";
            let hint = "for a planned move write kind: switchover; else add a guard with quorum: { …, down: majority }";
            sink.warn(code::ALIVE_REFUSES, step.at.clone(), says, hint);
        }
        let pauses = |way: &&super::model::Way| {
            let run = way.action().and_then(|(_, with, _)| with.get("run")?.fixed());
            way.proves.is_some()
                && run.and_then(Value::as_str).is_some_and(|run| run.to_lowercase().contains("pause"))
        };
        if let Some(way) = step.ways.iter().find(pauses) {
            let hint = "stop Patroni and PostgreSQL on the machine, or switch it off";
            sink.warn(code::NO_FENCE, way.at.clone(), PAUSE, hint);
        }
    }
}

/// The old leader that a failover leaves behind, and the one that leads then, where both are targets of kind postgres. A switchover
/// leaves nobody behind: Patroni itself has made the old leader follow. Of two clusters each member of the old one is left
/// behind, since each may be elected there when it comes back, and the whole cluster leads that was promoted.
pub(super) fn left_behind(config: &Config, spec: &Spec) -> Vec<(Name, Name)> {
    if spec.kind.as_str() == super::patroni_clusters::PROMOTE {
        let old = spec.with.get("primary").and_then(Value::as_str).map(Name::from);
        let of = |server: &Name| Some(config.postgres(server)?.patroni.as_ref()?.cluster.clone());
        let members = config.targets.keys().filter(|server| old.is_some() && of(server) == old);
        return members.map(|server| (server.clone(), spec.target.clone())).collect();
    }
    let server = |key: &str| {
        let member = Name::from(spec.with.get(key)?.as_str()?);
        config.patroni_member(&spec.target, &member).map(|(name, _)| name.clone())
    };
    let moves = spec.kind.as_str() == "patroni.failover";
    moves.then(|| server("leader").zip(server("candidate"))).flatten().into_iter().collect()
}

/// One move, with its values.
pub(super) fn check(
    sink: &Sink,
    playbook: &Playbook,
    config: &Config,
    scene: &Scene<'_>,
    items: &[Expanded],
    (item, spec): (&Expanded, &Spec),
) {
    let step = &playbook.steps[item.step];
    let member = |key: &str| Name::from(spec.with.get(key).and_then(Value::as_str).unwrap_or_default());
    let server = |key: &str| config.patroni_member(&spec.target, &member(key)).map(|(name, _)| name);
    let (old, new) = (server("leader"), server("candidate"));
    if let (Some(old), "patroni.failover") = (old, spec.kind.as_str()) {
        fenced(sink, playbook, items, (item, spec), old);
    }
    if !owed::is_written(playbook, items, item.step, new.as_slice()) {
        let candidate = member("candidate");
        let says =
            format!("nothing writes to {candidate} after it came to lead: green would not mean served");
        let hint = format!(
            "add to verify: {{ action: sql.write_probe, with: {{ target: …, as: app }} }}, where the target of kind \
             postgres has patroni = {:?} and member = {:?}",
            spec.target.as_str(),
            candidate.as_str()
        );
        sink.error_hint(code::NO_WRITE_VERIFIED, step.at.clone(), says, hint);
    }
    owed::sites(sink, config, scene, &step.at, new, (old, "the old leader"));
}

/// Some step before it proves that the old leader is stopped, or off.
fn fenced(
    sink: &Sink,
    playbook: &Playbook,
    items: &[Expanded],
    (item, spec): (&Expanded, &Spec),
    old: &Name,
) {
    let step = &playbook.steps[item.step];
    let before = playbook.before(item.step);
    let mut fences = items
        .iter()
        .filter(|other| before.contains(&other.step) && fenced_by(&other.item.rungs).as_ref() == Some(old))
        .peekable();
    if fences.peek().is_none() {
        let says = format!("{} gets another leader, but no step before it fences {old}", spec.target);
        let hint = "add a step that stops Patroni and PostgreSQL on its machine, or switches it off, with proves: { fenced: \
                    …, rung: stopped }, and name it in \"after\"";
        sink.error_hint(code::NO_FENCE, step.at.clone(), says, hint);
    }
    for fence in fences {
        for (rung, way) in fence.item.rungs.iter().zip(&playbook.steps[fence.step].ways) {
            let weak = |fact: &Fact| matches!(fact, Fact::Fenced { rung, .. } if *rung < FenceRung::Stopped);
            if rung.proves.iter().any(weak) {
                let at = way.proves.as_ref().map_or(way.at.clone(), |proves| proves.at.clone());
                let says = "Patroni would take this fence back: the failover needs at least stopped";
                sink.error(code::NO_FENCE, at, says);
            }
        }
    }
}
