//! The modelled servers, what they answer, and what can happen to them without Pointsman.

use super::trio::Trio;
use crate::kernel::domain::{Epoch, Name, RunId};
use crate::provider::redis::{
    Attempt, Connected, Layer, Link, MinReplicas, Node, Place, Reply, Silent, Trouble,
};
use std::collections::BTreeMap;

/// One server. Fields are open: the simulator sets the scene with them.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    pub up: bool,
    /// No supervisor may bring it back.
    pub masked: bool,
    /// Pointsman can reach it. Replication does not go this way.
    pub reachable: bool,
    /// Accepts connections and answers nothing.
    pub hung: bool,
    pub starts: u32,
    /// Where others find it.
    pub place: Place,
    /// The primary that a replica follows, and where it was told to find it, if elsewhere than at its place.
    pub follows: Option<Name>,
    pub road: Option<Place>,
    pub replid: String,
    pub replid2: Option<String>,
    pub second_offset: Option<u64>,
    pub offset: u64,
    pub keys: u64,
    /// A replica has had a whole copy.
    pub whole: bool,
    /// How many looks a copy takes that it has to be given, and how many are left.
    pub copy_looks: u32,
    pub copying: u32,
    /// What it follows arrives no more, though the connection stands.
    pub stalled: bool,
    pub loading: bool,
    /// It hands over to this one, and for how many looks it waits for it at most.
    pub handing: Option<(Name, u32)>,
    pub min_replicas: MinReplicas,
    /// Whether it has a file, and what stands in it.
    pub config_file: bool,
    pub filed: (MinReplicas, Option<Name>),
    /// It keeps its keys over a restart.
    pub persistent: bool,
    pub app_may_configure: bool,
    pub sentinels: u64,
    pub cluster: bool,
    pub markers: BTreeMap<RunId, Epoch>,
    /// How often each effect happened.
    pub promoted: u32,
    pub replicated: u32,
    pub fenced: u32,
    pub unfenced: u32,
    pub marked: u32,
}

fn place(host: &str) -> Place {
    Place { host: host.to_owned(), port: 6379 }
}

const STANDING: MinReplicas = MinReplicas::new(0, 10);

impl Server {
    pub fn primary(replid: &str) -> Server {
        Server {
            up: true,
            masked: false,
            reachable: true,
            hung: false,
            starts: 1,
            place: place("10.0.0.1"),
            follows: None,
            road: None,
            replid: replid.to_owned(),
            replid2: None,
            second_offset: None,
            offset: 1000,
            keys: 7,
            whole: true,
            copy_looks: 1,
            copying: 0,
            stalled: false,
            loading: false,
            handing: None,
            min_replicas: STANDING,
            config_file: true,
            filed: (STANDING, None),
            persistent: false,
            app_may_configure: false,
            sentinels: 0,
            cluster: false,
            markers: BTreeMap::new(),
            promoted: 0,
            replicated: 0,
            fenced: 0,
            unfenced: 0,
            marked: 0,
        }
    }

    /// It answers.
    pub fn is_alive(&self) -> bool {
        self.up && !self.hung
    }

    pub fn replica_of(primary: &Name, like: &Server) -> Server {
        let follows = Some(primary.clone());
        Server { filed: (STANDING, follows.clone()), follows, place: place("10.0.0.2"), ..like.clone() }
    }
}

/// Histories that nobody else has.
impl Server {
    /// What it holds came from elsewhere.
    pub fn other_data(&mut self) {
        (self.replid, self.replid2, self.follows) = ("dddddddddddd".into(), None, Some("elsewhere".into()));
    }

    /// Somebody takes the fence back, in the file too.
    pub fn unfence(&mut self) {
        (self.min_replicas, self.filed.0) = (STANDING, STANDING);
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    pub servers: BTreeMap<Name, Server>,
    /// Other places at which a server is found: a proxy's.
    pub roads: BTreeMap<Place, Name>,
    /// Those who run the servers, where somebody does.
    pub trio: Option<Trio>,
}

pub(super) fn silent<T>(layer: Layer, says: &str) -> Reply<T> {
    Err(Trouble::Silent(Silent { layer, says: says.to_owned() }))
}

pub(super) fn denied<T>(code: &str, says: &str) -> Reply<T> {
    Err(Trouble::Denied { sqlstate: code.to_owned(), says: says.to_owned() })
}

impl World {
    /// A primary and one replica that has everything.
    pub fn pair(primary: &str, replica: &str) -> World {
        let (first, second) = (Name::from(primary), Name::from(replica));
        let server = Server::primary("aaaaaaaaaaaa");
        let follower = Server::replica_of(&first, &server);
        World { servers: BTreeMap::from([(first, server), (second, follower)]), ..World::default() }
    }

    /// A named server, to change it by hand. Panics on a name that is not there: a mistake of the scene.
    pub fn server(&mut self, name: &str) -> &mut Server {
        self.servers.get_mut(&Name::from(name)).expect("invariant: the scene names its servers")
    }

    pub fn crash(&mut self, name: &str) {
        self.server(name).up = false;
    }

    pub fn stop_and_mask(&mut self, name: &str) {
        self.crash(name);
        self.server(name).masked = true;
    }

    /// What a supervisor does: as its file says, with a history of its own, and maybe without its keys.
    pub fn start(&mut self, name: &str) {
        let server = self.server(name);
        if server.masked || server.up {
            return;
        }
        (server.up, server.starts) = (true, server.starts + 1);
        (server.min_replicas, server.follows) = server.filed.clone();
        let before = std::mem::replace(&mut server.replid, format!("{name}-start-{}", server.starts));
        match server.persistent {
            true => (server.replid2, server.second_offset) = (Some(before), Some(server.offset + 1)),
            false => {
                (server.replid2, server.second_offset, server.offset, server.keys) = (None, None, 0, 0);
                server.markers.clear();
            }
        }
    }

    /// A replica that was told to follow, and that no copy ever reached.
    pub fn never_synced(&mut self, name: &str) {
        let server = self.server(name);
        (server.replid, server.replid2) = ("cccccccccccc".into(), None);
        (server.offset, server.keys, server.whole, server.stalled) = (0, 0, false, true);
    }

    /// Killed and started again without its data, in a blink; its replicas take that over.
    pub fn come_back_empty(&mut self, name: &str) {
        self.crash(name);
        let persistent = std::mem::replace(&mut self.server(name).persistent, false);
        self.start(name);
        self.server(name).persistent = persistent;
    }

    /// The application sets one key; false when it could not.
    pub fn write(&mut self, name: &str, bytes: u64) -> bool {
        let can = self.writable(&Name::from(name));
        if can {
            let server = self.server(name);
            (server.offset, server.keys) = (server.offset + bytes, server.keys + 1);
        }
        self.replicate();
        can
    }

    /// Whether it would take the application's writes.
    pub fn writable(&self, name: &Name) -> bool {
        self.servers.get(name).is_some_and(|server| {
            server.up
                && !server.hung
                && server.follows.is_none()
                && server.handing.is_none()
                && !server.min_replicas.refuses(self.followers(name).len())
        })
    }

    /// How many servers would take the application's writes: more than one is a split brain.
    pub fn writers(&self) -> usize {
        self.servers.keys().filter(|name| self.writable(name)).count()
    }

    fn followers(&self, name: &Name) -> Vec<&Server> {
        let follows =
            |(other, server): &(&Name, &Server)| server.follows.as_ref() == Some(name) && self.hears(other);
        self.servers.iter().filter(follows).map(|(_, server)| server).collect()
    }

    /// Whether a replica has a living primary.
    fn hears(&self, name: &Name) -> bool {
        let Some(server) = self.servers.get(name).filter(|server| server.up) else { return false };
        let primary = server.follows.as_ref().and_then(|primary| self.servers.get(primary));
        primary.is_some_and(|primary| primary.up && !primary.hung && primary.follows.is_none())
    }

    /// A replica has what its primary has, whatever it had before: also nothing.
    pub(super) fn replicate(&mut self) {
        let names: Vec<Name> = self.servers.keys().filter(|name| self.hears(name)).cloned().collect();
        for name in names {
            let primary = self.servers[&name].follows.as_ref().and_then(|primary| self.servers.get(primary));
            let Some(primary) = primary.cloned() else { continue };
            let Some(server) = self.servers.get_mut(&name) else { continue };
            if server.stalled || !server.whole {
                continue;
            }
            (server.replid, server.replid2) = (primary.replid, primary.replid2);
            (server.second_offset, server.offset, server.keys) =
                (primary.second_offset, primary.offset, primary.keys);
            server.markers = primary.markers;
        }
    }

    pub(super) fn session(&mut self, name: &Name) -> Reply<&mut Server> {
        match self.servers.get_mut(name) {
            None => silent(Layer::Dns, "no such server"),
            Some(server) if !server.reachable => silent(Layer::Timeout, "no route"),
            Some(server) if !server.up => silent(Layer::Tcp, "connection refused"),
            Some(server) if server.hung => silent(Layer::Timeout, "no session within 2.0 s"),
            Some(server) => Ok(server),
        }
    }

    pub(super) fn node(&mut self, name: &Name) -> Reply<Node> {
        self.session(name)?;
        self.wait_for_replica(name);
        let server = self.session(name)?.clone();
        let hears = self.hears(name);
        let link = self.told(name).map(|place| Link {
            host: place.host,
            port: place.port,
            up: hears && server.copying == 0,
            syncing: server.copying > 0,
            heard_s: hears.then_some(1),
        });
        if hears && server.copying > 0 {
            let at = self.session(name)?;
            at.copying -= 1;
            at.whole = at.copying == 0;
        }
        let connected = |one: &Server| Connected {
            host: one.place.host.clone(),
            port: one.place.port,
            online: true,
            offset: Some(one.offset),
        };
        Ok(Node {
            version: "7.0.15".into(),
            run_id: format!("{name}-{}", server.starts),
            replica: server.follows.is_some(),
            replid: server.replid.clone(),
            replid2: server.replid2.clone(),
            second_offset: server.second_offset,
            offset: server.whole.then_some(server.offset),
            link,
            replicas: self.followers(name).into_iter().map(connected).collect(),
            keys: Some(server.keys),
            loading: server.loading,
            failover: if server.handing.is_some() { "waiting-for-sync" } else { "no-failover" }.into(),
            min_replicas: server.min_replicas,
            sentinels: server.sentinels,
            cluster: server.cluster,
            config_file: server.config_file,
            writable_replica: false,
        })
    }

    pub(super) fn attempt(&mut self, name: &Name) -> Reply<Attempt> {
        let replica = self.session(name)?.follows.is_some();
        let refused = |code: &str| Attempt::Refused { code: code.to_owned(), says: "refused".into() };
        Ok(match (replica, self.writable(name)) {
            (true, _) => refused("READONLY"),
            (false, false) => refused("NOREPLICAS"),
            (false, true) => Attempt::Accepted,
        })
    }

    pub(super) fn set_min_replicas(&mut self, name: &Name, wanted: MinReplicas) -> Reply<()> {
        let server = self.session(name)?;
        let was = std::mem::replace(&mut server.min_replicas, wanted).fenced();
        server.fenced += u32::from(!was && wanted.fenced());
        server.unfenced += u32::from(was && !wanted.fenced());
        Ok(())
    }

    pub(super) fn rewrite(&mut self, name: &Name) -> Reply<()> {
        let server = self.session(name)?;
        if !server.config_file {
            return denied("ERR", "The server is running without a config file");
        }
        server.filed = (server.min_replicas, server.follows.clone());
        Ok(())
    }

    /// Whom a server was told to follow.
    pub fn told(&self, name: &Name) -> Option<Place> {
        let server = self.servers.get(name)?;
        let primary = server.follows.as_ref()?;
        let usual = || self.servers.get(primary).map_or_else(Place::default, |one| one.place.clone());
        Some(server.road.clone().unwrap_or_else(usual))
    }

    /// To be told twice changes nothing. What it has stays until a copy has come; where its history goes on at the new
    /// primary it needs none.
    pub(super) fn follow(&mut self, name: &Name, primary: &Place) -> Reply<()> {
        let told = self.told(name);
        self.session(name)?;
        let is_there = |(other, server): &(&Name, &Server)| server.place == *primary && *other != name;
        let found = self.servers.iter().find(is_there).map(|(other, _)| other);
        let of = found.or(self.roads.get(primary)).cloned().unwrap_or_else(|| primary.to_string().into());
        let leader = self.servers.get(&of).cloned();
        let server = self.session(name)?;
        if told.as_ref() == Some(primary) {
            return Ok(());
        }
        let goes_on = leader.is_some_and(|leader| {
            let forked = leader.second_offset.is_some_and(|second| server.offset < second);
            leader.replid == server.replid || (forked && leader.replid2.as_ref() == Some(&server.replid))
        });
        if !goes_on {
            (server.whole, server.copying) = (false, server.copy_looks.max(1));
        }
        (server.follows, server.road) = (Some(of), Some(primary.clone()));
        server.replicated += 1;
        Ok(())
    }

    /// To be told twice changes nothing.
    pub(in crate::simulated) fn promote(&mut self, name: &Name) -> Reply<()> {
        let server = self.session(name)?;
        if server.follows.take().is_some() {
            (server.road, server.copying) = (None, 0);
            server.promoted += 1;
            let before =
                std::mem::replace(&mut server.replid, format!("{name}-promoted-{}", server.promoted));
            (server.replid2, server.second_offset) = (Some(before), Some(server.offset + 1));
        }
        Ok(())
    }

    /// Lets writes wait, and hands over once the replica has everything.
    pub(super) fn hand_over(&mut self, name: &Name, to: &Place) -> Reply<()> {
        self.session(name)?;
        let of = |(_, server): &(&Name, &Server)| {
            server.place == *to && server.follows.as_ref() == Some(name) && server.up
        };
        let Some(to) = self.servers.iter().find(of).map(|(name, _)| name.clone()) else {
            return denied("ERR", "FAILOVER target HOST and PORT is not a replica.");
        };
        self.session(name)?.handing = Some((to, 5));
        self.wait_for_replica(name);
        Ok(())
    }

    fn wait_for_replica(&mut self, name: &Name) {
        let Some((to, looks)) = self.servers.get(name).and_then(|server| server.handing.clone()) else {
            return;
        };
        let end = self.servers.get(name).map_or(0, |server| server.offset);
        let there =
            self.servers.get(&to).is_some_and(|replica| replica.up && replica.whole && replica.offset >= end);
        let left = looks.saturating_sub(1);
        if let Some(server) = self.servers.get_mut(name) {
            server.handing = (left > 0 && !there).then(|| (to.clone(), left));
        }
        if there
            && self.promote(&to).is_ok()
            && let Some(server) = self.servers.get_mut(name)
        {
            (server.follows, server.road) = (Some(to), None);
        }
    }

    pub(super) fn mark(&mut self, name: &Name, run: &RunId, epoch: Epoch) -> Reply<()> {
        match self.attempt(name)? {
            Attempt::Refused { code, says } => denied(&code, &says),
            Attempt::Accepted => {
                let server = self.session(name)?;
                if !server.markers.contains_key(run) {
                    server.markers.insert(run.clone(), epoch);
                    (server.marked, server.offset, server.keys) =
                        (server.marked + 1, server.offset + 64, server.keys + 1);
                }
                Ok(())
            }
        }
    }
}
