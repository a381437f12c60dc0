//! A dead disk: the run of a bundle goes on in a new data directory. The new journal begins with the run's own records,
//! takes its locks and its epoch, and starts frozen, since nobody knows what was done after the bundle was made: a person
//! looks first and thaws it. Called by `pointsman resume`.

use super::{Bundle, read_bundle, verify_bundle};
use crate::kernel::domain::{Actor, Record, Stamped, Stream, Time};
use crate::kernel::engine::Run;
use crate::kernel::journal::{Batch, Journal, Row};
use crate::store::{SqliteStore, StoreError, code};
use std::path::Path;

fn refused(what: impl Into<String>) -> StoreError {
    StoreError::new(
        code::NOT_EMPTY,
        what,
        "no journal was made",
        "name a directory that does not exist yet with --data; it becomes the server's data directory",
    )
}

/// The run, as the new journal has it.
pub async fn resume(dir: &Path, file: &Path, key: Option<&Path>) -> Result<Run, StoreError> {
    let report = verify_bundle(file, key)?;
    if let Some(problem) = report.problems.into_iter().next() {
        return Err(problem);
    }
    let bundle = read_bundle(file)?;
    let is_empty = |dir: &Path| std::fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none());
    if dir.exists() && !is_empty(dir) {
        return Err(refused(format!("{} is not empty", dir.display())));
    }
    let name = dir.file_name().map_or("data".into(), |name| name.to_string_lossy().into_owned());
    // Made beside it and moved into place when it is whole: half a journal must never be served.
    let begun = dir.with_file_name(format!(".{name}.begun"));
    let failed = |why: &dyn std::fmt::Display| refused(format!("{} cannot be made: {why}", dir.display()));
    if begun.exists() {
        std::fs::remove_dir_all(&begun).map_err(|e| failed(&e))?;
    }
    let run = fill(&begun, &bundle).await;
    match run {
        Ok(run) => {
            std::fs::rename(&begun, dir).map_err(|e| failed(&e))?;
            Ok(run)
        }
        Err(error) => {
            // What is left of it is in nobody's way: the next try removes it.
            let _ = std::fs::remove_dir_all(&begun);
            Err(error)
        }
    }
}

async fn fill(dir: &Path, bundle: &Bundle) -> Result<Run, StoreError> {
    let unfit = |why: &dyn std::fmt::Display| refused(format!("the run of the bundle cannot go on: {why}"));
    let records = bundle.run_records().map_err(|e| unfit(&e))?;
    let run = Run::fold(&records).map_err(|e| unfit(&e))?;
    if let Some(outcome) = run.finished {
        return Err(unfit(&format!("run {} has ended: {outcome}", run.id())));
    }
    let store = SqliteStore::open(dir).await?.store;
    let written = write(&Journal::new(store.clone()), &records, &run, bundle).await;
    let noted = match &written {
        Ok(()) => store.write_head().await,
        Err(_) => Ok(()),
    };
    store.close().await;
    written.map_err(|e| unfit(&e))?;
    noted?;
    Ok(run)
}

/// Each record with its own time. The frozen state comes first, so that no half of this could act.
async fn write(
    journal: &Journal,
    records: &[Stamped],
    run: &Run,
    bundle: &Bundle,
) -> Result<(), crate::kernel::journal::AppendError> {
    let opened = records.first().map_or(run.opened, |first| first.at);
    let reason = format!(
        "PM2712: this journal begins with run {} from a bundle that ends at position {} of another journal ({}). What was \
         done after that is not known here. Nothing goes on until a person has compared the targets and thaws it",
        run.id(),
        bundle.checkpoint.position,
        bundle.checkpoint.at
    );
    let frozen = Record::Frozen { service: None, by: Actor::internal(), reason, until: Time(i64::MAX) };
    journal.append(Batch::new(opened).part(Stream::Instance, Some(0), vec![frozen])).await?;
    let service = run.spec.service.clone();
    let stream = Stream::Run(run.id().clone());
    for (at, stamped) in records.iter().enumerate() {
        let part = vec![stamped.record.clone()];
        let mut batch = Batch::new(stamped.at).part(stream.clone(), Some(stamped.seq - 1), part);
        if at + 1 == records.len() {
            batch = batch
                .summary(run.summary().cached())
                .row(Row::RaiseEpoch { service: service.clone(), to: run.epoch });
            for key in run.spec.lock_keys() {
                batch = batch.row(Row::Lock { key, run: run.id().clone() });
            }
        }
        journal.append(batch).await?;
    }
    Ok(())
}
