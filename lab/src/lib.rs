//! Two small regions of real servers on loopback.
//!
//! Integration tests and the demo stand on this crate: it starts PostgreSQL, sshd, DNS, probes, alerting and
//! a small shop, breaks them on request, and takes everything away again. It never imports the product.
//!
//! Begin with [`Lab::builder`]. Programs under test are best started through [`children::Child`] too: then
//! they end with the harness. `LAB_HOST_BIN` names the helper program when it is not beside the test (`cargo
//! build -p lab`); `LAB_DIR` names the folder in which labs make theirs.

#![forbid(unsafe_code)]

pub mod alerting;
pub mod apart;
pub mod apps;
pub mod blackbox;
mod blackhole;
pub mod checker;
pub mod children;
pub mod demo;
pub mod dns;
pub mod dns_gate;
pub mod faults;
mod files;
pub mod host_config;
pub mod hosts;
mod lab;
pub mod net;
pub mod notices;
pub mod orders;
pub mod patroni;
pub mod pointsman;
pub mod postgres;
pub mod providers;
pub mod proxy;
pub mod redis;
pub mod resolver;
pub mod site;
mod tls;
pub mod zabbix;

pub use alerting::{AlertingOptions, Alertmanager, Prometheus, WebhookAuth};
pub use apart::Apart;
pub use apps::{App, Apps};
pub use blackbox::Blackbox;
pub use blackhole::Blackhole;
pub use checker::Checker;
pub use dns::{Dns, DnsOptions};
pub use hosts::{Hosts, Loss};
pub use lab::{Builder, Lab};
pub use patroni::{Patroni, PatroniOptions};
pub use pointsman::Pointsman;
pub use postgres::{Postgres, PostgresOptions, Role};
pub use proxy::Proxy;
pub use redis::{RedisMachine, RedisOptions, RedisPair, RedisUser, Sentinels};
pub use resolver::Resolver;
pub use site::Site;
pub use zabbix::Zabbix;
