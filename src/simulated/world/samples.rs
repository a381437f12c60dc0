//! The sampler's ring of a simulated pair: it was fed every second before the outage, and goes on beside every life.

use super::TwoSites;
use super::pair::Pair;
use crate::kernel::domain::{Name, Span, Time};
use crate::kernel::port::{Sample, Samples, World as _};
use crate::kernel::sim::SimWorld;
use crate::provider::postgres::sampler::Ring;
use std::sync::{Arc, Mutex};

const BEFORE: u64 = 60;

pub struct Sampled {
    ring: Ring,
    pair: Arc<dyn Pair>,
    clock: SimWorld,
    last: Mutex<Time>,
}

impl Sampled {
    pub(super) fn new(sites: &TwoSites, clock: SimWorld, now: Time) -> Sampled {
        let ring = Ring::new(600);
        let pair = sites.pair.clone();
        for second in 0..BEFORE {
            let at = Time(now.0 - i64::try_from(Span::secs(BEFORE - second).0).unwrap_or(0));
            for (standby, healthy) in sites.healthy.get().into_iter().flatten() {
                ring.push(standby, Sample { at, ..healthy.clone() });
            }
        }
        let sampled = Sampled { ring, pair, clock, last: Mutex::new(now) };
        sampled.sample(now);
        sampled
    }

    fn sample(&self, now: Time) {
        for (standby, sample) in self.pair.samples(now) {
            self.ring.push(&standby, sample);
        }
    }
}

impl Samples for Sampled {
    fn recent(&self, target: &Name) -> Vec<Sample> {
        let now = self.clock.now();
        let mut last = self.last.lock().expect("invariant: no panic while the time is held");
        if now.since(*last) >= Span::secs(1) {
            *last = now;
            self.sample(now);
        }
        self.ring.recent(target)
    }
}
