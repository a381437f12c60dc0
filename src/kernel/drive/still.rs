//! In place of a pass: the run is stopped where it is. For a run whose passes break off each time; the worker counts.

use super::{DriveError, Driver, Pass};
use crate::domain::{Reason, RunId};
use crate::journal::AppendError;

impl<'a> Driver<'a> {
    /// Writes down that the run stands still, and why. What was on its way is in doubt, as after a death.
    pub async fn stop(&'a self, id: &RunId, why: &Reason) -> Result<Pass, DriveError> {
        let mut pass = self.take(id).await?;
        for record in pass.run.stand_still(why) {
            pass.pend(record);
        }
        let wake = (!pass.pending.is_empty()).then(|| self.world.now());
        if wake.is_some() && !pass.flush(vec![]).await? {
            return Err(AppendError::Moved { stream: format!("run:{id}") }.into());
        }
        match pass.run.finished {
            Some(outcome) => Ok(Pass::Finished(outcome)),
            None => Ok(Pass::Waiting { wake, says: "it was stopped".into() }),
        }
    }
}
