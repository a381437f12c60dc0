//! After a promotion: keeps an eye on old primaries and on what finished runs left behind. It only looks and writes
//! down; an old primary that came back is fenced by a run of its own, through `drive` like every other change.
//!
//! Two tasks of the instance. What is watched stands in the journal, so a restart goes on where it was.

mod fence;
mod refence;
mod window;

pub use window::watch_windows;

use super::App;
use crate::kernel::domain::{Name, Record, RunId, Span, Stream, Time};
use crate::kernel::engine::{Refused, Summary};
use crate::kernel::journal::{AppendError, Batch};
use crate::worker::CommandError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// With a look's own bounds this keeps the detection of a returned primary below ten seconds.
const EVERY: Span = Span::secs(2);
/// Runs asked for at start, and the newest among which a later one must be.
const ALL: u32 = 10_000;
const NEWEST: u32 = 50;
/// Races with the driver and with people that are tried again.
const RACES: u32 = 20;

/// What the last looks saw, for `status`; and how far fencing again has come. Memory only: all of it is found anew.
#[derive(Default)]
pub struct Board(Mutex<BTreeMap<(RunId, Name), Seen>>);

#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub says: String,
    pub at: Time,
    /// Looks in a row that could not tell.
    doubtful: u32,
    /// The run that fences it again.
    refence: Option<RunId>,
    tries: u32,
    not_before: Time,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(RunId, Name), Seen>> {
        self.0.lock().expect("invariant: no panic while holding the lock")
    }
    pub fn seen(&self, run: &RunId, target: &Name) -> Option<Seen> {
        self.lock().get(&(run.clone(), target.clone())).cloned()
    }
    fn put(&self, run: &RunId, target: &Name, seen: Seen) {
        self.lock().insert((run.clone(), target.clone()), seen);
    }
    fn forget(&self, run: &RunId) {
        self.lock().retain(|(of, _), _| of != run);
    }
}

/// Runs that still have something to be looked after, by their cached summaries.
async fn found(app: &App, newest: u32, wanted: fn(&Summary) -> bool) -> BTreeSet<RunId> {
    match app.summaries(newest).await {
        Ok(all) => all.into_iter().filter(wanted).map(|summary| summary.run).collect(),
        Err(error) => {
            tracing::error!(%error, "what is to be watched cannot be listed now");
            BTreeSet::new()
        }
    }
}

/// Watches old primaries until `stop`.
pub async fn watch_fences(app: Arc<App>, stop: CancellationToken) {
    let wanted = |summary: &Summary| !summary.watches.is_empty();
    let mut runs = found(&app, ALL, wanted).await;
    loop {
        let due = app.world.now() + EVERY;
        runs.extend(found(&app, NEWEST, wanted).await);
        let mut looks = JoinSet::new();
        for run in &runs {
            let (app, run) = (app.clone(), run.clone());
            looks.spawn(async move { (fence::look_after(&app, &run).await, run) });
        }
        while let Some(looked) = looks.join_next().await {
            match looked {
                Ok((Ok(true), _)) => {}
                Ok((Ok(false), run)) => {
                    runs.remove(&run);
                    app.board.forget(&run);
                }
                Ok((Err(error), run)) => {
                    tracing::error!(%run, %error, "the fence watch cannot go on now; it looks again")
                }
                Err(error) => tracing::error!(%error, "a look of the fence watch panicked"),
            }
        }
        app.metrics.fence_watches(&alarms(&app, &runs).await);
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.world.sleep_until(due) => {}
        }
    }
}

/// The state of every watch of these runs.
async fn alarms(app: &App, runs: &BTreeSet<RunId>) -> Vec<crate::kernel::domain::FenceWatchState> {
    let mut states = vec![];
    for run in runs {
        if let Ok(Some(run)) = app.run(run).await {
            states.extend(run.watch_lines().into_iter().map(|line| line.state));
        }
    }
    states
}

/// Appends to a run what was seen after its promotion; the row that lists read goes with it.
async fn write(app: &App, id: &RunId, record: Record) -> Result<u64, CommandError> {
    for _ in 0..RACES {
        let run = app.run(id).await?.ok_or(CommandError::NoSuchRun)?;
        let now = app.world.now();
        let then =
            run.with(&record, now).map_err(|e| CommandError::Refused(Refused::Conflict(e.to_string())))?;
        let batch = Batch::new(now)
            .part(Stream::Run(id.clone()), Some(run.seq), vec![record.clone()])
            .summary(then.summary().cached());
        match app.journal.append(batch).await {
            Ok(receipt) => {
                let position = receipt.stamped.last().map_or(0, |s| s.position);
                return Ok(position);
            }
            Err(AppendError::Moved { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(CommandError::Store("too many others write to this run at the same time".into()))
}

impl App {
    /// Whose old primary it is.
    pub async fn watched_service(&self, target: &Name) -> Result<Name, CommandError> {
        Ok(self.watched(target).await?.service)
    }

    async fn watched(&self, target: &Name) -> Result<Summary, CommandError> {
        let has = |summary: &Summary| summary.watches.iter().any(|line| line.target == *target);
        let none = || CommandError::Refused(Refused::NoSuch(format!("nothing watches {target}")));
        self.summaries(ALL).await?.into_iter().find(has).ok_or_else(none)
    }

    /// A person closes the watch of an old primary; of the newest run that still has one.
    pub async fn close_fence_watch(
        &self,
        target: &Name,
        by: &crate::kernel::domain::Actor,
        reason: &str,
    ) -> Result<(RunId, u64), CommandError> {
        let id = self.watched(target).await?.run;
        let run = self.run(&id).await?.ok_or(CommandError::NoSuchRun)?;
        let record = run.decide_close_watch(target, by, reason).map_err(CommandError::Refused)?;
        let position = write(self, &id, record).await?;
        self.board.forget(&id);
        Ok((id, position))
    }
}
