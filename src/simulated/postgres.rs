//! A primary and its standbys behind PostgreSQL's port: positions, timelines, pg_hba, clients, streaming,
//! promotion.
//!
//! The simulator changes the world by hand through [`Servers::by_hand`] and breaks calls through its
//! [`Hook`]; the counts say how often each effect happened. It keeps the traps of the real thing: a rewritten
//! pg_hba means nothing before a reload, a signalled promotion may come later, a fence on the primary does
//! not reach the standby, and a primary that is started again is writable.

mod answers;
mod world;

pub use world::{Server, World};

use super::Hook;
use super::stage::{Flows, Stage};
use crate::kernel::domain::{Epoch, RunId, Span};
use crate::provider::owner::Claim;
use crate::provider::postgres::{
    Attempt, Endpoint, Hba, Layer, Marker, Node, Port, Progress, Reply, Silent, Trouble,
};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use std::sync::Arc;

impl Flows for World {
    fn flow(&mut self) {
        self.stream();
    }
}

pub struct Servers(Stage<World>);

impl Servers {
    pub fn new(world: World, hook: Arc<dyn Hook>) -> Servers {
        Servers(Stage::new(world, hook))
    }

    /// A person, a crash, the application: whatever changes the world without Pointsman.
    pub fn by_hand<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        self.0.by_hand(change)
    }

    /// The world now, for assertions.
    pub fn world(&self) -> World {
        self.0.look(World::clone)
    }

    /// The same without a copy, for whoever looks often.
    pub fn look<T>(&self, at: impl FnOnce(&World) -> T) -> T {
        self.0.look(at)
    }
}

impl Port for Servers {
    fn node<'a>(&'a self, at: &'a Endpoint, _within: Span) -> BoxFuture<'a, Reply<Node>> {
        if !self.0.look(|world| world.servers.contains_key(&at.name)) {
            // Configured for other playbooks, and no place where a call of this one could break.
            let says = "no such server".to_owned();
            return ready(Err(Trouble::Silent(Silent { layer: Layer::Dns, says }))).boxed();
        }
        self.0.call("postgres.node", false, |world| world.node(&at.name)).boxed()
    }

    fn progress<'a>(&'a self, at: &'a Endpoint, _within: Span) -> BoxFuture<'a, Reply<Progress>> {
        self.0.call("postgres.progress", false, |world| world.progress(&at.name)).boxed()
    }

    fn ping<'a>(&'a self, at: &'a Endpoint, _within: Span) -> BoxFuture<'a, Reply<()>> {
        self.0.call("postgres.ping", false, |world| world.session(&at.name).map(|_| ())).boxed()
    }

    fn read_hba<'a>(&'a self, at: &'a Endpoint, _within: Span) -> BoxFuture<'a, Reply<Hba>> {
        self.0.call("postgres.read_hba", false, |world| world.hba(at)).boxed()
    }

    fn write_hba<'a>(&'a self, at: &'a Endpoint, text: &'a str, _within: Span) -> BoxFuture<'a, Reply<()>> {
        self.0.call("postgres.write_hba", true, |world| world.write_hba(&at.name, text)).boxed()
    }

    fn reload<'a>(&'a self, at: &'a Endpoint, _within: Span) -> BoxFuture<'a, Reply<()>> {
        self.0.call("postgres.reload", true, |world| world.reload(&at.name)).boxed()
    }

    fn terminate_clients<'a>(&'a self, at: &'a Endpoint, _within: Span) -> BoxFuture<'a, Reply<u32>> {
        self.0.call("postgres.terminate_clients", true, |world| world.terminate(&at.name)).boxed()
    }

    fn set_read_only<'a>(&'a self, at: &'a Endpoint, _within: Span) -> BoxFuture<'a, Reply<()>> {
        self.0.call("postgres.set_read_only", true, |world| world.set_read_only(&at.name)).boxed()
    }

    fn reset_read_only<'a>(&'a self, at: &'a Endpoint, _within: Span) -> BoxFuture<'a, Reply<()>> {
        self.0.call("postgres.reset_read_only", true, |world| world.reset_read_only(&at.name)).boxed()
    }

    fn write_attempt_as_app<'a>(&'a self, at: &'a Endpoint, _within: Span) -> BoxFuture<'a, Reply<Attempt>> {
        self.0.call("postgres.write_attempt_as_app", false, |world| world.attempt(&at.name)).boxed()
    }

    fn signal_promote<'a>(&'a self, at: &'a Endpoint, _within: Span) -> BoxFuture<'a, Reply<()>> {
        self.0.call("postgres.signal_promote", true, |world| world.signal_promote(&at.name)).boxed()
    }

    fn clear_sync_standbys<'a>(&'a self, at: &'a Endpoint, _within: Span) -> BoxFuture<'a, Reply<()>> {
        self.0.call("postgres.clear_sync_standbys", true, |world| world.clear_sync(&at.name)).boxed()
    }

    fn marker_row<'a>(
        &'a self,
        at: &'a Endpoint,
        run: &'a RunId,
        _within: Span,
    ) -> BoxFuture<'a, Reply<Option<Marker>>> {
        self.0.call("postgres.marker_row", false, |world| world.marker(&at.name, run)).boxed()
    }

    fn claims<'a>(&'a self, at: &'a Endpoint, _within: Span) -> BoxFuture<'a, Reply<Vec<Claim>>> {
        self.0.call("postgres.claims", false, |world| world.claims(&at.name)).boxed()
    }

    fn write_marker<'a>(
        &'a self,
        at: &'a Endpoint,
        run: &'a RunId,
        epoch: Epoch,
        claim: Option<&'a Claim>,
        _within: Span,
    ) -> BoxFuture<'a, Reply<()>> {
        self.0
            .call("postgres.write_marker", true, move |world| world.mark(&at.name, run, epoch, claim))
            .boxed()
    }
}

#[cfg(test)]
mod tests;
