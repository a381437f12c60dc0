//! What looks and who is asked: probes, vantages, alert sources.

use super::SecretRef;
use crate::document::{Table, code};
use crate::kernel::domain::{Name, SourceKind, Span};
use std::net::IpAddr;

/// One question about one thing, asked from every vantage. Exactly one of `http`, `tcp`, `sql`.
#[derive(Clone, Debug)]
pub struct Probe {
    pub http: Option<String>,
    /// Connect here, keep the URL's name for Host and SNI.
    pub resolve_to: Option<IpAddr>,
    /// Expected status of `http`; any 2xx without it.
    pub status: Option<u16>,
    /// `address:port`
    pub tcp: Option<String>,
    /// Name of a postgres target; only from the vantage `local`.
    pub sql: Option<Name>,
}

/// A place to look from, with a declared failure domain. `local` always exists.
#[derive(Clone, Debug)]
pub struct Vantage {
    /// `/probe` of a Blackbox exporter. Without it the vantage is this process.
    pub blackbox: Option<String>,
    /// Blackbox module for `http` probes.
    pub http_module: Option<String>,
    /// Blackbox module for `tcp` probes.
    pub tcp_module: Option<String>,
    /// Vantages that share a domain can fail together.
    pub domain: Name,
    /// A URL that must be reachable from here; otherwise this vantage is blind.
    pub control: Option<String>,
}

/// Where alerts come from, and where to ask whether they still fire.
#[derive(Clone, Debug)]
pub struct Source {
    /// Base URLs of every Alertmanager of the source.
    pub api: Vec<String>,
    /// Base URLs of every Prometheus that evaluates the source's rules.
    pub prometheus: Vec<String>,
    /// The APIs of every Zabbix of the source: `…/api_jsonrpc.php`.
    pub zabbix: Vec<String>,
    pub user: Option<String>,
    pub password: Option<SecretRef>,
    pub bearer: Option<SecretRef>,
    /// What it signs its deliveries with.
    pub signing_secret: Option<SecretRef>,
    /// Still good while the secret is being changed.
    pub previous_signing_secret: Option<SecretRef>,
    /// How bodies at `/hooks/generic/NAME` are read.
    pub generic: Option<super::Generic>,
    /// Say at a problem of Zabbix what is done about it.
    pub write_back: bool,
    /// How often Zabbix is asked for problems that were never told; never, where nobody can be asked.
    pub reconcile: Option<Span>,
    /// An alert that never stops while the source is well.
    pub heartbeat: Option<super::Watchdog>,
}

impl Source {
    /// Somebody can be asked whether its alerts still fire.
    pub fn can_be_asked(&self) -> bool {
        !(self.api.is_empty() && self.prometheus.is_empty() && self.zabbix.is_empty())
    }

    /// All that a delivery may be signed with.
    pub fn signing_secrets(&self) -> impl Iterator<Item = &SecretRef> {
        self.signing_secret.iter().chain(&self.previous_signing_secret)
    }
}

/// Where the configuration says nothing.
pub const READY_EVERY: Span = Span::mins(10);

/// Where the source says nothing.
const RECONCILE: Span = Span::secs(60);

/// `reconcile = "60s"`, or `"never"`, which is zero here; only Zabbix can be asked.
pub(super) fn read_reconcile(table: &Table<'_>) -> Option<Span> {
    let node = table.get("reconcile")?;
    if table.get("zabbix").is_none() {
        let says = "\"reconcile\" asks Zabbix: \"zabbix\" is missing";
        table.sink.error(code::MISSING, table.key_at("reconcile"), says);
    }
    if node.text() == Some("never") {
        return Some(Span::ZERO);
    }
    let every = table.span("reconcile");
    if every.is_some_and(|every| every < Span::secs(1) || every > Span::mins(60)) {
        let says = "\"reconcile\" is between 1s and 1h, or \"never\"";
        table.sink.error(code::BAD_VALUE, table.key_at("reconcile"), says);
    }
    every
}

/// Unless it is said, only a source whose messages surely come under its own name is asked: what was found under one name and told
/// under another would be two problems.
pub(super) fn settle_reconcile(name: &Name, source: &mut Source) {
    let known = name.as_str() == SourceKind::Zabbix.as_str() || source.signing_secret.is_some();
    let every = source.reconcile.or((known && !source.zabbix.is_empty()).then_some(RECONCILE));
    source.reconcile = every.filter(|every| *every > Span::ZERO);
}

/// `[ready] every = "10m"`, or `"never"`.
pub(super) fn read_ready(top: &Table<'_>) -> Option<Span> {
    let Some(table) = top.table("ready") else { return Some(READY_EVERY) };
    let never = table.get("every").and_then(|node| node.text()) == Some("never");
    let every = if never { None } else { Some(table.span("every").unwrap_or(READY_EVERY)) };
    if every.is_some_and(|every| every < Span::secs(1) || every > Span::mins(24 * 60)) {
        let says = "\"every\" is between 1s and 24h, or \"never\"";
        table.sink.error(code::BAD_VALUE, table.key_at("every"), says);
    }
    table.finish();
    every
}
