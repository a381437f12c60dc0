//! What verbs show, made of the server's documents alone: no network, no clock, no terminal.

pub mod audit;
pub mod csv;
pub mod junit;
pub mod matched;
pub mod plan;
pub mod playbook;
pub mod ready;
pub mod run;
pub mod scorecard;
pub mod status;
pub mod test;
pub mod why;

use crate::kernel::domain::Digest;

/// Enough of a digest to quote and to give back to `--digest`.
pub fn quoted(digest: Digest) -> String {
    digest.to_string().chars().take(12).collect()
}
