//! `pointsman.toml` to [`Config`], with all problems at once. Pure: the text is given, no secret is read.
//!
//! Called by `serve`, `check`, `plan` and whatever else needs the configuration; tests of other rooms use
//! it too.

use super::{
    Config, Probe, Scheme, SecretRef, Source, Vantage, channel, check, generic, limit, people, retention,
    target, watch, watchdog, web,
};
use crate::document::{Entry, Node, Problem, Sink, Table, code, has_errors, read};
use crate::kernel::domain::Name;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The configuration if it has no errors, and every problem. Warnings do not hinder.
pub fn parse(text: &str, file: &str) -> (Option<Config>, Vec<Problem>) {
    let sink = Sink::new(file, text);
    let config = read_config(&sink);
    let problems = sink.finish();
    (config.filter(|_| !has_errors(&problems)), problems)
}

/// As far as it can be read, whatever its problems.
#[cfg(test)]
pub(super) fn unchecked(text: &str) -> Config {
    read_config(&Sink::new("test.toml", text)).unwrap_or_default()
}

fn read_config(sink: &Sink) -> Option<Config> {
    let root = read(sink)?;
    let top = sink.table(&root, "pointsman.toml")?;
    let mut config = Config { site: top.name("site"), ..Config::default() };
    config.targets = named(&top, "targets", target::read);
    config.probes = named(&top, "probes", read_probe);
    config.vantages = named(&top, "vantages", read_vantage);
    config.sources = named(&top, "sources", read_source);
    config.sources.iter_mut().for_each(|(name, source)| watch::settle_reconcile(name, source));
    config.people = named(&top, "people", people::read);
    (config.storm, config.changes_per_hour) = limit::read(&top);
    config.ready_every = watch::read_ready(&top);
    config.web = web::read(&top);
    config.older_than = retention::read(&top);
    top.not_yet("store", "records lie in SQLite, in the data directory");
    config.channels = named(&top, "channel", channel::read);
    config.heartbeat = channel::read_heartbeat(&top);
    top.finish();
    check::references(sink, &root, &config);
    // This process is always a place to look from.
    let domain = config.site.clone().unwrap_or_else(|| Name::from("local"));
    let local = Vantage { blackbox: None, http_module: None, tcp_module: None, domain, control: None };
    config.vantages.entry(Name::from("local")).or_insert(local);
    Some(config)
}

/// A table of tables whose keys are names that the user chose.
fn named<T>(top: &Table<'_>, key: &'static str, read: impl Fn(&Table<'_>) -> Option<T>) -> BTreeMap<Name, T> {
    let Some(node) = top.get(key) else { return BTreeMap::new() };
    if top.sink.table(node, format!("{key:?}")).is_none() {
        return BTreeMap::new();
    }
    let one = |entry: &Entry| {
        let name = Node { at: entry.key_at.clone(), kind: crate::document::Kind::Text(entry.key.clone()) };
        let name = top.sink.name(&name, &format!("a name in {key:?}"))?;
        let table = top.sink.table(&entry.value, format!("{key}.{name}"))?;
        let value = read(&table);
        table.finish();
        Some((name, value?))
    };
    node.entries().iter().filter_map(one).collect()
}

/// `{ env = "…" }`, `{ file = "…" }` or `{ credential = "…" }`; a literal is refused and not quoted.
pub(super) fn secret(table: &Table<'_>, key: &'static str) -> Option<SecretRef> {
    let node = table.get(key)?;
    let sink = table.sink;
    if node.text().is_some() {
        let says = format!("{key:?} is a credential and must not stand in this file");
        let hint = "name where it is: { env = \"NAME\" }, { file = \"/path\" } or { credential = \"NAME\" }";
        sink.error_hint(code::WRONG_TYPE, table.key_at(key), says, hint);
        return None;
    }
    let inner = sink.table(node, format!("{key:?}"))?;
    let all = [
        inner.text("env").map(|name| SecretRef::Env(name.to_owned())),
        inner.text("file").map(|path| SecretRef::File(path.into())),
        inner.text("credential").map(|name| SecretRef::Credential(name.to_owned())),
    ];
    let mut given = all.into_iter().flatten();
    let first = given.next();
    if given.next().is_some() || (first.is_none() && node.entries().is_empty()) {
        let says = format!("{key:?} needs exactly one of \"env\", \"file\", \"credential\"");
        sink.error(code::BAD_VALUE, node.at.clone(), says);
    }
    inner.finish();
    first
}

/// An absolute http or https URL without user or password in it.
pub(super) fn url(table: &Table<'_>, key: &'static str) -> Option<String> {
    let text = table.text(key)?;
    url_at(table, key, text, table.get(key)?)
}

fn url_at(table: &Table<'_>, key: &str, text: &str, node: &Node) -> Option<String> {
    let parsed =
        url::Url::parse(text).ok().filter(|u| ["http", "https"].contains(&u.scheme()) && u.has_host());
    let says = match &parsed {
        None => format!("{key:?} must be an http or https URL"),
        Some(u) if !u.username().is_empty() || u.password().is_some() => {
            format!("{key:?} must not hold a user or password")
        }
        Some(_) => return Some(text.to_owned()),
    };
    table.sink.error(code::BAD_VALUE, node.at.clone(), says);
    None
}

fn read_probe(table: &Table<'_>) -> Option<Probe> {
    let address = table.text("resolve_to").zip(table.get("resolve_to"));
    let resolve_to = address.and_then(|(text, node)| {
        let parsed = text.parse::<IpAddr>();
        if parsed.is_err() {
            table.sink.error(code::BAD_VALUE, node.at.clone(), "\"resolve_to\" must be an IP address");
        }
        parsed.ok()
    });
    let probe = Probe {
        http: url(table, "http"),
        resolve_to,
        status: table.integer("status", 100, 599).and_then(|n| u16::try_from(n).ok()),
        tcp: table.text("tcp").map(str::to_owned),
        sql: table.name("sql"),
    };
    let forms = ["http", "tcp", "sql"].into_iter().filter(|form| table.get(form).is_some()).count();
    if forms != 1 {
        let says = "a probe has exactly one form: http, tcp or sql".to_owned();
        table.sink.error(code::PROBE_FORM, table.at.clone(), says);
    }
    for key in ["resolve_to", "status"] {
        if table.get(key).is_some() && table.get("http").is_none() {
            table.sink.error(
                code::PROBE_FORM,
                table.key_at(key),
                format!("{key:?} belongs to an http probe"),
            );
        }
    }
    if let Some((tcp, node)) = probe.tcp.as_deref().zip(table.get("tcp")) {
        let port = tcp.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        if port.and_then(|(_, port)| port.parse::<u16>().ok()).is_none() {
            table.sink.error(code::BAD_VALUE, node.at.clone(), "\"tcp\" must be address:port");
        }
    }
    Some(probe)
}

fn read_vantage(table: &Table<'_>) -> Option<Vantage> {
    let vantage = Vantage {
        blackbox: url(table, "blackbox"),
        http_module: table.text("http_module").map(str::to_owned),
        tcp_module: table.text("tcp_module").map(str::to_owned),
        domain: table.need_name("domain").unwrap_or_else(|| Name::from("?")),
        control: url(table, "control"),
    };
    if table.get("blackbox").is_none() {
        for key in ["http_module", "tcp_module"] {
            if table.get(key).is_some() {
                let says = format!("{key:?} belongs to a vantage with \"blackbox\"");
                table.sink.error(code::BAD_VALUE, table.key_at(key), says);
            }
        }
    }
    Some(vantage)
}

fn read_source(table: &Table<'_>) -> Option<Source> {
    let urls = |key: &'static str| {
        let nodes = table.list(key).unwrap_or_default().iter();
        let what = format!("each of {key:?}");
        nodes.filter_map(|node| url_at(table, key, table.sink.text(node, &what)?, node)).collect()
    };
    let source = Source {
        api: urls("api"),
        prometheus: urls("prometheus"),
        zabbix: urls("zabbix"),
        user: table.text("user").map(str::to_owned),
        password: secret(table, "password"),
        bearer: secret(table, "bearer"),
        signing_secret: secret(table, "signing_secret"),
        previous_signing_secret: secret(table, "previous_signing_secret"),
        generic: generic::read(table),
        heartbeat: watchdog::read(table),
        write_back: table.boolean("write_back").unwrap_or(false),
        reconcile: watch::read_reconcile(table),
    };
    if source.write_back && table.get("zabbix").is_none() {
        let says = "\"write_back\" speaks to Zabbix' API: \"zabbix\" is missing";
        table.sink.error(code::MISSING, table.key_at("write_back"), says);
    }
    if let Some(node) = table.get("zabbix").filter(|_| table.get("bearer").is_none()) {
        let says = "Zabbix' API is asked with a token: \"bearer\" is missing";
        table.sink.error(code::MISSING, node.at.clone(), says);
    }
    let signs = source.generic.as_ref().is_some_and(|generic| generic.signature != Scheme::Pointsman);
    if let Some(node) = table.get("signature").filter(|_| signs && table.get("signing_secret").is_none()) {
        let says = "\"signature\" says how the source signs, and \"signing_secret\" is missing";
        table.sink.error(code::MISSING, node.at.clone(), says);
    }
    if table.get("previous_signing_secret").is_some() && table.get("signing_secret").is_none() {
        let says = "\"previous_signing_secret\" stands beside a new \"signing_secret\"";
        table.sink.error(code::MISSING, table.key_at("previous_signing_secret"), says);
    }
    if table.get("user").is_some() != table.get("password").is_some() {
        let says = "\"user\" and \"password\" belong together";
        table.sink.error(code::MISSING, table.at.clone(), says);
    }
    if table.get("bearer").is_some() && table.get("user").is_some() {
        let says = "a source is asked with \"bearer\" or with \"user\" and \"password\", not both";
        table.sink.error(code::BAD_VALUE, table.key_at("bearer"), says);
    }
    Some(source)
}
