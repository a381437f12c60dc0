//! From where to where: the pairs of sites that may come, and that this instance is not among the lost.

use super::AlertView;
use super::expand::outer_vars;
use super::matching::stand_in;
use super::model::Playbook;
use crate::config::Config;
use crate::document::{At, Sink, code};
use crate::expr::Template;
use crate::kernel::domain::{Mode, Name};

/// Each pair that `from` and `to` can give. Where one depends on the alert, every site is tried.
pub(super) fn pairs(sink: &Sink, playbook: &Playbook, config: &Config) -> Vec<(Name, Name)> {
    let (from, to) = (&playbook.from, &playbook.to);
    if from.fixed().is_none_or(|v| !v.is_null()) && playbook.sites.len() < 2 {
        sink.error(code::SITES, playbook.places.top.clone(), "\"sites\" must name at least two sites");
    }
    let froms = candidates(sink, playbook, from, &playbook.places.from);
    let tos = candidates(sink, playbook, to, &playbook.places.to);
    let same = from.fixed().is_some() && from.fixed() == to.fixed();
    if same && froms.len() == 1 {
        sink.error(code::SITES, playbook.places.to.clone(), "\"from\" and \"to\" are the same site");
    }
    let tos = if same { playbook.sites.keys().cloned().collect() } else { tos };
    let all = froms.iter().flat_map(|from| tos.iter().map(move |to| (from.clone(), to.clone())));
    all.filter(|(from, to)| from != to && own_site(sink, playbook, config, from)).collect()
}

fn candidates(sink: &Sink, playbook: &Playbook, template: &Template, at: &At) -> Vec<Name> {
    let Some(fixed) = template.fixed() else { return playbook.sites.keys().cloned().collect() };
    let Some(name) = fixed.as_str() else { return vec![] };
    if playbook.sites.contains_key(&Name::from(name)) {
        return vec![Name::from(name)];
    }
    let known: Vec<&str> = playbook.sites.keys().map(Name::as_str).collect();
    sink.unknown(code::UNKNOWN_NAME, at.clone(), format!("there is no site {name:?}"), name, known);
    // Whatever was meant: the rest of the playbook is looked at as well.
    playbook.sites.keys().cloned().collect()
}

/// False: this pair is refused whenever it comes, since we would be lost with the site.
fn own_site(sink: &Sink, playbook: &Playbook, config: &Config, from: &Name) -> bool {
    if config.site.as_ref() != Some(from) {
        return true;
    }
    let at = playbook.places.from.clone();
    let says = format!("this instance runs at {from}: it would be lost with the site it moves away from");
    let hint = "run Pointsman at a third site";
    match playbook.from.fixed().and_then(|fixed| fixed.as_str()) {
        Some(fixed) if fixed == from.as_str() => {
            sink.error_hint(code::OWN_SITE, at, says, hint);
            true
        }
        Some(_) => true,
        None => {
            sink.warn(code::OWN_SITE, at, format!("{says}; runs from there are refused"), hint);
            false
        }
    }
}

pub(super) fn mode(sink: &Sink, playbook: &Playbook, config: &Config) {
    if config.site.is_none() && playbook.mode != Mode::Observe {
        let says = "pointsman.toml has no \"site\", so only mode: observe is allowed";
        let hint = "say in pointsman.toml where this instance runs: site = \"…\"";
        sink.error_hint(code::ONLY_OBSERVE, playbook.places.mode.clone(), says, hint);
    }
}

/// The pair of one run. What an alert names is checked like anything from outside.
pub(super) fn of_run(
    sink: &Sink,
    playbook: &Playbook,
    config: &Config,
    alert: Option<&AlertView>,
) -> Option<(Name, Name, AlertView)> {
    let alert = alert.cloned().unwrap_or_else(|| stand_in(playbook));
    let vars = outer_vars(playbook, config, &alert);
    let site = |template: &Template, at: &At, what: &str| -> Option<Name> {
        match template.eval(&vars) {
            Ok(value) => {
                let name = value.as_str().map(Name::from).filter(|name| playbook.sites.contains_key(name));
                if name.is_none() {
                    let says = format!("{what:?} gives {value}, which is not one of the sites");
                    sink.error(code::SITES, at.clone(), says);
                }
                name
            }
            Err(error) => {
                let says = format!("{what:?}: ${{{}}}: {}", error.source, error.error);
                sink.error(code::EVALUATION, at.clone(), says);
                None
            }
        }
    };
    let from = site(&playbook.from, &playbook.places.from, "from");
    let to = site(&playbook.to, &playbook.places.to, "to");
    let (from, to) = (from?, to?);
    if from == to {
        let says = format!("\"from\" and \"to\" are both {from}");
        sink.error(code::SITES, playbook.places.to.clone(), says);
    }
    if config.site.as_ref() == Some(&from) {
        let says = format!("this instance runs at {from}, which is the site to move away from");
        sink.error(code::OWN_SITE, playbook.places.from.clone(), says);
    }
    (!sink.has_errors()).then_some((from, to, alert))
}
