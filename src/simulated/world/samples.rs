//! The sampler's ring of a simulated pair: it was fed every second before the outage, and goes on beside every life.

use super::TwoSites;
use crate::kernel::domain::{Lsn, Name, Span, Time};
use crate::kernel::port::{Sample, Samples, World as _};
use crate::kernel::sim::SimWorld;
use crate::provider::postgres::sampler::Ring;
use crate::simulated::postgres::{Servers, World};
use std::sync::{Arc, Mutex};

const BEFORE: u64 = 60;

pub struct Sampled {
    ring: Ring,
    pair: (Name, Name),
    servers: Arc<Servers>,
    clock: SimWorld,
    last: Mutex<Time>,
}

impl Sampled {
    pub(super) fn new(sites: &TwoSites, clock: SimWorld, now: Time) -> Sampled {
        let pair = (sites.names.old.clone(), sites.names.new.clone());
        let ring = Ring::new(600);
        let mut healthy = World::pair(pair.0.as_str(), pair.1.as_str());
        let behind = sites.postgres.world();
        for (name, server) in &mut healthy.servers {
            server.position = behind.servers.get(name).map_or(server.position, |there| there.position);
        }
        for second in 0..BEFORE {
            let at = Time(now.0 - i64::try_from(Span::secs(BEFORE - second).0).unwrap_or(0));
            ring.push(&pair.1, look(&healthy, &pair, at));
        }
        let sampled = Sampled { ring, pair, servers: sites.postgres.clone(), clock, last: Mutex::new(now) };
        sampled.sample(now);
        sampled
    }

    fn sample(&self, now: Time) {
        self.ring.push(&self.pair.1, look(&self.servers.world(), &self.pair, now));
    }
}

/// What the real sampler would have got.
fn look(world: &World, pair: &(Name, Name), at: Time) -> Sample {
    let answers = |name: &Name| world.servers.get(name).filter(|one| one.up && one.reachable && !one.hung);
    let primary = answers(&pair.0).filter(|server| !server.in_recovery);
    let standby = answers(&pair.1).filter(|server| server.in_recovery);
    Sample {
        at,
        primary: primary.map(|server| Lsn(server.position)),
        standby: standby.map(|server| Lsn(server.position)),
        timeline: primary.map(|server| server.timeline),
        lineage: primary.or(standby).map(|server| server.system.clone()),
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
