//! The public half of each target, as `target(NAME)` shows it to a playbook: where it is, never how to get
//! in.

use super::{Config, Target, TargetKind};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

impl Config {
    /// Name → `{name, kind, site, address, port, host, patroni, member, scope, master, hosts, zone}`, each key only where the target has it.
    pub fn public_targets(&self) -> BTreeMap<String, Value> {
        self.targets.iter().map(|(name, target)| (name.to_string(), public(name.as_str(), target))).collect()
    }
}

fn public(name: &str, target: &Target) -> Value {
    let mut map = Map::new();
    map.insert("name".into(), json!(name));
    map.insert("kind".into(), json!(target.kind.as_str()));
    if let Some(site) = &target.site {
        map.insert("site".into(), json!(site));
    }
    match &target.kind {
        TargetKind::Postgres(postgres) => {
            map.insert("address".into(), json!(postgres.address));
            map.insert("port".into(), json!(postgres.port));
            if let Some(host) = &postgres.host {
                map.insert("host".into(), json!(host));
            }
            if let Some(of) = &postgres.patroni {
                map.insert("patroni".into(), json!(of.cluster));
                map.insert("member".into(), json!(of.member));
            }
        }
        TargetKind::Patroni(cluster) => {
            map.insert("scope".into(), json!(cluster.scope));
        }
        TargetKind::Sentinel(sentinel) => {
            map.insert("master".into(), json!(sentinel.master));
        }
        TargetKind::Redis(redis) => {
            map.insert("address".into(), json!(redis.address));
            map.insert("port".into(), json!(redis.port));
            if let Some(host) = &redis.host {
                map.insert("host".into(), json!(host));
            }
        }
        TargetKind::Host(host) => {
            map.insert("host".into(), json!(name));
            if let Some(ssh) = &host.ssh {
                let place = ssh.rsplit_once('@').map_or(ssh.as_str(), |(_, place)| place);
                let (address, port) = match place.rsplit_once(':') {
                    Some((address, port)) if !address.contains(':') || address.starts_with('[') => {
                        (address.trim_matches(['[', ']']), port.parse::<u16>().ok())
                    }
                    _ => (place, None),
                };
                map.insert("address".into(), json!(address));
                map.insert("port".into(), json!(port.unwrap_or(22)));
            }
        }
        TargetKind::Hosts(hosts) => {
            map.insert("hosts".into(), json!(hosts.hosts));
        }
        TargetKind::Rfc2136(zone) => {
            map.insert("zone".into(), json!(zone.zone));
        }
        TargetKind::Hosted(zone) => {
            map.insert("zone".into(), json!(zone.zone));
        }
        TargetKind::Resource(_) => {}
    }
    Value::Object(map)
}
