//! The few remote verbs of Patroni. [`super::Wire`] speaks to real members, `simulated::patroni` to a model.

use super::member::{Answer, Source};
use crate::config::{Config, PatroniTarget, TargetKind};
use crate::kernel::domain::{Name, Span};
use crate::provider::dns::NoAnswer;
use crate::provider::hosted::Written;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// A configured cluster under its name. The configuration holds references to secrets, never a secret.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub name: Name,
    pub conf: PatroniTarget,
}

impl Endpoint {
    pub fn of(config: &Config, name: &Name) -> Option<Endpoint> {
        match &config.target(name)?.kind {
            TargetKind::Patroni(conf) => Some(Endpoint { name: name.clone(), conf: conf.clone() }),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    Switchover,
    Failover,
}

impl Verb {
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Switchover => "switchover",
            Verb::Failover => "failover",
        }
    }
}

/// What a member is told to do, at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub verb: Verb,
    /// Patroni refuses where another leads. None: this version would take the field for a wish to switch over.
    pub leader: Option<Name>,
    pub candidate: Name,
}

/// Every verb ends within `within`, whatever the member does.
pub trait Port: Send + Sync {
    /// Everything that one member says: of itself, of the cluster, its configuration and its history.
    fn look<'a>(
        &'a self,
        at: &'a Endpoint,
        member: &'a Name,
        within: Span,
    ) -> BoxFuture<'a, Result<Answer, NoAnswer>>;

    /// Tells one member. It answers when Patroni knows how it ended, or gives up to wait. `Done` holds `promoted`, who leads
    /// now, as the member says.
    fn order<'a>(
        &'a self,
        at: &'a Endpoint,
        via: &'a Name,
        order: &'a Order,
        within: Span,
    ) -> BoxFuture<'a, Written>;

    /// Puts `standby_cluster` into the cluster's configuration, or takes it away, and touches nothing else of it. Patroni
    /// compares nothing of ours.
    fn follow<'a>(
        &'a self,
        at: &'a Endpoint,
        via: &'a Name,
        source: Option<&'a Source>,
        within: Span,
    ) -> BoxFuture<'a, Written>;
}
