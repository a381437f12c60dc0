//! When each probe last said *up* from each vantage. A probe that never did is blind: its silence proves nothing.
//!
//! In memory here; the worker loads it at start, keeps it in the store, and feeds it by looking every few seconds.

use crate::config::Probe;
use crate::kernel::domain::{Digest, Name, Span, Time};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// How long an *up* vouches for a probe.
pub const VOUCHES: Span = Span::secs(24 * 3600);
const MOST: usize = 4096;

#[derive(Debug, Default)]
pub struct ProbeMemory(Mutex<BTreeMap<String, Time>>);

impl ProbeMemory {
    pub fn new() -> ProbeMemory {
        ProbeMemory::default()
    }

    /// Opaque, to be stored: another definition of a probe under an old name starts without a past.
    pub fn key(name: &Name, probe: &Probe, vantage: &Name) -> String {
        let definition = Digest::of(format!("{probe:?}").as_bytes()).short();
        format!("{name}@{definition}/{vantage}")
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Time>> {
        self.0.lock().expect("invariant: no panic while holding the lock")
    }

    /// Takes over what was stored; a later *up* that is already here stays.
    pub fn load(&self, entries: impl IntoIterator<Item = (String, Time)>) {
        for (key, at) in entries {
            self.note(key, at);
        }
    }

    pub fn note(&self, key: String, at: Time) {
        let mut seen = self.lock();
        let last = seen.entry(key).or_insert(at);
        *last = at.max(*last);
        if seen.len() > MOST {
            let oldest = seen.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone());
            oldest.and_then(|key| seen.remove(&key));
        }
    }

    /// Everything, to be stored.
    pub fn entries(&self) -> Vec<(String, Time)> {
        self.lock().iter().map(|(key, at)| (key.clone(), *at)).collect()
    }

    /// Whether it said *up* within the last day, as seen at `now`.
    pub fn vouches(&self, key: &str, now: Time) -> bool {
        self.lock().get(key).is_some_and(|at| now.since(*at) <= VOUCHES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_up_vouches_for_a_day_and_the_memory_is_bounded() {
        let memory = ProbeMemory::new();
        let at = Time(0) + Span::secs(100);
        memory.note("a".into(), at);
        memory.load([("a".into(), Time(1))]);
        assert!(memory.vouches("a", at + VOUCHES) && !memory.vouches("a", at + VOUCHES + Span::secs(1)));
        assert!(!memory.vouches("b", at));
        for i in 0..=MOST {
            memory.note(format!("k{i}"), at + Span::secs(i as u64));
        }
        assert_eq!(memory.entries().len(), MOST);
        assert!(!memory.vouches("a", at), "the oldest goes first");
    }
}
