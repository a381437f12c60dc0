//! What every surface and task of one instance shares, and the three verbs that write: open, command, record.

use super::bodies::Bodies;
use super::faults::ProcessDeath;
use super::limits::{Changes, Standing};
use super::reload::Shelf;
use super::{Metrics, Playbooks, Wakes};
use crate::audit;
use crate::config::Config;
use crate::kernel::domain::{
    Actor, Cause, Epoch, Name, OccurrenceId, Position, Record, Resolved, RunId, RunKind, Seq, Span, Stream,
    Time,
};
use crate::kernel::drive::opening;
use crate::kernel::engine::tell::tell;
use crate::kernel::engine::{Command, Illegal, Refused, Run, Summary};
use crate::kernel::inject::Injector;
use crate::kernel::journal::{AppendError, Batch, Journal, ReadError};
use crate::kernel::port::{Ctx, Ledger as _, World};
use crate::playbook::{self, AlertView, Opening, Playbook};
use crate::provider::ProviderRegistry;
use crate::provider::postgres::sampler::Ring;
use crate::store::{Checkpoints, SqliteStore};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex, MutexGuard};

/// Races with the driver and with other people that are tried again before giving up.
const RACES: u32 = 20;
pub struct App {
    pub journal: Journal,
    pub store: Arc<SqliteStore>,
    /// None: it could not be opened. Nothing but questions to the record depends on it.
    pub audit: Option<audit::Index>,
    /// Signs where the chain ends.
    pub checkpoints: Arc<Checkpoints>,
    pub config: Arc<Config>,
    pub registry: Arc<ProviderRegistry>,
    /// The registry as runs use it: with the faults that a drill asks for.
    pub faults: Injector,
    /// What `changes_per_hour` counts.
    pub changes: Arc<Changes>,
    /// See `App::playbooks`.
    pub(super) shelf: Shelf,
    pub world: Arc<dyn World>,
    pub samples: Arc<Ring>,
    pub wakes: Wakes,
    /// The last looks at old primaries.
    pub board: super::watch::Board,
    pub metrics: Metrics,
    pub bodies: Bodies,
    /// How each channel of notices fares.
    pub channels: super::outbox::Board,
    pub(super) clicks: super::slack::Clicks,
    pub(crate) doors: super::doors::Doors,
    pub(super) wishes: super::codes::Wishes,
    pub(super) looks: super::looks::Looks,
    /// Held while the journal is counted for a cut, or cut.
    pub(super) retaining: tokio::sync::Mutex<()>,
    /// By source: the newest end of an occurrence whose records are sealed away, or about to be.
    pub(super) sealed_ends: Mutex<BTreeMap<Name, Time>>,
    /// The last look at each playbook: whether it would work.
    pub ready: super::ready::Board,
    /// When each source's heartbeat was last heard.
    pub(super) pulses: super::watchdog::Pulses,
    /// How the last look at what stands at each source went.
    pub(super) reconciled: super::triage::Reconciled,
    /// This process, unlike any other and any earlier one.
    pub owner: String,
    /// The last append failed; the next one that works clears it.
    pub store_failing: AtomicBool,
    /// Why nothing may start until a person has looked.
    frozen: Mutex<Option<String>>,
    clocks: Mutex<Option<String>>,
    /// What people and the storm breaker said last.
    standing: Mutex<Standing>,
    /// Services with an alert that a playbook waits for, as triage counts them.
    pub sick: AtomicU32,
    /// A person let something go: whatever waits is looked at again now.
    pub look_now: AtomicBool,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("frozen: {0}")]
    Frozen(String),
    /// Only what nobody asked for; a person may start it.
    #[error("{0}")]
    Clocks(String),
    /// People took its playbook out of use.
    #[error("{0}")]
    Disabled(String),
    /// The name that was asked for has a run.
    #[error("run {0} was opened by it")]
    Used(RunId),
    #[error("{key} is locked by run {by}")]
    Locked { key: String, by: RunId },
    #[error("{0}")]
    Store(String),
}

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("there is no such run")]
    NoSuchRun,
    #[error(transparent)]
    Refused(Refused),
    /// It is not known whether the record was kept.
    #[error("{0}")]
    Doubt(String),
    #[error("{0}")]
    Store(String),
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        OpenError::Store(error.to_string())
    }
}
impl From<Illegal> for OpenError {
    fn from(error: Illegal) -> Self {
        OpenError::Store(error.to_string())
    }
}
impl From<ReadError> for CommandError {
    fn from(error: ReadError) -> Self {
        CommandError::Store(error.to_string())
    }
}
impl From<AppendError> for CommandError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Doubt(why) => CommandError::Doubt(why),
            other => CommandError::Store(other.to_string()),
        }
    }
}
impl From<Illegal> for CommandError {
    fn from(error: Illegal) -> Self {
        CommandError::Store(error.to_string())
    }
}

/// What one instance is made of.
pub struct Parts {
    pub store: Arc<SqliteStore>,
    pub audit: Option<audit::Index>,
    pub checkpoints: Checkpoints,
    pub config: Arc<Config>,
    pub registry: Arc<ProviderRegistry>,
    pub playbooks: Playbooks,
    pub world: Arc<dyn World>,
    pub samples: Arc<Ring>,
    pub owner: String,
    pub frozen: Option<String>,
}

impl App {
    pub fn new(parts: Parts) -> App {
        let metrics = Metrics::default();
        metrics.playbooks(&parts.playbooks);
        metrics.reloaded(true);
        let pulses = super::watchdog::Pulses::new(parts.world.now());
        App {
            journal: Journal::new(parts.store.clone()),
            store: parts.store,
            audit: parts.audit,
            checkpoints: Arc::new(parts.checkpoints),
            changes: Arc::new(Changes::new(parts.config.changes_per_hour)),
            config: parts.config,
            faults: Injector::new(parts.registry.clone(), Arc::new(ProcessDeath)),
            registry: parts.registry,
            shelf: Shelf::new(parts.playbooks),
            world: parts.world,
            samples: parts.samples,
            wakes: Wakes::default(),
            board: super::watch::Board::default(),
            metrics,
            bodies: Bodies::default(),
            channels: Default::default(),
            clicks: Default::default(),
            doors: Default::default(),
            wishes: Default::default(),
            looks: Default::default(),
            retaining: Default::default(),
            sealed_ends: Mutex::default(),
            ready: Default::default(),
            pulses,
            reconciled: Default::default(),
            owner: parts.owner,
            store_failing: AtomicBool::new(false),
            frozen: Mutex::new(parts.frozen),
            clocks: Mutex::default(),
            standing: Mutex::default(),
            sick: AtomicU32::new(0),
            look_now: AtomicBool::new(false),
        }
    }

    /// For a look outside of a run's own pass, done within `within`.
    pub(super) fn ctx(&self, run: &RunId, service: &Name, epoch: Epoch, within: Span) -> Ctx {
        let now = self.world.now();
        Ctx {
            world: self.world.clone(),
            samples: self.samples.clone(),
            began: now,
            deadline: now + within,
            run: run.clone(),
            service: service.clone(),
            epoch,
            since: None,
        }
    }

    fn frozen_now(&self) -> MutexGuard<'_, Option<String>> {
        self.frozen.lock().expect("invariant: no panic while holding the lock")
    }

    /// Clocks that differ, in words.
    pub fn clock_finding(&self) -> Option<String> {
        self.clocks.lock().expect("invariant: no panic while holding the lock").clone()
    }

    pub(super) fn set_clock_finding(&self, found: Option<String>) {
        *self.clocks.lock().expect("invariant: no panic while holding the lock") = found;
    }

    /// What was seen shows that this journal may not be trusted; only a person thaws it.
    pub(super) fn freeze_itself(&self, why: String) {
        *self.frozen_now() = Some(why);
    }

    /// Why nothing may start.
    pub fn frozen(&self) -> Option<String> {
        self.frozen_now().clone()
    }

    pub(super) fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().expect("invariant: no panic while holding the lock")
    }

    /// A person has looked at a journal behind its head: the record is written; now the head file, then runs may start.
    pub(super) async fn thaw_itself(&self) -> Result<(), CommandError> {
        self.store.accept_head().await.map_err(|e| CommandError::Store(e.to_string()))?;
        let (position, signed) = self.checkpoints.last();
        if position > 0 && self.store.hash_at(position).await? != Some(signed) {
            let aside = self.checkpoints.begin_anew().map_err(|e| CommandError::Store(e.to_string()))?;
            tracing::warn!(kept = %aside.display(), "checkpoints of a journal that is no more were put aside as evidence");
        }
        *self.frozen_now() = None;
        Ok(())
    }

    pub async fn run(&self, id: &RunId) -> Result<Option<Run>, CommandError> {
        let records = self.journal.read(&Stream::Run(id.clone()), 1).await?;
        match records.is_empty() {
            true => Ok(None),
            false => {
                let mut run = Run::fold(&records)?;
                run.spent = Some(self.changes.spent(id, self.world.now()));
                Ok(Some(run))
            }
        }
    }

    /// Newest first.
    pub async fn summaries(&self, max: u32) -> Result<Vec<Summary>, ReadError> {
        let rows = self.journal.backend().summaries("run:", max).await?;
        rows.into_iter()
            .map(|row| {
                let bad = |why: &str| ReadError(format!("summary of {}: {why}", row.stream));
                let (first, last) = row.first.zip(row.last).ok_or_else(|| bad("it has no records"))?;
                Summary::of_cached(row.value, first, last).map_err(|why| bad(&why))
            })
            .collect()
    }

    pub async fn first_record(&self, stream: &Stream) -> Result<Option<Record>, ReadError> {
        Ok(self.store.first(stream).await?.map(|s| s.record))
    }

    /// Last sequence of a stream that only this task writes to.
    pub async fn seq(&self, stream: &Stream) -> Result<Seq, ReadError> {
        self.journal.backend().last_seq(stream).await
    }

    /// A playbook made concrete for one run. The run's name is new; its epoch is set when it opens.
    pub fn resolve(
        &self,
        playbook: &Playbook,
        cause: Cause,
        alert: Option<&AlertView>,
    ) -> Result<Resolved, Vec<String>> {
        let opening = Opening {
            run: RunId::from_random(self.world.random()),
            epoch: 0,
            owner: self.owner.clone(),
            cause,
            alert: alert.cloned(),
        };
        playbook::resolve(playbook, &self.config, opening)
            .map_err(|problems| problems.into_iter().map(|p| p.to_string()).collect())
    }

    /// Opens a run, takes its locks and attaches `occurrences`, all in one batch or not at all.
    pub async fn open(&self, spec: Resolved, occurrences: Vec<OccurrenceId>) -> Result<RunId, OpenError> {
        self.open_as(spec, occurrences, false).await
    }

    /// Opens the run of a plan, under the plan's own name: its stream begins once, so the plan is used once.
    pub async fn open_planned(&self, spec: Resolved) -> Result<RunId, OpenError> {
        self.open_as(spec, vec![], true).await
    }

    async fn open_as(
        &self,
        mut spec: Resolved,
        occurrences: Vec<OccurrenceId>,
        named: bool,
    ) -> Result<RunId, OpenError> {
        if let Some(why) = self.frozen() {
            return Err(OpenError::Frozen(why));
        }
        if let Some(why) = self.clock_finding().filter(|_| spec.is_automatic()) {
            return Err(OpenError::Clocks(why));
        }
        if let Some(freeze) = self.frozen_by(&spec.service) {
            return Err(OpenError::Frozen(freeze.says()));
        }
        // An old primary that is back is fenced, whatever people say of the playbook that moved its service.
        if spec.kind != RunKind::Refence
            && let Some(disabled) = self.disabled_by(&spec.playbook)
        {
            return Err(OpenError::Disabled(disabled.says()));
        }
        let service = Stream::Service(spec.service.clone());
        for _ in 0..RACES {
            spec.epoch = self.journal.backend().epoch(&spec.service).await? + 1;
            spec.owner = self.owner.clone();
            let (run, now) = (spec.run.clone(), self.world.now());
            let joined = occurrences
                .iter()
                .map(|o| Record::Joined { occurrence: o.clone(), run: run.clone(), says: "opened it".into() })
                .collect::<Vec<_>>();
            let mut batch = opening(&spec, now)?;
            if !joined.is_empty() {
                batch = batch.part(service.clone(), Some(self.seq(&service).await?), joined);
            }
            match self.journal.append(batch).await {
                Ok(_) => {
                    // A freeze that came at the same moment has either seen this run, or is seen here.
                    if let Err(error) = self.tell_freezes(&run).await {
                        tracing::error!(%run, %error, "it is told of freezes before its first pass");
                    }
                    self.wakes.run(run.clone());
                    return Ok(run);
                }
                Err(AppendError::Moved { .. } | AppendError::Deposed { .. }) if named => {
                    if self.has_run(&run).await? {
                        return Err(OpenError::Used(run));
                    }
                }
                Err(AppendError::Moved { .. } | AppendError::Deposed { .. }) => {
                    spec.run = RunId::from_random(self.world.random());
                }
                Err(AppendError::Locked { key, by }) => return Err(OpenError::Locked { key, by: by.into() }),
                Err(error) => return Err(OpenError::Store(error.to_string())),
            }
        }
        Err(OpenError::Store("too many others write at the same time".into()))
    }

    pub async fn has_run(&self, run: &RunId) -> Result<bool, ReadError> {
        Ok(self.store.first(&Stream::Run(run.clone())).await?.is_some())
    }

    /// A person's or triage's word to a run: load, ask the engine, append; again when somebody wrote first.
    pub async fn command(
        &self,
        id: &RunId,
        command: &Command,
        by: &Actor,
        reason: &str,
    ) -> Result<(Position, String), CommandError> {
        for _ in 0..RACES {
            let run = self.run(id).await?.ok_or(CommandError::NoSuchRun)?;
            let now = self.world.now();
            let record = run.decide(command, by, reason, now).map_err(CommandError::Refused)?;
            let says = tell(&record, Some(&run.spec));
            let summary = run.with(&record, now)?.summary().cached();
            let batch = Batch::new(now).part(Stream::Run(id.clone()), Some(run.seq), vec![record]);
            match self.journal.append(batch.summary(summary)).await {
                Ok(receipt) => {
                    let position = receipt.stamped.last().map_or(0, |s| s.position);
                    self.wakes.run(id.clone());
                    return Ok((position, says));
                }
                Err(AppendError::Moved { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommandError::Store("too many others write to this run at the same time".into()))
    }

    /// Sites and services that a person may name.
    pub fn services(&self) -> Vec<Name> {
        let mut services: Vec<Name> = self.playbooks().active().map(|(_, p)| p.service.clone()).collect();
        services.sort();
        services.dedup();
        services
    }
}
