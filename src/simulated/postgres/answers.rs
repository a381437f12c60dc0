//! What the modelled servers answer to each verb.

use super::world::{Server, World};
use crate::kernel::domain::{Epoch, Lsn, Name, RunId};
use crate::provider::owner::Claim;
use crate::provider::postgres::{
    Attempt, Connected, Endpoint, Hba, HbaRule, Layer, Marker, Node, Progress, Receiver, Reply, Silent,
    Trouble, hba,
};

fn silent<T>(layer: Layer, says: &str) -> Reply<T> {
    Err(Trouble::Silent(Silent { layer, says: says.to_owned() }))
}

fn denied<T>(sqlstate: &str, says: &str) -> Reply<T> {
    Err(Trouble::Denied { sqlstate: sqlstate.to_owned(), says: says.to_owned() })
}

impl World {
    /// Pointsman's own session.
    pub(super) fn session(&mut self, name: &Name) -> Reply<&mut Server> {
        match self.servers.get_mut(name) {
            None => silent(Layer::Dns, "no such server"),
            Some(server) if !server.reachable => silent(Layer::Timeout, "no route"),
            Some(server) if !server.up => silent(Layer::Tcp, "connection refused"),
            Some(server) if server.hung => silent(Layer::Timeout, "no session within 2.0 s"),
            Some(server) => Ok(server),
        }
    }

    /// A session that needs a superuser.
    fn root(&mut self, name: &Name) -> Reply<&mut Server> {
        let server = self.session(name)?;
        if server.superuser { Ok(server) } else { denied("42501", "permission denied") }
    }

    /// A promotion that was signalled comes when it has been waited for.
    fn looked_at(&mut self, name: &Name) -> Reply<Server> {
        let server = self.session(name)?;
        match server.promoting {
            Some(0) => server.promote(),
            Some(looks) => server.promoting = Some(looks - 1),
            None => {}
        }
        Ok(server.clone())
    }

    pub(super) fn node(&mut self, name: &Name) -> Reply<Node> {
        let server = self.looked_at(name)?;
        let follower = |(name, follower): (&Name, &Server)| Connected {
            name: Some(name.to_string()),
            state: (!follower.stalled).then(|| "streaming".to_owned()),
        };
        let followers = self
            .servers
            .iter()
            .filter(|(other, follower)| follower.follows.as_ref() == Some(name) && self.streams(other));
        let receiver = self.streams(name).then(|| Receiver {
            status: Some("streaming".into()),
            timeline: Some(server.timeline),
            host: None,
            port: None,
            message_age_us: Some(0),
        });
        Ok(Node {
            in_recovery: server.in_recovery,
            system: Some(server.system.clone()),
            version: 150_020,
            timeline: Some(server.timeline),
            position: Some(server.lsn()),
            received: receiver.as_ref().map(|_| server.lsn()),
            replayed: server.in_recovery.then(|| server.lsn()).or(server.forked.map(Lsn)),
            forked: server.forked.filter(|_| server.superuser).map(Lsn),
            receiver,
            paused: server.in_recovery.then_some(server.paused),
            read_only: server.read_only_loaded,
            sync_names: server.sync_names.clone(),
            standbys: followers.map(follower).collect(),
            clients: Some(server.clients),
            writers: Some(if server.read_only_loaded { 0 } else { server.clients }),
            sync_waiters: Some(0),
            workers: server.workers.clone(),
            superuser: server.superuser,
            can_promote: true,
            superusers: vec!["postgres".into()],
            hba_fenced: server.superuser.then(|| server.hba.starts_with(hba::MARK)),
            manager: server.manager.clone(),
        })
    }

    pub(super) fn progress(&mut self, name: &Name) -> Reply<Progress> {
        let server = self.looked_at(name)?;
        Ok(Progress {
            in_recovery: server.in_recovery,
            system: Some(server.system.clone()),
            timeline: Some(server.timeline),
            position: Some(server.lsn()),
            replayed: server.in_recovery.then(|| server.lsn()).or(server.forked.map(Lsn)),
            clock: None,
        })
    }

    pub(super) fn hba(&mut self, at: &Endpoint) -> Reply<Hba> {
        let server = self.root(&at.name)?;
        let rule = |kind: &str, database: &str, address: Option<&str>, method: &str| HbaRule {
            kind: kind.into(),
            database: vec![database.into()],
            user_name: vec!["all".into()],
            address: address.map(str::to_owned),
            netmask: None,
            auth_method: method.into(),
            options: None,
        };
        let rules = vec![
            rule("local", "all", None, "peer"),
            rule("host", "replication", Some("all"), "md5"),
            rule("host", "all", Some("all"), "md5"),
        ];
        Ok(Hba { path: "/var/lib/postgresql/pg_hba.conf".into(), text: server.hba.clone(), rules })
    }

    pub(super) fn write_hba(&mut self, name: &Name, text: &str) -> Reply<()> {
        let server = self.root(name)?;
        server.hba = text.to_owned();
        match text.starts_with(hba::MARK) {
            true => server.hba_written += 1,
            false => server.hba_restored += 1,
        }
        Ok(())
    }

    pub(super) fn reload(&mut self, name: &Name) -> Reply<()> {
        let server = self.session(name)?;
        server.hba_loaded.clone_from(&server.hba);
        server.read_only_loaded = server.read_only;
        Ok(())
    }

    /// Clients of a server that lets them in are back at once.
    pub(super) fn terminate(&mut self, name: &Name) -> Reply<u32> {
        let server = self.session(name)?;
        let ended = server.clients;
        if server.locked_out() {
            server.clients = 0;
        }
        Ok(ended)
    }

    pub(super) fn set_read_only(&mut self, name: &Name) -> Reply<()> {
        self.session(name)?.read_only = true;
        Ok(())
    }

    pub(super) fn reset_read_only(&mut self, name: &Name) -> Reply<()> {
        self.session(name)?.read_only = false;
        Ok(())
    }

    pub(super) fn attempt(&mut self, name: &Name) -> Reply<Attempt> {
        let server = self.session(name)?;
        let refused = |sqlstate: &str, by_rules: bool| Attempt::RefusedBy {
            sqlstate: sqlstate.to_owned(),
            by_rules,
            says: "refused".into(),
        };
        Ok(match (server.locked_out(), server.in_recovery || server.read_only_loaded) {
            (true, _) => refused("28000", true),
            (false, true) => refused("25006", false),
            (false, false) => Attempt::Accepted,
        })
    }

    pub(super) fn signal_promote(&mut self, name: &Name) -> Reply<()> {
        let server = self.session(name)?;
        if !server.in_recovery {
            return denied("55000", "recovery is not in progress");
        }
        // A second signal neither hurries nor delays the first.
        server.promoting.get_or_insert(server.promote_looks);
        if server.promote_looks == 0 {
            server.promote();
        }
        Ok(())
    }

    pub(super) fn clear_sync(&mut self, name: &Name) -> Reply<()> {
        self.root(name)?.sync_names.clear();
        Ok(())
    }

    /// As the application: a lockout keeps it out too.
    fn app(&mut self, name: &Name) -> Reply<&mut Server> {
        let server = self.session(name)?;
        if server.locked_out() { silent(Layer::Auth, "pg_hba.conf rejects connection") } else { Ok(server) }
    }

    pub(super) fn marker(&mut self, name: &Name, run: &RunId) -> Reply<Option<Marker>> {
        Ok(self.app(name)?.markers.get(run).map(|epoch| Marker { epoch: *epoch }))
    }

    pub(super) fn claims(&mut self, name: &Name) -> Reply<Vec<Claim>> {
        Ok(self.app(name)?.claims.iter().rev().cloned().collect())
    }

    pub(super) fn mark(
        &mut self,
        name: &Name,
        run: &RunId,
        epoch: Epoch,
        claim: Option<&Claim>,
    ) -> Reply<()> {
        let server = self.app(name)?;
        if !server.writable() {
            return denied("25006", "cannot execute INSERT in a read-only transaction");
        }
        if !server.markers.contains_key(run) {
            server.markers.insert(run.clone(), epoch);
            server.claims.extend(claim.cloned());
            server.marked += 1;
            server.position += 64;
        }
        Ok(())
    }
}
