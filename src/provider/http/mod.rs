//! Looking from outside: HTTP and TCP, probes from several vantages, and asking an alert's source. Checks only; nothing here
//! changes anything, but for a comment that `zabbix` leaves at a problem where that is wanted. The registry calls [`bind`]; the worker feeds the probes' past through [`look`].

mod alertmanager;
mod blackbox;
mod client;
mod expect;
mod firing;
mod look;
mod memory;
mod port;
mod prometheus;
mod quorum;
mod wire;
pub mod zabbix;

pub use client::{Clients, failed, words};
pub use look::{Answer, LOCAL, look, vantage};
pub use memory::{ProbeMemory, VOUCHES};
pub use port::{Auth, Failed, Get, Layer, MAX_BODY, Pinged, Port, Reply, SqlPing};
pub use wire::Wire;

use super::Ports;
use crate::config::Config;
use crate::kernel::domain::Spec;
use crate::kernel::port::Bound;
use std::sync::Arc;

/// `http.expect`, `quorum` or `still_firing`, with all problems of their parameters at once.
pub fn bind(spec: &Spec, config: &Config, ports: &Ports) -> Result<Bound, Vec<String>> {
    let port = Arc::clone(&ports.http);
    match spec.kind.as_str() {
        "http.expect" => Ok(Bound::Check(Box::new(expect::read(spec, config, port)?))),
        "quorum" => Ok(Bound::Check(Box::new(quorum::read(spec, config, port)?))),
        "still_firing" => Ok(Bound::Check(Box::new(firing::read(spec, config, port)?))),
        other => Err(vec![format!("{other} is no check over HTTP")]),
    }
}
