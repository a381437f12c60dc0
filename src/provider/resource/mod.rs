//! Things at a remote with a few fields: a server behind HAProxy, a machine at a provider. One action for all of them
//! in [`action`]; what is wanted and what may not be is each kind's own ([`kind`]), and so is its wire. The registry
//! calls [`bind`].

mod action;
mod digitalocean;
mod haproxy;
mod haproxy_wire;
mod kind;
mod machine;
mod openstack;
mod port;
mod wire;

pub use port::{Fields, Part, Port, Resource, Seen, Write};
pub use wire::Wire;

use super::Ports;
use crate::config::Config;
use crate::kernel::domain::Spec;
use crate::kernel::port::Bound;
use std::sync::Arc;

/// With all problems of its parameters at once.
pub fn bind(spec: &Spec, config: &Config, ports: &Ports) -> Result<Bound, Vec<String>> {
    let (resource, kind) = match spec.kind.as_str() {
        "haproxy.server" => haproxy::read(spec, config)?,
        _ => machine::read(spec, config)?,
    };
    let port = Arc::clone(&ports.resource);
    Ok(Bound::Action(Box::new(action::ResourceAction { resource, kind, port })))
}

#[cfg(test)]
#[path = "bind_tests.rs"]
mod tests;
