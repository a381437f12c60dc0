//! Sentinels over the modelled servers: what each holds for the primary, whom it would promote, and a failover that takes
//! its time, ends, or is given up. They elect by themselves where the scene says so.

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

/// Who is promoted.
#[derive(Clone, Debug, PartialEq)]
pub struct Moving {
    pub to: Name,
    /// How many looks until it ends.
    pub looks: u32,
    /// They were told; else it is an election of their own.
    pub told: bool,
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
    /// They elect by themselves as soon as the primary is gone.
    pub elects: bool,
    /// This one is promoted, whatever the order.
    pub elects_instead: Option<Name>,
    /// It refuses to, in these words.
    pub refuses: Option<(&'static str, &'static str)>,
    /// After how many looks they make a living old primary a replica, and which; 0: at once.
    pub demotes_in: u32,
    pub demoting: Option<(Name, u32)>,
    /// For how long they have agreed that the primary is down, while it is.
    pub agreed_down_ms: Option<u64>,
    /// Sentinels that nobody configured.
    pub strangers: Vec<String>,
    pub moved: u32,
    /// How many of those were told to them.
    pub told: u32,
    /// Bytes that the last old primary had and who took its place had not.
    pub left_behind: u64,
}

impl Trio {
    pub fn over(leader: &str) -> Trio {
        Trio::of(leader, 3)
    }

    /// As many as are configured.
    pub fn of(leader: &str, count: usize) -> Trio {
        let watcher = |n: usize| Watcher {
            answers: true,
            watches: true,
            believes: None,
            quorum: true,
            tilt: false,
            id: format!("s{n}"),
        };
        Trio {
            watchers: (0..count).map(watcher).collect(),
            leader: leader.into(),
            epoch: 4,
            priorities: BTreeMap::new(),
            moving: None,
            looks: 0,
            gives_up: false,
            elects: false,
            elects_instead: None,
            refuses: None,
            demotes_in: 0,
            demoting: None,
            agreed_down_ms: None,
            strangers: vec![],
            moved: 0,
            told: 0,
            left_behind: 0,
        }
    }

    fn priority(&self, name: &Name) -> u64 {
        self.priorities.get(name).copied().unwrap_or(100)
    }

    fn row(&self, name: &Name, server: &Server, flag: &str) -> Row {
        let alive = server.is_alive();
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
        self.go_on();
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
            agreed_down_ms: trio.agreed_down_ms.filter(|_| !server.is_alive()),
            down_after_ms: 5_000,
            failover_timeout_ms: 60_000,
            replicas: replicas.map(|(name, server)| trio.row(name, server, "slave")).collect(),
            others: others.chain(trio.strangers.iter().cloned()).collect(),
            no_quorum: (!watcher.quorum)
                .then(|| "1 usable Sentinels. Not enough available Sentinels".to_owned()),
            tilt: watcher.tilt,
        })
    }

    /// What they do between two looks.
    fn go_on(&mut self) {
        let leader = self.trio().leader.clone();
        let gone = self.servers.get(&leader).is_none_or(|server| !server.is_alive());
        let elected = || self.trio.as_ref().and_then(|trio| trio.elects_instead.clone().or(self.first(trio)));
        if gone
            && self.trio.as_ref().is_some_and(|trio| trio.elects && trio.moving.is_none())
            && let Some(to) = elected()
        {
            let looks = self.trio().looks + 1;
            self.trio().moving = Some(Moving { to, looks, told: false });
        }
        if let Some(moving) = self.trio().moving.as_mut() {
            moving.looks = moving.looks.saturating_sub(1);
            if moving.looks == 0 {
                self.end_failover();
            }
        }
        if let Some((_, looks)) = self.trio().demoting.as_mut() {
            *looks = looks.saturating_sub(1);
        }
        if let Some((old, _)) = self.trio().demoting.take_if(|(_, looks)| *looks == 0) {
            self.make_follow(&old);
        }
    }

    /// Whom they would take by their own order.
    fn first(&self, trio: &Trio) -> Option<Name> {
        let able = |(name, server): &(&Name, &Server)| {
            server.follows.as_ref() == Some(&trio.leader) && server.is_alive() && trio.priority(name) > 0
        };
        let order = |(name, server): &(&Name, &Server)| {
            (trio.priority(name), Reverse(server.offset), (*name).clone())
        };
        self.servers.iter().filter(able).min_by_key(order).map(|(name, _)| name.clone())
    }

    pub(in crate::simulated) fn order_failover(&mut self, n: usize) -> Reply<()> {
        let (trio, _) = self.watcher(n)?;
        if trio.moving.is_some() {
            return denied("INPROG", "Failover already in progress");
        }
        if let Some((code, says)) = trio.refuses {
            return denied(code, says);
        }
        let Some(to) = self.first(trio) else {
            return denied("NOGOODSLAVE", "No suitable replica to promote");
        };
        let (looks, to) = (trio.looks, trio.elects_instead.clone().unwrap_or(to));
        self.trio().moving = Some(Moving { to, looks, told: true });
        if looks == 0 {
            self.end_failover();
        }
        Ok(())
    }

    /// Somebody tells one of them, and waits for the end. Whether it came to anything.
    pub(in crate::simulated) fn fail_over(&mut self, n: usize) -> bool {
        let before = self.trio().told;
        let begun = self.order_failover(n).is_ok();
        while begun && self.trio().moving.is_some() {
            self.go_on();
        }
        self.trio().told > before
    }

    /// They elect by themselves, and this one it is.
    pub fn elect(&mut self, to: &str) {
        self.trio().moving = Some(Moving { to: to.into(), looks: 0, told: false });
        self.end_failover();
    }

    fn end_failover(&mut self) {
        let Some(moving) = self.trio().moving.take() else { return };
        if self.trio().gives_up {
            return;
        }
        let old = std::mem::replace(&mut self.trio().leader, moving.to.clone());
        let end = |name: &Name| self.servers.get(name).map_or(0, |server| server.offset);
        let left_behind = end(&old).saturating_sub(end(&moving.to));
        let trio = self.trio();
        (trio.epoch, trio.moved, trio.told) =
            (trio.epoch + 1, trio.moved + 1, trio.told + u32::from(moving.told));
        (trio.left_behind, trio.demoting) = (left_behind, None);
        let later = trio.demotes_in;
        self.take_over(&moving.to);
        let lives = self.servers.get(&old).is_some_and(Server::is_alive);
        if lives && later > 0 {
            self.trio().demoting = Some((old.clone(), later));
        }
        let waits = |name: &Name| {
            self.trio.as_ref().and_then(|trio| trio.demoting.as_ref()).is_some_and(|(old, _)| old == name)
        };
        let follow = |name: &Name| *name != moving.to && !waits(name);
        let names: Vec<Name> = self.servers.keys().filter(|name| follow(name)).cloned().collect();
        names.iter().for_each(|name| self.make_follow(name));
    }

    /// Of whom leads, if it answers them. They do this, too, with one that comes back as a primary.
    pub fn make_follow(&mut self, name: &Name) {
        let Some(leader) = self.trio.as_ref().map(|trio| trio.leader.clone()).filter(|leader| leader != name)
        else {
            return;
        };
        if let Some(server) = self.servers.get_mut(name).filter(|server| server.is_alive()) {
            (server.follows, server.road) = (Some(leader), None);
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
