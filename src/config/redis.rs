//! Targets of kind `redis`: one server of Redis or Valkey. Read by `target`; asked by `provider/redis`.

use super::parse::secret;
use super::{SecretRef, TlsMode};
use crate::document::Table;
use crate::kernel::domain::Name;
use std::path::PathBuf;

/// What is written to by a probe where the application may write everywhere.
const PROBE_KEY: &str = "pointsman:probe";

#[derive(Clone, Debug)]
pub struct RedisTarget {
    /// Host name or IP address.
    pub address: String,
    pub port: u16,
    /// The target of kind `host` that it runs on.
    pub host: Option<Name>,
    /// Without it the server's `default` user.
    pub user: Option<String>,
    pub password: Option<SecretRef>,
    pub tls: TlsMode,
    /// PEM file of the authority to trust, instead of the system's.
    pub ca: Option<PathBuf>,
    /// The application's own user: a fence is proven by its write being refused.
    pub app_role: Option<RedisRole>,
    /// Begins the names of keys that probes touch; the application's user must be allowed to write them.
    pub probe_key: String,
}

#[derive(Clone, Debug)]
pub struct RedisRole {
    pub user: String,
    pub password: Option<SecretRef>,
}

impl RedisTarget {
    /// Nothing but its place is known.
    pub(super) fn at(address: &str, port: u16) -> RedisTarget {
        RedisTarget {
            address: address.to_owned(),
            port,
            host: None,
            user: None,
            password: None,
            tls: TlsMode::default(),
            ca: None,
            app_role: None,
            probe_key: PROBE_KEY.to_owned(),
        }
    }
}

pub(super) fn tls(table: &Table<'_>) -> TlsMode {
    match table.word("tls", &["disable", "verify-full"]) {
        Some("disable") => TlsMode::Disable,
        _ => TlsMode::VerifyFull,
    }
}

pub(super) fn read(table: &Table<'_>) -> Option<RedisTarget> {
    let port = table.integer("port", 1, 65_535).and_then(|n| u16::try_from(n).ok());
    let tls = tls(table);
    let app_role = table.table("app_role").map(|role| {
        let user = role.need_text("user").unwrap_or_default().to_owned();
        let read = RedisRole { user, password: secret(&role, "password") };
        role.finish();
        read
    });
    Some(RedisTarget {
        address: table.need_text("address").unwrap_or_default().to_owned(),
        port: port.unwrap_or(6379),
        host: table.name("host"),
        user: table.text("user").map(str::to_owned),
        password: secret(table, "password"),
        tls,
        ca: table.text("ca").map(PathBuf::from),
        app_role,
        probe_key: table.text("probe_key").unwrap_or(PROBE_KEY).to_owned(),
    })
}
