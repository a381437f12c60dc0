//! Runs a closure on a thread with a large stack and waits for it no longer than a deadline.
//!
//! The compiler and the evaluator recurse with their input, and a stack overflow ends the process: no
//! caller's stack is large enough to be sure. The bounds of this room make each closure end soon; the
//! deadline is the second net.

use super::ExprError;
use std::sync::{Condvar, Mutex, mpsc};
use std::time::Duration;

const STACK: usize = 32 << 20;
/// Generous for a loaded machine; what fits the bounds ends within milliseconds.
const DEADLINE: Duration = Duration::from_secs(3);
/// Threads at once; a thread that outlives its deadline keeps its place until it ends.
const AT_ONCE: usize = 4;

static BUSY: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// A place among the threads, given back when dropped.
struct Place;

impl Place {
    fn take() -> Option<Place> {
        let busy = BUSY.lock().unwrap_or_else(|poison| poison.into_inner());
        let (mut busy, wait) = FREED
            .wait_timeout_while(busy, DEADLINE, |busy| *busy >= AT_ONCE)
            .unwrap_or_else(|poison| poison.into_inner());
        if wait.timed_out() && *busy >= AT_ONCE {
            return None;
        }
        *busy += 1;
        Some(Place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *BUSY.lock().unwrap_or_else(|poison| poison.into_inner()) -= 1;
        FREED.notify_one();
    }
}

pub(super) fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ExprError> {
    let place = Place::take().ok_or(ExprError::Deadline)?;
    let (answer, wait) = mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name("expression".into())
        .stack_size(STACK)
        .spawn(move || {
            let _place = place;
            // Nobody waits any more when the deadline has passed.
            let _ = answer.send(work());
        })
        .map_err(|e| ExprError::NoThread(e.to_string()))?;
    wait.recv_timeout(DEADLINE).map_err(|e| match e {
        mpsc::RecvTimeoutError::Timeout => ExprError::Deadline,
        mpsc::RecvTimeoutError::Disconnected => ExprError::Evaluation("the evaluator failed".into()),
    })
}
