//! Retention in the server: by the age in the configuration, at a time when nothing is under way, and whenever a person with
//! the role admin asks. A cut that was decided is finished at the next start at the latest.

use super::steps::{count, readers};
use super::{Cut, CutError, Cutter, Held, Kind, Pace, Terms, Unhurried};
use crate::kernel::domain::{Actor, Name, Position, Sealed, Span, Time};
use crate::kernel::journal::{Backend as _, ReadError};
use crate::store::Decided;
use crate::worker::App;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

/// The server looks by itself that often; sooner where something came first.
const EVERY: Span = Span::mins(60);
const AGAIN: Span = Span::mins(1);
/// Whether something is under way is asked that often.
const LOOK: Span = Span::secs(1);
/// By itself it cuts where one record in so many is old enough: each cut makes the index of the journal anew.
const WORTH: u64 = 20;
/// Pieces of work take at most half of the time.
const BREATH: Span = Span::millis(20);

/// What came of being asked.
pub struct Retained {
    pub cut: Cut,
    /// None: nothing goes, or it was only asked what would.
    pub decided: Option<Decided>,
}

/// As programs read it. `gone`: how many records went, where that is over already.
pub fn document(cut: &Cut, decided: Option<&Decided>, dry: bool, gone: Option<u64>) -> Value {
    json!({
        "schema": "pointsman.retention/v1", "first": cut.first, "before": cut.before, "aged": cut.aged,
        "goes": cut.goes(), "held": cut.held, "dry_run": dry, "record": decided.map(|d| d.position), "gone": gone,
    })
}

impl App {
    fn cutter(&self) -> Cutter {
        Cutter { store: self.store.clone(), checkpoints: self.checkpoints.clone() }
    }

    async fn terms(&self, older_than: Span) -> Result<Terms, ReadError> {
        let readers = readers(&self.store, &self.config).await?;
        let cooldowns = self.playbooks().cooldowns();
        Ok(Terms { now: self.world.now(), older_than, cooldowns, readers, frozen: self.frozen() })
    }

    /// A person asks: what would go, or that it goes. Records go in the background, once this is on record.
    pub async fn retain(&self, older_than: Span, by: &Actor, dry: bool) -> Result<Retained, CutError> {
        let Ok(_one) = self.retaining.try_lock() else {
            return Err(CutError::Stopped("a cut is under way already".into()));
        };
        let cutter = self.cutter();
        let cut = count(&self.store, self.terms(older_than).await?, &Unhurried).await?;
        if dry {
            return Ok(Retained { cut, decided: None });
        }
        let decided = self.decide(&cutter, &cut, Some(by), &Unhurried).await?;
        self.wakes.retention.notify_one();
        Ok(Retained { cut, decided })
    }

    /// Said before the first of these records goes: triage looks some of them up, and must know that it finds them no more.
    pub(in crate::worker) fn note_sealed(&self, sealed: &Sealed) {
        *self.sealed_ends.lock().expect("invariant: no panic while holding the lock") = sealed.ends.clone();
    }

    pub(in crate::worker) fn sealed_end(&self, source: &Name) -> Option<Time> {
        self.sealed_ends.lock().expect("invariant: no panic while holding the lock").get(source).copied()
    }

    /// What froze the instance while it was counted stands against it, too.
    async fn decide(
        &self,
        cutter: &Cutter,
        cut: &Cut,
        by: Option<&Actor>,
        pace: &dyn Pace,
    ) -> Result<Option<Decided>, CutError> {
        match self.frozen() {
            Some(why) => {
                Err(CutError::Stopped(format!("frozen: {}", why.lines().next().unwrap_or_default())))
            }
            None => cutter.decide(cut, by, self.world.now(), pace).await,
        }
    }

    /// Nothing is under way that should have the machine to itself.
    async fn is_busy(&self) -> Result<Option<String>, ReadError> {
        if let Some(run) = self.summaries(1_000).await?.into_iter().find(|run| run.outcome.is_none()) {
            return Ok(Some(format!("run {} is open", run.run)));
        }
        let sick = self.sick.load(Ordering::Relaxed);
        Ok((sick > 0).then(|| format!("{sick} services have an open alert")))
    }
}

/// Stops when the server does, and waits while something is under way.
struct Quiet {
    app: Arc<App>,
    stop: CancellationToken,
    looked: Mutex<Option<Time>>,
}

impl Pace for Quiet {
    fn next(&self) -> BoxFuture<'_, Result<(), CutError>> {
        Box::pin(async {
            let pause = self.app.world.sleep_until(self.app.world.now() + BREATH);
            tokio::select! {
                () = self.stop.cancelled() => return Err(CutError::Stopped("the server stops".into())),
                () = pause => {}
            }
            let now = self.app.world.now();
            {
                let mut looked = self.looked.lock().expect("invariant: no panic while holding the lock");
                if looked.is_some_and(|at| now < at + LOOK) {
                    return Ok(());
                }
                *looked = Some(now);
            }
            match self.app.is_busy().await? {
                Some(why) => {
                    *self.looked.lock().expect("invariant: no panic while holding the lock") = None;
                    Err(CutError::Stopped(why))
                }
                None => Ok(()),
            }
        })
    }
}

pub async fn keep_retention(app: Arc<App>, stop: CancellationToken) {
    let quiet = Quiet { app: app.clone(), stop: stop.clone(), looked: Mutex::default() };
    // Whether a cut may be unfinished: to find that out, a long stream may have to be looked through.
    let mut owed = true;
    while !stop.is_cancelled() {
        let pause = match round(&app, &quiet, &mut owed).await {
            Ok(()) => EVERY,
            Err(CutError::Stopped(why)) => {
                tracing::debug!(%why, "retention waits");
                AGAIN
            }
            Err(error) => {
                tracing::error!(%error, "PM2713: retention cannot go on; nothing that counts has gone");
                AGAIN
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.wakes.retention.notified() => owed = true,
            () = app.world.sleep_until(app.world.now() + pause) => {}
        }
    }
}

async fn round(app: &App, quiet: &Quiet, owed: &mut bool) -> Result<(), CutError> {
    let _one = app.retaining.lock().await;
    let cutter = app.cutter();
    if *owed {
        finish(app, &cutter, quiet).await?;
        *owed = false;
    }
    let Some(older_than) = app.config.older_than else { return Ok(()) };
    quiet.next().await?;
    if !is_worth_it(app, older_than).await? {
        return Ok(());
    }
    let cut = count(&app.store, app.terms(older_than).await?, quiet).await?;
    for Held { first, kind, says } in cut.held.iter().filter(|held| held.kind != Kind::Reader).take(20) {
        tracing::info!(first, ?kind, %says, "retention keeps what lies from this position on");
    }
    if cut.goes().saturating_mul(WORTH) >= app.store.end().await?.position.saturating_sub(cut.first)
        && app.decide(&cutter, &cut, None, quiet).await?.is_some()
    {
        *owed = true;
        finish(app, &cutter, quiet).await?;
        *owed = false;
    }
    Ok(())
}

/// What was decided goes, and the index no longer finds it.
async fn finish(app: &App, cutter: &Cutter, quiet: &Quiet) -> Result<(), CutError> {
    if let Some(decided) = cutter.pending().await? {
        app.note_sealed(&decided.sealed);
    }
    if cutter.finish(quiet).await? > 0
        && let Some(index) = &app.audit
        && let Err(error) = index.begin_anew().await
    {
        tracing::warn!(%error, "the index of the journal is made anew at the next start");
    }
    Ok(())
}

/// By time alone, with a few looks: whether enough is old enough to count what counts.
async fn is_worth_it(app: &App, older_than: Span) -> Result<bool, ReadError> {
    let (first, head) = (app.store.first_position().await?, app.store.head().await?.position);
    let youngest = app.world.now() - older_than;
    let (mut low, mut high): (Position, Position) = (first, head + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match app.store.scan(middle, 1).await?.first() {
            Some(entry) if entry.at <= youngest => low = entry.position + 1,
            Some(_) | None => high = middle,
        }
    }
    let aged = low - first;
    Ok(aged >= 2 && aged.saturating_mul(WORTH) >= head.saturating_sub(first))
}
