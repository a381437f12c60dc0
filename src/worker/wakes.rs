//! Bells between tasks. A bell carries no data: who is woken reads the journal.

use crate::kernel::domain::RunId;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};
use tokio::sync::Notify;

pub struct Wakes {
    runs: Mutex<BTreeSet<RunId>>,
    runs_bell: Notify,
    /// Rung when a delivery is durable.
    pub triage: Notify,
    /// Rung when people or the breaker said something about automation.
    pub limits: Notify,
    /// Rung when other playbooks are in force.
    pub playbooks: Notify,
    /// Rung when other playbooks are in force: are they ready?
    pub ready: Notify,
    /// Rung when the head of the chain should be noted outside the database.
    pub head_file: Notify,
    /// Rung when a cut of the journal was decided.
    pub retention: Notify,
}

impl Default for Wakes {
    fn default() -> Self {
        Wakes {
            runs: Mutex::default(),
            runs_bell: Notify::new(),
            triage: Notify::new(),
            limits: Notify::new(),
            playbooks: Notify::new(),
            ready: Notify::new(),
            head_file: Notify::new(),
            retention: Notify::new(),
        }
    }
}

impl Wakes {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<RunId>> {
        self.runs.lock().expect("invariant: no panic while holding the lock")
    }

    /// Somebody wrote to this run.
    pub fn run(&self, run: RunId) {
        self.lock().insert(run);
        self.runs_bell.notify_one();
    }

    /// Runs that were written to since the last call.
    pub async fn next_runs(&self) -> BTreeSet<RunId> {
        loop {
            let runs = std::mem::take(&mut *self.lock());
            if !runs.is_empty() {
                return runs;
            }
            self.runs_bell.notified().await;
        }
    }
}
