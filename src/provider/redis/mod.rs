//! Redis and Valkey without a manager: fencing, promotion, and the write that proves it. Called through the registry.
//!
//! A pair that Sentinels run is moved through them, by `sentinel`, and never underneath them.
//!
//! `port` names the remote verbs, `wire` speaks to real servers, `simulated::redis` models them; `fence`, `promote`,
//! `failover`, `replicate` and `write_probe`, `unfence`, `unreplicate` and `replica` for the way back, and `superseded` for the watch
//! after it, are written against the port alone. Where a Sentinel or a
//! cluster runs the servers, all of these refuse: it would take back what is done underneath it.

mod bind;
mod failover;
mod fence;
mod info;
mod look;
mod node;
mod port;
mod promote;
mod replica;
mod replicate;
pub mod sampler;
pub mod sentinel;
mod session;
mod superseded;
mod unfence;
mod unreplicate;
mod wire;
mod write_probe;

pub use look::seen;
pub use node::{Connected, FENCE, Layer, Link, MinReplicas, Node, Place, Progress, SEALED, Seen, Silent};
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
