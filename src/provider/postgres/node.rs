//! What one server says of itself. `None` is unknown or not permitted, never zero and never false.

use crate::kernel::domain::{Lsn, Name, Time};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How far an attempt to talk came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    Dns,
    Tcp,
    Tls,
    /// Role, password, database or pg_hba.
    Auth,
    /// It answers, but is starting up or shutting down.
    Startup,
    /// Too many connections: overloaded is not dead.
    Busy,
    Timeout,
    /// A session was had, and the question failed.
    Query,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layer::Dns => "dns",
            Layer::Tcp => "tcp",
            Layer::Tls => "tls",
            Layer::Auth => "auth",
            Layer::Startup => "startup",
            Layer::Busy => "busy",
            Layer::Timeout => "timeout",
            Layer::Query => "query",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silent {
    pub layer: Layer,
    pub says: String,
}

/// A server as observed: it answers, or it does not and how far we came. Both are observations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    Answers(Box<Node>),
    Silent(Silent),
}

impl Seen {
    pub fn node(&self) -> Option<&Node> {
        match self {
            Seen::Answers(node) => Some(node),
            Seen::Silent(_) => None,
        }
    }
    pub fn primary(&self) -> Option<&Node> {
        self.node().filter(|node| !node.in_recovery)
    }
    pub fn role(&self) -> &'static str {
        match self {
            Seen::Answers(node) => node.role(),
            Seen::Silent(_) => "unreachable",
        }
    }
}

/// The standby's receiver: `None` in `status` means that our role may not see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receiver {
    pub status: Option<String>,
    pub timeline: Option<u32>,
    pub host: Option<String>,
    pub port: Option<u16>,
    /// Since the last message of the sender, by the standby's own clock, in microseconds.
    pub message_age_us: Option<u64>,
}

/// A standby connected to this server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    pub name: Option<String>,
    pub state: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    pub in_recovery: bool,
    /// System identifier: the lineage that this data belongs to.
    pub system: Option<String>,
    pub version: u32,
    pub timeline: Option<u32>,
    /// Primary: end of the log as flushed. Standby: the most that it has, received or replayed.
    pub position: Option<Lsn>,
    pub received: Option<Lsn>,
    /// Stays after a promotion; after a start it tells of crash recovery, and not of any promotion.
    pub replayed: Option<Lsn>,
    /// Where this timeline began: what the server had when it was promoted. From its history file; only of a
    /// primary and with the right to read it.
    pub forked: Option<Lsn>,
    pub receiver: Option<Receiver>,
    pub paused: Option<bool>,
    /// `default_transaction_read_only`
    pub read_only: bool,
    pub sync_names: String,
    pub standbys: Vec<Connected>,
    /// Client sessions of others, logical walsenders included; `None` where our role may not see them.
    pub clients: Option<u32>,
    /// Sessions of others in a transaction that has written.
    pub writers: Option<u32>,
    /// Commits that wait for a synchronous standby.
    pub sync_waiters: Option<u32>,
    /// Background workers that can write without being clients: subscriptions, schedulers.
    pub workers: Vec<String>,
    pub superuser: bool,
    pub can_promote: bool,
    pub superusers: Vec<String>,
    /// pg_hba begins with Pointsman's own line. `None`: no right to look.
    pub hba_fenced: Option<bool>,
    /// A failover manager at work here: Patroni, repmgrd, pg_auto_failover.
    pub manager: Option<String>,
}

/// A silent sender for this long is not taken for alive: keepalives come every half `wal_sender_timeout`, 30
/// s.
const FRESH_US: u64 = 60_000_000;

impl Node {
    pub fn role(&self) -> &'static str {
        if self.in_recovery { "standby" } else { "primary" }
    }

    /// Receives from a living sender. `None` where our role may not see it.
    pub fn streams(&self) -> Option<bool> {
        let Some(receiver) = &self.receiver else { return Some(false) };
        let status = receiver.status.as_deref()?;
        Some(status == "streaming" && receiver.message_age_us.is_none_or(|age| age < FRESH_US))
    }
}

/// Role, timeline and position, for samples and polling.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub in_recovery: bool,
    pub system: Option<String>,
    pub timeline: Option<u32>,
    pub position: Option<Lsn>,
    pub replayed: Option<Lsn>,
    /// The server's own clock when it answered.
    pub clock: Option<Time>,
}

/// One line of pg_hba as the server itself parsed it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HbaRule {
    #[serde(rename = "type")]
    pub kind: String,
    pub database: Vec<String>,
    pub user_name: Vec<String>,
    pub address: Option<String>,
    pub netmask: Option<String>,
    pub auth_method: String,
    pub options: Option<Vec<String>>,
}

/// No `Serialize`, and a `Debug` without the text: options of a rule can hold passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct Hba {
    pub path: String,
    pub text: String,
    pub rules: Vec<HbaRule>,
}

impl fmt::Debug for Hba {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hba({}, {} bytes)", self.path, self.text.len())
    }
}

/// Another server that was looked at, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    pub name: Name,
    pub seen: Seen,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receiver(status: Option<&str>, age: Option<u64>) -> Node {
        let receiver =
            Receiver { status: status.map(str::to_owned), message_age_us: age, ..Receiver::default() };
        Node { in_recovery: true, receiver: Some(receiver), ..Node::default() }
    }

    #[test]
    fn streaming_is_a_fresh_message_and_hidden_is_unknown() {
        assert_eq!(receiver(Some("streaming"), Some(31_000_000)).streams(), Some(true));
        assert_eq!(receiver(Some("streaming"), Some(61_000_000)).streams(), Some(false));
        assert_eq!(receiver(Some("streaming"), None).streams(), Some(true), "no time known: taken for alive");
        assert_eq!(receiver(Some("waiting"), Some(1)).streams(), Some(false));
        assert_eq!(receiver(None, None).streams(), None);
        assert_eq!(Node::default().streams(), Some(false));
    }
}
