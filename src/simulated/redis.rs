//! A primary of Redis and its replicas behind the port: histories, offsets, keys, the setting that refuses writes, and
//! the file that a restart reads.
//!
//! It keeps the traps of the real thing: a restart forgets what is not in the file, a primary that comes back has another
//! history and maybe no data, and a replica takes that over at once.

mod trio;
mod world;

pub use trio::{Moving, Trio, Watcher};
pub use world::{Server, World};

use super::Hook;
use super::stage::{Flows, Stage};
use crate::kernel::domain::{Epoch, RunId, Span};
use crate::provider::redis::sentinel::{Answer, Sentinels};
use crate::provider::redis::{Attempt, Endpoint, MinReplicas, Node, Place, Port, Progress, Reply};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;

impl Flows for World {
    fn flow(&mut self) {
        self.replicate();
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
        self.0.call("redis.node", false, |world| world.node(&at.name)).boxed()
    }

    fn progress<'a>(&'a self, at: &'a Endpoint, _within: Span) -> BoxFuture<'a, Reply<Progress>> {
        let progress =
            |node: Node| Progress { replica: node.replica, replid: node.replid, offset: node.offset };
        self.0.call("redis.progress", false, move |world| world.node(&at.name).map(progress)).boxed()
    }

    fn write_attempt_as_app<'a>(&'a self, at: &'a Endpoint, _within: Span) -> BoxFuture<'a, Reply<Attempt>> {
        self.0.call("redis.write_attempt_as_app", false, |world| world.attempt(&at.name)).boxed()
    }

    fn app_may_configure<'a>(&'a self, at: &'a Endpoint, _within: Span) -> BoxFuture<'a, Reply<bool>> {
        let may = |world: &mut World| Ok(world.session(&at.name)?.app_may_configure);
        self.0.call("redis.app_may_configure", false, may).boxed()
    }

    fn set_min_replicas<'a>(
        &'a self,
        at: &'a Endpoint,
        wanted: MinReplicas,
        _within: Span,
    ) -> BoxFuture<'a, Reply<()>> {
        let set = move |world: &mut World| world.set_min_replicas(&at.name, wanted);
        self.0.call("redis.set_min_replicas", true, set).boxed()
    }

    fn rewrite_config<'a>(&'a self, at: &'a Endpoint, _within: Span) -> BoxFuture<'a, Reply<()>> {
        self.0.call("redis.rewrite_config", true, |world| world.rewrite(&at.name)).boxed()
    }

    fn promote<'a>(&'a self, at: &'a Endpoint, _within: Span) -> BoxFuture<'a, Reply<()>> {
        self.0.call("redis.promote", true, |world| world.promote(&at.name)).boxed()
    }

    fn follow<'a>(&'a self, at: &'a Endpoint, primary: &'a Place, _within: Span) -> BoxFuture<'a, Reply<()>> {
        self.0.call("redis.follow", true, |world| world.follow(&at.name, primary)).boxed()
    }

    fn hand_over<'a>(
        &'a self,
        at: &'a Endpoint,
        to: &'a Place,
        _timeout: Span,
        _within: Span,
    ) -> BoxFuture<'a, Reply<()>> {
        self.0.call("redis.hand_over", true, |world| world.hand_over(&at.name, to)).boxed()
    }

    fn sentinel<'a>(&'a self, _at: &'a Sentinels, n: usize, _within: Span) -> BoxFuture<'a, Reply<Answer>> {
        self.0.call("redis.sentinel", false, move |world| world.sentinel(n)).boxed()
    }

    fn sentinel_failover<'a>(
        &'a self,
        _at: &'a Sentinels,
        n: usize,
        _within: Span,
    ) -> BoxFuture<'a, Reply<()>> {
        self.0.call("redis.sentinel_failover", true, move |world| world.order_failover(n)).boxed()
    }

    fn marker<'a>(
        &'a self,
        at: &'a Endpoint,
        run: &'a RunId,
        _within: Span,
    ) -> BoxFuture<'a, Reply<Option<Epoch>>> {
        let key = |world: &mut World| Ok(world.session(&at.name)?.markers.get(run).copied());
        self.0.call("redis.marker", false, key).boxed()
    }

    fn write_marker<'a>(
        &'a self,
        at: &'a Endpoint,
        run: &'a RunId,
        epoch: Epoch,
        _within: Span,
    ) -> BoxFuture<'a, Reply<()>> {
        self.0.call("redis.write_marker", true, move |world| world.mark(&at.name, run, epoch)).boxed()
    }
}

#[cfg(test)]
mod tests;
