//! How far an action reaches at worst, in words, from its parameters and its target: what whoever reads a plan should
//! have in mind beside the one line that it is meant to change. Made for `http/plans`; pure.

use crate::config::{Config, TargetKind};
use crate::kernel::domain::{Name, Spec};
use serde_json::Value;

/// None: it only looks.
pub fn reach(spec: &Spec, config: &Config) -> Option<String> {
    let (target, with) = (&spec.target, |key: &str| spec.with.get(key));
    let word = |key: &str| with(key).and_then(Value::as_str).unwrap_or("?").to_owned();
    Some(match spec.kind.as_str() {
        "postgres.fence" | "postgres.unfence" => {
            format!(
                "every client of the whole server {target}{}, in all of its databases",
                at(target, config)
            )
        }
        "postgres.promote" => {
            format!("the whole server {target}{}, all of its databases, for good", at(target, config))
        }
        kind if kind.starts_with("patroni.") => of_patroni(kind, target),
        "redis.fence" | "redis.unfence" => {
            format!("every write of every client of the whole server {target}{}", at(target, config))
        }
        "sentinel.failover" => format!(
            "every client of the primary that {target} run, for good; whoever may speak to them may move it again"
        ),
        "redis.promote" => format!("all data of the server {target}{}, for good", at(target, config)),
        "redis.failover" => {
            format!("every client of the server {target}{} and of its primary", at(target, config))
        }
        "redis.replicate" | "redis.unreplicate" => format!(
            "everything that the server {target}{} holds: it is replaced by what another one has",
            at(target, config)
        ),
        "redis.write_probe" => format!("one key of a run on {target}, which expires"),
        "sql.write_probe" => format!("one row of a table of its own on {target}"),
        "command.run" => format!(
            "whatever the command {} can do on {target}, as the user that runs it; Pointsman does not see inside",
            word("run")
        ),
        "file.render" => {
            let keys: Vec<&str> = with("set")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(key, _)| key.as_str())
                .collect();
            format!("{} in the file {} on {target}, and who reads them", keys.join(", "), word("file"))
        }
        "haproxy.server" => format!(
            "every session through {} in each HAProxy of {target}; its access may reach all of their backends",
            word("server")
        ),
        kind if kind.ends_with(".record") => {
            let names = names(with("records"));
            format!(
                "everybody who asks for {names}; its credential may reach more of {}",
                zone(target, config)
                    .map_or_else(|| format!("the zone of {target}"), |z| format!("the zone {z}"))
            )
        }
        _ => return by_provider(spec),
    })
}

/// Through the API of a provider, whose credential mostly reaches further than the step does.
fn by_provider(spec: &Spec) -> Option<String> {
    let (target, word) =
        (&spec.target, |key: &str| spec.with.get(key).and_then(Value::as_str).unwrap_or("?"));
    Some(match spec.kind.as_str() {
        "ovh.instance" | "digitalocean.droplet" => format!(
            "everything that runs on the machine {target}; its credential may reach every machine of the account"
        ),
        "cloudflare.steering" => format!(
            "every user of the load balancer {target}; its credential may reach every load balancer of the zone"
        ),
        "cloudflare.pool" => format!(
            "every user whom a load balancer leads to the pool {}, {target} and any other of the account",
            word("pool")
        ),
        "route53.health_check" => format!(
            "everybody who asks for a name with a record that hangs on the health check {target}, in every zone of the account"
        ),
        _ => return None,
    })
}

fn of_patroni(kind: &str, target: &Name) -> String {
    match kind {
        "patroni.promote_standby_cluster" => format!(
            "every client of the database of both sites, for good: {target} begins a timeline of its own; its access may \
             change all of it"
        ),
        "patroni.demote_cluster" | "patroni.undemote_cluster" => format!(
            "every client that writes to the database: {target} changes sides with all of its members; its access may \
             change all of it"
        ),
        _ => format!(
            "every client of the database that {target} leads, for good; its access may move and change all of it"
        ),
    }
}

fn at(target: &Name, config: &Config) -> String {
    match config.target(target).map(|t| &t.kind) {
        Some(TargetKind::Postgres(server)) => format!(" ({}:{})", server.address, server.port),
        Some(TargetKind::Redis(server)) => format!(" ({}:{})", server.address, server.port),
        Some(_) | None => String::new(),
    }
}

fn zone(target: &Name, config: &Config) -> Option<String> {
    match &config.target(target)?.kind {
        TargetKind::Rfc2136(zone) => Some(zone.zone.clone()),
        TargetKind::Hosted(zone) => Some(zone.zone.clone()),
        TargetKind::Postgres(_)
        | TargetKind::Redis(_)
        | TargetKind::Patroni(_)
        | TargetKind::Sentinel(_)
        | TargetKind::Host(_)
        | TargetKind::Hosts(_)
        | TargetKind::Resource(_) => None,
    }
}

fn names(records: Option<&Value>) -> String {
    let list = records.and_then(Value::as_array).into_iter().flatten();
    let mut names: Vec<&str> = list.filter_map(|r| r.get("name").and_then(Value::as_str)).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() { "its names".into() } else { names.join(", ") }
}
