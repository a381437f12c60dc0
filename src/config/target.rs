//! Targets: the real things that actions write to.

use super::parse::secret;
use super::servers::{self, LostWith};
use super::{
    HostedTarget, PatroniTarget, RedisTarget, ResourceTarget, SecretRef, SentinelTarget, hosted, patroni,
    redis, resource, sentinel,
};
use crate::document::{Table, code};
use crate::kernel::domain::Name;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Clone, Debug)]
pub struct Target {
    /// The site it stands in.
    pub site: Option<Name>,
    pub kind: TargetKind,
}

#[derive(Clone, Debug)]
pub enum TargetKind {
    Postgres(PostgresTarget),
    Redis(RedisTarget),
    /// Those who run a primary of Redis and its replicas, which are targets of kind redis.
    Sentinel(SentinelTarget),
    /// A cluster, of which servers of kind postgres are members.
    Patroni(PatroniTarget),
    Host(HostTarget),
    Hosts(HostsTarget),
    Rfc2136(Rfc2136Target),
    /// Changed through its provider's API.
    Hosted(HostedTarget),
    /// A thing at a remote with a few fields.
    Resource(ResourceTarget),
}

impl TargetKind {
    pub fn as_str(&self) -> &'static str {
        match self {
            TargetKind::Postgres(_) => "postgres",
            TargetKind::Redis(_) => "redis",
            TargetKind::Sentinel(_) => "sentinel",
            TargetKind::Patroni(_) => "patroni",
            TargetKind::Host(_) => "host",
            TargetKind::Hosts(_) => "hosts",
            TargetKind::Rfc2136(_) => "rfc2136",
            TargetKind::Hosted(zone) => zone.account.kind(),
            TargetKind::Resource(resource) => resource.kind(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// Only for loopback and private links.
    Disable,
    /// Certificate and name are verified; the system's roots, or `ca`.
    #[default]
    VerifyFull,
}

#[derive(Clone, Debug)]
pub struct PostgresTarget {
    /// Host name or IP address.
    pub address: String,
    pub port: u16,
    /// The target of kind `host` that it runs on.
    pub host: Option<Name>,
    pub user: String,
    pub password: Option<SecretRef>,
    /// Where Pointsman connects for administration.
    pub database: String,
    pub tls: TlsMode,
    /// PEM file of the authority to trust, instead of the system's.
    pub ca: Option<PathBuf>,
    /// The application's own role: a fence is proven by its write being refused.
    pub app_role: Option<AppRole>,
    /// Who runs it, where that is not left to us.
    pub patroni: Option<MemberOf>,
}

/// Which member of which cluster it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberOf {
    /// A target of kind patroni.
    pub cluster: Name,
    pub member: Name,
}

#[derive(Clone, Debug)]
pub struct AppRole {
    pub user: String,
    pub password: Option<SecretRef>,
    pub database: String,
}

/// A machine that commands run on and files lie on: over SSH with a forced command, or this machine.
#[derive(Clone, Debug)]
pub struct HostTarget {
    /// `user@address` or `user@address:port`. The system's ssh, strict known_hosts.
    pub ssh: Option<String>,
    /// True for the machine that Pointsman runs on.
    pub local: bool,
    /// Identity file; `ssh`'s own choice without it.
    pub key: Option<PathBuf>,
    pub known_hosts: Option<PathBuf>,
    /// `ssh -F`.
    pub ssh_config: Option<PathBuf>,
    /// For a local host: the argument list of each command that a playbook may name.
    pub commands: BTreeMap<Name, Vec<String>>,
}

#[derive(Clone, Debug)]
pub struct HostsTarget {
    pub hosts: Vec<Name>,
}

#[derive(Clone, Debug)]
pub struct Rfc2136Target {
    pub zone: String,
    /// The first takes updates; all that answer must answer alike.
    pub servers: Vec<SocketAddr>,
    pub lost_with: LostWith,
    /// Recursive resolvers, asked what users get.
    pub resolvers: Vec<SocketAddr>,
    pub tsig: Tsig,
    /// Whether an owner record is left beside what is changed.
    pub claim: bool,
    /// Whether we tell the other servers of an update, beside what the first does.
    pub notify: bool,
}

#[derive(Clone, Debug)]
pub struct Tsig {
    pub name: String,
    /// `hmac-sha256`
    pub algorithm: String,
    /// Base64, as `tsig-keygen` prints it.
    pub secret: SecretRef,
}

const KINDS: [&str; 7] = ["postgres", "patroni", "redis", "sentinel", "host", "hosts", "rfc2136"];

fn kinds() -> Vec<&'static str> {
    KINDS.into_iter().chain(hosted::KINDS).chain(resource::KINDS).collect()
}

/// Reads one table of `[targets]`.
pub(super) fn read(table: &Table<'_>) -> Option<Target> {
    let site = table.name("site");
    table.need("kind");
    let Some(kind) = table.word("kind", &kinds()) else {
        table.ignore_rest();
        return None;
    };
    let kind = match kind {
        "postgres" => TargetKind::Postgres(read_postgres(table)?),
        "redis" => TargetKind::Redis(redis::read(table)?),
        "sentinel" => TargetKind::Sentinel(sentinel::read(table)?),
        "patroni" => TargetKind::Patroni(patroni::read(table)?),
        "host" => TargetKind::Host(read_host(table)?),
        "hosts" => TargetKind::Hosts(HostsTarget { hosts: read_hosts(table)? }),
        "rfc2136" => TargetKind::Rfc2136(read_zone(table)?),
        other if resource::KINDS.contains(&other) => TargetKind::Resource(resource::read(table, other)?),
        other => TargetKind::Hosted(hosted::read(table, other)?),
    };
    Some(Target { site, kind })
}

fn read_hosts(table: &Table<'_>) -> Option<Vec<Name>> {
    table.need("hosts")?;
    Some(table.names("hosts")?.into_iter().map(|(name, _)| name).collect())
}

fn read_postgres(table: &Table<'_>) -> Option<PostgresTarget> {
    let port = table.integer("port", 1, 65_535).and_then(|n| u16::try_from(n).ok());
    let tls = match table.word("tls", &["disable", "verify-full"]) {
        Some("disable") => TlsMode::Disable,
        _ => TlsMode::VerifyFull,
    };
    let app_role = table.table("app_role").map(|role| {
        let read = AppRole {
            user: role.need_text("user").unwrap_or_default().to_owned(),
            password: secret(&role, "password"),
            database: role.text("database").unwrap_or("postgres").to_owned(),
        };
        role.finish();
        read
    });
    let (address, user) = (table.need_text("address"), table.need_text("user"));
    let (cluster, member) = (table.name("patroni"), table.name("member"));
    if cluster.is_some() != table.get("member").is_some() {
        let says = "\"patroni\" and \"member\" belong together: which cluster, and which member of it";
        table.sink.error(code::MISSING, table.at.clone(), says);
    }
    Some(PostgresTarget {
        address: address.unwrap_or_default().to_owned(),
        port: port.unwrap_or(5432),
        host: table.name("host"),
        user: user.unwrap_or_default().to_owned(),
        password: secret(table, "password"),
        database: table.text("database").unwrap_or("postgres").to_owned(),
        tls,
        ca: table.text("ca").map(PathBuf::from),
        app_role,
        patroni: cluster.zip(member).map(|(cluster, member)| MemberOf { cluster, member }),
    })
}

fn read_host(table: &Table<'_>) -> Option<HostTarget> {
    let mut commands = BTreeMap::new();
    for entry in table.get("commands").map(|node| node.entries()).unwrap_or_default() {
        let what = format!("commands.{}", entry.key);
        let words = table.sink.list(&entry.value, &what).unwrap_or_default();
        let words: Vec<String> =
            words.iter().filter_map(|word| table.sink.text(word, &what)).map(str::to_owned).collect();
        if words.is_empty() {
            let says = format!("{what} must be a list: the program and its arguments");
            table.sink.error(code::BAD_VALUE, entry.value.at.clone(), says);
        }
        commands.insert(Name::from(entry.key.as_str()), words);
    }
    table.table("commands");
    let host = HostTarget {
        ssh: table.text("ssh").map(str::to_owned),
        local: table.boolean("local").unwrap_or(false),
        key: table.text("key").map(PathBuf::from),
        known_hosts: table.text("known_hosts").map(PathBuf::from),
        ssh_config: table.text("ssh_config").map(PathBuf::from),
        commands,
    };
    if host.local == host.ssh.is_some() {
        let says = "a host has either \"ssh\" or \"local = true\"";
        table.sink.error(code::MISSING, table.at.clone(), says);
    }
    if !host.local && !host.commands.is_empty() {
        let says = "\"commands\" are for a local host; over SSH the other side names its own";
        table.sink.error(code::BAD_VALUE, table.key_at("commands"), says);
    }
    Some(host)
}

fn read_zone(table: &Table<'_>) -> Option<Rfc2136Target> {
    table.need("servers");
    let servers = servers::read(table);
    if servers.is_empty() && table.get("servers").is_some() {
        table.sink.error(
            code::BAD_VALUE,
            table.key_at("servers"),
            "\"servers\" must name at least one server",
        );
    }
    table.need("tsig");
    let tsig = table.table("tsig").and_then(|tsig| {
        tsig.need("secret");
        tsig.need("algorithm");
        let read =
            (tsig.need_text("name"), tsig.word("algorithm", &["hmac-sha256"]), secret(&tsig, "secret"));
        tsig.finish();
        Some(Tsig { name: read.0?.to_owned(), algorithm: read.1?.to_owned(), secret: read.2? })
    });
    let lost_with = servers::read_lost_with(table, &servers, servers.first().copied());
    let resolvers = servers::read_resolvers(table, &servers);
    let zone = table.need_text("zone");
    let claim = table.boolean("claim").unwrap_or(true);
    let notify = table.boolean("notify").unwrap_or(true);
    Some(Rfc2136Target { zone: zone?.to_owned(), servers, lost_with, resolvers, tsig: tsig?, claim, notify })
}
