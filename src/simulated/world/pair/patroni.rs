//! Clusters of Patroni: their members are the servers. The clusters are the truth; what is asked of PostgreSQL itself, for a
//! sample or by the write that proves the new leader, is answered by servers that are kept like them.

use super::{Pair, postgres::sample};
use crate::kernel::domain::{Name, Time};
use crate::kernel::port::Sample;
use crate::provider::hosted::Written;
use crate::provider::patroni::{Order, Verb};
use crate::simulated::patroni::{Cluster, Member, World};
use crate::simulated::postgres::{self, Server};
use crate::simulated::world::clusters::{Clusters, Side};
use crate::simulated::world::{Patroni, Standby, Start};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub struct Clustered {
    pub names: Clusters,
    /// By target.
    pub clusters: BTreeMap<Name, Arc<Cluster>>,
    pub postgres: Arc<postgres::Servers>,
}

/// Servers of PostgreSQL for every member; they are kept like it by [`Pair::settle`].
pub fn servers(names: &Clusters) -> postgres::World {
    let all = names.old.servers.values().chain(names.new.servers.values());
    let server = |name: &Name| (name.clone(), Server::primary(""));
    postgres::World { servers: all.map(server).collect() }
}

impl Clustered {
    fn of(&self, side: &Side) -> &Cluster {
        self.clusters.get(&side.target).expect("invariant: both sides have their cluster")
    }

    fn old_side(&self) -> &Cluster {
        self.of(&self.names.old)
    }

    fn new_side(&self) -> &Cluster {
        self.of(&self.names.new)
    }

    /// The cluster and the member that a server is.
    fn at(&self, server: &Name) -> Option<(&Cluster, &Name)> {
        [&self.names.old, &self.names.new].into_iter().find_map(|side| {
            let member = side.servers.iter().find(|(_, name)| *name == server);
            member.map(|(member, _)| (self.of(side), member))
        })
    }

    fn change(&self, server: &Name, change: impl FnOnce(&mut World, &str)) {
        if let Some((cluster, member)) = self.at(server) {
            cluster.by_hand(|world| change(world, member.as_str()));
        }
        self.settle();
    }

    /// Every server with what `see` finds of it.
    fn each<T>(&self, see: impl Fn(&World, &Member) -> T) -> BTreeMap<Name, T> {
        let sides = [&self.names.old, &self.names.new];
        let all = sides.into_iter().flat_map(|side| {
            self.of(side).see(|world| {
                let seen = |(member, server): (&Name, &Name)| {
                    Some((server.clone(), see(world, world.members.get(member)?)))
                };
                side.servers.iter().filter_map(seen).collect::<Vec<_>>()
            })
        });
        all.collect()
    }

    /// What the old leader writes arrives no more, or does again: at the other cluster, or at those that follow in its own.
    fn stall(&self, stalled: bool) {
        let (old, new) = (&self.names.old.leader, &self.names.new.leader);
        self.new_side().by_hand(|world| {
            let two = self.names.are_two();
            let follows = |name: &Name| if two { name == new } else { name != old };
            for (_, member) in world.members.iter_mut().filter(|(name, _)| follows(name)) {
                member.stalled = stalled;
            }
        });
    }

    /// The log goes from the cluster that leads, or did, to the one that follows.
    fn flow(&self) {
        for cluster in self.clusters.values() {
            cluster.by_hand(World::flow);
        }
        if !self.names.are_two() {
            return;
        }
        for (from, to) in [(self.old_side(), self.new_side()), (self.new_side(), self.old_side())] {
            let sends = from.see(|world| {
                let runs = world.members.values().filter(|member| member.runs());
                runs.map(|member| (member.timeline, member.position)).max()
            });
            if let Some((timeline, end)) = sends {
                to.by_hand(|world| {
                    if world.follows.is_some() {
                        world.receive(timeline, end);
                    }
                });
            }
        }
    }

    fn alike(&self) {
        let seen = self.each(|world, member| (world.system.clone(), member.clone()));
        self.postgres.by_hand(|world| {
            for (name, (system, member)) in seen {
                let server = world.server(name.as_str());
                (server.up, server.masked) = (member.runs(), member.masked);
                (server.in_recovery, server.timeline) = (!member.primary, member.timeline);
                (server.system, server.position) = (system, member.position);
            }
        });
    }
}

impl Pair for Clustered {
    fn has(&self, server: &Name) -> bool {
        self.at(server).is_some()
    }

    fn furnish(&self, start: &Start) {
        for cluster in self.clusters.values() {
            cluster.by_hand(|world| {
                world.looks = start.promote_looks;
                world.cut = start.cut_replication || start.behind > 0;
                world.elects = self.names.are_two() || start.patroni == Patroni::Elects;
            });
        }
        self.stall(start.behind > 0);
        self.old_side()
            .by_hand(|world| world.member(self.names.old.leader.as_str()).position += start.behind);
        self.settle();
    }

    fn strike(&self, start: &Start) {
        let (old, new) = (&self.names.old, &self.names.new);
        let whole = self.names.are_two() && start.patroni != Patroni::Elects;
        self.new_side().by_hand(|world| {
            world.paused = start.patroni == Patroni::Paused;
            match start.standby {
                Standby::Down if self.names.are_two() => {
                    new.servers.keys().for_each(|m| world.crash(m.as_str()))
                }
                Standby::Down => world.crash(new.leader.as_str()),
                Standby::OtherData => world.system = "7000000000000000002".into(),
                Standby::Follows | Standby::NeverSynced | Standby::Emptied => {}
            }
        });
        self.old_side().by_hand(|world| {
            let hangs = start.patroni == Patroni::Hangs;
            match (start.primary_killed, whole) {
                (true, true) => old.servers.keys().for_each(|m| world.lose(m.as_str())),
                (true, false) => world.crash(old.leader.as_str()),
                (false, _) if hangs => world.hangs(old.leader.as_str()),
                (false, _) => {}
            }
        });
        self.settle();
    }

    fn stop_and_mask(&self, server: &Name) {
        self.change(server, |world, member| {
            world.member(member).masked = true;
            world.crash(member);
        });
    }

    fn start(&self, server: &Name) {
        self.change(server, World::start);
    }

    fn unmask(&self, server: &Name) {
        self.change(server, |world, member| world.member(member).masked = false);
    }

    /// A cluster that was made to follow is made to lead again.
    fn allow_writes(&self) {
        if self.names.are_two() {
            self.old_side().by_hand(|world| world.follow(None));
        }
        self.settle();
    }

    fn promote(&self) -> BTreeSet<Name> {
        let (old, new) = (&self.names.old, &self.names.new);
        let done = self.new_side().by_hand(|world| {
            if self.names.are_two() {
                let leader = world.leader.clone().filter(|_| world.follows.is_some());
                return leader.map(|leader| world.configure(&leader, None));
            }
            let order = Order { verb: Verb::Failover, leader: None, candidate: new.leader.clone() };
            let lost = world.leader.as_ref().is_none_or(|leader| *leader == old.leader);
            lost.then(|| world.order(&new.leader, &order))
        });
        self.settle();
        let done = matches!(done, Some(Written::Done(_)));
        done.then(|| new.target.clone()).into_iter().collect()
    }

    fn write(&self, bytes: u64, stalled: bool) {
        self.stall(stalled);
        self.old_side().by_hand(|world| {
            let member = world.member(self.names.old.leader.as_str());
            if member.writable() {
                member.position += bytes;
            }
        });
        self.settle();
    }

    fn settle(&self) {
        self.flow();
        self.alike();
    }

    fn is_up(&self, server: &Name) -> bool {
        self.up().contains(server)
    }

    fn up(&self) -> BTreeSet<Name> {
        let runs = self.each(|_, member| member.runs());
        runs.into_iter().filter_map(|(name, runs)| runs.then_some(name)).collect()
    }

    fn writers(&self) -> Vec<Name> {
        let writable = self.each(|_, member| member.writable());
        writable.into_iter().filter_map(|(name, writes)| writes.then_some(name)).collect()
    }

    fn new_follows(&self) -> bool {
        let writers = self.writers();
        !self.names.news().iter().any(|server| writers.contains(server))
    }

    fn promoted(&self) -> u32 {
        self.new_side().see(|world| world.promoted)
    }

    fn given_back(&self) -> u32 {
        if self.names.are_two() { self.old_side().see(|world| world.promoted) } else { 0 }
    }

    fn effects(&self) -> Vec<(&Name, &'static str, u32)> {
        let (old, new) = (&self.names.old.target, &self.names.new.target);
        let mut effects = vec![(new, "promoted", self.promoted())];
        if self.names.are_two() {
            let (demoted, back) = self.old_side().see(|world| (world.demoted, world.promoted));
            effects.extend([(old, "made to follow", demoted), (old, "made to lead again", back)]);
        }
        let marked =
            |server| (server, self.postgres.look(|world| world.servers.get(server).map_or(0, |s| s.marked)));
        let marked = self.names.new.servers.values().map(marked);
        effects.extend(marked.map(|(server, count)| (server, "marker row", count)));
        effects
    }

    /// How often each cluster began a timeline, but for those that a demotion which was taken back began.
    fn terms(&self) -> BTreeMap<Name, u32> {
        let moved =
            |(name, cluster): (&Name, &Arc<Cluster>)| (name.clone(), cluster.see(|world| world.moved));
        let mut terms: BTreeMap<Name, u32> = self.clusters.iter().map(moved).collect();
        if let Some(old) = terms.get_mut(&self.names.old.target) {
            *old = old.saturating_sub(self.given_back());
        }
        terms
    }

    /// Its own Patroni keeps it, where that is at work and follows another leader.
    fn old_is_fenced(&self) -> bool {
        let kept = self.each(|world, member| {
            let follows = member.answers && !member.primary && !world.paused;
            let other = world.follows.is_some() || !self.names.are_two();
            (!member.runs() && member.masked) || (follows && other)
        });
        self.names.olds().iter().all(|server| kept.get(server) == Some(&true))
    }

    fn lost(&self) -> Option<u64> {
        let (had, own) = self.new_side().see(|world| world.forked)?;
        let begun =
            self.new_side().see(|world| world.members.values().map(|member| member.timeline).max())?;
        let theirs = self.each(|_, member| (member.timeline < begun).then_some(member.position));
        let olds = self.names.olds();
        let theirs =
            theirs.into_iter().filter(|(server, _)| olds.contains(server)).filter_map(|(_, end)| end);
        Some(theirs.max().unwrap_or(0).max(own).saturating_sub(had))
    }

    fn samples(&self, at: Time) -> Vec<(Name, Sample)> {
        let ends = (self.names.old.server(), self.names.new.server());
        vec![(ends.1.clone(), sample(&self.postgres, ends, at))]
    }
}
