//! Zones that a provider serves, changed through its API. One action for all of them: [`record`] observes, plans and
//! applies; each provider's file is only its wire. The registry calls [`bind`].

pub(super) mod api;
mod by_hand;
mod cached;
pub(super) mod cloudflare;
mod digitalocean;
pub(super) mod end;
mod nature;
mod ovh;
mod params;
mod plan;
mod port;
mod powerdns;
mod record;
mod records;
#[cfg(feature = "provider-route53")]
pub(super) mod route53;
mod set;
mod wire;

pub use api::Api;
pub use port::{Look, Port, Seen, Write, Written};
pub use set::{Alias, Failover, Held, Key, Routing};
pub use wire::Wire;

use super::Ports;
use crate::config::Config;
use crate::kernel::domain::Spec;
use crate::kernel::port::Bound;
use std::sync::Arc;

/// Whether this build speaks to the provider at all.
pub fn is_built(kind: &str) -> bool {
    cfg!(feature = "provider-route53") || !kind.starts_with("route53.")
}

/// `PROVIDER.record`, with all problems of its parameters at once.
pub fn bind(spec: &Spec, config: &Config, ports: &Ports) -> Result<Bound, Vec<String>> {
    if !is_built(spec.kind.as_str()) {
        let says =
            format!("{} is left out of this build: build with its feature (see the README)", spec.kind);
        return Err(vec![says]);
    }
    let with = params::read(spec, config)?;
    Ok(Bound::Action(Box::new(record::HostedRecord {
        kind: spec.kind.clone(),
        target: spec.target.clone(),
        with,
        port: Arc::clone(&ports.hosted),
        dns: Arc::clone(&ports.dns),
    })))
}
