//! Notices through the real server to receivers that check what they get: order, duplicates, silence, poison, and that no run
//! waits for any of it.

mod checkpoints;
mod hooks;
mod mail;
mod pager;
pub mod scene;
mod signs;
mod slack;
mod socket;
