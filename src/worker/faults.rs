//! The fault `crash` on real servers: this process ends right after the call, and whatever starts it again (systemd, a
//! person) finds the run in the journal and looks first. Used by drills alone.

use crate::kernel::inject::Death;
use futures_util::future::BoxFuture;
use std::convert::Infallible;

/// Exit code of a process that a drill has crashed.
const CRASHED: i32 = 70;

pub struct ProcessDeath;

impl Death for ProcessDeath {
    fn die(&self) -> BoxFuture<'static, Infallible> {
        Box::pin(async {
            tracing::error!("inject: crash; a drill ends this process right after the call. Start it again");
            std::process::exit(CRASHED)
        })
    }
}
