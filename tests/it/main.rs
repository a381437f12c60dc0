//! Against real servers, started by the lab. One binary, so that the tree links once.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]
#![allow(clippy::disallowed_methods, reason = "a test measures real time")]

mod postgres;
