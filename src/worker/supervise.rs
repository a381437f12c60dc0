//! Keeps one pass per open run going: woken by a bell, by time, and at start by what the journal says is open.

use super::ahead::freeze_if_ahead;
use super::{App, CommandError};
use crate::kernel::domain::{Outcome, RunId, Span, Stream, Time};
use crate::kernel::drive::{DriveError, Driver, Pass};
use crate::kernel::engine::Summary;
use crate::kernel::journal::{AppendError, ReadError, Summarised};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Open runs looked up at start; the number of runs open at once is bounded far below by locks on services.
const MAX_OPEN: u32 = 10_000;
/// A pass that failed is tried again after this; doubled up to half a minute.
const RETRY: Span = Span::secs(1);
/// How often a frozen instance looks whether it was thawed.
const FROZEN_LOOK: Span = Span::secs(1);
/// How long a stop waits for passes.
const DRAIN: std::time::Duration = std::time::Duration::from_secs(5);

struct Ended {
    run: RunId,
    result: Result<Pass, DriveError>,
}

/// Runs until `stop`; then waits for calls in flight, but not longer than the caller lets it.
pub async fn supervise(app: Arc<App>, stop: CancellationToken) {
    let mut passes: JoinSet<Ended> = JoinSet::new();
    let mut busy: BTreeSet<RunId> = BTreeSet::new();
    let mut again: BTreeSet<RunId> = BTreeSet::new();
    let mut due: BTreeMap<RunId, Time> = BTreeMap::new();
    let mut failures: BTreeMap<RunId, u32> = BTreeMap::new();
    for run in open_runs(&app).await {
        due.insert(run, Time(0));
    }
    loop {
        let now = app.world.now();
        if app.frozen().is_some() {
            // A journal that may lack calls which were made: nothing goes on before a person has looked.
            due.values_mut().for_each(|at| *at = (*at).max(now + FROZEN_LOOK));
        }
        let ready: Vec<RunId> =
            due.iter().filter(|(_, at)| **at <= now).map(|(run, _)| run.clone()).collect();
        for run in ready {
            due.remove(&run);
            if busy.insert(run.clone()) {
                passes.spawn(pass(app.clone(), run));
            } else {
                again.insert(run);
            }
        }
        let next = due.values().min().copied().unwrap_or(now + Span::mins(10));
        tokio::select! {
            () = stop.cancelled() => break,
            () = app.world.sleep_until(next) => {}
            runs = app.wakes.next_runs() => due.extend(runs.into_iter().map(|run| (run, Time(0)))),
            Some(joined) = passes.join_next(), if !passes.is_empty() => match joined {
                Ok(ended) => {
                    busy.remove(&ended.run);
                    if again.remove(&ended.run) {
                        due.insert(ended.run.clone(), Time(0));
                    }
                    settle(&app, ended, &mut due, &mut failures);
                }
                Err(error) => tracing::error!(%error, "a pass panicked; its run is taken up again at the next wake"),
            },
        }
    }
    // Calls on their way may end and be written down; what does not end in time is in doubt at the next start.
    let drained = async { while passes.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("runs are left in the middle; the next start looks first and goes on");
    }
    passes.shutdown().await;
}

/// What stands against the run although its own records do not say so yet.
async fn hear(app: &App, run: &RunId) -> Result<(), CommandError> {
    if !app.freezes().is_empty() {
        app.tell_freezes(run).await?;
    }
    if !app.overrides(app.world.now()).is_empty() {
        app.tell_overrides(run).await?;
    }
    app.keep_window(run).await
}

async fn pass(app: Arc<App>, run: RunId) -> Ended {
    // Unheard, it might go on where people or its playbook said that it must not.
    if let Err(error) = hear(&app, &run).await {
        let error = DriveError::Read(ReadError(error.to_string()));
        return Ended { run, result: Err(error) };
    }
    let (world, samples) = (app.world.clone(), app.samples.clone());
    let driver = Driver::new(&app.journal, &app.faults, world, samples, app.owner.as_str());
    let driver = driver.within(app.changes.clone());
    let result = driver.drive(&run).await;
    if app.frozen().is_none()
        && let Err(error) = freeze_if_ahead(&app, &run).await
    {
        tracing::error!(%run, %error, "whether targets are ahead of this journal cannot be looked up or written");
    }
    Ended { run, result }
}

fn settle(app: &App, ended: Ended, due: &mut BTreeMap<RunId, Time>, failures: &mut BTreeMap<RunId, u32>) {
    let Ended { run, result } = ended;
    let now = app.world.now();
    match result {
        Ok(Pass::Waiting { wake, says }) => {
            failures.remove(&run);
            tracing::debug!(%run, %says, "the run waits");
            if let Some(at) = wake {
                due.entry(run).or_insert(at);
            }
        }
        Ok(Pass::Finished(outcome)) => {
            failures.remove(&run);
            finished(app, &run, outcome);
        }
        Ok(Pass::Observed(_)) => {}
        Err(DriveError::Append(AppendError::Deposed { service, current })) => {
            tracing::error!(%run, %service, epoch = current, "another runner has taken this run over; leaving it alone");
        }
        Err(error) => {
            let count = failures.entry(run.clone()).or_insert(0);
            *count += 1;
            let wait = Span(RETRY.0 << (*count).min(5));
            tracing::error!(%run, %error, retry_in = %wait, "the run cannot go on now");
            due.insert(run, now + wait);
        }
    }
}

fn finished(app: &App, run: &RunId, outcome: Outcome) {
    tracing::info!(%run, %outcome, "the run is finished");
    app.metrics.run_finished(outcome);
    app.wakes.triage.notify_one();
    app.wakes.head_file.notify_one();
}

async fn open_runs(app: &App) -> Vec<RunId> {
    let summaries = app.journal.backend().summaries("run:", MAX_OPEN).await.unwrap_or_else(|error| {
        tracing::error!(%error, "open runs cannot be listed; they are taken up when somebody writes to them");
        vec![]
    });
    // A row that cannot be read counts as open: the pass reads the records, and says what is wrong.
    let open = |row: Summarised| {
        let (first, last) = (row.first.unwrap_or_default(), row.last.unwrap_or_default());
        let over = Summary::of_cached(row.value, first, last).is_ok_and(|s| s.outcome.is_some());
        match row.stream {
            Stream::Run(run) if !over => Some(run),
            _ => None,
        }
    };
    summaries.into_iter().filter_map(open).collect()
}
