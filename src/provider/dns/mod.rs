//! DNS by RFC 2136, the one DNS protocol with a true compare-and-set. The registry calls [`bind`].

mod caches;
mod claim;
mod message;
mod notify;
mod params;
mod port;
mod record;
mod rrset;
mod sets;
mod silent;
mod wire;

pub(crate) use caches::{Asked, Caches, ask as ask_resolvers};
pub use port::{Answers, NoAnswer, Port, Update, Updated};
pub use rrset::{Question, RrSet, RrType, is_in_zone, normal_name};
pub(crate) use sets::{check_sets, normal_address, normal_set};
pub(crate) use silent::{Silent, judge as judge_silent};
pub use wire::Wire;

use super::Ports;
use crate::config::Config;
use crate::kernel::domain::Spec;
use crate::kernel::port::Bound;
use std::sync::Arc;

/// `dns.record`, with all problems of its parameters at once.
pub fn bind(spec: &Spec, config: &Config, ports: &Ports) -> Result<Bound, Vec<String>> {
    let params::With { zone, wanted, stale_values, from_site, wait_ttl } = params::read(spec, config)?;
    let port = Arc::clone(&ports.dns);
    Ok(Bound::Action(Box::new(record::DnsRecord {
        target: spec.target.clone(),
        zone,
        wanted,
        stale_values,
        from_site,
        wait_ttl,
        port,
        owner: ports.owner.clone(),
    })))
}
