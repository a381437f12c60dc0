//! The only clock and the only dice of the program. Everything else is handed the time.

use crate::kernel::domain::{Span, Time};
use crate::kernel::port::World;
use futures_util::future::BoxFuture;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Wall time that never goes back within this process: anchored once, carried on by the monotonic clock, and
/// re-anchored forwards when the wall clock is ahead.
pub struct SystemWorld {
    anchor: Instant,
    wall: Time,
}

impl SystemWorld {
    pub fn new() -> SystemWorld {
        SystemWorld { anchor: monotonic(), wall: wall_clock() }
    }

    /// How far the wall clock stands from where the monotonic clock says it should, in microseconds.
    pub fn jump(&self) -> i64 {
        wall_clock().0 - self.carried().0
    }

    fn carried(&self) -> Time {
        let passed = u64::try_from(monotonic().duration_since(self.anchor).as_micros()).unwrap_or(u64::MAX);
        self.wall + Span(passed)
    }
}

impl Default for SystemWorld {
    fn default() -> Self {
        SystemWorld::new()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one module that may read the clock")]
fn monotonic() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this is the one module that may read the clock")]
fn wall_clock() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

impl World for SystemWorld {
    fn now(&self) -> Time {
        self.carried()
    }

    fn sleep_until(&self, at: Time) -> BoxFuture<'_, ()> {
        let span = at.since(self.now());
        Box::pin(tokio::time::sleep(span.as_duration()))
    }

    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).expect("invariant: the system gives random bytes");
        u64::from_le_bytes(bytes)
    }
}
