//! Targets: the real things that actions write to.

use super::SecretRef;
use crate::kernel::domain::Name;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Clone, Debug, Deserialize)]
pub struct Target {
    /// The site it stands in.
    pub site: Option<Name>,
    #[serde(flatten)]
    pub kind: TargetKind,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TargetKind {
    Postgres(PostgresTarget),
    Host(HostTarget),
    Hosts(HostsTarget),
    Rfc2136(Rfc2136Target),
}

impl TargetKind {
    pub fn as_str(&self) -> &'static str {
        match self {
            TargetKind::Postgres(_) => "postgres",
            TargetKind::Host(_) => "host",
            TargetKind::Hosts(_) => "hosts",
            TargetKind::Rfc2136(_) => "rfc2136",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Only for loopback and private links.
    Disable,
    /// Certificate and name are verified; the system's roots, or `ca`.
    #[default]
    VerifyFull,
}

#[derive(Clone, Debug, Deserialize)]
pub struct PostgresTarget {
    /// Host name or IP address.
    pub address: String,
    #[serde(default = "postgres_port")]
    pub port: u16,
    /// The target of kind `host` that it runs on.
    pub host: Option<Name>,
    pub user: String,
    pub password: Option<SecretRef>,
    /// Where Pointsman connects for administration.
    #[serde(default = "postgres_database")]
    pub database: String,
    #[serde(default)]
    pub tls: TlsMode,
    /// PEM file of the authority to trust, instead of the system's.
    pub ca: Option<PathBuf>,
    /// The application's own role: a fence is proven by its write being refused.
    pub app_role: Option<AppRole>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppRole {
    pub user: String,
    pub password: Option<SecretRef>,
    #[serde(default = "postgres_database")]
    pub database: String,
}

fn postgres_port() -> u16 {
    5432
}
fn postgres_database() -> String {
    "postgres".to_owned()
}

/// A machine that commands run on and files lie on: over SSH with a forced command, or this machine.
#[derive(Clone, Debug, Deserialize)]
pub struct HostTarget {
    /// `user@address` or `user@address:port`. The system's ssh, strict known_hosts.
    pub ssh: Option<String>,
    /// True for the machine that Pointsman runs on.
    #[serde(default)]
    pub local: bool,
    /// Identity file; `ssh`'s own choice without it.
    pub key: Option<PathBuf>,
    pub known_hosts: Option<PathBuf>,
    /// `ssh -F`.
    pub ssh_config: Option<PathBuf>,
    /// For a local host: the argument list of each command that a playbook may name.
    #[serde(default)]
    pub commands: BTreeMap<Name, Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct HostsTarget {
    pub hosts: Vec<Name>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Rfc2136Target {
    pub zone: String,
    /// The first takes updates; all must answer alike.
    pub servers: Vec<SocketAddr>,
    pub tsig: Tsig,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tsig {
    pub name: String,
    /// `hmac-sha256`
    pub algorithm: String,
    /// Base64, as `tsig-keygen` prints it.
    pub secret: SecretRef,
}
