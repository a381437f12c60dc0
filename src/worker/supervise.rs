//! Keeps one pass per open run going: woken by a bell, by time, and at start by what the journal says is open.

use super::ahead::freeze_if_ahead;
use super::still::{PANICS, stand_still};
use super::{App, CommandError};
use crate::kernel::domain::{Outcome, RunId, Span, Stream, Time};
use crate::kernel::drive::{DriveError, Driver, Pass};
use crate::kernel::engine::Summary;
use crate::kernel::journal::{AppendError, ReadError, Summarised};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::task::{self, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// Open runs looked up at start; the number of runs open at once is bounded far below by locks on services.
const MAX_OPEN: u32 = 10_000;
/// A pass that failed is tried again after this; doubled up to half a minute.
const RETRY: Span = Span::secs(1);
/// How often a frozen instance looks whether it was thawed.
const FROZEN_LOOK: Span = Span::secs(1);
/// How long a stop waits for passes.
const DRAIN: std::time::Duration = std::time::Duration::from_secs(5);

/// Runs until `stop`; then waits for calls in flight, but not longer than the caller lets it.
pub async fn supervise(app: Arc<App>, stop: CancellationToken) {
    let mut runs = Supervised::default();
    let mut listing = Some(Time(0));
    loop {
        let now = app.world.now();
        if listing.is_some_and(|at| at <= now) {
            listing = runs.list(&app).await.err().map(|error| {
                tracing::error!(%error, retry_in = %RETRY, "open runs cannot be listed");
                app.world.now() + RETRY
            });
        }
        if app.frozen().is_some() {
            runs.put_off(now + FROZEN_LOOK);
        }
        runs.start(&app, now);
        let next = runs.due.values().copied().chain(listing).min().unwrap_or(now + Span::mins(10));
        tokio::select! {
            () = stop.cancelled() => break,
            () = app.world.sleep_until(next) => {}
            woken = app.wakes.next_runs() => runs.due.extend(woken.into_iter().map(|run| (run, Time(0)))),
            Some(joined) = runs.passes.join_next_with_id(), if !runs.passes.is_empty() => {
                if let Some((run, outcome)) = runs.ended(app.world.now(), joined) {
                    finished(&app, &run, outcome);
                }
            }
        }
    }
    runs.drain().await;
}

type Ended = Result<(task::Id, Result<Pass, DriveError>), JoinError>;

#[derive(Default)]
struct Supervised {
    passes: JoinSet<Result<Pass, DriveError>>,
    /// Which run each pass is of: a pass that panicked cannot say it itself.
    busy: BTreeMap<task::Id, RunId>,
    /// Woken while their pass was on its way.
    again: BTreeSet<RunId>,
    due: BTreeMap<RunId, Time>,
    failures: BTreeMap<RunId, u32>,
    /// Passes in a row that panicked.
    panics: BTreeMap<RunId, u32>,
}

impl Supervised {
    async fn list(&mut self, app: &App) -> Result<(), ReadError> {
        for run in open_runs(app).await? {
            self.due.entry(run).or_insert(Time(0));
        }
        Ok(())
    }

    /// A journal that may lack calls which were made: nothing goes on before a person has looked.
    fn put_off(&mut self, until: Time) {
        self.due.values_mut().for_each(|at| *at = (*at).max(until));
    }

    fn start(&mut self, app: &Arc<App>, now: Time) {
        let due: Vec<RunId> = self.due.extract_if(.., |_, at| *at <= now).map(|(run, _)| run).collect();
        for run in due {
            if self.busy.values().any(|other| *other == run) {
                self.again.insert(run);
            } else {
                let started = match self.is_broken(&run) {
                    true => self.passes.spawn(stand_still(app.clone(), run.clone())),
                    false => self.passes.spawn(pass(app.clone(), run.clone())),
                };
                self.busy.insert(started.id(), run);
            }
        }
    }

    /// The next pass would panic as well.
    fn is_broken(&self, run: &RunId) -> bool {
        self.panics.get(run).is_some_and(|count| *count >= PANICS)
    }

    /// Takes note of a pass that ended, and tells of a run that did.
    fn ended(&mut self, now: Time, joined: Ended) -> Option<(RunId, Outcome)> {
        let (id, result) = match joined {
            Ok((id, result)) => (id, Some(result)),
            Err(error) => (error.id(), None),
        };
        let run = self.busy.remove(&id).expect("invariant: each pass is noted when it starts");
        if self.again.remove(&run) {
            self.due.insert(run.clone(), Time(0));
        }
        match result {
            Some(result) => self.settle(now, run, result),
            // The panic itself is in the log. What was on its way is in doubt, and the next pass looks first.
            None => {
                self.panicked(now, run);
                None
            }
        }
    }

    /// Tried again, then stopped in its records, and where not even that can be done, left alone until it is woken.
    fn panicked(&mut self, now: Time, run: RunId) {
        let count = self.panics.entry(run.clone()).or_insert(0);
        *count += 1;
        match *count <= PANICS {
            true => self.failed(now, run, "its pass panicked"),
            false => {
                tracing::error!(%run, "the run cannot even be stopped in its records: NOTHING LOOKS AFTER IT until a person says \
                    something to it or this server starts again");
                self.due.remove(&run);
            }
        }
    }

    fn settle(
        &mut self,
        now: Time,
        run: RunId,
        result: Result<Pass, DriveError>,
    ) -> Option<(RunId, Outcome)> {
        if result.is_ok() {
            self.panics.remove(&run);
        }
        match result {
            Ok(Pass::Waiting { wake, says }) => {
                self.failures.remove(&run);
                tracing::debug!(%run, %says, "the run waits");
                if let Some(at) = wake {
                    self.due.entry(run).or_insert(at);
                }
            }
            Ok(Pass::Finished(outcome)) => {
                self.failures.remove(&run);
                return Some((run, outcome));
            }
            Ok(Pass::Observed(_)) => {}
            Err(DriveError::Append(AppendError::Deposed { service, current })) => {
                tracing::error!(%run, %service, epoch = current, "another runner has taken this run over; leaving it alone");
            }
            Err(error) => self.failed(now, run, &error.to_string()),
        }
        None
    }

    fn failed(&mut self, now: Time, run: RunId, why: &str) {
        let count = self.failures.entry(run.clone()).or_insert(0);
        *count += 1;
        let wait = Span(RETRY.0 << (*count).min(5));
        tracing::error!(%run, error = why, retry_in = %wait, "the run cannot go on now");
        self.due.insert(run, now + wait);
    }

    /// Calls on their way may end and be written down; what does not end in time is in doubt at the next start.
    async fn drain(mut self) {
        let drained = async { while self.passes.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("runs are left in the middle; the next start looks first and goes on");
        }
        self.passes.shutdown().await;
    }
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

async fn pass(app: Arc<App>, run: RunId) -> Result<Pass, DriveError> {
    // Unheard, it might go on where people or its playbook said that it must not.
    if let Err(error) = hear(&app, &run).await {
        return Err(ReadError(error.to_string()).into());
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
    result
}

fn finished(app: &App, run: &RunId, outcome: Outcome) {
    tracing::info!(%run, %outcome, "the run is finished");
    app.metrics.run_finished(outcome);
    app.wakes.triage.notify_one();
    app.wakes.head_file.notify_one();
}

async fn open_runs(app: &App) -> Result<Vec<RunId>, ReadError> {
    let summaries = app.journal.backend().summaries("run:", MAX_OPEN).await?;
    // A row that cannot be read counts as open: the pass reads the records, and says what is wrong.
    let open = |row: Summarised| {
        let (first, last) = (row.first.unwrap_or_default(), row.last.unwrap_or_default());
        let over = Summary::of_cached(row.value, first, last).is_ok_and(|s| s.outcome.is_some());
        match row.stream {
            Stream::Run(run) if !over => Some(run),
            _ => None,
        }
    };
    Ok(summaries.into_iter().filter_map(open).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pass_that_panics_gives_its_run_free_and_is_tried_again_later_each_time() {
        let run = RunId::new("R1");
        let (mut runs, now) = (Supervised::default(), Time(1_000));
        for wait in [Span::secs(2), Span::secs(4)] {
            let pass = runs.passes.spawn(async { panic!("a pass that a test wants to panic") });
            runs.busy.insert(pass.id(), run.clone());
            let joined = runs.passes.join_next_with_id().await.unwrap();
            assert!(runs.ended(now, joined).is_none());
            assert!(runs.busy.is_empty(), "{:?}", runs.busy);
            assert_eq!(runs.due[&run], now + wait);
        }
    }

    #[test]
    fn panics_in_a_row_are_counted_and_a_pass_that_goes_well_forgets_them() {
        let run = RunId::new("R1");
        let (mut runs, now) = (Supervised::default(), Time(1_000));
        let waits = || Ok(Pass::Waiting { wake: None, says: String::new() });
        for _ in 1..PANICS {
            runs.panicked(now, run.clone());
        }
        assert!(!runs.is_broken(&run));
        runs.settle(now, run.clone(), waits());
        assert_eq!(runs.panics.get(&run), None);
        for _ in 0..PANICS {
            runs.panicked(now, run.clone());
        }
        assert!(runs.is_broken(&run) && runs.due.contains_key(&run), "the next pass stops it");
        // Not even that could be done: it is left alone, and looked after again when it is woken.
        runs.panicked(now, run.clone());
        assert!(runs.is_broken(&run) && !runs.due.contains_key(&run));
        runs.settle(now, run.clone(), waits());
        assert!(!runs.is_broken(&run));
    }

    #[test]
    fn a_store_that_fails_stops_no_run() {
        let run = RunId::new("R1");
        let (mut runs, now) = (Supervised::default(), Time(1_000));
        for _ in 0..2 * PANICS {
            runs.settle(now, run.clone(), Err(AppendError::Full("full".into()).into()));
            assert!(!runs.is_broken(&run) && runs.due.contains_key(&run));
        }
    }
}
