//! The modelled servers, what they answer, and what can happen to them without Pointsman.

use crate::kernel::domain::{Epoch, Name, RunId};
use crate::provider::redis::{
    Attempt, Connected, FENCE, Layer, Link, MinReplicas, Node, Reply, Silent, Trouble,
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
    /// The primary that a replica follows; what is in the file, and what is now.
    pub follows: Option<Name>,
    pub replid: String,
    pub replid2: Option<String>,
    pub second_offset: Option<u64>,
    pub offset: u64,
    pub keys: u64,
    /// A replica has had a whole copy.
    pub whole: bool,
    /// What it follows arrives no more, though the connection stands.
    pub stalled: bool,
    pub loading: bool,
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
    pub fenced: u32,
    pub marked: u32,
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
            follows: None,
            replid: replid.to_owned(),
            replid2: None,
            second_offset: None,
            offset: 1000,
            keys: 7,
            whole: true,
            stalled: false,
            loading: false,
            min_replicas: STANDING,
            config_file: true,
            filed: (STANDING, None),
            persistent: false,
            app_may_configure: false,
            sentinels: 0,
            cluster: false,
            markers: BTreeMap::new(),
            promoted: 0,
            fenced: 0,
            marked: 0,
        }
    }

    pub fn replica_of(primary: &Name, like: &Server) -> Server {
        let follows = Some(primary.clone());
        Server { filed: (STANDING, follows.clone()), follows, ..like.clone() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    pub servers: BTreeMap<Name, Server>,
}

fn silent<T>(layer: Layer, says: &str) -> Reply<T> {
    Err(Trouble::Silent(Silent { layer, says: says.to_owned() }))
}

fn denied<T>(code: &str, says: &str) -> Reply<T> {
    Err(Trouble::Denied { sqlstate: code.to_owned(), says: says.to_owned() })
}

impl World {
    /// A primary and one replica that has everything.
    pub fn pair(primary: &str, replica: &str) -> World {
        let (first, second) = (Name::from(primary), Name::from(replica));
        let server = Server::primary("aaaaaaaaaaaa");
        let follower = Server::replica_of(&first, &server);
        World { servers: BTreeMap::from([(first, server), (second, follower)]) }
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

    fn writable(&self, name: &Name) -> bool {
        self.servers.get(name).is_some_and(|server| {
            server.up
                && !server.hung
                && server.follows.is_none()
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
        let server = self.session(name)?.clone();
        let hears = self.hears(name);
        let link = server.follows.as_ref().map(|_| Link {
            host: "10.0.0.1".into(),
            port: 6379,
            up: hears,
            syncing: false,
            heard_s: hears.then_some(1),
        });
        let connected =
            |one: &Server| Connected { online: true, offset: Some(one.offset), ..Connected::default() };
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
            failover: "no-failover".into(),
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
        server.fenced += u32::from(wanted.to_write == FENCE);
        server.min_replicas = wanted;
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

    /// To be told twice changes nothing.
    pub(super) fn promote(&mut self, name: &Name) -> Reply<()> {
        let server = self.session(name)?;
        if server.follows.take().is_some() {
            server.promoted += 1;
            let before =
                std::mem::replace(&mut server.replid, format!("{name}-promoted-{}", server.promoted));
            (server.replid2, server.second_offset) = (Some(before), Some(server.offset + 1));
        }
        Ok(())
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
