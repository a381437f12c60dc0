//! The pair of servers that a run moves a service between, of whichever kind: what a world does to it, and what it sees of it.

use super::{Standby, Start};
use crate::kernel::domain::{Lsn, Name, Time};
use crate::kernel::port::Sample;
use crate::provider::postgres::hba::MARK;
use crate::simulated::{postgres, redis};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Which servers a playbook promotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PairKind {
    #[default]
    Postgres,
    Redis,
}

enum Servers {
    Postgres(Arc<postgres::Servers>),
    Redis(Arc<redis::Servers>),
}

pub struct Pair {
    pub old: Name,
    pub new: Name,
    servers: Servers,
}

/// One expression for both kinds of world.
macro_rules! both {
    ($pair:expr, $how:ident, $world:ident => $does:expr) => {
        match &$pair.servers {
            Servers::Postgres(servers) => servers.$how(|$world| $does),
            Servers::Redis(servers) => servers.$how(|$world| $does),
        }
    };
}

impl Pair {
    pub fn new(
        kind: PairKind,
        (old, new): (Name, Name),
        postgres: &Arc<postgres::Servers>,
        redis: &Arc<redis::Servers>,
    ) -> Pair {
        let servers = match kind {
            PairKind::Postgres => Servers::Postgres(postgres.clone()),
            PairKind::Redis => Servers::Redis(redis.clone()),
        };
        Pair { old, new, servers }
    }

    /// As it was while all was well, but for what the replica lacks; the sampler saw it so.
    pub fn furnish(&self, start: &Start) {
        let (old, new) = (self.old.as_str(), self.new.as_str());
        match &self.servers {
            Servers::Postgres(servers) => servers.by_hand(|world| {
                world.server(new).promote_looks = start.promote_looks;
                world.server(new).stalled |= start.behind > 0;
                world.server(old).position += start.behind;
            }),
            Servers::Redis(servers) => servers.by_hand(|world| {
                for name in [old, new] {
                    world.server(name).persistent = true;
                }
                world.server(new).stalled |= start.behind > 0;
                world.server(old).offset += start.behind;
            }),
        }
    }

    /// And then came the outage.
    pub fn strike(&self, start: &Start) {
        let (old, new) = (self.old.as_str(), self.new.as_str());
        match &self.servers {
            Servers::Postgres(servers) => servers.by_hand(|world| {
                if start.standby == Standby::OtherData {
                    world.server(new).other_data();
                }
            }),
            Servers::Redis(servers) => servers.by_hand(|world| match start.standby {
                Standby::Follows | Standby::Down => {}
                Standby::NeverSynced => world.never_synced(new),
                Standby::Emptied => world.come_back_empty(old),
                Standby::OtherData => world.server(new).other_data(),
            }),
        }
        both!(self, by_hand, world => {
            if start.primary_killed {
                world.crash(old);
            }
            if start.standby == Standby::Down {
                world.crash(new);
            }
        });
    }

    /// The old primary, and everything of it that a person or its machine does.
    pub fn stop_and_mask(&self) {
        both!(self, by_hand, world => world.stop_and_mask(self.old.as_str()));
    }

    pub fn start(&self) {
        both!(self, by_hand, world => world.start(self.old.as_str()));
    }

    pub fn unmask(&self) {
        both!(self, by_hand, world => world.server(self.old.as_str()).masked = false);
    }

    /// The fence by commands is gone, and it runs.
    pub fn unfence(&self) {
        self.unmask();
        match &self.servers {
            Servers::Postgres(servers) => servers.by_hand(|world| {
                let like = world.server(self.new.as_str()).hba.clone();
                world.server(self.old.as_str()).hba = like;
            }),
            Servers::Redis(servers) => servers.by_hand(|world| world.server(self.old.as_str()).unfence()),
        }
        self.start();
    }

    /// Somebody promotes the new one; false where that is not possible.
    pub fn promote(&self) -> bool {
        let new = self.new.as_str();
        match &self.servers {
            Servers::Postgres(servers) => servers.by_hand(|world| {
                let possible = world.server(new).up && world.server(new).in_recovery;
                if possible {
                    world.promote_by_hand(new);
                }
                possible
            }),
            Servers::Redis(servers) => servers.by_hand(|world| {
                let possible = world.server(new).up && world.server(new).follows.is_some();
                possible && world.promote(&self.new).is_ok()
            }),
        }
    }

    /// The application writes to the old primary; `stalled`: what it writes does not arrive for now.
    pub fn write(&self, bytes: u64, stalled: bool) {
        both!(self, by_hand, world => {
            world.server(self.new.as_str()).stalled = stalled;
            world.write(self.old.as_str(), bytes);
        });
    }

    pub fn old_is_up(&self) -> bool {
        both!(self, look, world => world.servers.get(&self.old).is_some_and(|server| server.up))
    }

    /// Those that answer.
    pub fn up(&self) -> BTreeSet<Name> {
        both!(self, look, world => {
            let up = world.servers.iter().filter(|(_, server)| server.up && !server.hung);
            up.map(|(name, _)| name.clone()).collect()
        })
    }

    /// Those that would take the application's writes: more than one is a split brain.
    pub fn writers(&self) -> Vec<Name> {
        match &self.servers {
            Servers::Postgres(servers) => servers.look(|world| {
                let writers = world.servers.iter().filter(|(_, server)| server.writable());
                writers.map(|(name, _)| name.clone()).collect()
            }),
            Servers::Redis(servers) => servers
                .look(|world| world.servers.keys().filter(|name| world.writable(name)).cloned().collect()),
        }
    }

    pub fn new_follows(&self) -> bool {
        match &self.servers {
            Servers::Postgres(servers) => {
                servers.look(|world| world.servers.get(&self.new).is_some_and(|server| server.in_recovery))
            }
            Servers::Redis(servers) => servers
                .look(|world| world.servers.get(&self.new).is_some_and(|server| server.follows.is_some())),
        }
    }

    /// How often the new one was promoted, by whomever.
    pub fn promoted(&self) -> u32 {
        both!(self, look, world => world.servers.get(&self.new).map_or(0, |server| server.promoted))
    }

    /// How often a fence by commands was taken back through the port.
    pub fn given_back(&self) -> u32 {
        match &self.servers {
            Servers::Postgres(servers) => {
                servers.look(|world| world.servers.values().map(|server| server.hba_restored).sum())
            }
            Servers::Redis(servers) => {
                servers.look(|world| world.servers.values().map(|server| server.unfenced).sum())
            }
        }
    }

    /// What came through the port, by server; a person's promotions are among them.
    pub fn effects(&self) -> Vec<(&Name, &'static str, u32)> {
        let of = |name| match &self.servers {
            Servers::Postgres(servers) => servers.look(|world| {
                let server = world.servers.get(name)?;
                Some(vec![
                    (name, "promoted", server.promoted),
                    (name, "pg_hba written", server.hba_written),
                    (name, "pg_hba restored", server.hba_restored),
                    (name, "marker row", server.marked),
                ])
            }),
            Servers::Redis(servers) => servers.look(|world| {
                let server = world.servers.get(name)?;
                Some(vec![
                    (name, "promoted", server.promoted),
                    (name, "writes refused", server.fenced),
                    (name, "writes allowed", server.unfenced),
                    (name, "made to follow", server.replicated),
                    (name, "marker key", server.marked),
                ])
            }),
        };
        [&self.old, &self.new].into_iter().filter_map(of).flatten().collect()
    }

    /// How often each began a life of its own.
    pub fn terms(&self) -> BTreeMap<Name, u32> {
        match &self.servers {
            Servers::Postgres(servers) => servers.look(|world| {
                world.servers.iter().map(|(name, server)| (name.clone(), server.timeline)).collect()
            }),
            Servers::Redis(servers) => servers.look(|world| {
                world.servers.iter().map(|(name, server)| (name.clone(), server.promoted)).collect()
            }),
        }
    }

    /// The old one can take no write, and nothing but a person brings that back.
    pub fn old_is_fenced(&self) -> bool {
        match &self.servers {
            Servers::Postgres(servers) => servers.look(|world| {
                world.servers.get(&self.old).is_some_and(|old| {
                    let stopped = !old.up && old.masked;
                    stopped || (old.locked_out() && old.hba.starts_with(MARK))
                })
            }),
            Servers::Redis(servers) => servers.look(|world| {
                world.servers.get(&self.old).is_some_and(|old| {
                    let kept = if old.up { old.min_replicas } else { old.filed.0 };
                    (!old.up && old.masked) || kept.fenced()
                })
            }),
        }
    }

    /// Bytes that the old one has accepted and the new one was promoted without.
    pub fn lost(&self) -> Option<u64> {
        match &self.servers {
            Servers::Postgres(servers) => servers.look(|world| {
                let (old, new) = (world.servers.get(&self.old)?, world.servers.get(&self.new)?);
                Some(old.position.saturating_sub(new.forked?))
            }),
            Servers::Redis(servers) => servers.look(|world| {
                let (old, new) = (world.servers.get(&self.old)?, world.servers.get(&self.new)?);
                let forked = new.second_offset.filter(|_| new.follows.is_none())?.saturating_sub(1);
                Some(old.offset.saturating_sub(forked))
            }),
        }
    }

    /// What the real sampler would get.
    pub fn sample(&self, at: Time) -> Sample {
        match &self.servers {
            Servers::Postgres(servers) => servers.look(|world| {
                let seen = |name| world.servers.get(name).filter(|one| one.up && one.reachable && !one.hung);
                let primary = seen(&self.old).filter(|server| !server.in_recovery);
                let standby = seen(&self.new).filter(|server| server.in_recovery);
                Sample {
                    at,
                    primary: primary.map(|server| Lsn(server.position)),
                    standby: standby.map(|server| Lsn(server.position)),
                    timeline: primary.map(|server| server.timeline),
                    lineage: primary.or(standby).map(|server| server.system.clone()),
                }
            }),
            Servers::Redis(servers) => servers.look(|world| {
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
            }),
        }
    }
}
