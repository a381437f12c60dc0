//! One binary for all integration tests: one link, and one place where they can be listed.
#![allow(clippy::unwrap_used, reason = "a test ends there, and says where")]

mod intake;
mod postgres;
mod store;
