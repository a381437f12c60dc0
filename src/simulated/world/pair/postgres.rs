//! A primary of PostgreSQL and its standby.

use super::Pair;
use crate::kernel::domain::{Lsn, Name, Time};
use crate::kernel::port::Sample;
use crate::provider::postgres::hba::MARK;
use crate::simulated::postgres::Servers;
use crate::simulated::world::{Standby, Start};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub struct OfPostgres {
    pub old: Name,
    pub new: Name,
    pub servers: Arc<Servers>,
}

impl Pair for OfPostgres {
    fn has(&self, server: &Name) -> bool {
        [&self.old, &self.new].contains(&server)
    }

    fn furnish(&self, start: &Start) {
        self.servers.by_hand(|world| {
            world.server(self.new.as_str()).promote_looks = start.promote_looks;
            world.server(self.new.as_str()).stalled |= start.behind > 0;
            world.server(self.old.as_str()).position += start.behind;
        });
    }

    fn strike(&self, start: &Start) {
        self.servers.by_hand(|world| {
            if start.standby == Standby::OtherData {
                world.server(self.new.as_str()).other_data();
            }
            if start.primary_killed {
                world.crash(self.old.as_str());
            }
            if start.standby == Standby::Down {
                world.crash(self.new.as_str());
            }
        });
    }

    fn stop_and_mask(&self, server: &Name) {
        self.servers.by_hand(|world| world.stop_and_mask(server.as_str()));
    }

    fn start(&self, server: &Name) {
        self.servers.by_hand(|world| world.start(server.as_str()));
    }

    fn unmask(&self, server: &Name) {
        self.servers.by_hand(|world| world.server(server.as_str()).masked = false);
    }

    fn allow_writes(&self) {
        self.servers.by_hand(|world| {
            let like = world.server(self.new.as_str()).hba.clone();
            world.server(self.old.as_str()).hba = like;
        });
    }

    fn promote(&self) -> BTreeSet<Name> {
        let new = self.new.as_str();
        self.servers.by_hand(|world| {
            let possible = world.server(new).up && world.server(new).in_recovery;
            if possible {
                world.promote_by_hand(new);
            }
            possible.then(|| self.new.clone()).into_iter().collect()
        })
    }

    fn write(&self, bytes: u64, stalled: bool) {
        self.servers.by_hand(|world| {
            world.server(self.new.as_str()).stalled = stalled;
            world.write(self.old.as_str(), bytes);
        });
    }

    fn is_up(&self, server: &Name) -> bool {
        self.servers.look(|world| world.servers.get(server).is_some_and(|server| server.up))
    }

    fn up(&self) -> BTreeSet<Name> {
        self.servers.look(|world| {
            let up = world.servers.iter().filter(|(_, server)| server.up && !server.hung);
            up.map(|(name, _)| name.clone()).collect()
        })
    }

    fn writers(&self) -> Vec<Name> {
        self.servers.look(|world| {
            let writers = world.servers.iter().filter(|(_, server)| server.writable());
            writers.map(|(name, _)| name.clone()).collect()
        })
    }

    fn new_follows(&self) -> bool {
        self.servers.look(|world| world.servers.get(&self.new).is_some_and(|server| server.in_recovery))
    }

    fn promoted(&self) -> u32 {
        self.servers.look(|world| world.servers.get(&self.new).map_or(0, |server| server.promoted))
    }

    fn given_back(&self) -> u32 {
        self.servers.look(|world| world.servers.values().map(|server| server.hba_restored).sum())
    }

    fn effects(&self) -> Vec<(&Name, &'static str, u32)> {
        let of = |name| {
            self.servers.look(|world| {
                let server = world.servers.get(name)?;
                Some(vec![
                    (name, "promoted", server.promoted),
                    (name, "pg_hba written", server.hba_written),
                    (name, "pg_hba restored", server.hba_restored),
                    (name, "marker row", server.marked),
                ])
            })
        };
        [&self.old, &self.new].into_iter().filter_map(of).flatten().collect()
    }

    fn terms(&self) -> BTreeMap<Name, u32> {
        self.servers.look(|world| {
            world.servers.iter().map(|(name, server)| (name.clone(), server.timeline)).collect()
        })
    }

    fn old_is_fenced(&self) -> bool {
        self.servers.look(|world| {
            world.servers.get(&self.old).is_some_and(|old| {
                let stopped = !old.up && old.masked;
                stopped || (old.locked_out() && old.hba.starts_with(MARK))
            })
        })
    }

    fn lost(&self) -> Option<u64> {
        self.servers.look(|world| {
            let (old, new) = (world.servers.get(&self.old)?, world.servers.get(&self.new)?);
            Some(old.position.saturating_sub(new.forked?))
        })
    }

    fn samples(&self, at: Time) -> Vec<(Name, Sample)> {
        vec![(self.new.clone(), sample(&self.servers, (&self.old, &self.new), at))]
    }
}

/// Positions of both, as far as each is what it is taken for.
pub(super) fn sample(servers: &Servers, (old, new): (&Name, &Name), at: Time) -> Sample {
    servers.look(|world| {
        let seen = |name| world.servers.get(name).filter(|one| one.up && one.reachable && !one.hung);
        let primary = seen(old).filter(|server| !server.in_recovery);
        let standby = seen(new).filter(|server| server.in_recovery);
        Sample {
            at,
            primary: primary.map(|server| Lsn(server.position)),
            standby: standby.map(|server| Lsn(server.position)),
            timeline: primary.map(|server| server.timeline),
            lineage: primary.or(standby).map(|server| server.system.clone()),
        }
    })
}
