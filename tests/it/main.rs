//! One binary for all integration tests: one link, and one place where they can be listed.

mod dns;
mod host;
mod http;
mod intake;
mod remote;
mod store;
