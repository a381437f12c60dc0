//! What one server says of itself. `None` is unknown, never zero.
//!
//! Redis has no timeline: a history has a name, the *replid*. A replica has its primary's; whoever is promoted takes a
//! new one and keeps the old as `replid2`, valid up to `second_offset`. Offsets are compared within one history only.

use crate::kernel::domain::Name;
pub use crate::provider::postgres::{Layer, Silent};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A server with this `min-replicas-to-write` refuses every write, since nobody has so many replicas.
pub const FENCE: u64 = 1_000_000_000;
/// The same, and the server has said that FENCE stands in its configuration file: a restart keeps it.
pub const SEALED: u64 = FENCE + 1;

/// A server that is held: it refuses every write while its Sentinels make another the primary. What was set before stands
/// in the number itself, so that whoever finds it, after our death or in the server's file, can set it back.
const HELD: u64 = 1_500_000_000;
/// The same, where the check was off: a lag of zero.
const HELD_OFF: u64 = 1_600_000_000;
/// More replicas than this no setting asks for that means what it says.
const MEANT: u64 = 100_000_000;

/// The primary pings its replicas every 10 s unless told otherwise; after three of them it is not taken for alive.
const FRESH_S: u64 = 30;

/// Both settings together decide whether writes are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinReplicas {
    pub to_write: u64,
    /// Zero turns the check off.
    pub max_lag: u64,
}

impl MinReplicas {
    pub const fn new(to_write: u64, max_lag: u64) -> MinReplicas {
        MinReplicas { to_write, max_lag }
    }
    /// Ours, and at work.
    pub fn fenced(self) -> bool {
        self.to_write >= FENCE && self.max_lag > 0
    }
    pub fn sealed(self) -> bool {
        self.to_write == SEALED && self.max_lag > 0
    }
    /// What to set so that every write is refused, with what is set now in it. `None`: it is no setting to come back to.
    pub fn hold(self) -> Option<MinReplicas> {
        let base = if self.max_lag == 0 { HELD_OFF } else { HELD };
        (self.to_write < MEANT).then(|| {
            MinReplicas::new(base + self.to_write, if self.max_lag == 0 { 10 } else { self.max_lag })
        })
    }
    /// What was set before it was held; `None`: it is not.
    pub fn before_hold(self) -> Option<MinReplicas> {
        match self.to_write {
            n if (HELD..HELD + MEANT).contains(&n) => Some(MinReplicas::new(n - HELD, self.max_lag)),
            n if (HELD_OFF..HELD_OFF + MEANT).contains(&n) => Some(MinReplicas::new(n - HELD_OFF, 0)),
            _ => None,
        }
    }
    /// Whether a primary with so many replicas would refuse writes.
    pub fn refuses(self, replicas: usize) -> bool {
        self.max_lag > 0 && self.to_write > u64::try_from(replicas).unwrap_or(u64::MAX)
    }
}

/// Where a server is found by its replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A replica's connection to its primary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub host: String,
    pub port: u16,
    pub up: bool,
    /// A full copy is on its way.
    pub syncing: bool,
    /// Since the primary was last heard; `None` while the link is down.
    pub heard_s: Option<u64>,
}

/// A replica that is connected to this server, as the server names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    pub host: String,
    pub port: u16,
    pub online: bool,
    pub offset: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    pub version: String,
    /// Changes with every start.
    pub run_id: String,
    pub replica: bool,
    pub replid: String,
    pub replid2: Option<String>,
    /// The first offset that is not of `replid2` any more.
    pub second_offset: Option<u64>,
    /// Primary: end of its stream. Replica: what it has applied; `None` where no whole copy was ever had, or the last
    /// one broke off.
    pub offset: Option<u64>,
    pub link: Option<Link>,
    pub replicas: Vec<Connected>,
    /// In all databases.
    pub keys: Option<u64>,
    pub loading: bool,
    /// `no-failover`, or how far a FAILOVER of its own has come.
    pub failover: String,
    pub min_replicas: MinReplicas,
    /// Sentinels that listen here.
    pub sentinels: u64,
    pub cluster: bool,
    /// It has a configuration file that it could write to.
    pub config_file: bool,
    /// A replica that takes writes of its own.
    pub writable_replica: bool,
}

impl Node {
    pub fn role(&self) -> &'static str {
        if self.replica { "replica" } else { "primary" }
    }

    /// Hears a living primary.
    pub fn follows_alive(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.up && link.heard_s.is_none_or(|s| s < FRESH_S))
    }

    /// Whom it is told to follow; a primary follows nobody.
    pub fn told(&self) -> Option<Place> {
        let link = self.link.as_ref().filter(|_| self.replica)?;
        Some(Place { host: link.host.clone(), port: link.port })
    }

    /// Who runs it, if it is not left to us.
    pub fn manager(&self) -> Option<String> {
        match (self.cluster, self.sentinels) {
            (true, _) => Some("Redis Cluster".into()),
            (false, 0) => None,
            (false, count) => Some(format!("Sentinel ({count} listen to it)")),
        }
    }

    /// Whether `history` is its own, or the one it was promoted from.
    pub fn knows(&self, history: &str) -> bool {
        self.replid == history || self.replid2.as_deref() == Some(history)
    }

    /// What it had of the history that it was promoted from.
    pub fn forked(&self) -> Option<u64> {
        self.second_offset.map(|second| second.saturating_sub(1))
    }
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
        self.node().filter(|node| !node.replica)
    }
    pub fn role(&self) -> &'static str {
        match self {
            Seen::Answers(node) => node.role(),
            Seen::Silent(_) => "unreachable",
        }
    }
}

/// Another server that was looked at, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    pub name: Name,
    pub seen: Seen,
}

/// Role, history and offset, for samples and polling.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub replica: bool,
    pub replid: String,
    pub offset: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alive_is_a_link_that_was_heard_lately() {
        let heard = |up, heard_s| Node {
            replica: true,
            link: Some(Link { up, heard_s, ..Link::default() }),
            ..Node::default()
        };
        assert!(heard(true, Some(11)).follows_alive() && heard(true, None).follows_alive());
        assert!(!heard(true, Some(31)).follows_alive(), "a stopped primary keeps its connections");
        assert!(!heard(false, Some(1)).follows_alive() && !Node::default().follows_alive());
    }

    #[test]
    fn a_held_server_remembers_what_was_set() {
        for before in [(0, 10), (1, 10), (0, 0), (3, 0), (99, 7)] {
            let before = MinReplicas::new(before.0, before.1);
            let held = before.hold().unwrap();
            assert!(held.fenced() && !held.sealed() && held.refuses(5), "{held:?}");
            assert_eq!(held.before_hold(), Some(before));
            assert_eq!(held.hold(), None, "what was set before would be lost");
        }
        for other in [0, 1, FENCE, SEALED, u64::MAX] {
            assert_eq!(MinReplicas::new(other, 10).before_hold(), None, "{other}");
        }
    }

    #[test]
    fn writes_are_refused_only_while_the_lag_counts() {
        assert!(MinReplicas::new(FENCE, 10).fenced() && MinReplicas::new(SEALED, 10).fenced());
        assert!(!MinReplicas::new(FENCE, 0).fenced(), "zero turns it off");
        assert!(MinReplicas::new(1, 10).refuses(0) && !MinReplicas::new(1, 10).refuses(1));
        assert!(!MinReplicas::new(1, 0).refuses(0) && !MinReplicas::new(1, 10).fenced());
        assert!(!MinReplicas::new(FENCE, 10).sealed());
    }
}
