//! The few remote verbs of Redis. [`super::Wire`] speaks to real servers, `simulated::redis` to a model; every action
//! and check of this room is written against this trait alone.

use super::node::{MinReplicas, Node, Place, Progress};
use super::sentinel::{Answer, Sentinels};
use crate::config::{Config, RedisTarget};
use crate::kernel::domain::{Epoch, Name, RunId, Span};
pub use crate::provider::postgres::{Reply, Trouble};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// A configured server under its name. The configuration holds references to secrets, never a secret.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub name: Name,
    pub site: Option<Name>,
    pub conf: RedisTarget,
}

impl Endpoint {
    pub fn of(config: &Config, name: &Name) -> Option<Endpoint> {
        let conf = config.redis(name)?.clone();
        Some(Endpoint { name: name.clone(), site: config.target(name)?.site.clone(), conf })
    }

    pub fn address(&self) -> String {
        format!("{}:{}", self.conf.address, self.conf.port)
    }

    /// Where replicas are told to find it.
    pub fn place(&self) -> Place {
        Place { host: self.conf.address.clone(), port: self.conf.port }
    }
}

/// How a fresh write of the application's user ended. It deletes a key that is not there: the server judges it like any
/// other write, and where it is accepted nothing is changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attempt {
    Accepted,
    /// `code`: the first word of the server's error.
    Refused {
        code: String,
        says: String,
    },
}

impl Attempt {
    /// For want of replicas: the one refusal that a fence of ours is proven by.
    pub fn proves_fence(&self) -> bool {
        matches!(self, Attempt::Refused { code, .. } if code == "NOREPLICAS")
    }
}

/// Every verb ends within `within`, whatever the server does.
pub trait Port: Send + Sync {
    /// Everything that plans need.
    fn node<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<Node>>;
    /// Role, history and offset only: for samples and for polling.
    fn progress<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<Progress>>;
    fn write_attempt_as_app<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<Attempt>>;
    /// Whether the application's user may change settings, and so take a fence back for itself.
    fn app_may_configure<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<bool>>;
    fn set_min_replicas<'a>(
        &'a self,
        at: &'a Endpoint,
        wanted: MinReplicas,
        within: Span,
    ) -> BoxFuture<'a, Reply<()>>;
    /// Writes the settings as they are now into the server's configuration file.
    fn rewrite_config<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<()>>;
    /// `REPLICAOF NO ONE`.
    fn promote<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<()>>;
    /// `REPLICAOF host port`.
    fn follow<'a>(&'a self, at: &'a Endpoint, primary: &'a Place, within: Span) -> BoxFuture<'a, Reply<()>>;
    /// `FAILOVER TO host port TIMEOUT ms`. It answers when it has begun.
    fn hand_over<'a>(
        &'a self,
        at: &'a Endpoint,
        to: &'a Place,
        timeout: Span,
        within: Span,
    ) -> BoxFuture<'a, Reply<()>>;
    /// Everything that the n-th Sentinel says of the primary that it watches under the configured name.
    fn sentinel<'a>(&'a self, at: &'a Sentinels, n: usize, within: Span) -> BoxFuture<'a, Reply<Answer>>;
    /// `SENTINEL FAILOVER`. It answers when the failover has begun.
    fn sentinel_failover<'a>(&'a self, at: &'a Sentinels, n: usize, within: Span)
    -> BoxFuture<'a, Reply<()>>;
    /// The epoch that the key of `run` holds, as the application sees it.
    fn marker<'a>(
        &'a self,
        at: &'a Endpoint,
        run: &'a RunId,
        within: Span,
    ) -> BoxFuture<'a, Reply<Option<Epoch>>>;
    /// Sets the key of `run` as the application's user; a key that is there stays as it is.
    fn write_marker<'a>(
        &'a self,
        at: &'a Endpoint,
        run: &'a RunId,
        epoch: Epoch,
        within: Span,
    ) -> BoxFuture<'a, Reply<()>>;
}
