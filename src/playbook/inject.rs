//! Parameters that a check or an action needs from its neighbours, so that no one writes them twice.
//!
//! The contract with the providers: what is added here is part of `with`, and of what is approved.

use super::actions::{FENCES, PROMOTES, promoted};
use super::expand::{Expanded, Scene};
use super::model::Playbook;
use super::patroni_clusters;
use crate::kernel::domain::{Form, Spec};
use serde_json::{Map, Value, json};

pub(super) fn fill(playbook: &Playbook, scene: &Scene<'_>, items: &mut [Expanded]) {
    let pairs = promotions(items);
    let rungs = fence_rungs(items);
    let down_guards = down_guards(items);
    let planned = planned_fences(items);
    let demoted = demoted(items);
    for item in items.iter_mut() {
        for rung in &mut item.item.rungs {
            let (Form::Act(spec) | Form::Check(spec)) = &mut rung.form else { continue };
            let (kind, target) = (spec.kind.to_string(), spec.target.to_string());
            let Some(with) = spec.with.as_object_mut() else { continue };
            if kind.ends_with(".record") {
                with.insert("stale_values".into(), stale_values(playbook, scene));
                with.insert("from_site".into(), json!(scene.from));
            }
            match kind.as_str() {
                "postgres.fence" | "redis.fence" => {
                    with.entry("min_rung").or_insert(json!("lockout"));
                    if let Some((standby, _)) = pairs.iter().find(|(_, old)| *old == target) {
                        with.insert("witness".into(), json!(standby));
                    }
                }
                "postgres.promote" | "redis.promote" | "sentinel.failover" => {
                    let old = with.get("old").and_then(Value::as_str).unwrap_or_default().to_owned();
                    let rung = rungs.iter().find(|(fenced, _)| *fenced == old);
                    let rung = rung.map_or("lockout", |(_, rung)| rung.as_str());
                    with.insert("fence_rung".into(), json!(rung));
                    if planned.contains(&old) {
                        with.insert("planned".into(), json!(true));
                    }
                }
                patroni_clusters::PROMOTE => {
                    let primary = with.get("primary").and_then(Value::as_str).unwrap_or_default();
                    if demoted.iter().any(|(old, new)| old == primary && *new == target) {
                        with.insert("demoted".into(), json!(true));
                    }
                }
                "postgres.lag" => {
                    let old = pairs.iter().find(|(standby, _)| *standby == target).map(|(_, old)| json!(old));
                    let site = playbook.sites.get(scene.from).and_then(|site| site.get("db").cloned());
                    if let Some(primary) = old.or(site) {
                        with.insert("primary".into(), primary);
                    }
                }
                "quorum" => {
                    let site = if with.contains_key("down") { scene.from } else { scene.to };
                    with.insert("site".into(), json!(site));
                }
                "still_firing" => still_firing(with, scene, &down_guards),
                _ => {}
            }
        }
    }
}

fn specs(items: &[Expanded]) -> impl Iterator<Item = &Spec> {
    items.iter().flat_map(|item| &item.item.rungs).filter_map(|rung| rung.form.spec())
}

/// (standby, old primary) of each promotion.
fn promotions(items: &[Expanded]) -> Vec<(String, String)> {
    specs(items)
        .filter(|spec| PROMOTES.contains(&spec.kind.as_str()))
        .filter_map(|spec| Some((promoted(spec).to_string(), spec.with.get("old")?.as_str()?.to_owned())))
        .collect()
}

/// (target, least rung) of each fence.
fn fence_rungs(items: &[Expanded]) -> Vec<(String, String)> {
    let rung =
        |spec: &Spec| spec.with.get("min_rung").and_then(Value::as_str).unwrap_or("lockout").to_owned();
    specs(items)
        .filter(|spec| FENCES.contains(&spec.kind.as_str()))
        .map(|spec| (spec.target.to_string(), rung(spec)))
        .collect()
}

/// Primaries that are fenced while they live, on purpose.
fn planned_fences(items: &[Expanded]) -> Vec<String> {
    let planned = |spec: &&Spec| {
        spec.kind.as_str() == "postgres.fence" && spec.with.get("planned") == Some(&Value::Bool(true))
    };
    specs(items).filter(planned).map(|spec| spec.target.to_string()).collect()
}

/// (old, new) of each Patroni cluster that is made to follow another.
fn demoted(items: &[Expanded]) -> Vec<(String, String)> {
    let demotes = specs(items).filter(|spec| spec.kind.as_str() == patroni_clusters::DEMOTE);
    demotes
        .filter_map(|spec| Some((spec.target.to_string(), spec.with.get("standby")?.as_str()?.to_owned())))
        .collect()
}

/// Names of the guards that prove the origin down.
fn down_guards(items: &[Expanded]) -> Vec<String> {
    let down = |item: &&Expanded| {
        item.item.rungs.iter().filter_map(|rung| rung.form.spec()).any(|s| s.with.get("down").is_some())
    };
    items.iter().filter(down).map(|item| item.item.name.to_string()).collect()
}

/// Every text among the values of the lost site: a sibling record that holds one still points there.
fn stale_values(playbook: &Playbook, scene: &Scene<'_>) -> Value {
    let Some(site) = playbook.sites.get(scene.from) else { return json!([]) };
    site.iter()
        .filter(|(key, value)| key.as_str() != "name" && value.is_string())
        .map(|(_, v)| v.clone())
        .collect()
}

fn still_firing(with: &mut Map<String, Value>, scene: &Scene<'_>, down_guards: &[String]) {
    let or = with.remove("or");
    with.insert("source".into(), json!(scene.alert.source));
    with.insert("labels".into(), json!(scene.alert.labels));
    let stands_in = or.as_ref().and_then(Value::as_str).is_some_and(|or| down_guards.iter().any(|g| g == or));
    if stands_in {
        with.insert("or_site".into(), json!(scene.from));
    }
}
