//! The few remote verbs of PostgreSQL. [`super::Wire`] speaks to real servers, `simulated::postgres` to a
//! model; every action and check of this room is written against this trait alone.

use super::node::{Hba, Node, Progress, Silent};
use crate::config::{Config, PostgresTarget};
use crate::kernel::domain::{Epoch, Name, RunId, Span};
use crate::provider::owner::Claim;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// A configured server under its name. The configuration holds references to secrets, never a secret.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub name: Name,
    pub site: Option<Name>,
    pub conf: PostgresTarget,
}

impl Endpoint {
    pub fn of(config: &Config, name: &Name) -> Option<Endpoint> {
        let conf = config.postgres(name)?.clone();
        Some(Endpoint { name: name.clone(), site: config.target(name)?.site.clone(), conf })
    }
}

/// Why a verb has no result. Whether something may have happened all the same is the difference that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No session was had, so nothing was asked of the server.
    Silent(Silent),
    /// The server said no: the statement took no effect.
    Denied { sqlstate: String, says: String },
    /// The statement was sent and no answer came: it may have taken effect, or still may.
    Doubt { says: String },
    /// Our own fault, before any packet: a secret or a certificate that cannot be read.
    Ours { says: String },
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::Silent(silent) => write!(f, "no session ({}): {}", silent.layer, silent.says),
            Trouble::Denied { sqlstate, says } => write!(f, "the server refused it ({sqlstate}): {says}"),
            Trouble::Doubt { says } => write!(f, "sent, and no answer: {says}"),
            Trouble::Ours { says } => f.write_str(says),
        }
    }
}

pub type Reply<T> = Result<T, Trouble>;

/// How a fresh attempt to write as the application's role ended. The attempt is always rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attempt {
    /// Nothing kept the application from writing.
    Accepted,
    /// `by_rules`: pg_hba said no, as told by the place in the server that raised it and not by its words.
    RefusedBy { sqlstate: String, by_rules: bool, says: String },
}

/// The one row that a run leaves behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    pub epoch: Epoch,
}

/// Every verb ends within `within`, whatever the server does.
pub trait Port: Send + Sync {
    /// Everything that plans need, in one round trip.
    fn node<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<Node>>;
    /// Role, timeline and position only: for samples and for polling.
    fn progress<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<Progress>>;
    /// `select 1`: a server that accepts connections and answers nothing is not alive.
    fn ping<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<()>>;
    fn read_hba<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<Hba>>;
    /// Replaces the content of the server's own pg_hba file; mode and owner stay.
    fn write_hba<'a>(&'a self, at: &'a Endpoint, text: &'a str, within: Span) -> BoxFuture<'a, Reply<()>>;
    fn reload<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<()>>;
    /// Ends every client session but Pointsman's own and flushes the log behind them. How many were told to
    /// go.
    fn terminate_clients<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<u32>>;
    /// `default_transaction_read_only`, for this server alone. Not loaded before a reload.
    fn set_read_only<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<()>>;
    /// Takes that back. Not loaded before a reload.
    fn reset_read_only<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<()>>;
    fn write_attempt_as_app<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<Attempt>>;
    /// Signals and does not wait. `Ok` means that the server was told, not that it is a primary.
    fn signal_promote<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<()>>;
    /// Empties `synchronous_standby_names` of this server alone, and reloads.
    fn clear_sync_standbys<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<()>>;
    /// Whether the row of `run` is there, as the application sees it.
    fn marker_row<'a>(
        &'a self,
        at: &'a Endpoint,
        run: &'a RunId,
        within: Span,
    ) -> BoxFuture<'a, Reply<Option<Marker>>>;
    /// The newest claims of Pointsmen, as the application sees them. A standby has those of its primary.
    fn claims<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<Vec<Claim>>>;
    /// Commits the row of `run`, and the claim beside it, as the application's role; a row that is there stays as it
    /// is.
    fn write_marker<'a>(
        &'a self,
        at: &'a Endpoint,
        run: &'a RunId,
        epoch: Epoch,
        claim: Option<&'a Claim>,
        within: Span,
    ) -> BoxFuture<'a, Reply<()>>;
}
