//! What every promotion owes, of whichever kind of server: a write afterwards that proves it, and servers that stand where the
//! playbook says.

use super::actions::PROBES;
use super::expand::{Expanded, Scene};
use super::model::Playbook;
use crate::config::Config;
use crate::document::{At, Sink, code};
use crate::kernel::domain::{ItemRole, Name};

/// Some later item that must be green writes to one of these.
pub(super) fn is_written(playbook: &Playbook, items: &[Expanded], step: usize, servers: &[&Name]) -> bool {
    items.iter().any(|other| {
        let later = other.item.role == ItemRole::Verify || playbook.before(other.step).contains(&step);
        let mut specs = other.item.rungs.iter().filter_map(|rung| rung.form.spec());
        let writes =
            specs.any(|probe| PROBES.contains(&probe.kind.as_str()) && servers.contains(&&probe.target));
        later && writes && !other.item.optional
    })
}

/// Of two targets, as far as they are known: one is promoted, and the other was there before.
pub(super) fn sites(
    sink: &Sink,
    config: &Config,
    scene: &Scene<'_>,
    at: &At,
    new: Option<&Name>,
    (old, word): (Option<&Name>, &str),
) {
    for (target, site, word) in [(new, scene.to, "promoted"), (old, scene.from, word)] {
        let stands = target.and_then(|target| config.targets.get(target)?.site.as_ref());
        if let (Some(target), Some(stands)) = (target, stands.filter(|stands| *stands != site)) {
            let says = format!("{target} is {word}, but it stands at {stands}, not at {site}");
            sink.error(code::SITES, at.clone(), says);
        }
    }
}
