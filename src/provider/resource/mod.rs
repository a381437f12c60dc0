//! Things at a remote with a few fields: a server behind HAProxy, a machine, a pool, a health check. One action for all of them
//! in [`action`]; what is wanted and what may not be is each kind's own ([`kind`]), and so is its wire. The registry
//! calls [`bind`].

mod action;
mod balancer;
mod cloudflare;
mod digitalocean;
mod haproxy;
mod haproxy_wire;
mod health_check;
mod kind;
mod machine;
mod openstack;
mod pool;
mod port;
#[cfg(feature = "provider-route53")]
mod route53;
mod steering;
mod wire;

pub use port::{Fields, Part, Port, Resource, Seen, Write};
pub use wire::Wire;

use super::Ports;
use super::hosted::is_built;
use crate::config::Config;
use crate::kernel::domain::Spec;
use crate::kernel::port::Bound;
use std::sync::Arc;

const KINDS: [&str; 6] = [
    "haproxy.server",
    "ovh.instance",
    "digitalocean.droplet",
    "cloudflare.steering",
    "cloudflare.pool",
    "route53.health_check",
];

/// Whether it is one of these actions.
pub fn is_one(spec: &Spec) -> bool {
    KINDS.contains(&spec.kind.as_str())
}

fn read(spec: &Spec, config: &Config) -> Result<(Resource, Box<dyn kind::Kind>), Vec<String>> {
    if !is_built(spec.kind.as_str()) {
        let says =
            format!("{} is left out of this build: build with its feature (see the README)", spec.kind);
        return Err(vec![says]);
    }
    match spec.kind.as_str() {
        "haproxy.server" => haproxy::read(spec, config),
        "cloudflare.steering" => steering::read(spec, config),
        "cloudflare.pool" => pool::read(spec, config),
        "route53.health_check" => health_check::read(spec, config),
        _ => machine::read(spec, config),
    }
}

/// What it is about: for the simulator, which has models of them.
pub fn resource(spec: &Spec, config: &Config) -> Result<Resource, Vec<String>> {
    Ok(read(&spec.without_fault(), config)?.0)
}

/// With all problems of its parameters at once.
pub fn bind(spec: &Spec, config: &Config, ports: &Ports) -> Result<Bound, Vec<String>> {
    let (resource, kind) = read(spec, config)?;
    let port = Arc::clone(&ports.resource);
    Ok(Bound::Action(Box::new(action::ResourceAction { resource, kind, port })))
}

#[cfg(test)]
#[path = "bind_tests.rs"]
mod tests;
