//! Where things go wrong in one simulated life, by number: the n-th boundary, the n-th call.

use super::{Leap, SimWorld};
use crate::engine::Command;
use futures_util::future::{BoxFuture, pending, poll_fn, ready};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};
use std::task::{Poll, Waker};

/// What strikes a call of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// The remote refuses; nothing happens.
    Reject,
    /// It happens, and the reply is lost.
    LoseReply,
    /// A read answers with the state before the last change.
    Stale,
    /// Somebody changes the world by hand right before.
    ByHand,
}

/// One schedule; the same schedule always gives the same life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Boundaries (from 0, counted over all lives) at which the process dies.
    pub deaths: Vec<u32>,
    /// Boundaries at which the process is paused instead, until [`Fuse::wake`]: it may come back to a world in which
    /// another has taken its place.
    pub pauses: Vec<u32>,
    /// Boundaries at which somebody sets the wall clock; where the process dies as well, while no process runs.
    pub leaps: Vec<(u32, Leap)>,
    /// Calls (from 0) that are struck.
    pub strikes: Vec<(u32, Strike)>,
    /// Appends (from 0) that are durable although they answer with an error.
    pub doubtful_appends: Vec<u32>,
    /// Right before which append (from 0) somebody says something to the run.
    pub said: Vec<(u32, Command)>,
    /// The process stays away for an hour after each death.
    pub gap: bool,
    /// The store says yes before it has stored, and a death loses it. A planted mistake.
    pub lying_store: bool,
}

/// Counts boundaries and calls, and burns where the schedule says so.
pub struct Fuse {
    state: Mutex<State>,
    clock: SimWorld,
}

/// Why the process does nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopped {
    Dead,
    /// At that boundary.
    Paused(u32),
}

#[derive(Debug, Default)]
struct State {
    schedule: Schedule,
    boundaries: u32,
    calls: u32,
    appends: u32,
    stopped: Option<Stopped>,
    heard: bool,
    /// Pauses that are over, and everything that waits for the end of one.
    woken: BTreeSet<u32>,
    asleep: Vec<Waker>,
}

impl Fuse {
    pub fn new(schedule: Schedule, clock: SimWorld) -> Fuse {
        Fuse { state: Mutex::new(State { schedule, ..State::default() }), clock }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("invariant: no panic while holding the lock")
    }

    /// A place where the process may die, or be paused; all that it does side by side stops with it.
    pub fn boundary(&self) -> BoxFuture<'_, ()> {
        let mut state = self.lock();
        let here = state.boundaries;
        state.boundaries += 1;
        let leaps = state.schedule.leaps.iter().filter(|(at, _)| *at == here);
        leaps.for_each(|(_, leap)| self.clock.leap(*leap));
        if state.stopped.is_none() && state.schedule.pauses.contains(&here) {
            state.stopped = Some(Stopped::Paused(here));
        } else if state.schedule.deaths.contains(&here) {
            state.stopped = Some(Stopped::Dead);
        }
        match state.stopped {
            None => Box::pin(ready(())),
            Some(Stopped::Dead) => Box::pin(pending()),
            Some(Stopped::Paused(at)) => Box::pin(poll_fn(move |context| {
                let mut state = self.lock();
                if state.woken.contains(&at) {
                    return Poll::Ready(());
                }
                state.asleep.push(context.waker().clone());
                Poll::Pending
            })),
        }
    }

    /// Whether the next call of a model is struck, and how.
    pub fn strike(&self) -> Option<Strike> {
        let mut state = self.lock();
        let here = state.calls;
        state.calls += 1;
        state.schedule.strikes.iter().find(|(at, _)| *at == here).map(|(_, strike)| *strike)
    }

    pub fn doubtful_append(&self) -> bool {
        let mut state = self.lock();
        let here = state.appends;
        state.appends += 1;
        state.schedule.doubtful_appends.contains(&here)
    }

    /// What somebody says right before the append that comes next.
    pub fn said(&self) -> Vec<Command> {
        let state = self.lock();
        let now = |(at, _): &&(u32, Command)| *at == state.appends;
        state.schedule.said.iter().filter(now).map(|(_, command)| command.clone()).collect()
    }
    /// A word was taken: from here on the world may be another.
    pub fn hear(&self) {
        self.lock().heard = true;
    }
    pub fn was_heard(&self) -> bool {
        self.lock().heard
    }

    pub fn schedule(&self) -> Schedule {
        self.lock().schedule.clone()
    }
    /// Dead, or paused: nothing more comes from this process for now.
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped.is_some()
    }
    /// Another process begins, or the one that was paused goes on.
    pub fn revive(&self) {
        self.lock().stopped = None;
    }
    /// The process dies here, whatever the schedule says; a new one begins as after any death.
    pub fn burn(&self) {
        self.lock().stopped = Some(Stopped::Dead);
    }
    /// Who was paused at that boundary goes on.
    pub fn wake(&self, at: u32) {
        let asleep = {
            let mut state = self.lock();
            state.woken.insert(at);
            std::mem::take(&mut state.asleep)
        };
        asleep.into_iter().for_each(Waker::wake);
    }
    /// Boundaries, calls and appends passed so far: the size of the space.
    pub fn counted(&self) -> (u32, u32, u32) {
        let state = self.lock();
        (state.boundaries, state.calls, state.appends)
    }
}
