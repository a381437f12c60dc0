//! Pointsman: an alert says a site is lost; it verifies, plans, asks, acts, proves, and keeps the record.
//!
//! ```text
//! bytes ─intake─▶ Delivered ─triage─▶ Opened ─engine─▶ acts ─drive─▶ provider ─▶ Observed | Ended ─▶
//! Finished
//! ```
#![forbid(unsafe_code)]

pub use pointsman_kernel as kernel;

pub mod audit;
pub mod cli;
pub mod codes;
pub mod config;
pub mod document;
pub mod expr;
pub mod http;
pub mod intake;
pub mod notify;
pub mod playbook;
pub mod provider;
pub mod simulated;
pub mod store;
pub mod trial;
pub mod units;
pub mod worker;
