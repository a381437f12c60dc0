//! Everything that reaches out. Each folder: `port.rs` (its few remote verbs), `wire.rs` (the real client), and one
//! file per action or check, written against the port so that the simulated world runs the same code.

pub mod dns;
#[cfg(test)]
pub(crate) mod for_tests;
pub mod host;
pub mod hosted;
pub mod http;
pub mod owner;
mod params;
pub mod patroni;
pub mod postgres;
mod reach;
pub mod redis;
mod registry;
pub mod resource;

pub use owner::Owner;
pub use reach::reach;
pub use registry::{Ports, ProviderRegistry};
