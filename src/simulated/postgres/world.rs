//! The modelled servers and what can happen to them without Pointsman.

use crate::kernel::domain::{Epoch, Lsn, Name, RunId};
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
    pub in_recovery: bool,
    pub system: String,
    pub timeline: u32,
    pub position: u64,
    /// Where its timeline began, once it was promoted.
    pub forked: Option<u64>,
    /// The primary that a standby follows.
    pub follows: Option<Name>,
    /// What it follows arrives no more, though the connection stands.
    pub stalled: bool,
    pub hba: String,
    pub read_only: bool,
    /// What the last reload, or start, has loaded.
    pub hba_loaded: String,
    pub read_only_loaded: bool,
    pub clients: u32,
    pub sync_names: String,
    /// What writes without being a client.
    pub workers: Vec<String>,
    /// Replay was paused by somebody.
    pub paused: bool,
    pub superuser: bool,
    pub manager: Option<String>,
    pub markers: BTreeMap<RunId, Epoch>,
    /// Oldest first.
    pub claims: Vec<crate::provider::owner::Claim>,
    /// A promotion was signalled; it comes after that many looks.
    pub promoting: Option<u32>,
    /// How many looks a promotion takes.
    pub promote_looks: u32,
    /// How often each effect happened.
    pub promoted: u32,
    pub hba_written: u32,
    /// A fence taken back by us.
    pub hba_restored: u32,
    pub marked: u32,
}

const HBA: &str = "local all all peer\nhost replication repl all md5\nhost all all all md5\n";

impl Server {
    pub fn primary(system: &str) -> Server {
        Server {
            up: true,
            masked: false,
            reachable: true,
            hung: false,
            in_recovery: false,
            system: system.to_owned(),
            timeline: 1,
            position: 0x300_0000,
            forked: None,
            follows: None,
            stalled: false,
            hba: HBA.to_owned(),
            read_only: false,
            hba_loaded: HBA.to_owned(),
            read_only_loaded: false,
            clients: 3,
            sync_names: String::new(),
            workers: vec![],
            paused: false,
            superuser: true,
            manager: None,
            markers: BTreeMap::new(),
            claims: vec![],
            promoting: None,
            promote_looks: 0,
            promoted: 0,
            hba_written: 0,
            hba_restored: 0,
            marked: 0,
        }
    }

    pub fn standby_of(primary: &Name, like: &Server) -> Server {
        Server { in_recovery: true, follows: Some(primary.clone()), clients: 0, ..like.clone() }
    }

    pub fn locked_out(&self) -> bool {
        self.hba_loaded.starts_with(crate::provider::postgres::hba::MARK)
    }

    /// Whether the application could write here now.
    pub fn writable(&self) -> bool {
        self.up && !self.hung && !self.in_recovery && !self.locked_out() && !self.read_only_loaded
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    pub servers: BTreeMap<Name, Server>,
}

impl World {
    /// A primary with clients and one standby that has everything.
    pub fn pair(primary: &str, standby: &str) -> World {
        let (first, second) = (Name::from(primary), Name::from(standby));
        let server = Server::primary("7000000000000000001");
        let follower = Server::standby_of(&first, &server);
        World { servers: BTreeMap::from([(first, server), (second, follower)]) }
    }

    /// A named server, to change it by hand. Panics on a name that is not there: a mistake of the scene.
    pub fn server(&mut self, name: &str) -> &mut Server {
        self.servers.get_mut(&Name::from(name)).expect("invariant: the scene names its servers")
    }

    /// SIGKILL, power, or stop: it is gone, and so are its clients and a promotion it was told of.
    pub fn crash(&mut self, name: &str) {
        let server = self.server(name);
        (server.up, server.clients, server.promoting) = (false, 0, None);
    }

    /// Stopped for good: what a fence on the machine does.
    pub fn stop_and_mask(&mut self, name: &str) {
        self.crash(name);
        self.server(name).masked = true;
    }

    /// What a supervisor does: it comes back as its files say, unless it is masked.
    pub fn start(&mut self, name: &str) {
        let server = self.server(name);
        server.up = !server.masked;
        server.hba_loaded.clone_from(&server.hba);
        server.read_only_loaded = server.read_only;
    }

    /// The application commits; false when it could not.
    pub fn write(&mut self, name: &str, bytes: u64) -> bool {
        let server = self.server(name);
        let can = server.writable();
        if can {
            server.position += bytes;
        }
        self.stream();
        can
    }

    /// A person promotes it, with no word to Pointsman.
    pub fn promote_by_hand(&mut self, name: &str) {
        self.server(name).promote();
    }

    /// How many servers would take the application's writes: more than one is a split brain.
    pub fn writers(&self) -> usize {
        self.servers.values().filter(|server| server.writable()).count()
    }

    /// Whether `name` has a living sender on its own timeline.
    pub(super) fn streams(&self, name: &Name) -> bool {
        let Some(server) = self.servers.get(name).filter(|server| server.up && server.in_recovery) else {
            return false;
        };
        let sender = server.follows.as_ref().and_then(|primary| self.servers.get(primary));
        sender.is_some_and(|sender| sender.up && !sender.in_recovery && sender.timeline == server.timeline)
    }

    /// Lets the log flow to every standby that can receive it.
    pub(super) fn stream(&mut self) {
        let names: Vec<Name> = self.servers.keys().cloned().collect();
        for name in names {
            let arrives = self.streams(&name) && !self.servers[&name].stalled;
            let end = self.servers[&name]
                .follows
                .as_ref()
                .and_then(|sender| Some(self.servers.get(sender)?.position));
            if let (true, Some(end), Some(server)) = (arrives, end, self.servers.get_mut(&name)) {
                server.position = server.position.max(end);
            }
        }
    }
}

impl Server {
    /// What it holds came from elsewhere, and nothing that is written now arrives.
    pub fn other_data(&mut self) {
        (self.system, self.stalled) = ("7000000000000000002".into(), true);
    }

    pub(super) fn promote(&mut self) {
        self.forked = Some(self.position);
        self.in_recovery = false;
        self.timeline += 1;
        self.promoting = None;
        self.promoted += 1;
        // The end-of-recovery record.
        self.position += 120;
    }

    pub(super) fn lsn(&self) -> Lsn {
        Lsn(self.position)
    }
}
