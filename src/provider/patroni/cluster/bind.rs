//! From a spec to a cluster that changes sides, with all problems at once.

use super::super::bind::{max_lag, server};
use super::super::member::{POSTGRES_PORT, Source};
use super::super::port::Endpoint;
use super::{Sides, Turn};
use crate::config::Config;
use crate::kernel::domain::{Name, Spec};
use crate::kernel::port::Bound;
use crate::provider::Ports;
use crate::provider::params::Params;
use std::collections::BTreeMap;

pub(in super::super) fn bind(spec: &Spec, config: &Config, ports: &Ports) -> Result<Bound, Vec<String>> {
    let mut params = Params::new(spec);
    let promotes = spec.kind.as_str() == "patroni.promote_standby_cluster";
    let at = Endpoint::of(config, &spec.target);
    if at.is_none() {
        params.problem("there is no target of kind patroni with this name");
    }
    let key = if promotes { "primary" } else { "standby" };
    let named: Option<Name> = params.need(key);
    let other = named.as_ref().and_then(|name| Endpoint::of(config, name));
    if let (Some(name), None) = (&named, &other) {
        params.problem(format!("`{key}`: there is no target of kind patroni named {name}"));
    }
    if named.as_ref() == Some(&spec.target) {
        params.problem(format!("`{key}` is the cluster itself"));
    }
    let turn = match spec.kind.as_str() {
        _ if promotes => Some(Turn::Promote { demoted: params.maybe("demoted").unwrap_or(false) }),
        "patroni.demote_cluster" => follow(&mut params).map(|follow| Turn::Demote { follow }),
        _ => params.need("followed").map(|followed| Turn::Undemote { followed }),
    };
    let max_lag = max_lag(&mut params);
    let mut servers = BTreeMap::new();
    for cluster in at.iter().chain(&other) {
        for member in cluster.conf.members.keys() {
            match server(config, &cluster.name, member) {
                Some(server) => _ = servers.insert((cluster.name.clone(), member.clone()), server),
                None if promotes && other.as_ref().is_some_and(|other| other.name == cluster.name) => {
                    params.problem(format!(
                        "no target of kind postgres is the member {member} of {} (patroni, member): each may come to \
                         lead there, and needs the proof that it is fenced",
                        cluster.name
                    ));
                }
                None => {}
            }
        }
    }
    params.done()?;
    let (at, other, turn) = at.zip(other).zip(turn).map(|((a, o), t)| (a, o, t)).ok_or_else(Vec::new)?;
    let site = config.target(&at.name).and_then(|target| target.site.clone());
    let port = ports.patroni.clone();
    Ok(Bound::Action(Box::new(Sides { port, at, other, turn, servers, site, max_lag })))
}

/// Where the new leader's log comes from.
fn follow(params: &mut Params<'_>) -> Option<Source> {
    let port = params.maybe("port").unwrap_or(POSTGRES_PORT);
    let slot = params.maybe("primary_slot_name");
    let host: String = params.need("host")?;
    if host.trim().is_empty() {
        params.problem("`host` is empty: its leader would follow nobody");
    }
    Some(Source { host, port, slot })
}
