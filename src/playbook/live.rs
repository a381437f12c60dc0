//! Which addresses a guard or a step proves to answer, so that no name is led to one of which nobody knows: the facts are
//! written into the items when they are made (`expand`), and `check` tells of names that could never be moved.

use super::expand::Expanded;
use super::model::Playbook;
use crate::config::Config;
use crate::document::{Sink, code};
use crate::kernel::domain::{Fact, Form, ItemRole, Spec, place};
use serde_json::Value;

/// Where a playbook says nothing.
pub(super) const LEAST: u32 = 1;

/// Adds to each check what its success proves.
pub(super) fn prove(config: &Config, items: &mut [Expanded]) {
    for rung in items.iter_mut().flat_map(|item| &mut item.item.rungs) {
        let Form::Check(spec) = &rung.form else { continue };
        let places = match spec.kind.as_str() {
            "http.expect" => expected(spec).into_iter().collect(),
            "quorum" if spec.with.get("up").is_some() => probed(config, spec),
            _ => vec![],
        };
        rung.proves.extend(places.into_iter().map(|at| Fact::Live { at }));
    }
}

/// The address that is connected to, or else the URL's own host.
fn expected(spec: &Spec) -> Option<String> {
    let text = |key: &str| spec.with.get(key).and_then(Value::as_str);
    text("resolve_to").map(place).or_else(|| host(text("url")?))
}

fn probed(config: &Config, spec: &Spec) -> Vec<String> {
    let names = spec.with.get("probes").and_then(Value::as_array).into_iter().flatten();
    let probes = names.filter_map(|name| config.probes.get(&name.as_str()?.into()));
    let at = |probe: &crate::config::Probe| match (&probe.resolve_to, &probe.http, &probe.tcp) {
        (Some(address), ..) => Some(place(&address.to_string())),
        (None, Some(url), _) => host(url),
        (None, None, Some(tcp)) => tcp.rsplit_once(':').map(|(host, _)| place(host)),
        (None, None, None) => None,
    };
    probes.filter_map(at).collect()
}

fn host(url: &str) -> Option<String> {
    let url: http::Uri = url.parse().ok()?;
    url.host().map(place)
}

/// A name that nothing before its step proves to lead anywhere would be refused each time.
pub(super) fn check(sink: &Sink, playbook: &Playbook, items: &[Expanded]) {
    let least = playbook.min_live_targets.unwrap_or(LEAST);
    for item in items {
        let before = playbook.before(item.step);
        let proven: Vec<&Fact> = items
            .iter()
            .filter(|other| other.item.role == ItemRole::Guard || before.contains(&other.step))
            .flat_map(|other| other.item.rungs.iter().flat_map(|rung| &rung.proves))
            .collect();
        for spec in item.item.rungs.iter().filter_map(|rung| rung.form.spec()) {
            for (name, places) in names(spec) {
                let live = |at: &&String| {
                    proven.iter().any(|f| matches!(f, Fact::Live { at: known } if known == *at))
                };
                let count = places.iter().filter(live).count();
                if u32::try_from(count).unwrap_or(u32::MAX) < least {
                    let says = format!(
                        "{name} would lead to {}, and no guard and no step before proves that {least} of them answer: \
                         every run would stop here",
                        places.join(", ")
                    );
                    let hint = "add a step before it: http.expect with resolve_to, or a quorum guard with up: majority";
                    sink.error_hint(code::NOT_LIVE, playbook.steps[item.step].at.clone(), says, hint);
                }
            }
        }
    }
}

/// Each name with the places that it shall lead to, as far as the playbook says.
fn names(spec: &Spec) -> Vec<(String, Vec<String>)> {
    if let Some(leads) = spec.with.get("leads_to").and_then(Value::as_object) {
        let places = |list: &Value| {
            list.as_array().into_iter().flatten().filter_map(Value::as_str).map(place).collect()
        };
        return leads.iter().map(|(name, list)| (place(name), places(list))).collect();
    }
    let mut names: Vec<(String, Vec<String>)> = vec![];
    for record in spec.with.get("records").and_then(Value::as_array).into_iter().flatten() {
        // Nobody is sent to a set of weight 0.
        let leads = matches!(record["type"].as_str(), Some("A" | "AAAA" | "CNAME")) && record["weight"] != 0;
        let Some(name) = record["name"].as_str().filter(|_| leads) else { continue };
        let values = record["values"].as_array().into_iter().flatten().chain(record["alias"].get("name"));
        let values = values.filter_map(Value::as_str).map(place);
        let name = place(name);
        match names.iter_mut().find(|(known, _)| *known == name) {
            Some((_, places)) => places.extend(values),
            None => names.push((name, values.collect())),
        }
    }
    names
}
