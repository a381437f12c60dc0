//! Where a person finds a run's approval. A link only says where: whoever opens it without signing in may read the plan as
//! it was recorded, and decide nothing. Pages, `status` and notices take links from here.

use super::App;
use crate::kernel::domain::Digest;
use crate::kernel::engine::Run;
use serde_json::json;
use subtle::ConstantTimeEq;

/// Characters of a locator: 80 bits that nobody guesses.
const LENGTH: usize = 20;

/// The part of a link that only those know who were sent it. It stands for this run for ever, and gives no right.
pub fn locator(run: &Run) -> String {
    // The owner is a random number of the process that opened the run.
    let of = json!(["approval link", run.id(), run.spec.owner, run.spec.epoch, run.opened]);
    Digest::of_json(&of).to_string().chars().take(LENGTH).collect()
}

pub fn locates(run: &Run, given: &str) -> bool {
    locator(run).as_bytes().ct_eq(given.as_bytes()).into()
}

pub fn approval_path(run: &Run) -> String {
    format!("/approvals/{}/{}", run.id(), locator(run))
}

impl App {
    /// As a person's browser knows it; without `[web] url` only the path is known.
    pub fn approval_link(&self, run: &Run) -> String {
        let base = self.config.web.url.as_deref().unwrap_or_default();
        format!("{base}{}", approval_path(run))
    }
}
