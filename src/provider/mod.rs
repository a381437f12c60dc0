//! Everything that reaches out. Each folder: `port.rs` (its few remote verbs), `wire.rs` (the real client), and one
//! file per action or check, written against the port so that the simulated world runs the same code.

pub mod dns;
pub mod host;
pub mod http;
mod params;
pub mod postgres;
mod registry;
#[cfg(test)]
pub(crate) mod testing;

pub use registry::{Ports, ProviderRegistry};
