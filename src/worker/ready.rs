//! Whether each playbook would work if it were needed now: looked at on a schedule and when a person asks, without changing
//! anything. That a playbook stops being ready is on record, and with that told to people. A task of the instance.
//!
//! Whatever cannot be seen counts against it: unknown is not ready.

mod as_if;
mod board;
mod disk;
mod look;
mod sources;

pub use board::{Board, Found, Looked};

use super::{App, CommandError, Playbooks};
use crate::kernel::domain::{Digest, Name, Record, Span, Stream, Time};
use crate::kernel::journal::ReadError;
use crate::playbook::Playbook;
use futures_util::stream::{StreamExt as _, iter};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// At the start there are probes to be known and files to be mended first.
const FIRST: Span = Span::mins(1);
/// What was ready and is not seen as such any more is looked at once more before anybody is told.
const AGAIN: Span = Span::secs(30);
/// Playbooks that are looked at side by side.
const SIDE_BY_SIDE: usize = 4;
/// As with the looks at a plan that is offered.
const TOGETHER: Span = Span::secs(10);
/// A person's question has its answer before the request ends; what took longer is not known.
const PATIENCE: Duration = Duration::from_secs(45);

/// How one playbook stands between looks.
#[derive(Default)]
struct Standing {
    due: Time,
    /// Which was looked at last.
    form: Option<Digest>,
    /// As on record; none: nothing is.
    told: Option<bool>,
    /// Looks in a row that saw it otherwise.
    otherwise: u32,
}

/// Until `stop`.
pub async fn watch_readiness(app: Arc<App>, stop: CancellationToken) {
    let Some(every) = app.config.ready_every else { return };
    let mut known: BTreeMap<Name, Standing> = BTreeMap::new();
    let first = app.world.now() + every.min(FIRST);
    loop {
        let (set, now) = (app.playbooks(), app.world.now());
        known.retain(|name, _| set.find(name.as_str()).is_some());
        app.ready.keep(|name| set.find(name.as_str()).is_some());
        for (loaded, _) in set.active() {
            let fresh = || Standing { due: first, ..Standing::default() };
            let standing = known.entry(loaded.name.clone()).or_insert_with(fresh);
            if standing.form.is_some_and(|form| form != loaded.digest) {
                standing.due = now;
            }
        }
        let due: Vec<Name> =
            known.iter().filter(|(_, s)| s.due <= now).map(|(name, _)| name.clone()).collect();
        let busy = if due.is_empty() { Ok(BTreeSet::new()) } else { app.busy().await };
        let busy = Arc::new(busy.unwrap_or_else(|error| {
            tracing::warn!(%error, "which runs are open is not known: what their services need is looked at all the same");
            BTreeSet::new()
        }));
        let looks = due.into_iter().map(|name| {
            let (app, set, busy) = (app.clone(), set.clone(), busy.clone());
            async move { (name.clone(), app.look_whether_ready(&set, &name, &busy).await) }
        });
        let mut looks = iter(looks).buffer_unordered(SIDE_BY_SIDE);
        while let Some((name, looked)) = tokio::select! {
            () = stop.cancelled() => return,
            looked = looks.next() => looked,
        } {
            let standing = known.entry(name.clone()).or_default();
            standing.due = app.world.now() + every;
            standing.form = set.find(name.as_str()).map(|loaded| loaded.digest);
            if let Some(looked) = looked {
                app.note_readiness(&name, &looked, standing, every).await;
            }
        }
        drop(looks);
        app.count_ready(&set);
        let next = known.values().map(|standing| standing.due).min().unwrap_or(now + every).min(now + every);
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.wakes.ready.notified() => {}
            () = app.world.sleep_until(next.max(now + Span::secs(1))) => {}
        }
    }
}

impl App {
    /// Services with an open run.
    async fn busy(&self) -> Result<BTreeSet<Name>, ReadError> {
        Ok(self.open_runs().await?.into_iter().map(|run| run.service).collect())
    }

    /// `None`: it is not for now. Its service has an open run, which looks at everything itself; people disabled it; or
    /// nothing at all would start, which is told where it comes from, and not once for each playbook.
    async fn look_whether_ready(
        &self,
        set: &Playbooks,
        name: &Name,
        busy: &BTreeSet<Name>,
    ) -> Option<Arc<Looked>> {
        let (_, playbook) = set.active().find(|(loaded, _)| loaded.name == *name)?;
        let stands = look::of_instance(self, playbook).is_empty() && self.disabled_by(name).is_none();
        match stands && !busy.contains(&playbook.service) {
            true => Some(self.look_ready(playbook).await),
            false => None,
        }
    }

    /// One look now; on the board, and not on record.
    async fn look_ready(&self, playbook: &Playbook) -> Arc<Looked> {
        let looked = Arc::new(look::look(self, playbook).await);
        self.ready.put(&playbook.name, looked.clone());
        looked
    }

    /// However many people ask, each playbook is looked at once in ten seconds: a look costs every target a question.
    async fn look_ready_together(&self, playbook: &Playbook) {
        let turn = self.ready.turn(&playbook.name);
        let _mine = turn.lock().await;
        let last = self.ready.last(&playbook.name, playbook.digest);
        if last.is_none_or(|looked| self.world.now().since(looked.at) >= TOGETHER) {
            self.look_ready(playbook).await;
        }
    }

    /// Looks at these now. What is not done in time stays as it was looked at before: with its age, or never.
    pub async fn look_ready_now(&self, set: &Playbooks, names: Vec<Name>) {
        let looks = names.into_iter().map(|name| async move {
            if let Some((_, playbook)) = set.active().find(|(loaded, _)| loaded.name == name) {
                self.look_ready_together(playbook).await;
            }
        });
        let mut looks = iter(looks).buffer_unordered(SIDE_BY_SIDE);
        let all = async { while looks.next().await.is_some() {} };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            tracing::warn!("not every playbook could be looked at for readiness in time");
        }
    }

    /// On record where it is news; that it is not ready any more only after a second look.
    async fn note_readiness(&self, name: &Name, looked: &Looked, standing: &mut Standing, every: Span) {
        if standing.told.is_none() {
            match self.journal.newest(&Stream::Playbook(name.clone()), &["readiness"], 1).await {
                Ok(records) => {
                    standing.told = records.last().and_then(|stamped| match &stamped.record {
                        Record::Readiness { ready, .. } => Some(*ready),
                        _ => None,
                    });
                }
                Err(error) => {
                    return tracing::warn!(playbook = %name, %error, "whether it was ready is not known");
                }
            }
        }
        let ready = looked.is_ready();
        // As it should be from the beginning is no news.
        if standing.told.unwrap_or(true) == ready {
            (standing.told, standing.otherwise) = (Some(ready), 0);
            return;
        }
        standing.otherwise += 1;
        if !ready && standing.otherwise < 2 {
            standing.due = self.world.now() + AGAIN.min(every);
            return;
        }
        match self.write_readiness(name, looked).await {
            Ok(()) => {
                standing.told = Some(ready);
                standing.otherwise = 0;
                tracing::info!(playbook = %name, ready, "its readiness changed");
            }
            Err(error) => {
                tracing::error!(playbook = %name, %error, "its readiness cannot be written down now")
            }
        }
    }

    async fn write_readiness(&self, name: &Name, looked: &Looked) -> Result<(), CommandError> {
        let record =
            Record::Readiness { playbook: name.clone(), ready: looked.is_ready(), why: looked.why() };
        self.note(Stream::Playbook(name.clone()), record).await.map(drop)
    }

    fn count_ready(&self, set: &Playbooks) {
        let mut count = [0; 3];
        for (loaded, _) in set.active().filter(|(loaded, _)| self.disabled_by(&loaded.name).is_none()) {
            let at = match self.ready.last(&loaded.name, loaded.digest).map(|looked| looked.is_ready()) {
                Some(true) => 0,
                Some(false) => 1,
                None => 2,
            };
            count[at] += 1;
        }
        self.metrics.ready(count);
    }
}
