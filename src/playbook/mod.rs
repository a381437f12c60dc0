//! The playbook language: text → [`Playbook`] with all problems at once → [`Resolved`] for one run.
//!
//! Pure. `check` is called by the command of that name and when `serve` loads its folder; `match_alert` by
//! triage; `resolve` once when a run opens, so that the engine never sees `${`.
//!
//! ```text
//! text ─document─▶ tree ─read─▶ draft ─rules─▶ Playbook ─match_alert─▶ ─resolve─▶ Resolved
//! ```

mod actions;
mod approval;
mod check;
mod expand;
mod fields;
mod index;
mod inject;
mod live;
mod matching;
mod model;
mod order;
mod owed;
mod patroni;
mod patroni_clusters;
mod planned;
mod quorum;
mod read;
mod resolve;
mod safety;
mod schema;
mod shift;
mod sites;
mod steps;
mod times;
mod windows;
mod zabbix;

pub use crate::document::{Problem, Severity, has_errors, read_file};
pub use actions::{ActionInfo, all as actions};
pub use check::check;
pub use index::MatchIndex;
pub use matching::{AlertView, Looked, TriggerMatch, match_alert, match_tree};
pub use model::{Playbook, Trigger};
pub use resolve::{Opening, resolve};
pub use schema::schema;
/// What other schemas are made of, too.
pub mod schema_parts {
    pub use super::schema::{list, object, words};
}
pub use windows::Windows;

use crate::kernel::domain::Digest;

/// A playbook is stored and named by the digest of its text.
pub fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

#[cfg(test)]
mod tests;
