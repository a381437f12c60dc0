//! Three Sentinels over the modelled servers: what each holds for the primary, whom it would promote, and a failover that
//! takes its time, ends, or is given up.

use super::world::{Server, World, denied, silent};
use crate::kernel::domain::Name;
use crate::provider::redis::sentinel::{Answer, Row};
use crate::provider::redis::{Layer, Reply};
use std::cmp::Reverse;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
pub struct Watcher {
    pub answers: bool,
    /// It watches a primary by this name.
    pub watches: bool,
    /// What it holds for the primary, where that is not what the others do.
    pub believes: Option<(Name, u64)>,
    pub quorum: bool,
    pub tilt: bool,
    pub id: String,
}

/// The primary before, and who is promoted.
#[derive(Clone, Debug, PartialEq)]
pub struct Moving {
    pub to: Name,
    /// How many looks until it ends.
    pub looks: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Trio {
    pub watchers: Vec<Watcher>,
    pub leader: Name,
    pub epoch: u64,
    /// Where it is not 100.
    pub priorities: BTreeMap<Name, u64>,
    pub moving: Option<Moving>,
    /// How many looks a failover takes.
    pub looks: u32,
    /// A failover that is begun ends with nothing.
    pub gives_up: bool,
    /// Once it is told, it promotes this one, whatever its order.
    pub elects_instead: Option<Name>,
    /// It refuses to, in these words.
    pub refuses: Option<(&'static str, &'static str)>,
    /// The old primary becomes a replica at once; else whenever somebody makes it one.
    pub demotes: bool,
    /// For how long they have agreed that the primary is down.
    pub agreed_down_ms: Option<u64>,
    /// Sentinels that nobody configured.
    pub strangers: Vec<String>,
    pub moved: u32,
}

impl Trio {
    pub fn over(leader: &str) -> Trio {
        let watcher = |id: &&str| Watcher {
            answers: true,
            watches: true,
            believes: None,
            quorum: true,
            tilt: false,
            id: (*id).to_owned(),
        };
        Trio {
            watchers: ["s0", "s1", "s2"].iter().map(watcher).collect(),
            leader: leader.into(),
            epoch: 4,
            priorities: BTreeMap::new(),
            moving: None,
            looks: 0,
            gives_up: false,
            elects_instead: None,
            refuses: None,
            demotes: true,
            agreed_down_ms: None,
            strangers: vec![],
            moved: 0,
        }
    }

    fn priority(&self, name: &Name) -> u64 {
        self.priorities.get(name).copied().unwrap_or(100)
    }

    fn row(&self, name: &Name, server: &Server, flag: &str) -> Row {
        let alive = server.up && !server.hung;
        let down = (!alive).then(|| "s_down".to_owned());
        Row {
            place: server.place.clone(),
            run_id: format!("{name}-{}", server.starts),
            flags: std::iter::once(flag.to_owned()).chain(down).collect(),
            heard_ms: Some(if alive { 300 } else { 60_000 }),
            info_ms: Some(if alive { 700 } else { 60_000 }),
            down_ms: (!alive).then_some(59_000),
            link_down_ms: Some(0),
            offset: Some(server.offset),
            priority: Some(self.priority(name)),
        }
    }
}

impl World {
    /// A trio that a test or a person changes. Panics where there is none: a mistake of the scene.
    pub fn trio(&mut self) -> &mut Trio {
        self.trio.as_mut().expect("invariant: the scene has Sentinels")
    }

    fn watcher(&self, n: usize) -> Reply<(&Trio, &Watcher)> {
        let trio = self.trio.as_ref();
        match trio.and_then(|trio| Some((trio, trio.watchers.get(n)?))) {
            None => silent(Layer::Tcp, "connection refused"),
            Some((_, watcher)) if !watcher.answers => silent(Layer::Timeout, "no session within 2.0 s"),
            Some((_, watcher)) if !watcher.watches => denied("ERR", "No such master with that name"),
            Some(found) => Ok(found),
        }
    }

    pub(super) fn sentinel(&mut self, n: usize) -> Reply<Answer> {
        self.watcher(n)?;
        if let Some(moving) = self.trio().moving.as_mut() {
            moving.looks = moving.looks.saturating_sub(1);
            if moving.looks == 0 {
                self.end_failover();
            }
        }
        let (trio, watcher) = self.watcher(n)?;
        let (leader, epoch) = watcher.believes.clone().unwrap_or((trio.leader.clone(), trio.epoch));
        let Some(server) = self.servers.get(&leader) else {
            return silent(Layer::Query, "the scene has no such server");
        };
        let mut master = trio.row(&leader, server, "master");
        master.flags.extend(trio.moving.as_ref().map(|_| "failover_in_progress".to_owned()));
        let replicas = self.servers.iter().filter(|(name, _)| **name != leader);
        let others =
            trio.watchers.iter().filter(|other| other.id != watcher.id).map(|other| other.id.clone());
        Ok(Answer {
            id: watcher.id.clone(),
            master,
            epoch,
            agreed_down_ms: trio.agreed_down_ms,
            down_after_ms: 5_000,
            failover_timeout_ms: 60_000,
            replicas: replicas.map(|(name, server)| trio.row(name, server, "slave")).collect(),
            others: others.chain(trio.strangers.iter().cloned()).collect(),
            no_quorum: (!watcher.quorum)
                .then(|| "1 usable Sentinels. Not enough available Sentinels".to_owned()),
            tilt: watcher.tilt,
        })
    }

    pub(in crate::simulated) fn order_failover(&mut self, n: usize) -> Reply<()> {
        let (trio, _) = self.watcher(n)?;
        if trio.moving.is_some() {
            return denied("INPROG", "Failover already in progress");
        }
        if let Some((code, says)) = trio.refuses {
            return denied(code, says);
        }
        let able = |(name, server): &(&Name, &Server)| {
            server.follows.as_ref() == Some(&trio.leader)
                && server.up
                && !server.hung
                && trio.priority(name) > 0
        };
        let order = |(name, server): &(&Name, &Server)| {
            (trio.priority(name), Reverse(server.offset), (*name).clone())
        };
        let Some(to) = self.servers.iter().filter(able).min_by_key(order).map(|(name, _)| name.clone())
        else {
            return denied("NOGOODSLAVE", "No suitable replica to promote");
        };
        let (looks, to) = (trio.looks, trio.elects_instead.clone().unwrap_or(to));
        self.trio().moving = Some(Moving { to, looks });
        if looks == 0 {
            self.end_failover();
        }
        Ok(())
    }

    /// They elect by themselves, and this one it is.
    pub fn elect(&mut self, to: &str) {
        self.trio().moving = Some(Moving { to: to.into(), looks: 0 });
        self.end_failover();
    }

    fn end_failover(&mut self) {
        let Some(moving) = self.trio().moving.take() else { return };
        if self.trio().gives_up {
            return;
        }
        let demotes = self.trio().demotes;
        let old = std::mem::replace(&mut self.trio().leader, moving.to.clone());
        (self.trio().epoch, self.trio().moved) = (self.trio().epoch + 1, self.trio().moved + 1);
        self.take_over(&moving.to);
        let follow = |name: &Name| *name != moving.to && (demotes || *name != old);
        let names: Vec<Name> = self.servers.keys().filter(|name| follow(name)).cloned().collect();
        for name in names {
            let Some(server) = self.servers.get_mut(&name).filter(|server| server.up && !server.hung) else {
                continue;
            };
            (server.follows, server.road) = (Some(moving.to.clone()), None);
            // A Sentinel has the file written.
            server.filed = (server.min_replicas, server.follows.clone());
        }
    }

    /// Whether Pointsman reaches it or not: Sentinels have roads of their own.
    fn take_over(&mut self, name: &Name) {
        let Some(server) = self.servers.get_mut(name) else { return };
        let reachable = std::mem::replace(&mut server.reachable, true);
        let _up_or_not = self.promote(name);
        if let Some(server) = self.servers.get_mut(name) {
            server.reachable = reachable;
        }
    }
}
