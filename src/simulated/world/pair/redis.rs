//! A primary of Redis and its replica.

use super::Pair;
use crate::kernel::domain::{Lsn, Name, Time};
use crate::kernel::port::Sample;
use crate::simulated::redis::Servers;
use crate::simulated::world::{Standby, Start};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub struct OfRedis {
    pub old: Name,
    pub new: Name,
    pub servers: Arc<Servers>,
}

impl Pair for OfRedis {
    fn has(&self, server: &Name) -> bool {
        [&self.old, &self.new].contains(&server)
    }

    fn furnish(&self, start: &Start) {
        self.servers.by_hand(|world| {
            for name in [&self.old, &self.new] {
                world.server(name.as_str()).persistent = true;
            }
            world.server(self.new.as_str()).stalled |= start.behind > 0;
            world.server(self.old.as_str()).offset += start.behind;
        });
    }

    fn strike(&self, start: &Start) {
        let (old, new) = (self.old.as_str(), self.new.as_str());
        self.servers.by_hand(|world| match start.standby {
            Standby::Follows | Standby::Down => {}
            Standby::NeverSynced => world.never_synced(new),
            Standby::Emptied => world.come_back_empty(old),
            Standby::OtherData => world.server(new).other_data(),
        });
        self.servers.by_hand(|world| {
            if start.primary_killed {
                world.crash(old);
            }
            if start.standby == Standby::Down {
                world.crash(new);
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
        self.servers.by_hand(|world| world.server(self.old.as_str()).unfence());
    }

    fn promote(&self) -> BTreeSet<Name> {
        let new = self.new.as_str();
        self.servers.by_hand(|world| {
            let possible = world.server(new).up && world.server(new).follows.is_some();
            let done = possible && world.promote(&self.new).is_ok();
            done.then(|| self.new.clone()).into_iter().collect()
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
        self.servers.look(|world| world.servers.keys().filter(|name| world.writable(name)).cloned().collect())
    }

    fn new_follows(&self) -> bool {
        self.servers.look(|world| world.servers.get(&self.new).is_some_and(|server| server.follows.is_some()))
    }

    fn promoted(&self) -> u32 {
        self.servers.look(|world| world.servers.get(&self.new).map_or(0, |server| server.promoted))
    }

    fn given_back(&self) -> u32 {
        self.servers.look(|world| world.servers.values().map(|server| server.unfenced).sum())
    }

    fn effects(&self) -> Vec<(&Name, &'static str, u32)> {
        let of = |name| {
            self.servers.look(|world| {
                let server = world.servers.get(name)?;
                Some(vec![
                    (name, "promoted", server.promoted),
                    (name, "writes refused", server.fenced),
                    (name, "writes allowed", server.unfenced),
                    (name, "made to follow", server.replicated),
                    (name, "marker key", server.marked),
                ])
            })
        };
        [&self.old, &self.new].into_iter().filter_map(of).flatten().collect()
    }

    fn terms(&self) -> BTreeMap<Name, u32> {
        self.servers.look(|world| {
            world.servers.iter().map(|(name, server)| (name.clone(), server.promoted)).collect()
        })
    }

    fn old_is_fenced(&self) -> bool {
        self.servers.look(|world| {
            world.servers.get(&self.old).is_some_and(|old| {
                let kept = if old.up { old.min_replicas } else { old.filed.0 };
                let handed_over = old.up && old.follows.as_ref() == Some(&self.new);
                (!old.up && old.masked) || kept.fenced() || handed_over
            })
        })
    }

    fn lost(&self) -> Option<u64> {
        self.servers.look(|world| {
            let (old, new) = (world.servers.get(&self.old)?, world.servers.get(&self.new)?);
            let forked = new.second_offset.filter(|_| new.follows.is_none())?.saturating_sub(1);
            Some(old.offset.saturating_sub(forked))
        })
    }

    fn samples(&self, at: Time) -> Vec<(Name, Sample)> {
        let sample = self.servers.look(|world| {
            let seen = |name| world.servers.get(name).filter(|one| one.up && one.reachable && !one.hung);
            let primary = seen(&self.old).filter(|server| server.follows.is_none());
            let standby = seen(&self.new).filter(|server| server.follows.is_some());
            Sample {
                at,
                primary: primary.map(|server| Lsn(server.offset)),
                standby: standby.filter(|server| server.whole).map(|server| Lsn(server.offset)),
                timeline: None,
                lineage: primary.or(standby).map(|server| server.replid.clone()),
            }
        });
        vec![(self.new.clone(), sample)]
    }
}
