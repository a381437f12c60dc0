//! Stops a run whose passes panicked again and again: a defect of this program, which the same pass would meet for ever.
//! `supervise` counts, and lets this take the place of the next pass.

use super::App;
use crate::kernel::domain::{Reason, RunId};
use crate::kernel::drive::{DriveError, Driver, Pass};
use std::sync::Arc;

/// Passes in a row that may panic before the run is stopped: with the pauses between them, about a minute.
pub const PANICS: u32 = 5;

pub async fn stand_still(app: Arc<App>, run: RunId) -> Result<Pass, DriveError> {
    let says = format!(
        "this program broke off {PANICS} times in a row at it (a defect of Pointsman; its log has the place). The run stands still \
         until a person says how to go on"
    );
    let (world, samples) = (app.world.clone(), app.samples.clone());
    let driver = Driver::new(&app.journal, &app.faults, world, samples, app.owner.as_str());
    driver.within(app.changes.clone()).stop(&run, &Reason::new("PM5109", says)).await
}
