//! Modelled clusters behind one port, each by the name of its target.

use super::Cluster;
use crate::kernel::domain::{Name, Span};
use crate::provider::dns::NoAnswer;
use crate::provider::hosted::Written;
use crate::provider::patroni::{Answer, Endpoint, Order, Port, Source};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Default)]
pub struct Pair(BTreeMap<Name, Arc<Cluster>>);

impl Pair {
    pub fn new(clusters: impl IntoIterator<Item = (impl Into<Name>, Arc<Cluster>)>) -> Pair {
        Pair(clusters.into_iter().map(|(name, cluster)| (name.into(), cluster)).collect())
    }

    fn of(&self, at: &Endpoint) -> &Cluster {
        self.0.get(&at.name).expect("invariant: the model has this cluster")
    }
}

impl Port for Pair {
    fn look<'a>(
        &'a self,
        at: &'a Endpoint,
        member: &'a Name,
        within: Span,
    ) -> BoxFuture<'a, Result<Answer, NoAnswer>> {
        self.of(at).look(at, member, within)
    }

    fn order<'a>(
        &'a self,
        at: &'a Endpoint,
        via: &'a Name,
        order: &'a Order,
        within: Span,
    ) -> BoxFuture<'a, Written> {
        self.of(at).order(at, via, order, within)
    }

    fn follow<'a>(
        &'a self,
        at: &'a Endpoint,
        via: &'a Name,
        source: Option<&'a Source>,
        within: Span,
    ) -> BoxFuture<'a, Written> {
        self.of(at).follow(at, via, source, within)
    }
}
