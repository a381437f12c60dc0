//! Models of remotes behind the providers' ports: the real observe, plan and apply run against them.

mod dns;
mod hook;
mod host;
mod hosted;
mod http;
pub mod patroni;
pub mod postgres;
pub mod redis;
pub mod resource;
mod stage;
pub mod world;

pub use dns::DnsModel;
pub use hook::{Calm, Fault, Hook};
pub use host::{HostModel, Machine};
pub use hosted::HostedModel;
pub use http::{HttpModel, Sights};
pub use resource::ResourceModel;
