//! Where the simulator breaks in: before and after each remote call of every model.

use futures_util::future::{BoxFuture, ready};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// the remote refuses, nothing happens
    Reject,
    /// it happens, the reply is lost
    LoseReply,
    /// a read answers with the state before the last change
    Stale,
}

pub trait Hook: Send + Sync {
    /// May never return: that is a death. `mutates`: whether the call can change the remote.
    fn before<'a>(&'a self, verb: &'a str, mutates: bool) -> BoxFuture<'a, Fault>;
    /// After the effect, before the reply. May never return.
    fn after<'a>(&'a self, verb: &'a str, mutates: bool) -> BoxFuture<'a, ()>;
}

/// Nothing ever goes wrong.
pub struct Calm;

impl Hook for Calm {
    fn before<'a>(&'a self, _verb: &'a str, _mutates: bool) -> BoxFuture<'a, Fault> {
        Box::pin(ready(Fault::None))
    }
    fn after<'a>(&'a self, _verb: &'a str, _mutates: bool) -> BoxFuture<'a, ()> {
        Box::pin(ready(()))
    }
}
