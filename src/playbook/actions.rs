//! The actions and checks of this version: where each may stand, its parameters, the kinds of target it fits.
//!
//! What the values must look like is the business of each provider's `bind`.

use crate::document::{At, Sink, code};
use crate::kernel::domain::{ItemRole, Name, Span, Spec};

/// One `provider.verb`.
#[derive(Debug)]
pub struct ActionInfo {
    pub kind: &'static str,
    /// Changes something; a check only looks.
    pub acts: bool,
    pub roles: &'static [ItemRole],
    /// Kinds of target that it fits; none: it has no target.
    pub targets: &'static [&'static str],
    pub need: &'static [&'static str],
    pub may: &'static [&'static str],
    pub timeout: Span,
    pub says: &'static str,
}

const G: ItemRole = ItemRole::Guard;
const S: ItemRole = ItemRole::Step;
const V: ItemRole = ItemRole::Verify;

/// Beside what every record action needs.
const HOSTED: &[&str] = &["min_targets", "max_share", "wait_ttl"];

static ACTIONS: [ActionInfo; 31] = [
    ActionInfo {
        kind: "postgres.fence",
        acts: true,
        roles: &[S],
        targets: &["postgres"],
        need: &["target"],
        may: &["min_rung", "planned"],
        timeout: Span::secs(60),
        says: "makes sure that a primary accepts no more writes, and proves it",
    },
    ActionInfo {
        kind: "postgres.promote",
        acts: true,
        roles: &[S],
        targets: &["postgres"],
        need: &["target", "old"],
        may: &["drain_timeout"],
        timeout: Span::secs(70),
        says: "makes a standby the primary, once the old one is fenced",
    },
    ActionInfo {
        kind: "postgres.lag",
        acts: false,
        roles: &[G, S],
        targets: &["postgres"],
        need: &["target"],
        may: &["max_bytes", "max_seconds", "max_sample_age"],
        timeout: Span::secs(60),
        says: "bounds what would be lost",
    },
    ActionInfo {
        kind: "sql.write_probe",
        acts: true,
        roles: &[S, V],
        targets: &["postgres"],
        need: &["target", "as"],
        may: &[],
        timeout: Span::secs(60),
        says: "commits one row as the application's role",
    },
    ActionInfo {
        kind: "patroni.switchover",
        acts: true,
        roles: &[S],
        targets: &["patroni"],
        need: &["target", "leader", "candidate"],
        may: &["max_lag", "while_paused"],
        timeout: Span::secs(90),
        says: "moves the leader of a Patroni cluster that lives to another member",
    },
    ActionInfo {
        kind: "patroni.failover",
        acts: true,
        roles: &[S],
        targets: &["patroni"],
        need: &["target", "leader", "candidate"],
        may: &["max_lag", "while_paused"],
        timeout: Span::secs(120),
        says: "makes a member of a Patroni cluster the leader, once the old one is lost and fenced",
    },
    ActionInfo {
        kind: "patroni.promote_standby_cluster",
        acts: true,
        roles: &[S],
        targets: &["patroni"],
        need: &["target", "primary"],
        may: &["max_lag"],
        timeout: Span::secs(120),
        says: "makes a standby cluster of Patroni lead, once every member of the one that it follows is fenced or demoted",
    },
    ActionInfo {
        kind: "patroni.demote_cluster",
        acts: true,
        roles: &[S],
        targets: &["patroni"],
        need: &["target", "standby", "host"],
        may: &["port", "primary_slot_name", "max_lag"],
        timeout: Span::secs(120),
        says: "makes a Patroni cluster that leads a standby cluster, and proves that no member of it takes writes",
    },
    ActionInfo {
        kind: "redis.fence",
        acts: true,
        roles: &[S],
        targets: &["redis"],
        need: &["target"],
        may: &["min_rung"],
        timeout: Span::secs(60),
        says: "makes sure that a primary of Redis accepts no more writes, and proves it",
    },
    ActionInfo {
        kind: "redis.promote",
        acts: true,
        roles: &[S],
        targets: &["redis"],
        need: &["target", "old"],
        may: &["drain_timeout", "may_be_empty"],
        timeout: Span::secs(70),
        says: "makes a replica of Redis the primary, once the old one is fenced",
    },
    ActionInfo {
        kind: "redis.failover",
        acts: true,
        roles: &[S],
        targets: &["redis"],
        need: &["target", "old"],
        may: &["timeout", "max_behind"],
        timeout: Span::secs(90),
        says: "has a living primary of Redis hand over to its replica, without loss",
    },
    ActionInfo {
        kind: "redis.replicate",
        acts: true,
        roles: &[S],
        targets: &["redis"],
        need: &["target", "primary"],
        may: &["discard"],
        timeout: Span::mins(5),
        says: "makes a server of Redis follow another one, never a newer or fuller one an older or emptier",
    },
    ActionInfo {
        kind: "sentinel.failover",
        acts: true,
        roles: &[S],
        targets: &["sentinel"],
        need: &["target", "old", "new"],
        may: &["drain_timeout", "may_be_empty"],
        timeout: Span::secs(90),
        says: "has the Sentinels of Redis make a replica the primary; a living one is held first, so that nothing is lost",
    },
    ActionInfo {
        kind: "redis.write_probe",
        acts: true,
        roles: &[S, V],
        targets: &["redis"],
        need: &["target", "as"],
        may: &[],
        timeout: Span::secs(60),
        says: "sets one key as the application's user",
    },
    ActionInfo {
        kind: "command.run",
        acts: true,
        roles: &[S],
        targets: &["host"],
        need: &["target", "run", "check"],
        may: &["undo", "irreversible", "timeout"],
        timeout: Span::secs(60),
        says: "runs a named command on a host; its check says whether it is already done",
    },
    ActionInfo {
        kind: "file.render",
        acts: true,
        roles: &[S],
        targets: &["host"],
        need: &["target", "file", "set"],
        may: &[],
        timeout: Span::secs(60),
        says: "sets keys of an env file, and nothing else in it",
    },
    ActionInfo {
        kind: "http.expect",
        acts: false,
        roles: &[G, S, V],
        targets: &[],
        need: &["url"],
        may: &["resolve_to", "status", "passes", "within", "vantages", "contains"],
        timeout: Span::secs(60),
        says: "expects an answer of a URL",
    },
    ActionInfo {
        kind: "dns.record",
        acts: true,
        roles: &[S],
        targets: &["rfc2136"],
        need: &["target", "records", "ttl"],
        may: &["wait_ttl"],
        timeout: Span::mins(2),
        says: "sets records in one conditional update, seen at every authoritative server",
    },
    ActionInfo {
        kind: "route53.record",
        acts: true,
        roles: &[S],
        targets: &["route53"],
        need: &["target", "records", "ttl"],
        may: HOSTED,
        timeout: Span::mins(5),
        says: "sets records at Route 53 in one conditional batch, until it is in sync",
    },
    ActionInfo {
        kind: "cloudflare.record",
        acts: true,
        roles: &[S],
        targets: &["cloudflare"],
        need: &["target", "records", "ttl"],
        may: HOSTED,
        timeout: Span::mins(3),
        says: "sets records at Cloudflare in one batch; proxied, comment and tags stay",
    },
    ActionInfo {
        kind: "powerdns.record",
        acts: true,
        roles: &[S],
        targets: &["powerdns"],
        need: &["target", "records", "ttl"],
        may: HOSTED,
        timeout: Span::mins(3),
        says: "sets records by the API of a PowerDNS server, in one transaction",
    },
    ActionInfo {
        kind: "digitalocean.record",
        acts: true,
        roles: &[S],
        targets: &["digitalocean"],
        need: &["target", "records", "ttl"],
        may: HOSTED,
        timeout: Span::mins(3),
        says: "sets records at DigitalOcean, one call each",
    },
    ActionInfo {
        kind: "ovh.record",
        acts: true,
        roles: &[S],
        targets: &["ovh"],
        need: &["target", "records", "ttl"],
        may: HOSTED,
        timeout: Span::mins(3),
        says: "sets records at OVHcloud and publishes them",
    },
    ActionInfo {
        kind: "haproxy.server",
        acts: true,
        roles: &[S],
        targets: &["haproxy"],
        need: &["target", "server"],
        may: &["state", "weight", "shutdown_sessions", "min_servers"],
        timeout: Span::secs(60),
        says: "sets a server of a backend in every HAProxy: ready, drain, maint, weight, sessions cut",
    },
    ActionInfo {
        kind: "ovh.instance",
        acts: true,
        roles: &[S],
        targets: &["ovh_instance"],
        need: &["target"],
        may: &[],
        timeout: Span::mins(5),
        says: "switches a machine of OVHcloud's public cloud off, and waits until the provider says so",
    },
    ActionInfo {
        kind: "digitalocean.droplet",
        acts: true,
        roles: &[S],
        targets: &["digitalocean_droplet"],
        need: &["target"],
        may: &[],
        timeout: Span::mins(3),
        says: "switches a droplet off, and waits until the provider says so",
    },
    ActionInfo {
        kind: "cloudflare.steering",
        acts: true,
        roles: &[S],
        targets: &["cloudflare_balancer"],
        need: &["target", "first"],
        may: &[],
        timeout: Span::mins(2),
        says: "puts pools of a load balancer at Cloudflare first",
    },
    ActionInfo {
        kind: "cloudflare.pool",
        acts: true,
        roles: &[S],
        targets: &["cloudflare_balancer"],
        need: &["target", "pool"],
        may: &["enabled", "origins", "min_origins"],
        timeout: Span::mins(2),
        says: "switches a pool of a load balancer at Cloudflare, or single origins of it, on or off",
    },
    ActionInfo {
        kind: "route53.health_check",
        acts: true,
        roles: &[S],
        targets: &["route53_health_check"],
        need: &["target", "leads_to"],
        may: &["inverted", "disabled"],
        timeout: Span::mins(2),
        says: "inverts or disables a health check that records at Route 53 hang on",
    },
    ActionInfo {
        kind: "quorum",
        acts: false,
        roles: &[G, S],
        targets: &[],
        need: &["probes", "vantages"],
        may: &["down", "up"],
        timeout: Span::secs(60),
        says: "asks probes from several vantages and counts votes",
    },
    ActionInfo {
        kind: "still_firing",
        acts: false,
        roles: &[G],
        targets: &[],
        need: &[],
        may: &["or"],
        timeout: Span::secs(60),
        says: "asks the alert's source whether it still fires",
    },
];

/// What makes a server the writer of its data, and what fences the one before it, for each kind of server.
pub(super) const PROMOTES: [&str; 7] = [
    "postgres.promote",
    "redis.promote",
    "patroni.switchover",
    "patroni.failover",
    "patroni.promote_standby_cluster",
    "sentinel.failover",
    HAND_OVER,
];
/// Of a living primary, in a planned move and in nothing else.
pub(super) const HAND_OVER: &str = "redis.failover";
/// Who becomes the primary: the target itself, or, where others carry it out, whom they are to take.
pub(super) fn promoted(spec: &Spec) -> Name {
    spec.with.get("new").and_then(|new| new.as_str()).map_or_else(|| spec.target.clone(), Name::from)
}

/// What moves a primary that lives, and only where that is meant or its site is down.
pub(super) const LIVING: [&str; 2] = ["patroni.switchover", "sentinel.failover"];
pub(super) const FENCES: [&str; 2] = ["postgres.fence", "redis.fence"];
/// A write that is committed as the application.
pub(super) const PROBES: [&str; 2] = ["sql.write_probe", "redis.write_probe"];

/// Of the language, but not of this version.
const LATER: [&str; 2] = ["redis.lag", "http.request"];

pub fn all() -> &'static [ActionInfo] {
    &ACTIONS
}

/// The action of this name, if it may stand here; says why not otherwise.
pub(super) fn find(sink: &Sink, name: &str, role: ItemRole, at: &At) -> Option<&'static ActionInfo> {
    if LATER.contains(&name) {
        let says = format!("the action {name:?} is not yet in this version");
        sink.error_hint(code::NOT_YET, at.clone(), says, "leave the step out, or make it a manual one");
        return None;
    }
    if name == "patroni.pause" {
        let hint =
            "stop Patroni and PostgreSQL on the machine, or switch it off; pause by hand with patronictl";
        sink.error_hint(code::UNKNOWN_ACTION, at.clone(), super::patroni::PAUSE, hint);
        return None;
    }
    if name == "traffic.shift" {
        let says = "a shift is no action but a key of a step whose action sets weights";
        let hint = "add shift: { shares: [5, 25, 50, 100], verify: { action: …, with: { … } } }";
        sink.error_hint(code::UNKNOWN_ACTION, at.clone(), says, hint);
        return None;
    }
    let Some(info) = ACTIONS.iter().find(|info| info.kind == name) else {
        let known: Vec<&str> = ACTIONS.iter().filter(|a| a.roles.contains(&role)).map(|a| a.kind).collect();
        sink.unknown(code::UNKNOWN_ACTION, at.clone(), format!("there is no action {name:?}"), name, known);
        return None;
    };
    if !info.roles.contains(&role) {
        let place = match role {
            ItemRole::Guard => "a guard: guards only look",
            ItemRole::Step => "a step",
            ItemRole::Verify => "a verification",
        };
        sink.error(code::UNKNOWN_ACTION, at.clone(), format!("{name:?} cannot be {place}"));
        return None;
    }
    Some(info)
}
