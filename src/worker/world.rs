//! The only clock and the only dice of the program. Everything else is handed the time.

use crate::kernel::domain::{Span, Time};
use crate::kernel::port::World;
use futures_util::future::BoxFuture;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time that never goes back within this process: carried by the monotonic clock, pushed forward when the wall clock
/// is ahead (a machine that slept), never pulled back. So what expires, expires early and never late.
pub struct SystemWorld {
    anchor: Instant,
    wall: Time,
    last: AtomicI64,
}

impl SystemWorld {
    pub fn new() -> SystemWorld {
        SystemWorld::not_before(wall_clock())
    }

    /// Begins at the wall clock, but not before `head`, the time of the journal's last record: a clock that was set back
    /// while no process ran would otherwise make looks from before the stop fresh for long.
    pub fn not_before(head: Time) -> SystemWorld {
        let wall = wall_clock().max(head);
        SystemWorld { anchor: monotonic(), wall, last: AtomicI64::new(wall.0) }
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
        let now = self.carried().max(wall_clock());
        Time(self.last.fetch_max(now.0, Ordering::Relaxed).max(now.0))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back_and_a_later_wall_clock_pushes_it_forward() {
        let world = SystemWorld { wall: wall_clock() - Span::mins(60), ..SystemWorld::new() };
        let first = world.now();
        assert!(first >= wall_clock() - Span::secs(5), "a process that slept for an hour wakes up late");
        let ahead = SystemWorld { wall: wall_clock() + Span::mins(60), ..SystemWorld::new() };
        assert!(ahead.now() >= wall_clock() + Span::mins(59), "a wall clock set back is not followed");
        assert!(ahead.now() >= ahead.now() - Span::ZERO && world.now() >= first);
    }

    #[test]
    fn a_start_with_a_clock_behind_the_journal_goes_on_from_the_journal() {
        let head = wall_clock() + Span::mins(10);
        let world = SystemWorld::not_before(head);
        let first = world.now();
        assert!(first >= head, "a look taken before the stop would be of the future");
        std::thread::sleep(Duration::from_millis(2));
        assert!(world.now() > first, "time stands until the wall clock has caught up");
    }
}
