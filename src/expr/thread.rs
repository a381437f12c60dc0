//! Runs a closure on a thread with a large stack and waits for it no longer than a deadline.
//!
//! The compiler and the evaluator recurse with their input, and a stack overflow ends the process: no
//! caller's stack is large enough to be sure. The bounds of this room make each closure end soon; the
//! deadline is the second net. The threads stay: a thousand playbooks have ten thousand expressions, and a stack
//! made and unmade for each costs more than compiling it.

use super::ExprError;
use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, mpsc};
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::Duration;

const STACK: usize = 32 << 20;
/// Generous for a loaded machine; what fits the bounds ends within milliseconds.
const DEADLINE: Duration = Duration::from_secs(3);
/// Threads at once; one that outlives its deadline keeps its place until it ends.
const AT_ONCE: usize = 4;

type Job = Box<dyn FnOnce(&Thread) + Send>;

/// A place among the threads, given back when dropped.
struct Place;

struct Places {
    busy: usize,
    /// Threads that wait for work.
    idle: Vec<Thread>,
}

#[derive(Clone)]
struct Thread(mpsc::Sender<Job>);

static PLACES: Mutex<Places> = Mutex::new(Places { busy: 0, idle: Vec::new() });
static FREED: Condvar = Condvar::new();

fn places() -> MutexGuard<'static, Places> {
    PLACES.lock().unwrap_or_else(|poison| poison.into_inner())
}

impl Place {
    fn take() -> Option<(Place, Option<Thread>)> {
        let (mut places, wait) = FREED
            .wait_timeout_while(places(), DEADLINE, |places| places.busy >= AT_ONCE)
            .unwrap_or_else(|poison| poison.into_inner());
        if wait.timed_out() && places.busy >= AT_ONCE {
            return None;
        }
        places.busy += 1;
        Some((Place, places.idle.pop()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        places().busy -= 1;
        FREED.notify_one();
    }
}

impl Thread {
    fn start() -> Result<Thread, ExprError> {
        let (sender, jobs) = mpsc::channel::<Job>();
        let thread = Thread(sender);
        let own = thread.clone();
        Builder::new()
            .name("expression".into())
            .stack_size(STACK)
            .spawn(move || jobs.iter().for_each(|job| job(&own)))
            .map_err(|e| ExprError::NoThread(e.to_string()))?;
        Ok(thread)
    }
}

thread_local! {
    static HAS_THE_STACK: Cell<bool> = const { Cell::new(false) };
}

/// A thread that compiles and evaluates on its own stack, for work of nothing but many expressions: no other thread is woken
/// for each. There is no deadline: only where a person waits for all of it and can end it, never in a server.
pub fn spawn_scoped<'scope, 'env, T: Send + 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, T>> {
    let work = || {
        HAS_THE_STACK.set(true);
        work()
    };
    Builder::new().name("expressions".into()).stack_size(STACK).spawn_scoped(scope, work)
}

pub(super) fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ExprError> {
    let failed = || ExprError::Evaluation("the evaluator failed".into());
    if HAS_THE_STACK.get() {
        return catch_unwind(AssertUnwindSafe(work)).map_err(|_| failed());
    }
    let (place, idle) = Place::take().ok_or(ExprError::Deadline)?;
    let thread = idle.map_or_else(Thread::start, Ok)?;
    let (answer, wait) = mpsc::sync_channel(1);
    let job: Job = Box::new(move |own| {
        // What it was given is dropped with it: nothing half done is seen by the next.
        let done = catch_unwind(AssertUnwindSafe(work));
        // Before the answer: who has it may bring the next expression at once.
        places().idle.push(own.clone());
        drop(place);
        if let Ok(value) = done {
            // Nobody waits any more when the deadline has passed.
            let _ = answer.send(value);
        }
    });
    thread.0.send(job).map_err(|_| ExprError::NoThread("it has ended".into()))?;
    wait.recv_timeout(DEADLINE).map_err(|e| match e {
        mpsc::RecvTimeoutError::Timeout => ExprError::Deadline,
        mpsc::RecvTimeoutError::Disconnected => failed(),
    })
}
