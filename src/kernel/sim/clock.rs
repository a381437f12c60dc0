//! A clock that moves only when everything waits. Hours cost nothing.
//!
//! As on a real machine there are two: one that only ever goes on, by which everything sleeps, and the wall clock, which
//! somebody may set. A process makes its own time of both, as the worker's world does: carried by the first from its
//! start, pushed forward by the second, and begun no earlier than the journal's last record.

use crate::domain::{Span, Time};
use crate::port::{LEAP, World};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

/// The wall clock is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leap {
    Ahead(Span),
    Back(Span),
}

struct State {
    /// On the clock that nobody can set.
    passed: Span,
    /// What the wall clock would have shown when `passed` began.
    wall_began: Time,
    /// When the process started: on the first clock, and by its own time.
    process: (Span, Time),
    /// What the process has been told last.
    last: Time,
    /// How far that was ahead of what its own clock carried; and the leaps: where each landed, and how far it was.
    ahead: Span,
    leaps: Vec<(Time, Span)>,
    /// Whom to wake when so much has passed: calls in flight side by side are polled only when they are woken.
    waiting: BTreeMap<Span, Vec<Waker>>,
    random: u64,
}

impl State {
    fn wall(&self) -> Time {
        self.wall_began + self.passed
    }

    fn now(&mut self) -> Time {
        let (began, at) = self.process;
        let carried = at + Span(self.passed.0 - began.0);
        self.last = self.last.max(carried).max(self.wall());
        let ahead = self.last.since(carried);
        let by = Span(ahead.0.saturating_sub(self.ahead.0));
        if by > LEAP {
            self.leaps.push((self.last, by));
        }
        self.ahead = ahead;
        self.last
    }
}

#[derive(Clone)]
pub struct SimWorld(Arc<Mutex<State>>);

impl SimWorld {
    pub fn starting_at(now: Time) -> SimWorld {
        SimWorld(Arc::new(Mutex::new(State {
            passed: Span::ZERO,
            wall_began: now,
            process: (Span::ZERO, now),
            last: now,
            ahead: Span::ZERO,
            leaps: vec![],
            waiting: BTreeMap::new(),
            random: 1,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("invariant: no panic while holding the lock")
    }

    /// Goes on to the earliest time that anybody waits for. False: nobody waits.
    pub fn advance(&self) -> bool {
        let sleepers = {
            let mut state = self.lock();
            let Some((due, sleepers)) = state.waiting.pop_first() else { return false };
            state.passed = state.passed.max(due);
            sleepers
        };
        sleepers.into_iter().for_each(Waker::wake);
        true
    }

    /// Lets time pass until the process says that it is so late.
    pub fn advance_to(&self, at: Time) {
        let passed = self.passed_at(at);
        self.lock().passed = passed;
    }

    /// What will have passed when the process says that it is so late, if nobody sets a clock.
    pub fn passed_at(&self, at: Time) -> Span {
        let mut state = self.lock();
        let left = at.since(state.now());
        Span(state.passed.0 + left.0)
    }

    /// What has passed since the beginning, whatever the clocks say.
    pub fn passed(&self) -> Span {
        self.lock().passed
    }

    /// Somebody sets the wall clock. A process that runs follows it forward only, and nobody's sleep gets shorter.
    pub fn leap(&self, leap: Leap) {
        let mut state = self.lock();
        state.wall_began = match leap {
            Leap::Ahead(span) => state.wall_began + span,
            Leap::Back(span) => state.wall_began - span,
        };
    }

    /// A new process starts, and whoever waited is gone. `head`: the time of the journal's last record.
    pub fn new_process(&self, head: Time) {
        let mut state = self.lock();
        let at = state.wall().max(head);
        state.process = (state.passed, at);
        state.last = at;
        (state.ahead, state.leaps) = (Span::ZERO, vec![]);
        state.waiting.clear();
    }
}

impl World for SimWorld {
    fn now(&self) -> Time {
        self.lock().now()
    }
    fn leapt_since(&self, at: Time) -> Span {
        let state = self.lock();
        Span(state.leaps.iter().filter(|(landed, _)| *landed > at).map(|(_, by)| by.0).sum())
    }
    fn sleep_until(&self, at: Time) -> BoxFuture<'_, ()> {
        let due = self.passed_at(at);
        Box::pin(poll_fn(move |context| {
            let mut state = self.lock();
            if state.passed >= due {
                return Poll::Ready(());
            }
            let sleepers = state.waiting.entry(due).or_default();
            if !sleepers.iter().any(|known| known.will_wake(context.waker())) {
                sleepers.push(context.waker().clone());
            }
            Poll::Pending
        }))
    }
    fn random(&self) -> u64 {
        let mut state = self.lock();
        state.random =
            state.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.random >> 11
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Span = Span::mins(10);

    #[test]
    fn a_process_follows_the_wall_clock_forward_and_never_back() {
        let world = SimWorld::starting_at(Time(1_000_000_000));
        world.leap(Leap::Back(TEN));
        world.advance_to(Time(1_005_000_000));
        assert_eq!((world.now(), world.passed()), (Time(1_005_000_000), Span::secs(5)));
        world.leap(Leap::Ahead(TEN));
        assert_eq!(world.now(), Time(1_005_000_000), "the wall clock is where it was");
        world.leap(Leap::Ahead(TEN));
        assert_eq!((world.now(), world.passed()), (Time(1_605_000_000), Span::secs(5)));
        world.leap(Leap::Back(TEN));
        assert_eq!(world.now(), Time(1_605_000_000), "what it has said stands");
    }

    #[test]
    fn a_new_process_begins_at_the_wall_clock_but_not_before_the_last_record() {
        let world = SimWorld::starting_at(Time(1_000_000_000));
        world.leap(Leap::Back(TEN));
        world.new_process(Time(1_000_000_000));
        assert_eq!(world.now(), Time(1_000_000_000));
        world.leap(Leap::Ahead(TEN));
        world.leap(Leap::Ahead(TEN));
        world.new_process(Time(1_000_000_000));
        assert_eq!(world.now(), Time(1_600_000_000));
    }
}
