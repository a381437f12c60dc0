//! What can be looked at, as it follows from the world: an application lives by its database and its file, and a
//! name leads where the zone says.

use super::{TwoSites, zones};
use crate::kernel::domain::Name;
use crate::provider::dns::{Question, RrType, normal_name};
use crate::provider::http::{Failed, Layer, Pinged, Reply};
use crate::simulated::Sights;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use url::Url;

/// Everything that a look can depend on, so that a stale look can be answered from the one before.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct View {
    /// Databases that answer.
    up: BTreeSet<Name>,
    old_app: bool,
    /// The new site's application writes through its database.
    new_writes: bool,
    addresses: BTreeMap<String, Vec<IpAddr>>,
    firing: bool,
}

impl View {
    pub(super) fn of(sites: &TwoSites) -> View {
        let works = |app: &super::App| {
            let machine = sites.hosts.see(app.host.clone());
            machine.running.get(&app.file).is_some_and(|text| app.works_with(text))
        };
        let mut addresses: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for (set, _) in &sites.names.zone {
            let held = sites.dns.holds(&set.question()).values;
            let held = held.iter().filter_map(|value| value.parse::<IpAddr>().ok());
            addresses.entry(set.name.clone()).or_default().extend(held);
        }
        let led = sites.things.leads(&sites.names, &sites.resources.all());
        for (name, places) in zones::addresses(&sites.hosted).into_iter().chain(led) {
            addresses.insert(name, places);
        }
        View {
            up: sites.pair.up(),
            old_app: !sites.start.app_dead && sites.pair.writes(&sites.names.olds),
            new_writes: sites.names.apps.iter().all(works)
                && (!sites.names.promotes || sites.pair.writes(&sites.names.news)),
            addresses,
            firing: !sites.seen().resolved,
        }
    }

    /// The application at one address. A deep question writes; a shallow one is answered by any living process.
    fn app(&self, sites: &TwoSites, at: IpAddr, deep: bool) -> Result<Reply, Failed> {
        let answers = |well: bool| Reply { status: if well { 200 } else { 503 }, body: String::new() };
        match () {
            () if sites.names.new_site.contains(&at) && sites.start.new_app_dead => {
                Err(refused(&at.to_string()))
            }
            () if sites.names.new_site.contains(&at) => Ok(answers(!deep || self.new_writes)),
            () if !sites.names.old_site.contains(&at) => Err(refused(&at.to_string())),
            () if sites.start.app_dead => Err(refused(&at.to_string())),
            () => Ok(answers(self.old_app)),
        }
    }
}

fn refused(what: &str) -> Failed {
    Failed { layer: Layer::Tcp, says: format!("{what}: connection refused") }
}

pub(super) struct Sightseer(pub Weak<TwoSites>);

impl Sightseer {
    fn sites(&self) -> Arc<TwoSites> {
        self.0.upgrade().expect("invariant: whoever looks holds the world")
    }
}

impl Sights for Sightseer {
    fn http(&self, _from: &str, url: &str, pin: Option<IpAddr>) -> Result<Reply, Failed> {
        let sites = self.sites();
        let view = sites.looked_at();
        let asked = Url::parse(url).map_err(|e| Failed { layer: Layer::Local, says: e.to_string() })?;
        let name = normal_name(asked.host_str().unwrap_or_default()).unwrap_or_default();
        let ours = view.addresses.contains_key(&name);
        let deep = asked.query_pairs().any(|(key, _)| key == "deep");
        let at = match (pin, view.addresses.get(&name)) {
            (Some(pin), _) => pin,
            // Somebody else's site, which lives: a control target.
            (None, None) if !ours => return Ok(Reply { status: 200, body: String::new() }),
            (None, Some(addresses)) if !addresses.is_empty() => addresses[0],
            (None, _) => {
                return Err(Failed { layer: Layer::Dns, says: format!("{name}: no such name") });
            }
        };
        view.app(&sites, at, deep)
    }

    fn tcp(&self, _from: &str, address: &str) -> Result<(), Failed> {
        let sites = self.sites();
        let up = sites.names.databases.get(address).is_some_and(|name| sites.looked_at().up.contains(name));
        if up { Ok(()) } else { Err(refused(address)) }
    }

    fn sql(&self, target: &Name) -> Pinged {
        match self.sites().looked_at().up.contains(target) {
            true => Pinged::Up,
            false => Pinged::Down(refused(target.as_str())),
        }
    }

    fn alerts(&self, _api: &str) -> Option<Vec<Value>> {
        let sites = self.sites();
        let alert = |labels| json!({ "labels": labels, "status": { "state": "active" } });
        let firing = sites.looked_at().firing;
        (!sites.start.source_silent)
            .then(|| sites.names.labels.iter().filter(|_| firing).map(alert).collect())
    }
}

/// The set that somebody else publishes under a name of ours.
pub(super) fn foreign(question: &Question) -> Vec<String> {
    match question.r#type {
        RrType::A => vec!["192.0.2.99".into()],
        RrType::Aaaa => vec!["2001:db8:ff::99".into()],
        RrType::Cname => vec!["elsewhere.example.".into()],
        RrType::Txt => vec!["elsewhere".into()],
    }
}
