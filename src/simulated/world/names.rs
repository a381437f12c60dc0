//! What a playbook and its configuration name, as far as a world must hold it. Read once, when the world is built.

use super::clusters::Clusters;
use super::pair;
use crate::config::{Config, TargetKind};
use crate::kernel::domain::{Form, Name, Resolved, Spec};
use crate::provider::dns::{Question, RrSet, RrType, normal_name};
use crate::provider::redis::Place;
use crate::provider::resource;
use crate::simulated::postgres;
use crate::simulated::redis::{Trio, World};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// The actions and checks that this world can answer.
const MODELLED: [&str; 5] = ["command.run", "file.render", "http.expect", "quorum", "still_firing"];
const OF_POSTGRES: [&str; 7] = [
    "postgres.fence",
    "postgres.promote",
    "postgres.lag",
    "postgres.superseded",
    "postgres.unfence",
    "postgres.standby",
    "sql.write_probe",
];
const OF_PATRONI: [&str; 7] = [
    "patroni.switchover",
    "patroni.failover",
    "patroni.promote_standby_cluster",
    "patroni.demote_cluster",
    "patroni.undemote_cluster",
    "postgres.lag",
    "sql.write_probe",
];
const OF_REDIS: [&str; 10] = [
    SENTINEL,
    "redis.fence",
    "redis.promote",
    "redis.failover",
    "redis.replicate",
    "redis.unreplicate",
    "redis.superseded",
    "redis.unfence",
    "redis.replica",
    "redis.write_probe",
];

/// It moves a primary of Redis, and names those who are told to.
const SENTINEL: &str = "sentinel.failover";

/// TTL of the records as they stand at the beginning: another than the playbook's.
const OLD_TTL: u32 = 300;

/// The application on one machine: a file, and a service that reads it when it starts.
#[derive(Clone, Debug)]
pub struct App {
    pub host: Name,
    pub file: String,
    /// What the file shall hold in the end.
    pub set: BTreeMap<String, String>,
    pub restart: String,
    pub is_current: String,
}

impl App {
    /// The file as it stands at the beginning: every value is the old site's.
    pub fn text(&self, old: &str) -> String {
        let values = self.set.keys().map(|key| format!("{key}={old}\n")).collect::<String>();
        format!("# the application\nPORT=8080\n{values}")
    }

    /// Whether a service that was started with `text` works with the new values.
    pub fn works_with(&self, text: &str) -> bool {
        self.set.iter().all(|(key, value)| text.lines().any(|line| line == format!("{key}={value}")))
    }
}

/// A server, and the one that takes its place.
#[derive(Clone, Debug)]
pub struct Ends {
    pub old: Name,
    pub new: Name,
}

impl Ends {
    /// `None`: nothing is promoted with that.
    fn of(config: &Config, promotes: &[&Spec]) -> Result<Option<Ends>, Vec<String>> {
        match promotes {
            [] => Ok(None),
            [one] => {
                let (old, new) = (replaced(config, one)?, text(one, "new").map(Name::from));
                Ok(Some(Ends { old, new: new.unwrap_or_else(|| one.target.clone()) }))
            }
            many => Err(vec![format!("{} times {}; at most one is simulated", many.len(), many[0].kind)]),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Names {
    /// Whether there is a promotion. Without one a pair of PostgreSQL stands for what nothing speaks of.
    pub promotes: bool,
    pub postgres: Option<Ends>,
    pub redis: Option<Ends>,
    /// Their Sentinels, and how many those are.
    pub sentinels: Option<(Name, usize)>,
    /// Where replicas of Redis find the two.
    places: [Option<Place>; 2],
    pub clusters: Option<Clusters>,
    /// Servers that must take no write once another one does, and those that may then.
    pub olds: Vec<Name>,
    pub news: Vec<Name>,
    pub old_address: String,
    /// Old servers, and the machine that each runs on.
    pub machines: Vec<(Name, Name)>,
    pub apps: Vec<App>,
    /// Each set before, and as it is wanted; those of several for one name and type left out.
    pub zone: Vec<(RrSet, RrSet)>,
    /// Addresses of each site as probes and records have them.
    pub old_site: BTreeSet<IpAddr>,
    pub new_site: BTreeSet<IpAddr>,
    /// `address:port` of each database.
    pub databases: BTreeMap<String, Name>,
    /// Name servers that follow the first of their zone.
    pub secondaries: Vec<SocketAddr>,
    /// Resolvers that are asked what users get.
    pub resolvers: Vec<SocketAddr>,
    /// The server of the zone that takes updates.
    pub primary_server: Option<SocketAddr>,
    /// Labels that are asked for at the alert's source.
    pub labels: Vec<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Record {
    name: String,
    r#type: RrType,
    #[serde(default)]
    values: Vec<String>,
    /// One of several sets: which of them are the old site's is told by their values.
    set: Option<String>,
}

fn list<T: serde::de::DeserializeOwned>(spec: &Spec, key: &str) -> Vec<T> {
    spec.with.get(key).and_then(|value| Vec::deserialize(value).ok()).unwrap_or_default()
}

fn text(spec: &Spec, key: &str) -> Option<String> {
    Some(spec.with.get(key)?.as_str()?.to_owned())
}

/// Whatever has no model must not be reached for real.
fn not_modelled(specs: &[&Spec], of_servers: &[&str]) -> Result<(), Vec<String>> {
    let unknown = |spec: &&&Spec| {
        let kind = spec.kind.as_str();
        let modelled = MODELLED.contains(&kind) || of_servers.contains(&kind);
        !modelled && !spec.sets_records() && !resource::is_one(spec)
    };
    let mut strange: Vec<String> = specs.iter().filter(unknown).map(|s| s.kind.to_string()).collect();
    strange.dedup();
    if strange.is_empty() {
        Ok(())
    } else {
        Err(vec![format!("{} is not yet simulated", strange.join(", "))])
    }
}

fn databases(config: &Config) -> BTreeMap<String, Name> {
    let each = config.targets.keys().filter_map(|name| {
        let of_redis = || config.redis(name).map(|target| (&target.address, target.port));
        let target = config.postgres(name).map(|target| (&target.address, target.port));
        let (address, port) = target.or_else(of_redis)?;
        Some((format!("{address}:{port}"), name.clone()))
    });
    each.collect()
}

impl Names {
    pub fn of(config: &Config, run: &Resolved) -> Result<Names, Vec<String>> {
        let forms = run.items.iter().flat_map(|item| &item.rungs).map(|rung| &rung.form);
        let specs: Vec<&Spec> = forms.filter_map(Form::spec).collect();
        let of = |kind: &str| -> Vec<&Spec> {
            specs.iter().filter(|spec| spec.kind.as_str() == kind).copied().collect()
        };
        let clusters = Clusters::of(config, &specs)?;
        let (of_postgres, redis) = (
            of("postgres.promote"),
            Ends::of(config, &[of("redis.promote"), of("redis.failover"), of(SENTINEL)].concat())?,
        );
        if clusters.is_some() && !of_postgres.is_empty() {
            return Err(vec!["postgres.promote beside a cluster of Patroni is not yet simulated".into()]);
        }
        let mut postgres = Ends::of(config, &of_postgres)?;
        let promotes = clusters.is_some() || postgres.is_some() || redis.is_some();
        if !promotes {
            postgres = Some(Ends { old: "no-primary".into(), new: "no-standby".into() });
        }
        let groups: [(bool, &[&str]); 3] = [
            (clusters.is_some(), &OF_PATRONI),
            (postgres.is_some(), &OF_POSTGRES),
            (redis.is_some(), &OF_REDIS),
        ];
        let known: Vec<&str> =
            groups.iter().filter(|(there, _)| *there).flat_map(|(_, kinds)| *kinds).copied().collect();
        not_modelled(&specs, &known)?;
        let pairs = || [&postgres, &redis].into_iter().flatten();
        let mut olds = clusters.as_ref().map(Clusters::olds).unwrap_or_default();
        olds.extend(pairs().map(|ends| ends.old.clone()));
        let mut news = clusters.as_ref().map(Clusters::news).unwrap_or_default();
        news.extend(pairs().map(|ends| ends.new.clone()));
        let on = |server: &Name| Some((server.clone(), stands(config, server)?.1?));
        let sides = redis.as_ref().map(|ends| [&ends.old, &ends.new]);
        let mut names = Names {
            promotes,
            places: sides.map_or([None, None], |sides| sides.map(|name| place(config, name))),
            old_address: stands(config, &olds[0])
                .map_or_else(|| "old.example".into(), |(address, _)| address),
            machines: olds.iter().filter_map(on).collect(),
            clusters,
            postgres,
            redis,
            sentinels: of(SENTINEL).first().map(|spec| watching(config, &spec.target)).transpose()?,
            olds,
            news,
            apps: apps(&of("file.render"), &of("command.run")),
            zone: vec![],
            old_site: BTreeSet::new(),
            new_site: BTreeSet::new(),
            databases: databases(config),
            secondaries: vec![],
            resolvers: vec![],
            primary_server: None,
            labels: of("still_firing").iter().map(|spec| labels(spec)).collect(),
        };
        names.pins(config, &of("quorum"));
        for spec in specs.iter().filter(|spec| spec.sets_records()) {
            names.records(spec)?;
        }
        names.pinned_pages(&of("http.expect"));
        for spec in of("dns.record") {
            let zone = config.zone(&spec.target);
            let servers = zone.map(|zone| zone.servers.as_slice()).unwrap_or_default();
            names.primary_server = servers.first().copied();
            names.secondaries.extend(servers.iter().skip(1));
            names.resolvers.extend(zone.iter().flat_map(|zone| &zone.resolvers));
        }
        Ok(names)
    }

    pub(super) fn postgres(&self) -> postgres::World {
        match (&self.clusters, &self.postgres) {
            (Some(clusters), _) => pair::servers(clusters),
            (None, Some(Ends { old, new })) => postgres::World::pair(old.as_str(), new.as_str()),
            (None, None) => postgres::World { servers: BTreeMap::new() },
        }
    }

    /// The two as they stand while all is well.
    pub fn redis_pair(&self) -> World {
        let Some(Ends { old, new }) = &self.redis else { return World::default() };
        let mut world = World::pair(old.as_str(), new.as_str());
        for (name, place) in [old, new].into_iter().zip(&self.places) {
            if let Some(place) = place {
                world.server(name.as_str()).place = place.clone();
            }
        }
        world.trio = self.sentinels.as_ref().map(|(_, count)| Trio::of(old.as_str(), *count));
        world
    }

    /// A guard that wants `down` is about the old site, one that wants `up` about the new one.
    fn pins(&mut self, config: &Config, quorums: &[&Spec]) {
        for spec in quorums {
            let site = match spec.with.get("down") {
                Some(_) => &mut self.old_site,
                None => &mut self.new_site,
            };
            let probes: Vec<Name> = list(spec, "probes");
            site.extend(probes.iter().filter_map(|probe| config.probes.get(probe)?.resolve_to));
        }
    }

    /// A page that is looked at by an address is the new site's, where that is not known for the old one's.
    fn pinned_pages(&mut self, pages: &[&Spec]) {
        let pins = pages.iter().filter_map(|spec| text(spec, "resolve_to")?.parse::<IpAddr>().ok());
        let new: Vec<IpAddr> = pins.filter(|at| !self.old_site.contains(at)).collect();
        self.new_site.extend(new);
    }

    fn records(&mut self, spec: &Spec) -> Result<(), Vec<String>> {
        let stale: Vec<String> = list(spec, "stale_values");
        let ttl = spec.with.get("ttl").and_then(serde_json::Value::as_u64).unwrap_or(60);
        for record in list::<Record>(spec, "records") {
            let name = normal_name(&record.name).map_err(|why| vec![why])?;
            let question = Question { name, r#type: record.r#type };
            let normal = |value: &String| record.r#type.normal(value).ok();
            let before: Vec<String> = stale.iter().filter_map(normal).collect();
            let after: Vec<String> = record.values.iter().filter_map(normal).collect();
            self.old_site.extend(before.iter().filter_map(|value| value.parse::<IpAddr>().ok()));
            let new = after.iter().filter(|value| record.set.is_none() || !before.contains(value));
            self.new_site.extend(new.filter_map(|value| value.parse::<IpAddr>().ok()));
            if record.set.is_some() || self.zone.iter().any(|(set, _)| set.question() == question) {
                continue;
            }
            let ttl = u32::try_from(ttl).unwrap_or(u32::MAX);
            self.zone.push((RrSet::new(&question, OLD_TTL, before), RrSet::new(&question, ttl, after)));
        }
        Ok(())
    }
}

/// The server that a promotion takes the place of.
fn replaced(config: &Config, promote: &Spec) -> Result<Name, Vec<String>> {
    let old = text(promote, "old").map(Name::from);
    let old = old.ok_or_else(|| vec!["the promotion names no old primary".to_owned()])?;
    let same = match promote.kind.as_str() {
        "redis.promote" | "redis.failover" | SENTINEL => config.redis(&old).is_some(),
        _ => config.postgres(&old).is_some(),
    };
    match same {
        true => Ok(old),
        false => Err(vec![format!("{old} is not a server that {} could take the place of", promote.target)]),
    }
}

fn watching(config: &Config, target: &Name) -> Result<(Name, usize), Vec<String>> {
    match config.target(target).map(|target| &target.kind) {
        Some(TargetKind::Sentinel(conf)) => Ok((target.clone(), conf.servers.len())),
        _ => Err(vec![format!("{target} is not a target of kind sentinel")]),
    }
}

/// Where a server is found, and the machine that it runs on.
fn stands(config: &Config, server: &Name) -> Option<(String, Option<Name>)> {
    let of_redis = || config.redis(server).map(|conf| (conf.address.clone(), conf.host.clone()));
    config.postgres(server).map(|conf| (conf.address.clone(), conf.host.clone())).or_else(of_redis)
}

fn place(config: &Config, name: &Name) -> Option<Place> {
    let target = config.redis(name)?;
    Some(Place { host: target.address.clone(), port: target.port })
}

fn labels(spec: &Spec) -> BTreeMap<String, String> {
    spec.with.get("labels").and_then(|value| BTreeMap::deserialize(value).ok()).unwrap_or_default()
}

/// A machine whose file is written and whose service is restarted runs the application.
fn apps(files: &[&Spec], commands: &[&Spec]) -> Vec<App> {
    let of = |spec: &&Spec| {
        let restart = commands.iter().find(|command| command.target == spec.target)?;
        Some(App {
            host: spec.target.clone(),
            file: text(spec, "file")?,
            set: spec.with.get("set").and_then(|value| BTreeMap::deserialize(value).ok())?,
            restart: text(restart, "run")?,
            is_current: text(restart, "check")?,
        })
    };
    files.iter().filter_map(of).collect()
}
