//! PostgreSQL: fencing, promotion, lag, and the write that proves it. Called through the registry.
//!
//! `port` names the remote verbs, `wire` speaks to real servers, `simulated::postgres` models them; `fence`,
//! `promote`, `lag` and `write_probe`, and `unfence` and `standby` for the way back, are written against the port alone. `sampler` is driven by the worker.

mod bind;
mod fence;
pub mod hba;
mod lag;
mod look;
mod node;
mod port;
mod promote;
mod rpo;
pub mod sampler;
mod session;
mod sql;
mod standby;
mod superseded;
mod sync_names;
mod tls;
mod unfence;
mod wire;
mod write_probe;

pub use bind::bind_to;
pub use look::{ALIVE, LOOK, alive, is_down, is_ours, seen, within};
pub use node::{Connected, Hba, HbaRule, Layer, Node, Peer, Progress, Receiver, Seen, Silent};
pub use port::{Attempt, Endpoint, Marker, Port, Reply, Trouble};
pub(in crate::provider) use promote::loss_bound;
pub use rpo::known as known_loss;
pub use superseded::{Standing, is_superseded, said, standing};
pub use tls::client as tls_client;
pub use wire::Wire;

use super::Ports;
use crate::config::Config;
use crate::kernel::domain::Spec;
use crate::kernel::port::Bound;

/// All problems at once: unknown parameters, targets that are not there or not of this kind.
pub fn bind(spec: &Spec, config: &Config, ports: &Ports) -> Result<Bound, Vec<String>> {
    bind::bind_as(spec, config, ports.postgres.clone(), ports.owner.clone())
}
