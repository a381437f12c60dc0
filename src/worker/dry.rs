//! A plan that writes nothing: the real drive over a journal in memory, in mode observe, so that no permit is minted.
//!
//! Called by `plan`, before a person's `run`, by triage for playbooks that only observe, and by readiness.

use super::App;
use crate::kernel::domain::{Actor, Cause, Mode, PlanSheet, Reason, Record, Resolved, Stamped, Stream};
use crate::kernel::drive::{DriveError, Driver};
use crate::kernel::engine::Run;
use crate::kernel::journal::{Batch, Journal, MemoryBackend, Row};
use crate::kernel::port::{Ledger as _, Registry};
use std::sync::Arc;

pub struct DryPlan {
    pub sheet: PlanSheet,
    /// Everything that stands against it; empty: it could run.
    pub blockers: Vec<Reason>,
}

pub async fn dry_plan(app: &App, spec: Resolved) -> Result<DryPlan, DriveError> {
    let (run, _) = dry_run(app, spec, &app.faults).await?;
    Ok(DryPlan { sheet: run.sheet(app.world.now()), blockers: run.blockers(app.world.now()) })
}

/// The run as planned, and the looks that it was planned from; everything is bound by `registry`.
pub async fn dry_run(
    app: &App,
    mut spec: Resolved,
    registry: &dyn Registry,
) -> Result<(Run, Vec<Stamped>), DriveError> {
    let started = match &spec.cause {
        Cause::Alert { started, .. } => Some(*started),
        Cause::Person { .. } => None,
    };
    spec.mode = Mode::Observe;
    if started.is_none() {
        spec.cause = Cause::Person { by: Actor::internal(), reason: "plan".into() };
    }
    // The one that it would run with: what stands at targets is compared with it.
    let epoch = app.journal.backend().epoch(&spec.service).await? + 1;
    spec.epoch = epoch;
    spec.owner = app.owner.clone();
    let journal = Journal::new(Arc::new(MemoryBackend::new()));
    let (run, service) = (spec.run.clone(), spec.service.clone());
    let lifted = app.overrides_told(&service);
    let opened = Batch::new(app.world.now()).row(Row::RaiseEpoch { service, to: epoch }).part(
        Stream::Run(run.clone()),
        Some(0),
        std::iter::once(Record::Opened(Box::new(spec))).chain(lifted).collect(),
    );
    journal.append(opened).await?;
    let (world, samples) = (app.world.clone(), app.samples.clone());
    let driver = Driver::new(&journal, registry, world, samples, app.owner.as_str());
    let driver = driver.within(app.changes.clone());
    driver.drive(&run).await?;
    let records = journal.read(&Stream::Run(run), 1).await?;
    // A held plan clears its verdicts for the next look; the look before that is the one to show.
    let shown: Vec<_> = records.into_iter().filter(|r| !matches!(r.record, Record::Held { .. })).collect();
    let shown = renumber(shown);
    let mut run = Run::fold(&shown)?;
    run.spent = Some(app.changes.spent(run.id(), app.world.now()));
    Ok((run, shown))
}

fn renumber(mut records: Vec<Stamped>) -> Vec<Stamped> {
    for (seq, stamped) in (1..).zip(&mut records) {
        stamped.seq = seq;
    }
    records
}
