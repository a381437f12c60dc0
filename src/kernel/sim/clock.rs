//! A clock that moves only when everything waits. Hours cost nothing.

use crate::domain::Time;
use crate::port::World;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

struct State {
    now: Time,
    /// Whom to wake when it is that late: calls in flight side by side are polled only when they are woken.
    waiting: BTreeMap<Time, Vec<Waker>>,
    random: u64,
}

#[derive(Clone)]
pub struct SimWorld(Arc<Mutex<State>>);

impl SimWorld {
    pub fn starting_at(now: Time) -> SimWorld {
        SimWorld(Arc::new(Mutex::new(State { now, waiting: BTreeMap::new(), random: 1 })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("invariant: no panic while holding the lock")
    }

    /// Goes on to the earliest time that anybody waits for. False: nobody waits.
    pub fn advance(&self) -> bool {
        let (next, sleepers) = {
            let mut state = self.lock();
            let Some(first) = state.waiting.pop_first() else { return false };
            first
        };
        self.advance_to(next);
        sleepers.into_iter().for_each(Waker::wake);
        true
    }

    pub fn advance_to(&self, at: Time) {
        let mut state = self.lock();
        state.now = state.now.max(at);
    }

    /// Whoever waited is gone.
    pub fn forget_waiting(&self) {
        self.lock().waiting.clear();
    }
}

impl World for SimWorld {
    fn now(&self) -> Time {
        self.lock().now
    }
    fn sleep_until(&self, at: Time) -> BoxFuture<'_, ()> {
        Box::pin(poll_fn(move |context| {
            let mut state = self.lock();
            if state.now >= at {
                return Poll::Ready(());
            }
            let sleepers = state.waiting.entry(at).or_default();
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
