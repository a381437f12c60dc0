//! A target has seen an epoch that this journal does not know: it was restored from an old backup, and what it believes
//! of the world has passed. Nothing starts or goes on before a person has looked.
//!
//! Called by `supervise` after each pass: the look that found it is on record by then, and its step was refused.

use super::App;
use crate::kernel::domain::{Actor, Epoch, Record, RunId, Span, Stream, Time};
use crate::kernel::engine::Run;
use crate::kernel::journal::{Batch, Row};

/// Freezes where the run has seen such an epoch.
pub async fn freeze_if_ahead(app: &App, id: &RunId) -> anyhow::Result<()> {
    let records = app.journal.read(&Stream::Run(id.clone()), 1).await?;
    let seen = records.iter().filter_map(|stamped| match &stamped.record {
        Record::Observed { seen: Ok(seen), .. } => seen.evidence.get("ahead")?.as_u64(),
        _ => None,
    });
    let Some(seen) = seen.max() else { return Ok(()) };
    let run = Run::fold(&records)?;
    let known = app.journal.backend().epoch(&run.spec.service).await?;
    if seen < known {
        return Ok(());
    }
    freeze(app, &run, seen, known).await
}

async fn freeze(app: &App, run: &Run, seen: Epoch, known: Epoch) -> anyhow::Result<()> {
    let service = &run.spec.service;
    let why = format!(
        "PM5504: a target has seen epoch {seen} of {service}, and this journal knows only {known}: it was restored from \
         an old backup. Nothing starts or goes on until a person has looked and thaws it"
    );
    tracing::error!(run = %run.id(), code = "PM5504", "FROZEN: {why}");
    // Before the record: a store that fails must not leave it thawed.
    app.freeze_itself(why.clone());
    let forever = Time(i64::MAX);
    let frozen = Record::Frozen { service: None, by: Actor::internal(), reason: why, until: forever };
    let owner = format!("a later state of this journal, as run {} saw,", run.id());
    let claimed = Record::Claimed { owner, epoch: seen };
    let (now, stream) = (app.world.now(), Stream::Service(service.clone()));
    let mut batch = Batch::new(now)
        .part(Stream::Instance, Some(app.seq(&Stream::Instance).await?), vec![frozen])
        .part(stream.clone(), Some(app.seq(&stream).await?), vec![claimed]);
    // What comes after a thaw counts on from there; a run that is open by itself, since it keeps its locks.
    let raised = if run.finished.is_none() { seen + 1 } else { seen };
    if raised > known {
        batch = batch.row(Row::RaiseEpoch { service: service.clone(), to: raised });
    }
    if run.finished.is_none() {
        let taken = Record::Taken { epoch: raised, owner: app.owner.clone(), gap: Span::ZERO };
        let summary = run.with(&taken, now)?.summary().cached();
        batch = batch.part(Stream::Run(run.id().clone()), Some(run.seq), vec![taken]).summary(summary);
    }
    app.journal.append(batch).await?;
    Ok(())
}

/// The freeze that an earlier process left behind, if no person has thawed it.
pub fn left_frozen(records: &[crate::kernel::domain::Stamped]) -> Option<String> {
    let mut left = None;
    for stamped in records {
        match &stamped.record {
            Record::Thawed { service: None, .. } => left = None,
            other => left = own_freeze(other).map(str::to_owned).or(left),
        }
    }
    left
}

/// Why the instance froze itself, if that is what this record says. Only a person's thaw ends it.
pub fn own_freeze(record: &Record) -> Option<&str> {
    match record {
        Record::Frozen { service: None, by, reason, until: Time(i64::MAX) } if *by == Actor::internal() => {
            Some(reason)
        }
        _ => None,
    }
}
