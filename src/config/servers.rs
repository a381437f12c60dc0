//! The authoritative servers of a zone, which of them may be lost together with a site, and resolvers that users ask.
//! `target` and `hosted` read them; the record actions ask.

use crate::document::{Node, Table, code};
use crate::kernel::domain::Name;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// By site: servers that stand there and may be silent while a run leads away from it.
#[derive(Clone, Debug, Default)]
pub struct LostWith(BTreeMap<Name, BTreeSet<SocketAddr>>);

impl LostWith {
    pub fn expects(&self, server: SocketAddr, lost: Option<&Name>) -> bool {
        lost.and_then(|site| self.0.get(site)).is_some_and(|servers| servers.contains(&server))
    }
}

/// `servers`, in their order.
pub(super) fn read(table: &Table<'_>) -> Vec<SocketAddr> {
    let list = table.list("servers").unwrap_or_default();
    list.iter().filter_map(|node| address(table, node, "servers")).collect()
}

/// Every one of them is asked at each look after a change.
const MOST_RESOLVERS: usize = 8;

/// `resolvers`: recursive ones.
pub(super) fn read_resolvers(table: &Table<'_>, servers: &[SocketAddr]) -> Vec<SocketAddr> {
    let list = table.list("resolvers").unwrap_or_default();
    let mut all: Vec<SocketAddr> = list.iter().filter_map(|node| address(table, node, "resolvers")).collect();
    let error = |says: String| table.sink.error(code::BAD_VALUE, table.key_at("resolvers"), says);
    if let Some(both) = all.iter().find(|resolver| servers.contains(resolver)) {
        error(format!(
            "{both} is one of \"servers\": what it holds itself says nothing about what users are given"
        ));
    }
    if all.len() > MOST_RESOLVERS {
        error(format!("{} resolvers; at most {MOST_RESOLVERS} are asked", all.len()));
    }
    all.sort();
    all.dedup();
    all
}

/// `lost_with`. `writes`: the server that takes the updates, so that nothing goes without it.
pub(super) fn read_lost_with(table: &Table<'_>, all: &[SocketAddr], writes: Option<SocketAddr>) -> LostWith {
    let mut lost_with = LostWith::default();
    let Some(sites) = table.table("lost_with") else { return lost_with };
    for entry in sites.entries() {
        let site = Name::from(entry.key.as_str());
        let list = sites.sink.list(&entry.value, "each site of \"lost_with\"").unwrap_or_default();
        let lost: BTreeSet<SocketAddr> =
            list.iter().filter_map(|node| address(&sites, node, "lost_with")).collect();
        let error = |says: String| sites.sink.error(code::BAD_VALUE, entry.key_at.clone(), says);
        for server in lost.iter().filter(|server| !all.contains(server)) {
            error(format!("{server} in \"lost_with\" is none of \"servers\""));
        }
        if let Some(first) = writes.filter(|first| lost.contains(first)) {
            error(format!(
                "{first} takes the updates: if it is lost with {site}, nothing can be changed; name first a server \
                 that stands elsewhere"
            ));
        } else if !all.is_empty() && all.iter().all(|server| lost.contains(server)) {
            error(format!("every server is lost with {site}: none would be left to answer"));
        }
        lost_with.0.insert(site, lost);
    }
    sites.ignore_rest();
    lost_with
}

fn address(table: &Table<'_>, node: &Node, key: &str) -> Option<SocketAddr> {
    let read = table.sink.text(node, &format!("each of {key:?}"))?.parse().ok();
    if read.is_none() {
        let says = format!("each of {key:?} must be IP:port");
        table.sink.error_hint(code::BAD_VALUE, node.at.clone(), says, "for example \"192.0.2.53:53\"");
    }
    read
}
