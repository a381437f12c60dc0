//! Where things go wrong in one simulated life, by number: the n-th boundary, the n-th call.

use crate::engine::Command;
use futures_util::future::{BoxFuture, pending, poll_fn, ready};
use std::sync::{Mutex, MutexGuard};
use std::task::Poll;

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
    /// The one boundary at which the process is paused instead, until [`Fuse::wake`]: it may come back to a world in which
    /// another has taken its place.
    pub pause: Option<u32>,
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
#[derive(Debug, Default)]
pub struct Fuse(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    schedule: Schedule,
    boundaries: u32,
    calls: u32,
    appends: u32,
    dead: bool,
    heard: bool,
    woken: bool,
}

impl Fuse {
    pub fn new(schedule: Schedule) -> Fuse {
        Fuse(Mutex::new(State { schedule, ..State::default() }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("invariant: no panic while holding the lock")
    }

    /// A place where the process may die; then this never returns.
    pub fn boundary(&self) -> BoxFuture<'_, ()> {
        let mut state = self.lock();
        let here = state.boundaries;
        state.boundaries += 1;
        if !state.dead && state.schedule.pause == Some(here) {
            state.dead = true;
            drop(state);
            return Box::pin(poll_fn(|_| if self.lock().woken { Poll::Ready(()) } else { Poll::Pending }));
        }
        if state.dead || state.schedule.deaths.contains(&here) {
            state.dead = true;
            return Box::pin(pending());
        }
        Box::pin(ready(()))
    }

    /// Whatever the schedule says: the process dies here. Never returns.
    pub fn die(&self) -> BoxFuture<'_, ()> {
        self.lock().dead = true;
        Box::pin(pending())
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
    pub fn is_dead(&self) -> bool {
        self.lock().dead
    }
    /// A new process begins.
    pub fn revive(&self) {
        self.lock().dead = false;
    }
    /// Who was paused goes on.
    pub fn wake(&self) {
        self.lock().woken = true;
    }
    /// Boundaries, calls and appends passed so far: the size of the space.
    pub fn counted(&self) -> (u32, u32, u32) {
        let state = self.lock();
        (state.boundaries, state.calls, state.appends)
    }
}
