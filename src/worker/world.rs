//! The only clock and the only dice of the program. Everything else is handed the time.

use crate::kernel::domain::{Span, Time};
use crate::kernel::port::{LEAP, World};
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time that never goes back within this process: carried by the monotonic clock, pushed forward when the wall clock
/// is ahead (a machine that slept), never pulled back. So what expires, expires early and never late.
pub struct SystemWorld {
    anchor: Instant,
    wall: Time,
    told: Mutex<Told>,
}

/// What was told last, how far that was ahead of the monotonic clock, and the leaps: where each landed, and how far it was.
#[derive(Default)]
struct Told {
    last: Time,
    ahead: Span,
    leaps: VecDeque<(Time, Span)>,
}

/// Leaps that are remembered.
const LEAPS: usize = 16;

impl SystemWorld {
    pub fn new() -> SystemWorld {
        SystemWorld::not_before(wall_clock())
    }

    /// Begins at the wall clock, but not before `head`, the time of the journal's last record: a clock that was set back
    /// while no process ran would otherwise make looks from before the stop fresh for long.
    pub fn not_before(head: Time) -> SystemWorld {
        let wall = wall_clock().max(head);
        SystemWorld { anchor: monotonic(), wall, told: Mutex::new(Told { last: wall, ..Told::default() }) }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().expect("invariant: no panic while holding the lock")
    }

    fn carried(&self) -> Time {
        let passed = u64::try_from(monotonic().duration_since(self.anchor).as_micros()).unwrap_or(u64::MAX);
        self.wall + Span(passed)
    }
}

impl Told {
    fn tell(&mut self, carried: Time, wall: Time) -> Time {
        self.last = self.last.max(carried).max(wall);
        let ahead = self.last.since(carried);
        let by = Span(ahead.0.saturating_sub(self.ahead.0));
        if by > LEAP {
            self.leaps.push_back((self.last, by));
            if self.leaps.len() > LEAPS {
                self.leaps.pop_front();
            }
        }
        self.ahead = ahead;
        self.last
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
        let mut told = self.told();
        let carried = self.carried();
        told.tell(carried, wall_clock())
    }

    fn leapt_since(&self, at: Time) -> Span {
        let told = self.told();
        Span(told.leaps.iter().filter(|(landed, _)| *landed > at).map(|(_, by)| by.0).sum())
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
        let once = ahead.now();
        assert!(ahead.now() >= once && world.now() >= first);
    }

    #[test]
    fn a_leap_is_told_to_whoever_waited_through_it_and_to_nobody_later() {
        let second = |n: i64| Time(n * 1_000_000);
        let mut told = Told { last: second(100), ..Told::default() };
        assert_eq!(
            told.tell(second(101), second(105)),
            second(105),
            "a clock that is a little ahead is followed"
        );
        assert!(told.leaps.is_empty());
        assert_eq!(told.tell(second(102), second(700)), second(700));
        assert_eq!(told.leaps, [(second(700), Span::secs(594))], "less what it was ahead before");
        assert_eq!(told.tell(second(103), second(701)), second(701));
        assert_eq!(
            told.tell(second(104), second(90)),
            second(701),
            "set back: time stands until it is caught up"
        );
        assert_eq!((told.leaps.len(), told.tell(second(710), second(90))), (1, second(710)));
        let world = SystemWorld { told: Mutex::new(told), ..SystemWorld::new() };
        assert_eq!(world.leapt_since(second(699)), Span::secs(594));
        assert_eq!(world.leapt_since(second(700)), Span::ZERO);
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
