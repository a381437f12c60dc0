//! One binary for all integration tests: one link, and one place where they can be listed.

mod intake;
mod postgres;
mod store;
