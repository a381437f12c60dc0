//! The rules that keep a playbook from doing harm: no promote without a fence, nothing irreversible too
//! early.
//!
//! The engine holds the same lines when it runs; here they are told while there is time to think.

use super::actions::{FENCES, HAND_OVER, PROBES, PROMOTES, promoted};
use super::expand::{Expanded, Scene, fenced_by};
use super::model::{Playbook, Step};
use super::{owed, patroni, patroni_clusters, planned};
use crate::config::Config;
use crate::document::{Sink, code};
use crate::kernel::domain::{Fact, FenceRung, ItemRole, Mode, Name, RunKind, Spec};
use serde_json::Value;

/// What these would cut off may be alive: they refuse unless a majority says that its site is down.
const CUTS: [&str; 4] = ["postgres.fence", "redis.fence", "ovh.instance", "digitalocean.droplet"];

const SENTINEL: &str = "sentinel.failover";

/// Rules that need no values.
pub(super) fn outline(sink: &Sink, playbook: &Playbook) {
    let guards = playbook.of_role(ItemRole::Guard).count();
    let at = &playbook.places.mode;
    if playbook.mode == Mode::Auto && guards == 0 {
        sink.error(
            code::AUTO_WITHOUT_GUARDS,
            at.clone(),
            "mode: auto without guards would act on every alert",
        );
    }
    // What only people start has no cooldown: it binds alerts.
    if playbook.mode == Mode::Auto && playbook.cooldown.is_none() && !playbook.triggers.is_empty() {
        let says = "mode: auto without a cooldown could move a service back and forth";
        sink.error_hint(code::AUTO_WITHOUT_COOLDOWN, at.clone(), says, "add limits: { cooldown: 1h }");
    }
    if playbook.mode == Mode::Auto {
        let says = "mode: auto without a recent drill: nobody has seen this playbook succeed here";
        sink.warn(code::NO_DRILL, at.clone(), says, "run it in mode: approve first, and on a test system");
    }
    let asks_down = |step: &Step| {
        step.way("quorum").and_then(|way| way.action()).is_some_and(|(_, with, _)| with.get("down").is_some())
    };
    let fence =
        playbook.of_role(ItemRole::Step).find(|(_, step)| CUTS.iter().any(|it| step.way(it).is_some()));
    if let (RunKind::Failover, Some((_, step))) = (playbook.kind, fence)
        && !playbook.of_role(ItemRole::Guard).any(|(_, guard)| asks_down(guard))
    {
        let says = "no guard asks whether the origin is down: a primary that is alive will not be fenced";
        let hint = "add a guard with quorum: { …, down: majority }";
        sink.warn(code::ALIVE_REFUSES, step.at.clone(), says, hint);
    }
    planned::outline(sink, playbook);
    patroni::outline(sink, playbook, asks_down);
    if let (true, Some((_, step))) = (playbook.kind != RunKind::Failover, fence)
        && !planned::is_meant(step)
        && !playbook.of_role(ItemRole::Guard).any(|(_, guard)| asks_down(guard))
    {
        // A living primary refuses its fence.
        let (code, says, hint) = match playbook.kind {
            RunKind::Switchover => (
                code::PLANNED,
                "what lives refuses to be cut off, and no guard asks whether the origin is down",
                "for a planned move: action: postgres.fence, with planned: true",
            ),
            _ => (
                code::NOT_YET,
                "in this version only a switchover may fence what lives: this fence would always be refused",
                "leave the kind out, and add a guard that sees the origin down",
            ),
        };
        sink.error_hint(code, step.at.clone(), says, hint);
    }
    faults(sink, playbook);
    commit_point(sink, playbook);
    undo_before_commit(sink, playbook);
    for (_, step) in playbook.of_role(ItemRole::Step) {
        let fences = step.ways.iter().any(|way| FENCES.iter().any(|it| way.is(it)) || way.proves.is_some());
        if step.accept_unfenced.is_some() && !fences {
            let says = "\"accept_unfenced\" belongs to a step that fences";
            sink.error(code::BAD_VALUE, step.at.clone(), says);
        }
        if step.optional && (fences || step.commit_point || promotes(step)) {
            let says = "a fence, a promote and the commit point cannot be optional";
            sink.error(code::OPTIONAL, step.at.clone(), says);
        }
        if step.ways.len() > 1 && promotes(step) {
            sink.error(code::BAD_VALUE, step.at.clone(), "a promote cannot be one rung of several");
        }
    }
}

fn promotes(step: &Step) -> bool {
    PROMOTES.iter().any(|it| step.way(it).is_some())
}

/// Faults on purpose are for drills, which a person starts.
fn faults(sink: &Sink, playbook: &Playbook) {
    for step in &playbook.steps {
        let Some((fault, at)) = &step.inject else { continue };
        let fault = fault.as_str();
        if playbook.kind != RunKind::Drill {
            let says = format!("inject: {fault} would break a real failover");
            sink.error_hint(code::FAULT, at.clone(), says, "faults stand in playbooks of kind: drill only");
        } else if !playbook.triggers.is_empty() || playbook.mode == Mode::Auto {
            let says = format!("inject: {fault} in a playbook that an alert could start");
            let hint = "take the triggers away; mode: approve, or a person's run, starts a drill";
            sink.error_hint(code::FAULT, at.clone(), says, hint);
        } else if !step.ways.iter().any(|way| way.action().is_some_and(|(info, ..)| info.acts)) {
            let says = format!("inject: {fault} belongs to a step that changes something");
            sink.error(code::FAULT, at.clone(), says);
        }
    }
}

/// After the commit point a run goes forward only.
fn undo_before_commit(sink: &Sink, playbook: &Playbook) {
    let Some(commit) = playbook.steps.iter().position(|step| step.commit_point) else { return };
    for (index, step) in playbook.of_role(ItemRole::Step) {
        let Some(at) = step.on_failure_at.clone() else { continue };
        if playbook.before(index).contains(&commit) {
            let says =
                format!("{:?} comes after the commit point: nothing is taken back from there", step.name);
            sink.error_hint(code::COMMIT_POINT, at, says, "write on_failure: pause, or leave it out");
        }
    }
}

/// At most one step commits, and nothing is promoted before it.
fn commit_point(sink: &Sink, playbook: &Playbook) {
    let commits: Vec<usize> =
        playbook.of_role(ItemRole::Step).filter(|(_, step)| step.commit_point).map(|(i, _)| i).collect();
    for second in commits.iter().skip(1) {
        let says = "a playbook has one commit point; this is a second one";
        sink.error(code::COMMIT_POINT, playbook.steps[*second].at.clone(), says);
    }
    if let Some(step) = commits.first().map(|i| &playbook.steps[*i]).filter(|step| step.for_each.is_some()) {
        sink.error(
            code::COMMIT_POINT,
            step.at.clone(),
            "the commit point cannot be a step with \"for_each\"",
        );
    }
    for (index, step) in playbook.of_role(ItemRole::Step) {
        if !promotes(step) || step.commit_point {
            continue;
        }
        if !commits.first().is_some_and(|commit| playbook.before(index).contains(commit)) {
            let says = "a promote is the commit point, or comes after it";
            sink.error_hint(code::COMMIT_POINT, step.at.clone(), says, "add commit_point: true");
        }
    }
}

pub(super) fn check(
    sink: &Sink,
    playbook: &Playbook,
    config: &Config,
    scene: &Scene<'_>,
    items: &[Expanded],
) {
    let each = || {
        let rungs = items.iter().flat_map(|item| item.item.rungs.iter().map(move |rung| (item, rung)));
        rungs.filter_map(|(item, rung)| Some((item, rung.form.spec()?)))
    };
    let of = |kind: &str| -> Vec<(&Expanded, &Spec)> {
        each().filter(|(_, spec)| spec.kind.as_str() == kind).collect()
    };
    let promotions: Vec<(&Expanded, &Spec)> = PROMOTES.iter().flat_map(|kind| of(kind)).collect();
    for (item, spec) in promotions.iter().copied() {
        match spec.kind.as_str() {
            patroni_clusters::PROMOTE => {
                patroni_clusters::check(sink, playbook, config, scene, items, (item, spec));
            }
            kind if patroni::MOVES.contains(&kind) => {
                patroni::check(sink, playbook, config, scene, items, (item, spec));
            }
            _ => promote(sink, playbook, config, scene, items, (item, spec)),
        }
    }
    // A server behind a load balancer that is taken out early cuts sessions off; it leads nobody to the new site.
    let leads = |spec: &Spec| spec.leads_users() && spec.kind.as_str() != "haproxy.server";
    for (dns, spec) in each().filter(|(_, spec)| leads(spec)) {
        let step = &playbook.steps[dns.step];
        let before = playbook.before(dns.step);
        for (promote, _) in &promotions {
            if !before.contains(&promote.step) {
                let name = &playbook.steps[promote.step].name;
                let what = if spec.sets_records() { "DNS" } else { spec.kind.as_str() };
                let says = format!("{what} would lead users to the new site before {name:?} is done");
                let hint = format!("add after: [{name}], or a step that comes after it");
                sink.error_hint(code::DNS_BEFORE_PROMOTE, step.at.clone(), says, hint);
            }
        }
    }
    let commit = playbook.steps.iter().position(|step| step.commit_point);
    for (command, spec) in of("command.run") {
        let irreversible = spec.with.get("irreversible").and_then(Value::as_bool) == Some(true);
        let fences = fenced_by(&command.item.rungs).is_some();
        if irreversible && !fences && commit.is_some_and(|c| !playbook.before(command.step).contains(&c)) {
            let says = "an irreversible command before the commit point could not be taken back";
            let at = playbook.steps[command.step].at.clone();
            sink.error_hint(
                code::IRREVERSIBLE_EARLY,
                at,
                says,
                "put it after the commit point, or give it an undo",
            );
        }
    }
}

fn promote(
    sink: &Sink,
    playbook: &Playbook,
    config: &Config,
    scene: &Scene<'_>,
    items: &[Expanded],
    (item, spec): (&Expanded, &Spec),
) {
    let step = &playbook.steps[item.step];
    let text = |key: &str| spec.with.get(key).and_then(Value::as_str).unwrap_or_default();
    let (old, least) = (Name::from(text("old")), text("fence_rung"));
    let new = promoted(spec);
    let before = playbook.before(item.step);
    if old == new {
        sink.error(
            code::BAD_VALUE,
            step.at.clone(),
            "the standby to promote and the old primary are the same",
        );
        return;
    }
    let fences: Vec<&Expanded> = items
        .iter()
        .filter(|other| before.contains(&other.step) && fenced_by(&other.item.rungs).as_ref() == Some(&old))
        .collect();
    let kind = spec.kind.as_str();
    if fences.is_empty() && !holds_itself(playbook, kind) {
        let says = format!("{new} is promoted, but no step before it fences {old}");
        let hint = match kind {
            SENTINEL => "add a step that stops it on its machine, or switches it off, with proves: { fenced: …, rung: \
                         stopped }, and name it in \"after\""
                .to_owned(),
            _ => {
                let fence = FENCES[usize::from(kind == PROMOTES[1])];
                format!("add a step with action: {fence}, and name it in \"after\"")
            }
        };
        sink.error_hint(code::NO_FENCE, step.at.clone(), says, hint);
    }
    underneath(sink, playbook, kind, &fences);
    for fence in fences {
        rungs(sink, playbook, fence, least);
    }
    if !owed::is_written(playbook, items, item.step, &[&new]) {
        let says = format!("nothing writes to {new} after it was promoted: green would not mean served");
        let probe = PROBES[usize::from(kind != PROMOTES[0])];
        let hint = format!("add to verify: {{ action: {probe}, with: {{ target: …, as: app }} }}");
        sink.error_hint(code::NO_WRITE_VERIFIED, step.at.clone(), says, hint);
    }
    owed::sites(sink, config, scene, &step.at, Some(&new), (Some(&old), "the old primary"));
}

/// A living primary that is moved on purpose is held by the move itself.
fn holds_itself(playbook: &Playbook, kind: &str) -> bool {
    kind == HAND_OVER || (kind == SENTINEL && playbook.kind == RunKind::Switchover)
}

/// What Sentinels run is not fenced by commands: that step would always be refused.
fn underneath(sink: &Sink, playbook: &Playbook, kind: &str, fences: &[&Expanded]) {
    for fence in fences.iter().filter(|_| kind == SENTINEL) {
        let step = &playbook.steps[fence.step];
        if step.way(FENCES[1]).is_some() {
            let says = "underneath Sentinels redis.fence is refused (PM3505)";
            let hint = "stop the server on its machine, or switch it off; what lives is held by sentinel.failover itself";
            sink.error_hint(code::NO_FENCE, step.at.clone(), says, hint);
        }
    }
}

/// A rung of a ladder that proves less than the promote needs would be reached in vain.
fn rungs(sink: &Sink, playbook: &Playbook, fence: &Expanded, least: &str) {
    let least = FenceRung::parse(least).unwrap_or(FenceRung::Lockout);
    for (rung, way) in fence.item.rungs.iter().zip(&playbook.steps[fence.step].ways) {
        for fact in &rung.proves {
            if let Fact::Fenced { rung, .. } = fact
                && *rung < least
            {
                let at = way.proves.as_ref().map_or(way.at.clone(), |proves| proves.at.clone());
                let says = format!("this proves {rung}, but the promote needs at least {least}");
                sink.error(code::NO_FENCE, at, says);
            }
        }
    }
}
