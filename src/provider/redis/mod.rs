//! Redis and Valkey without a manager: fencing, promotion, and the write that proves it. Called through the registry.
//!
//! `port` names the remote verbs, `wire` speaks to real servers, `simulated::redis` models them; `fence`, `promote` and
//! `write_probe`, `unfence` and `replica` for the way back, and `superseded` for the watch after it, are written against the port alone. Where a Sentinel or a
//! cluster runs the servers, all of them refuse: it would take back what is done underneath it.

mod bind;
mod fence;
mod info;
mod look;
mod node;
mod port;
mod promote;
mod replica;
pub mod sampler;
mod session;
mod superseded;
mod unfence;
mod wire;
mod write_probe;

pub use look::seen;
pub use node::{Connected, FENCE, Layer, Link, MinReplicas, Node, Progress, SEALED, Seen, Silent};
pub use port::{Attempt, Endpoint, Port, Reply, Trouble};
pub use superseded::{Standing, standing};
pub use wire::Wire;

use super::Ports;
use crate::config::Config;
use crate::kernel::domain::Spec;
use crate::kernel::port::Bound;

/// All problems at once: unknown parameters, targets that are not there or not of this kind.
pub fn bind(spec: &Spec, config: &Config, ports: &Ports) -> Result<Bound, Vec<String>> {
    bind::bind(spec, config, ports.redis.clone())
}
