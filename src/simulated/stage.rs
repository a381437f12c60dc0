//! Where modelled servers of data stand: the world as it is, and as it was before the last change that came through the
//! port, so that a stale look can be answered; and the faults that strike a call. Shared by the models of PostgreSQL and
//! Redis, whose ports fail in the same ways.

use super::hook::{Fault, Hook};
use crate::provider::postgres::{Layer, Reply, Silent, Trouble};
use std::sync::{Arc, Mutex, MutexGuard};

/// What goes on by itself after every change: replication.
pub trait Flows: Clone {
    fn flow(&mut self);
}

struct State<W> {
    now: W,
    before: W,
}

pub struct Stage<W> {
    state: Mutex<State<W>>,
    hook: Arc<dyn Hook>,
}

impl<W: Flows> Stage<W> {
    pub fn new(world: W, hook: Arc<dyn Hook>) -> Stage<W> {
        Stage { state: Mutex::new(State { before: world.clone(), now: world }), hook }
    }

    pub fn by_hand<T>(&self, change: impl FnOnce(&mut W) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state.now);
        state.now.flow();
        result
    }

    pub fn look<T>(&self, at: impl FnOnce(&W) -> T) -> T {
        at(&self.lock().now)
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().expect("invariant: no panic while the world is held")
    }

    fn effect<T>(&self, mutates: bool, effect: impl FnOnce(&mut W) -> Reply<T>) -> Reply<T> {
        let mut state = self.lock();
        if mutates {
            state.before = state.now.clone();
        }
        let reply = effect(&mut state.now);
        state.now.flow();
        reply
    }

    pub async fn call<T: Send>(
        &self,
        verb: &str,
        mutates: bool,
        effect: impl FnOnce(&mut W) -> Reply<T> + Send,
    ) -> Reply<T> {
        let fault = self.hook.before(verb, mutates).await;
        let reply = match fault {
            Fault::Reject if mutates => {
                return Err(Trouble::Denied {
                    sqlstate: "55000".into(),
                    says: "refused by the simulator".into(),
                });
            }
            Fault::Reject => {
                let says = "refused by the simulator".to_owned();
                return Err(Trouble::Silent(Silent { layer: Layer::Tcp, says }));
            }
            Fault::Stale if !mutates => {
                let mut stale = self.lock().before.clone();
                effect(&mut stale)
            }
            Fault::None | Fault::LoseReply | Fault::Stale => self.effect(mutates, effect),
        };
        self.hook.after(verb, mutates).await;
        match fault {
            Fault::LoseReply => Err(Trouble::Doubt { says: "the reply was lost".into() }),
            _ => reply,
        }
    }
}
