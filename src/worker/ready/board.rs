//! The last look at each playbook, in memory: all of it is found anew after a restart.

use crate::kernel::domain::{Digest, Finding, Grade, Name, Reason, Time};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What it is about: a guard, a step, a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    pub about: String,
    /// Empty: no target.
    pub target: String,
    /// When it was seen.
    pub at: Time,
    #[serde(flatten)]
    pub finding: Finding,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    pub at: Time,
    /// Of this form of the playbook.
    pub form: Digest,
    /// What counts most comes first.
    pub findings: Vec<Found>,
}

impl Looked {
    pub fn new(at: Time, form: Digest, mut findings: Vec<Found>) -> Looked {
        findings.sort_by_key(|found| found.finding.grade);
        Looked { at, form, findings }
    }

    pub fn is_ready(&self) -> bool {
        !self.findings.iter().any(|found| found.finding.grade.stops())
    }

    pub fn count(&self, grade: Grade) -> usize {
        self.findings.iter().filter(|found| found.finding.grade == grade).count()
    }

    /// Everything that stands in the way.
    pub fn why(&self) -> Vec<Reason> {
        let stops = self.findings.iter().filter(|found| found.finding.grade.stops());
        stops
            .map(|found| Reason::new(&found.finding.code, format!("{}: {}", found.about, found.finding.says)))
            .collect()
    }
}

/// Held while a playbook is looked at because people ask: whoever asks meanwhile gets the same answer.
pub(super) type Turn = Arc<tokio::sync::Mutex<()>>;

#[derive(Default)]
pub struct Board {
    last: Mutex<BTreeMap<Name, Arc<Looked>>>,
    turns: Mutex<BTreeMap<Name, Turn>>,
}

impl Board {
    /// Only of the form that is asked for: another one was never looked at.
    pub fn last(&self, playbook: &Name, form: Digest) -> Option<Arc<Looked>> {
        let all = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(playbook).filter(|looked| looked.form == form).cloned()
    }

    pub fn put(&self, playbook: &Name, looked: Arc<Looked>) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).insert(playbook.clone(), looked);
    }

    pub fn keep(&self, known: impl Fn(&Name) -> bool) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| known(name));
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| known(name));
    }

    pub(super) fn turn(&self, playbook: &Name) -> Turn {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry(playbook.clone()).or_default().clone()
    }
}
