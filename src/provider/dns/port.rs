//! The few things asked of DNS servers. `wire` speaks to real ones; the simulator has a zone behind the same verbs.

use super::rrset::{Question, RrSet};
use crate::config::Rfc2136Target;
use crate::kernel::domain::{Span, Time};
use futures_util::future::BoxFuture;
use std::net::SocketAddr;

/// What one authoritative server says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// One for each question, in its order; a set without values does not exist.
    pub sets: Vec<RrSet>,
    /// Names asked about that are aliases (CNAME).
    pub aliases: Vec<String>,
    pub serial: u32,
    /// How long resolvers remember that a name does not exist: the lesser of the SOA's TTL and minimum.
    pub negative_ttl: u32,
}

/// A server gave no usable answer: where it failed, and in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    pub layer: &'static str,
    pub says: String,
}

/// One atomic, conditional change: all of `before` must hold exactly, then all of `after` is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    pub before: Vec<RrSet>,
    pub after: Vec<RrSet>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Updated {
    Done,
    /// The server answered and proved that nothing was changed.
    Refused {
        rcode: String,
        says: String,
    },
    /// No byte of the update left. `retry`: trying again may help.
    NotSent {
        retry: bool,
        says: String,
    },
    /// The bytes left; what they did is not known.
    Doubt(String),
}

pub trait Port: Send + Sync {
    /// Asks one server of the zone for its own data (no recursion). Any missing part makes it no answer.
    fn ask<'a>(
        &'a self,
        zone: &'a str,
        server: SocketAddr,
        questions: &'a [Question],
        within: Span,
    ) -> BoxFuture<'a, Result<Answers, NoAnswer>>;

    /// Asks a recursive resolver, as users do. One set for each question, in its order, with what is left of its TTL; of what
    /// does not exist, how long the resolver remembers that, where it says so. Any missing part makes it no answer.
    fn resolve<'a>(
        &'a self,
        resolver: SocketAddr,
        questions: &'a [Question],
        now: Time,
        within: Span,
    ) -> BoxFuture<'a, Result<Vec<RrSet>, NoAnswer>>;

    /// The address records, aliases and texts of the whole zone, by a transfer from the first server.
    fn list<'a>(
        &'a self,
        zone: &'a Rfc2136Target,
        now: Time,
        within: Span,
    ) -> BoxFuture<'a, Result<Vec<RrSet>, NoAnswer>>;

    /// One signed UPDATE to the first server.
    fn update<'a>(
        &'a self,
        zone: &'a Rfc2136Target,
        update: &'a Update,
        now: Time,
        within: Span,
    ) -> BoxFuture<'a, Updated>;

    /// Like an update of these sets, with nothing to change: whether the server would take it.
    fn rehearse<'a>(
        &'a self,
        zone: &'a Rfc2136Target,
        held: &'a [RrSet],
        now: Time,
        within: Span,
    ) -> BoxFuture<'a, Updated>;
}
