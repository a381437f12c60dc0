//! One SSH connection for each machine, kept while it is in use. `ssh` itself makes it (its configuration, jump hosts,
//! agents and certificates hold) and stays as its master; a call is a session in it, and costs a tenth of a
//! connection. A connection that has not just answered is not trusted with a call: a new one is made.

use super::port::Host;
use openssh::{ControlPersist, Error, KnownHosts, SessionBuilder};
use openssh_mux_client::Connection;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Mutex as Turn;
use tokio::time::{Instant, timeout_at};

use crate::kernel::domain::Name;

/// How long ago its machine may have answered.
const FRESH: Duration = Duration::from_secs(3);
/// For TCP and the banner, as `ssh` counts it.
const CONNECT: Duration = Duration::from_secs(3);
/// The master asks its machine this often, and gives up after three questions without an answer.
const ALIVE: Duration = Duration::from_secs(2);
/// A master that nobody uses ends itself, also when this process was killed.
const IDLE: NonZeroUsize = NonZeroUsize::new(15).expect("invariant: fifteen is not zero");

/// No connection: `layer` says where it stopped.
pub struct NoConnection {
    pub layer: &'static str,
    pub says: String,
}

#[derive(Debug, Default)]
pub struct Connections(Mutex<HashMap<Name, Slot>>);

/// Taken in turn: who comes second uses what the first has made.
type Slot = Arc<Turn<Option<Arc<Master>>>>;

impl Connections {
    /// A master that answered just now, and a way in to it.
    pub async fn to(&self, host: &Host, until: Instant) -> Result<(Arc<Master>, Connection), NoConnection> {
        let slot = {
            let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(host.name.clone()).or_default())
        };
        let late = |_| NoConnection { layer: "tcp", says: "no connection in the time for the call".into() };
        let mut kept = timeout_at(until, slot.lock()).await.map_err(late)?;
        if let Some(master) = kept.take().filter(|master| master.is_fresh())
            && let Some(way_in) = master.alive(until).await
        {
            *kept = Some(Arc::clone(&master));
            return Ok((master, way_in));
        }
        let master = Arc::new(timeout_at(until, Master::launch(host)).await.map_err(late)??);
        let Some(way_in) = master.alive(until).await else {
            return Err(NoConnection { layer: "ssh", says: "the connection was lost at once".into() });
        };
        *kept = Some(Arc::clone(&master));
        Ok((master, way_in))
    }
}

/// A running `ssh -M`, and the folder of its socket.
#[derive(Debug)]
pub struct Master {
    /// Its folder goes with us; the process ends when nobody has used it for a while.
    dir: TempDir,
    answered: Mutex<Option<Instant>>,
}

impl Master {
    async fn launch(host: &Host) -> Result<Master, NoConnection> {
        let target = &host.target;
        let Some(address) = target.ssh.as_deref() else {
            let says = "neither `ssh` nor `local` is set".into();
            return Err(NoConnection { layer: "configuration", says });
        };
        let (destination, port) = split_port(address);
        let mut ssh = SessionBuilder::default();
        ssh.known_hosts_check(KnownHosts::Strict).connect_timeout(CONNECT).server_alive_interval(ALIVE);
        ssh.control_persist(ControlPersist::IdleFor(IDLE)).control_directory(std::env::temp_dir());
        if let Some(port) = port {
            ssh.port(port);
        }
        if let Some(config) = &target.ssh_config {
            ssh.config_file(config);
        }
        if let Some(key) = &target.key {
            ssh.keyfile(key);
        }
        if let Some(known) = &target.known_hosts {
            // ssh takes a list here: quoted, a path with a blank stays one.
            ssh.user_known_hosts_file(PathBuf::from(format!("\"{}\"", known.display())));
        }
        let dir = ssh.launch_master(destination).await.map_err(why)?;
        Ok(Master { dir, answered: Mutex::new(Some(Instant::now())) })
    }

    fn is_fresh(&self) -> bool {
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.is_some_and(|at| at.elapsed() < FRESH)
    }

    /// The machine answered a call (`true`), or did not when it should have.
    pub fn answered(&self, yes: bool) {
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = yes.then(Instant::now);
    }

    /// A master that lost its machine is gone; this asks the process, not the machine.
    async fn alive(&self, until: Instant) -> Option<Connection> {
        let socket = self.dir.path().join("master");
        let ask = async {
            let mut way_in = Connection::connect(socket).await.ok()?;
            way_in.send_alive_check().await.ok()?;
            Some(way_in)
        };
        timeout_at(until, ask).await.ok().flatten()
    }
}

/// `user@host:port`, `user@[v6]:port`, `user@host`; a bare IPv6 address keeps its colons.
fn split_port(address: &str) -> (&str, Option<u16>) {
    match address.rsplit_once(':') {
        Some((head, port)) if !head.contains(':') || head.ends_with(']') => match port.parse() {
            Ok(port) => (head, Some(port)),
            Err(_) => (address, None),
        },
        _ => (address, None),
    }
}

/// What `ssh` said, and where it stopped.
fn why(error: Error) -> NoConnection {
    let (layer, says) = match &error {
        Error::Connect(said) => (layer(&said.to_string()), said.to_string()),
        Error::Master(said) => ("local", said.to_string()),
        other => ("ssh", other.to_string()),
    };
    let lines: Vec<&str> = says.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let from = lines.len().saturating_sub(3);
    let says = if lines.is_empty() { "ssh gave no reason".into() } else { lines[from..].join("; ") };
    NoConnection { layer, says }
}

fn layer(said: &str) -> &'static str {
    let has = |text: &str| said.contains(text);
    if has("Could not resolve hostname") {
        "dns"
    } else if has("Host key verification failed") || has("No matching host key") || has("host key is known") {
        "host key"
    } else if has("Permission denied (") || has("Too many authentication failures") {
        "auth"
    } else if has("connect to host") || has("timed out") || has("Connection refused") {
        "tcp"
    } else if has("No such file or directory (os error") {
        "local"
    } else {
        "ssh"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_ipv6() {
        assert_eq!(split_port("fence@192.0.2.1:22"), ("fence@192.0.2.1", Some(22)));
        assert_eq!(split_port("fence@[2001:db8::1]:22"), ("fence@[2001:db8::1]", Some(22)));
        assert_eq!(split_port("fence@::1"), ("fence@::1", None));
        assert_eq!(split_port("gra-db"), ("gra-db", None));
    }

    #[test]
    fn where_ssh_stopped() {
        for (said, at) in [
            ("connect to host 192.0.2.1 port 22: Connection timed out", "tcp"),
            ("connect to host h port 22: Connection refused", "tcp"),
            ("Could not resolve hostname nowhere: Name or service not known", "dns"),
            ("Host key verification failed.", "host key"),
            ("fence@h: Permission denied (publickey).", "auth"),
            ("Connection timed out during banner exchange", "tcp"),
        ] {
            assert_eq!(layer(said), at, "{said}");
        }
    }
}
