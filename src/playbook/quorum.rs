//! Guards that count votes: every name exists, a majority is one, and no two votes fail together.

use super::expand::Expanded;
use super::model::{Args, Playbook};
use crate::config::Config;
use crate::document::{Sink, code};
use crate::kernel::domain::{Name, Spec};
use serde_json::Value;

pub(super) fn check(sink: &Sink, playbook: &Playbook, config: &Config, items: &[Expanded]) {
    for item in items {
        for (rung, way) in item.item.rungs.iter().zip(&playbook.steps[item.step].ways) {
            let Some((spec, (_, _, args))) = rung.form.spec().zip(way.action()) else { continue };
            match spec.kind.as_str() {
                "quorum" => quorum(sink, config, spec, args),
                "http.expect" => {
                    vantages(sink, config, spec, args);
                }
                "still_firing" => still_firing(sink, playbook, config, way, args),
                _ => {}
            }
        }
    }
}

fn list<'a>(sink: &Sink, spec: &'a Spec, args: &Args, key: &str) -> Vec<&'a str> {
    let Some(value) = spec.with.get(key) else { return vec![] };
    let names: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let complete = value.as_array().is_some_and(|list| list.len() == names.len()) && !names.is_empty();
    if !complete {
        sink.error(
            code::BAD_VALUE,
            args.value_at(key),
            format!("{key:?} must be a list of names, at least one"),
        );
    }
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            let says = format!("{name:?} is listed twice; it has one vote");
            sink.error(code::BAD_VALUE, args.value_at(key), says);
        }
    }
    names
}

/// Names the vantages that exist.
fn vantages(sink: &Sink, config: &Config, spec: &Spec, args: &Args) -> Vec<Name> {
    let known: Vec<&str> = config.vantages.keys().map(Name::as_str).collect();
    let names = list(sink, spec, args, "vantages");
    for name in names.iter().filter(|name| !known.contains(name)) {
        let says = format!("there is no vantage {name:?} in the configuration");
        sink.unknown(code::UNKNOWN_NAME, args.value_at("vantages"), says, name, known.iter().copied());
    }
    names.into_iter().filter(|name| known.contains(name)).map(Name::from).collect()
}

fn quorum(sink: &Sink, config: &Config, spec: &Spec, args: &Args) {
    let places = vantages(sink, config, spec, args);
    let known: Vec<&str> = config.probes.keys().map(Name::as_str).collect();
    for probe in list(sink, spec, args, "probes") {
        let Some(found) = config.probes.get(&Name::from(probe)) else {
            let says = format!("there is no probe {probe:?} in the configuration");
            sink.unknown(code::UNKNOWN_NAME, args.value_at("probes"), says, probe, known.iter().copied());
            continue;
        };
        if found.sql.is_some() && places.iter().any(|place| place.as_str() != "local") {
            let says = format!("probe {probe:?} is an sql probe, which only the vantage \"local\" can ask");
            let hint = "use a tcp or http probe with other vantages";
            sink.error_hint(code::PROBE_FORM, args.value_at("probes"), says, hint);
        }
    }
    domains(sink, config, &places, args);
    let wanted = ["down", "up"].map(|key| spec.with.get(key).map(|value| (key, value)));
    let [down, up] = wanted;
    match (down, up) {
        (Some((key, value)), None) | (None, Some((key, value))) => {
            needed(sink, key, value, &places, args);
        }
        (Some(_), Some(_)) | (None, None) => {
            sink.error(
                code::BAD_VALUE,
                args.at.clone(),
                "a quorum asks for exactly one of \"down\" and \"up\"",
            );
        }
    }
}

fn needed(sink: &Sink, key: &str, value: &Value, places: &[Name], args: &Args) {
    let at = args.value_at(key);
    match (value.as_str(), value.as_u64()) {
        (Some("all"), _) => {}
        (Some("majority"), _) => majority(sink, places, args),
        (None, Some(n)) if key == "down" && n * 2 <= places.len() as u64 => {
            let says = format!("{n} of {} vantages is no majority, and \"down\" needs one", places.len());
            sink.error_hint(code::MAJORITY, at, says, "write down: majority, or down: all");
        }
        (None, Some(n)) if (1..=places.len() as u64).contains(&n) => {}
        _ => {
            let says = format!("{key:?} must be majority, all, or a number from 1 to {}", places.len());
            sink.error(code::BAD_VALUE, at, says);
        }
    }
}

fn majority(sink: &Sink, places: &[Name], args: &Args) {
    let at = args.value_at("vantages");
    if places.len() == 1 {
        let says = "a majority of one vantage is one opinion: what only it cannot reach counts as down";
        sink.warn(code::MAJORITY, at, says, "list three vantages in different places");
    } else if !places.is_empty() && places.len().is_multiple_of(2) {
        let says = format!("a majority of {} vantages: half of them may disagree for ever", places.len());
        sink.error_hint(code::MAJORITY, at, says, "list an odd number of vantages");
    }
}

/// No two votes of one quorum may fail together.
fn domains(sink: &Sink, config: &Config, places: &[Name], args: &Args) {
    let domain = |name: &Name| config.vantages.get(name).map(|vantage| vantage.domain.to_string());
    for (i, place) in places.iter().enumerate() {
        let Some(twin) = places[..i].iter().find(|other| *other != place && domain(other) == domain(place))
        else {
            continue;
        };
        let says = format!(
            "vantages {twin} and {place} share the failure domain {:?}: they are one vote",
            domain(place).unwrap_or_default()
        );
        let hint = "take one of the two out, or name their domains apart if they are";
        sink.error_hint(code::MAJORITY, args.value_at("vantages"), says, hint);
    }
}

fn still_firing(sink: &Sink, playbook: &Playbook, config: &Config, way: &super::model::Way, args: &Args) {
    let or = way.action().and_then(|(_, with, _)| with.get("or")?.fixed()?.as_str().map(str::to_owned));
    if let Some(or) = &or {
        let guards = playbook.of_role(crate::kernel::domain::ItemRole::Guard);
        let down = |(_, guard): &(usize, &super::model::Step)| {
            guard
                .way("quorum")
                .and_then(|way| way.action())
                .is_some_and(|(_, with, _)| with.get("down").is_some())
        };
        let known: Vec<&str> = guards.filter(down).map(|(_, guard)| guard.name.as_str()).collect();
        if !known.contains(&or.as_str()) {
            let says = format!("{or:?} is not a guard that asks whether the origin is down");
            sink.unknown(code::UNKNOWN_NAME, args.value_at("or"), says, or, known);
        }
    }
    if playbook.triggers.iter().all(|trigger| trigger.is_empty()) {
        let says = "there is no trigger, so there is no alert that could still be firing";
        sink.error(code::BAD_VALUE, args.at.clone(), says);
    }
    let asked = config.sources.values().any(crate::config::Source::can_be_asked);
    if !asked && or.is_none() {
        let says = "no source in the configuration can be asked: this guard can never hold";
        let hint =
            "add [sources.alertmanager] with api = [\"http://…:9093\"], or [sources.zabbix] with zabbix";
        sink.error_hint(code::UNKNOWN_NAME, args.at.clone(), says, hint);
    }
}
