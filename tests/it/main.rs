//! One binary for all integration tests: one link, and one place where they can be listed.
#![allow(clippy::unwrap_used, reason = "a test ends there, and says where")]
#![allow(clippy::disallowed_methods, reason = "a test measures real time")]

mod audit;
mod bad_playbooks;
mod books;
mod bounds;
mod canary;
mod contract;
mod dns;
mod dns_caches;
mod failover;
mod fence_check;
mod generic;
mod heartbeat;
mod host;
mod http;
mod intake;
mod limits;
mod notices;
mod patroni;
mod people;
mod plans;
mod playbook;
mod postgres;
mod redis;
mod reload;
mod remote;
mod retention;
mod serve;
mod sim;
mod store;
mod traffic;
mod transcripts;
mod trial;
mod zabbix;
mod zabbix_asked;
mod zabbix_server;
