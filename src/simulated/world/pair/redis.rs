//! A primary of Redis and its replica, and the Sentinels that run them where they do. Those count by what they were told, and
//! go by the name of their target, as every effect does that is asked of one and lands on another.

use super::Pair;
use crate::kernel::domain::{Lsn, Name, Time};
use crate::kernel::port::Sample;
use crate::simulated::redis::{Server, Servers, World};
use crate::simulated::world::{Sentinels, Standby, Start};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A replica that the playbook does not name.
const ANOTHER: &str = "another-replica";
/// In how many looks at all of them Sentinels make a living old primary a replica.
const DEMOTES_IN: u32 = 4;
/// For how long they have agreed that the primary is gone: longer than an election takes.
const AGREED_MS: u64 = 90_000;

pub struct OfRedis {
    pub old: Name,
    pub new: Name,
    /// The target by which the Sentinels go.
    pub sentinels: Option<Name>,
    pub servers: Arc<Servers>,
}

impl OfRedis {
    fn place_sentinels(&self, world: &mut World, start: &Start) {
        let Some(trio) = world.trio.as_mut() else { return };
        let count = trio.watchers.len();
        let all = u32::try_from(count).unwrap_or(1);
        (trio.looks, trio.demotes_in) = (start.promote_looks * all, DEMOTES_IN * all);
        trio.agreed_down_ms = Some(AGREED_MS);
        let silent = match start.sentinels {
            Sentinels::OneSilent => 1,
            Sentinels::Silent => count / 2 + 1,
            _ => 0,
        };
        for (n, watcher) in trio.watchers.iter_mut().enumerate() {
            watcher.answers = n >= silent;
            watcher.quorum = start.sentinels != Sentinels::NoQuorum;
        }
        trio.gives_up = start.sentinels == Sentinels::GiveUp;
        trio.elects = matches!(start.sentinels, Sentinels::Elect | Sentinels::ElectAnother);
        let instead = matches!(start.sentinels, Sentinels::ElectAnother | Sentinels::TakeAnother);
        trio.elects_instead = instead.then(|| ANOTHER.into());
        if instead || start.sentinels == Sentinels::MayTakeAnother {
            let last = if start.sentinels == Sentinels::TakeAnother { 200 } else { 100 };
            trio.priorities.insert(ANOTHER.into(), last);
            let leads = world.server(self.old.as_str()).clone();
            let mut another = Server::replica_of(&self.old, &leads);
            another.place.host = ANOTHER.to_owned();
            world.servers.insert(ANOTHER.into(), another);
        }
        let count = u64::from(all);
        world.servers.values_mut().for_each(|server| server.sentinels = count);
    }
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
            self.place_sentinels(world, start);
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
            world.server(old).hung = start.primary_hangs;
            if start.standby == Standby::Down {
                world.crash(new);
            }
        });
    }

    fn stop_and_mask(&self, server: &Name) {
        self.servers.by_hand(|world| world.stop_and_mask(server.as_str()));
    }

    fn start(&self, server: &Name) {
        self.servers.by_hand(|world| {
            world.start(server.as_str());
            world.server(server.as_str()).hung = false;
            if world.trio.is_some() {
                world.make_follow(server);
            }
        });
    }

    fn unmask(&self, server: &Name) {
        self.servers.by_hand(|world| world.server(server.as_str()).masked = false);
    }

    fn allow_writes(&self) {
        self.servers.by_hand(|world| world.server(self.old.as_str()).unfence());
    }

    fn promote(&self) -> BTreeSet<Name> {
        if let Some(sentinels) = &self.sentinels {
            let told = self.servers.by_hand(|world| {
                let answers = world.trio().watchers.iter().position(|watcher| watcher.answers);
                world.trio().leader == self.old && answers.is_some_and(|n| world.fail_over(n))
            });
            return told.then(|| sentinels.clone()).into_iter().collect();
        }
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

    /// An election of their own is nobody's doing.
    fn promoted(&self) -> u32 {
        let by_port = |world: &World| world.servers.get(&self.new).map_or(0, |server| server.promoted);
        self.servers.look(|world| world.trio.as_ref().map_or_else(|| by_port(world), |trio| trio.told))
    }

    /// Who was held for a move is let go when it is over: that is no fence taken back.
    fn given_back(&self) -> u32 {
        if self.sentinels.is_some() {
            return 0;
        }
        self.servers.look(|world| world.servers.values().map(|server| server.unfenced).sum())
    }

    fn effects(&self) -> Vec<(&Name, &'static str, u32)> {
        if let Some(sentinels) = &self.sentinels {
            let marked = self.servers.look(|world| world.servers.get(&self.new).map_or(0, |new| new.marked));
            return vec![(sentinels, "promoted", self.promoted()), (&self.new, "marker key", marked)];
        }
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
            let left_behind = || world.trio.as_ref().map(|trio| trio.left_behind);
            // One that follows has what it follows, and no more.
            let followed = old.follows.as_ref().and_then(|_| left_behind());
            Some(followed.unwrap_or(old.offset.saturating_sub(forked)))
        })
    }

    fn held(&self) -> Vec<Name> {
        self.servers.look(|world| {
            let held = world.servers.iter().filter(|(_, server)| server.min_replicas.before_hold().is_some());
            held.map(|(name, _)| name.clone()).collect()
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
