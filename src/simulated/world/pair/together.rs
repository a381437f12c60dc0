//! Pairs that a playbook moves together, as a database and the sessions beside it: what strikes the one strikes the other, and the
//! application needs both.

use super::Pair;
use crate::kernel::domain::{Name, Time};
use crate::kernel::port::Sample;
use crate::simulated::world::Start;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub struct Together(pub Vec<Arc<dyn Pair>>);

impl Together {
    fn with(&self, server: &Name) -> impl Iterator<Item = &Arc<dyn Pair>> {
        self.0.iter().filter(|pair| pair.has(server))
    }

    /// Those that somebody promoted.
    fn moved(&self) -> impl Iterator<Item = &Arc<dyn Pair>> {
        self.0.iter().filter(|pair| pair.promoted() > 0)
    }
}

impl Pair for Together {
    fn has(&self, server: &Name) -> bool {
        self.0.iter().any(|pair| pair.has(server))
    }

    fn furnish(&self, start: &Start) {
        self.0.iter().for_each(|pair| pair.furnish(start));
    }

    fn strike(&self, start: &Start) {
        self.0.iter().for_each(|pair| pair.strike(start));
    }

    fn stop_and_mask(&self, server: &Name) {
        self.with(server).for_each(|pair| pair.stop_and_mask(server));
    }

    fn start(&self, server: &Name) {
        self.with(server).for_each(|pair| pair.start(server));
    }

    fn unmask(&self, server: &Name) {
        self.with(server).for_each(|pair| pair.unmask(server));
    }

    fn allow_writes(&self) {
        self.0.iter().for_each(|pair| pair.allow_writes());
    }

    fn promote(&self) -> BTreeSet<Name> {
        self.0.iter().flat_map(|pair| pair.promote()).collect()
    }

    fn write(&self, bytes: u64, stalled: bool) {
        self.0.iter().for_each(|pair| pair.write(bytes, stalled));
    }

    fn settle(&self) {
        self.0.iter().for_each(|pair| pair.settle());
    }

    fn is_up(&self, server: &Name) -> bool {
        self.with(server).any(|pair| pair.is_up(server))
    }

    fn up(&self) -> BTreeSet<Name> {
        self.0.iter().flat_map(|pair| pair.up()).collect()
    }

    fn writers(&self) -> Vec<Name> {
        self.0.iter().flat_map(|pair| pair.writers()).collect()
    }

    fn has_two_writers(&self) -> bool {
        self.0.iter().any(|pair| pair.has_two_writers())
    }

    fn writes(&self, side: &[Name]) -> bool {
        self.0.iter().all(|pair| pair.writes(side))
    }

    fn new_follows(&self) -> bool {
        self.0.iter().all(|pair| pair.new_follows())
    }

    fn promoted(&self) -> u32 {
        self.0.iter().map(|pair| pair.promoted()).sum()
    }

    fn given_back(&self) -> u32 {
        self.0.iter().map(|pair| pair.given_back()).sum()
    }

    fn effects(&self) -> Vec<(&Name, &'static str, u32)> {
        self.0.iter().flat_map(|pair| pair.effects()).collect()
    }

    fn terms(&self) -> BTreeMap<Name, u32> {
        self.0.iter().flat_map(|pair| pair.terms()).collect()
    }

    /// Of those that were promoted; one may be fenced and promoted before the next one is looked at.
    fn old_is_fenced(&self) -> bool {
        match self.promoted() {
            0 => self.0.iter().all(|pair| pair.old_is_fenced()),
            _ => self.moved().all(|pair| pair.old_is_fenced()),
        }
    }

    fn held(&self) -> Vec<Name> {
        self.0.iter().flat_map(|pair| pair.held()).collect()
    }

    fn lost(&self) -> Option<u64> {
        let lost: Vec<u64> = self.0.iter().filter_map(|pair| pair.lost()).collect();
        (!lost.is_empty()).then(|| lost.iter().sum())
    }

    fn samples(&self, at: Time) -> Vec<(Name, Sample)> {
        self.0.iter().flat_map(|pair| pair.samples(at)).collect()
    }
}
