//! Two small regions of real servers on loopback.
//!
//! Integration tests and the demo stand on this crate: it starts PostgreSQL, sshd, DNS, probes, alerting and a
//! small shop, breaks them on request, and takes everything away again. It never imports the product.

#![forbid(unsafe_code)]

pub mod apps;
mod blackhole;
pub mod children;
mod files;
pub mod host_config;
pub mod hosts;
mod lab;
pub mod net;
pub mod orders;
pub mod postgres;
pub mod proxy;
pub mod site;
mod tls;

pub use apps::{App, Apps};
pub use blackhole::Blackhole;
pub use hosts::{Hosts, Loss};
pub use lab::{Builder, Lab};
pub use postgres::{Postgres, PostgresOptions, Role};
pub use proxy::Proxy;
pub use site::Site;
