//! Stops a run whose passes panicked again and again: a defect of this program, which the same pass would meet for ever.
//! `supervise` counts, and lets this take the place of the next pass.

use super::App;
use crate::kernel::domain::{Reason, Record, RunId, Span, Stream};
use crate::kernel::drive::{DriveError, Pass};
use crate::kernel::engine::Run;
use crate::kernel::journal::{Batch, Row};
use std::sync::Arc;

/// Passes in a row that may panic before the run is stopped: with the pauses between them, about a minute.
pub const PANICS: u32 = 5;

/// Writes the stop down. What was on its way is in doubt, as after a death.
pub async fn stand_still(app: Arc<App>, id: RunId) -> Result<Pass, DriveError> {
    let stream = Stream::Run(id.clone());
    let mut run = Run::fold(&app.journal.read(&stream, 1).await?)?;
    let (now, expect) = (app.world.now(), run.seq);
    let mut batch = Batch::new(now);
    let mut records = vec![];
    if run.finished.is_none() && run.in_flight() {
        let service = run.spec.service.clone();
        let epoch = app.journal.backend().epoch(&service).await? + 1;
        let taken = Record::Taken { epoch, owner: app.owner.clone(), gap: Span::ZERO };
        run = run.with(&taken, now)?;
        records.push(taken);
        batch = batch.row(Row::RaiseEpoch { service, to: epoch });
    }
    let says = format!(
        "this program failed at it {PANICS} times in a row (a defect of Pointsman, with its place in the log): the run stands \
         still until a person says how to go on"
    );
    for record in run.stand_still(&Reason::new("PM5109", says)) {
        run = run.with(&record, now)?;
        records.push(record);
    }
    if records.is_empty() {
        return Ok(Pass::Waiting { wake: None, says: "it stands still already".into() });
    }
    batch = batch.part(stream, Some(expect), records).summary(run.summary().cached());
    if run.finished.is_some() {
        batch = batch.row(Row::Unlock { run: id.clone() });
    }
    app.journal.append(batch).await?;
    match run.finished {
        Some(outcome) => {
            app.changes.release(&id);
            Ok(Pass::Finished(outcome))
        }
        None => Ok(Pass::Waiting { wake: Some(now), says: "it was stopped".into() }),
    }
}
