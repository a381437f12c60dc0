//! The servers that a run moves a service between: what a world does to them, and what it sees of them, of whichever kind they
//! are. Each kind is a file.

mod patroni;
mod postgres;
mod redis;
mod together;

pub(super) use patroni::{Clustered, servers};
pub(super) use postgres::OfPostgres;
pub(super) use redis::OfRedis;
pub(super) use together::Together;

use super::Start;
use crate::kernel::domain::{Name, Time};
use crate::kernel::port::Sample;
use std::collections::{BTreeMap, BTreeSet};

/// A server goes by the name of its target.
pub(super) trait Pair: Send + Sync {
    /// Whether this server is one of them.
    fn has(&self, server: &Name) -> bool;

    /// As it was while all was well, but for what the standby lacks; the sampler saw it so.
    fn furnish(&self, start: &Start);

    /// And then came the outage.
    fn strike(&self, start: &Start);

    /// What is done on the machine of a server, by a fence or a person.
    fn stop_and_mask(&self, server: &Name);
    fn start(&self, server: &Name);
    fn unmask(&self, server: &Name);

    /// A fence by commands is taken away by somebody.
    fn allow_writes(&self);

    /// Somebody promotes the new one. Gives the target that it was done to, where it was possible.
    fn promote(&self) -> BTreeSet<Name>;

    /// The application writes to the old side; `stalled`: what it writes does not arrive for now.
    fn write(&self, bytes: u64, stalled: bool);

    /// What goes on by itself after every call.
    fn settle(&self) {}

    fn is_up(&self, server: &Name) -> bool;

    /// Those that answer.
    fn up(&self) -> BTreeSet<Name>;

    /// Those that would take the application's writes.
    fn writers(&self) -> Vec<Name>;

    /// A split brain.
    fn has_two_writers(&self) -> bool {
        self.writers().len() > 1
    }

    /// Whether the application can write to what is on this side.
    fn writes(&self, side: &[Name]) -> bool {
        self.writers().iter().any(|writer| side.contains(writer))
    }

    fn new_follows(&self) -> bool;

    /// How often the new one was promoted, by whomever.
    fn promoted(&self) -> u32;

    /// How often a fence by commands was taken back through the port.
    fn given_back(&self) -> u32;

    /// What came through the port, by target; a person's promotions are among them.
    fn effects(&self) -> Vec<(&Name, &'static str, u32)>;

    /// How often each began a life of its own.
    fn terms(&self) -> BTreeMap<Name, u32>;

    /// The old one can take no write, and nothing but a person brings that back.
    fn old_is_fenced(&self) -> bool;

    /// Those that refuse writes since a move held them and did not let them go.
    fn held(&self) -> Vec<Name> {
        vec![]
    }

    /// Bytes that the old one has accepted and the new one was promoted without.
    fn lost(&self) -> Option<u64>;

    /// What the real sampler would get, by the server that it is kept for.
    fn samples(&self, at: Time) -> Vec<(Name, Sample)>;
}
