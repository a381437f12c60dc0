//! Names in the configuration that must name something: hosts of targets, targets of probes.

use super::{ChannelKind, Config, Person, PostgresTarget, TargetKind};
use crate::document::{At, Node, Sink, code};
use crate::kernel::domain::Name;

pub(super) fn references(sink: &Sink, root: &Node, config: &Config) {
    let place = |table: &str, name: &Name, key: &str| -> At {
        let whole = root.get(table).and_then(|t| t.entries().iter().find(|e| e.key == name.as_str()));
        let Some(whole) = whole else { return root.at.start..root.at.start };
        whole.value.get(key).map_or(whole.key_at.clone(), |node| node.at.clone())
    };
    for (name, target) in &config.targets {
        match &target.kind {
            TargetKind::Postgres(postgres) => database(sink, config, (name, postgres), &place),
            TargetKind::Redis(redis) => {
                let host = redis.host.iter();
                host.for_each(|host| must_be(sink, config, host, "host", place("targets", name, "host")));
            }
            TargetKind::Hosts(hosts) => {
                let at = place("targets", name, "hosts");
                for host in &hosts.hosts {
                    must_be(sink, config, host, "host", at.clone());
                }
                if hosts.hosts.is_empty() {
                    sink.error(code::BAD_VALUE, at, "\"hosts\" must name at least one host");
                }
            }
            TargetKind::Host(_)
            | TargetKind::Patroni(_)
            | TargetKind::Sentinel(_)
            | TargetKind::Rfc2136(_)
            | TargetKind::Hosted(_)
            | TargetKind::Resource(_) => {}
        }
    }
    people(sink, config, &|name, key| place("people", name, key));
    for (name, probe) in &config.probes {
        if let Some(target) = &probe.sql {
            must_be(sink, config, target, "postgres", place("probes", name, "sql"));
        }
    }
    if let Some(local) = config.vantages.get(&Name::from("local"))
        && local.blackbox.is_some()
    {
        let says = "the vantage \"local\" is this process and has no \"blackbox\"";
        sink.error(code::BAD_VALUE, place("vantages", &Name::from("local"), "blackbox"), says);
    }
    for (name, vantage) in &config.vantages {
        let given = root.get("vantages").and_then(|t| t.get(name.as_str())?.get("blackbox")).is_some();
        if vantage.blackbox.is_none() && !given && name.as_str() != "local" {
            let says =
                format!("vantage {name:?} has no \"blackbox\": it would look from where \"local\" looks");
            let at = place("vantages", name, "domain");
            sink.error_hint(
                code::MISSING,
                at,
                says,
                "add the URL of a Blackbox exporter's /probe, or remove it",
            );
        }
    }
}

/// Its host and its cluster, and what a fence of it would lack.
fn database(
    sink: &Sink,
    config: &Config,
    (name, postgres): (&Name, &PostgresTarget),
    place: &dyn Fn(&str, &Name, &str) -> At,
) {
    let at = |key: &str| place("targets", name, key);
    if let Some(host) = &postgres.host {
        must_be(sink, config, host, "host", at("host"));
    }
    if let Some(of) = &postgres.patroni {
        must_be(sink, config, &of.cluster, "patroni", at("patroni"));
        a_member(sink, config, name, at("member"));
    }
    // Who runs under Patroni is not fenced by us.
    if postgres.app_role.is_none() && postgres.patroni.is_none() {
        let says = format!("target {name:?} has no \"app_role\": a fence of it can never be proven");
        let hint = "a fence is proven by the application's own write being refused";
        sink.warn(code::MISSING, at("kind"), says, hint);
    }
}

/// One user of Slack is one person.
fn people(sink: &Sink, config: &Config, place: &dyn Fn(&Name, &str) -> At) {
    for (name, person) in &config.people {
        mailboxes(sink, config, (name, person), place);
        let Some(slack) = &person.slack else { continue };
        if config.slack_person(&slack.team, &slack.user) != Some(name) {
            let says = format!(
                "{name:?} and somebody else are the same user of Slack: nobody could tell who decided"
            );
            sink.error(code::DUPLICATE_NAME, place(name, "slack"), says);
        }
    }
}

/// One mailbox is one person, and is of use only where something sends mail.
fn mailboxes(
    sink: &Sink,
    config: &Config,
    (name, person): (&Name, &Person),
    place: &dyn Fn(&Name, &str) -> At,
) {
    let Some(email) = &person.email else { return };
    let same = |other: &Person| other.email.as_ref().is_some_and(|other| other.eq_ignore_ascii_case(email));
    if config.people.iter().find(|(_, other)| same(other)).is_some_and(|(first, _)| first != name) {
        let says = format!("{name:?} and somebody else have the same mailbox: nobody could tell who decided");
        sink.error(code::DUPLICATE_NAME, place(name, "email"), says);
    }
    if !config.channels.values().any(|channel| matches!(channel.kind, ChannelKind::Email(_))) {
        let says = format!("nothing is ever sent to the \"email\" of {name:?}");
        sink.warn(code::MISSING, place(name, "email"), says, "add a [channel.NAME] of kind email");
    }
}

/// The cluster has that member, and no other target says that it is the same.
fn a_member(sink: &Sink, config: &Config, name: &Name, at: At) {
    let Some(of) = config.postgres(name).and_then(|postgres| postgres.patroni.as_ref()) else { return };
    let Some(TargetKind::Patroni(cluster)) = config.targets.get(&of.cluster).map(|target| &target.kind)
    else {
        return;
    };
    if !cluster.members.contains_key(&of.member) {
        let says = format!("{:?} has no member {:?}", of.cluster, of.member);
        let known = cluster.members.keys().map(Name::as_str);
        sink.unknown(code::UNKNOWN_NAME, at, says, of.member.as_str(), known);
    } else if config.patroni_member(&of.cluster, &of.member).is_some_and(|(first, _)| first != name) {
        let says = format!("another target is the member {:?} of {:?} already", of.member, of.cluster);
        sink.error(code::DUPLICATE_NAME, at, says);
    }
}

/// The name must be that of a target of this kind.
fn must_be(sink: &Sink, config: &Config, name: &Name, kind: &str, at: At) {
    match config.targets.get(name) {
        Some(target) if target.kind.as_str() == kind => {}
        Some(target) => {
            let says =
                format!("{name:?} is a target of kind {}, but a {kind} is needed here", target.kind.as_str());
            sink.error(code::WRONG_KIND, at, says);
        }
        None => {
            let known: Vec<&str> = config
                .targets
                .iter()
                .filter(|(_, target)| target.kind.as_str() == kind)
                .map(|(name, _)| name.as_str())
                .collect();
            let says = format!("there is no target {name:?}");
            sink.unknown(code::UNKNOWN_NAME, at, says, name.as_str(), known);
        }
    }
}
