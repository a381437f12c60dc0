//! Deliveries become occurrences, occurrences become runs, or a record that says why not. One task, so a hundred
//! duplicates cannot race; matching never happens in a request.

mod confirming;
mod deliveries;
mod reconcile;

use super::App;
use super::confirm::Confirmed;
use super::dry::dry_plan;
use super::occurrence::{Open, State, verdict};
use crate::intake::occurrence::Occurrences;
use crate::kernel::domain::{
    Actor, Cause, Mode, Name, OccurrenceId, PlanSheet, PlaybookVerdict, Position, Reason, Record, Resolved,
    RunId, Seq, SourceKind, Span, Stamped, Stream, Time,
};
use crate::kernel::engine::{Command, alerts_cached};
use crate::kernel::journal::{Batch, ReadError};
use crate::playbook::{self, AlertView, Playbook};
use crate::provider::http::zabbix::{Details, Listing, Trouble};
use crate::worker::{CommandError, OpenError, Playbooks, Sick};
pub use reconcile::Reconciled;
use reconcile::Reconciling;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const CURSOR: &str = "triage";
const PAGE: u32 = 256;
/// An alert that cannot be confirmed for that long is not acted upon, unless its playbook says otherwise.
const UNCONFIRMED: Span = Span::mins(5);
/// A look again at what waits for a lock, a freeze or the store.
const LOOK_AGAIN: Span = Span::secs(15);

pub struct Triage {
    app: Arc<App>,
    cursor: Position,
    /// Where a start would begin to read.
    kept: Position,
    occurrences: Occurrences,
    /// Last sequence of each source's stream of alerts; this task is its only writer.
    seqs: BTreeMap<Name, Seq>,
    open: BTreeMap<OccurrenceId, Open>,
    looks: JoinSet<Looked>,
    reconciling: Reconciling,
}

enum Looked {
    Confirmed(OccurrenceId, Confirmed),
    Observed(OccurrenceId, Name, Result<PlanSheet, String>),
    Listed(Name, Result<Listing, Trouble>),
    Detailed(Name, Result<Details, Trouble>),
}

/// Runs until `stop`. A store that cannot be read is tried again; nothing is skipped.
pub async fn triage(app: Arc<App>, stop: CancellationToken) {
    let mut triage = loop {
        match Triage::load(app.clone()).await {
            Ok(triage) => break triage,
            Err(error) => {
                tracing::error!(%error, "triage cannot read the journal yet");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
                }
            }
        }
    };
    loop {
        let mut pause = Span::mins(10);
        if let Err(error) = triage.round().await {
            tracing::error!(%error, "triage cannot go on now");
            pause = Span::secs(1);
        }
        let now = triage.app.world.now();
        let due = triage.open.values().filter_map(Open::due).chain(triage.reconciling.due()).min();
        let due = due.unwrap_or(now + pause);
        let until = if pause < Span::mins(10) { now + pause } else { due };
        tokio::select! {
            () = stop.cancelled() => return,
            () = triage.app.wakes.triage.notified() => {}
            () = triage.app.world.sleep_until(until) => {}
            Some(looked) = triage.looks.join_next(), if !triage.looks.is_empty() => match looked {
                Ok(looked) => if let Err(error) = triage.on_looked(looked).await {
                    tracing::error!(%error, "what triage saw cannot be written down now");
                },
                Err(error) => tracing::error!(%error, "a look of triage panicked"),
            },
        }
    }
}

impl Triage {
    async fn load(app: Arc<App>) -> anyhow::Result<Triage> {
        let cursor = app.journal.backend().cursor(&CURSOR.into()).await?;
        let mut triage = Triage {
            app: app.clone(),
            cursor,
            kept: cursor,
            occurrences: Occurrences::default(),
            seqs: BTreeMap::new(),
            open: BTreeMap::new(),
            looks: JoinSet::new(),
            reconciling: Reconciling::of(&app),
        };
        if let Some(decided) = app.store.decided().await? {
            app.note_sealed(&decided.sealed);
            for (source, ended) in &decided.sealed.ends {
                triage.occurrences.sealed_away(source, *ended);
            }
        }
        for row in app.journal.backend().summaries("alerts:", 1_000).await? {
            let stream = row.stream;
            let Stream::Alerts(source) = &stream else { continue };
            let records = app.journal.read(&stream, 1).await?;
            triage.seqs.extend(records.last().map(|last| (source.clone(), last.seq)));
            for stamped in &records {
                triage.remember(source, stamped);
            }
        }
        triage.occurrences.forget(app.world.now());
        for service in app.services() {
            for stamped in app.journal.read(&Stream::Service(service.clone()), 1).await? {
                let Record::Joined { occurrence, run, .. } = stamped.record else { continue };
                if let Some(open) = triage.open.get_mut(&occurrence) {
                    open.service = Some(service.clone());
                    open.state = State::Attached(run);
                }
            }
        }
        Ok(triage)
    }

    fn remember(&mut self, source: &Name, stamped: &Stamped) {
        self.occurrences.apply(source, &stamped.record);
        match &stamped.record {
            Record::OccurrenceOpened { occurrence, kind, labels, annotations, started, delivery, .. } => {
                let open = Open {
                    id: occurrence.clone(),
                    source: source.clone(),
                    alert: view(source, *kind, labels, annotations),
                    labels: labels.clone(),
                    started: *started,
                    delivered: stamped.at,
                    delivery: *delivery,
                    service: None,
                    state: State::New,
                };
                self.open.insert(occurrence.clone(), open);
            }
            Record::OccurrenceClosed { occurrence, .. } => drop(self.open.remove(occurrence)),
            Record::NotStarted { occurrence, .. } => {
                if let Some(open) = self.open.get_mut(occurrence) {
                    open.state = State::Settled;
                }
            }
            _ => {}
        }
    }

    async fn round(&mut self) -> anyhow::Result<()> {
        self.take_deliveries().await?;
        let now = self.app.world.now();
        if self.app.look_now.swap(false, Ordering::Relaxed) {
            for open in self.open.values_mut() {
                if let State::Waits { until, .. } = &mut open.state {
                    *until = now;
                }
            }
        }
        let due: Vec<OccurrenceId> = self
            .open
            .values()
            .filter(|o| o.due().is_some_and(|at| at <= now))
            .map(|o| o.id.clone())
            .collect();
        for id in due {
            self.consider(&id).await?;
        }
        self.ask_sources(now);
        Ok(())
    }

    fn run_of(&self, id: &OccurrenceId) -> Option<RunId> {
        match &self.open.get(id)?.state {
            State::Attached(run) => Some(run.clone()),
            _ => None,
        }
    }

    /// A run hears that its cause is gone when the last of its occurrences closed.
    async fn tell_resolved(&self, run: &RunId) -> anyhow::Result<()> {
        let still = self.open.values().any(|o| matches!(&o.state, State::Attached(r) if r == run));
        if still {
            return Ok(());
        }
        match self.app.command(run, &Command::Resolved, &Actor::internal(), "").await {
            Ok(_) | Err(CommandError::Refused(_) | CommandError::NoSuchRun) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn consider(&mut self, id: &OccurrenceId) -> anyhow::Result<()> {
        let Some(open) = self.open.get(id).cloned() else { return Ok(()) };
        match &open.state {
            State::New | State::Waits { .. } => self.decide(&open).await,
            State::Confirming(confirming) => self.look(&open, confirming).await,
            State::Observing | State::Attached(_) | State::Settled => Ok(()),
        }
    }

    /// The first that matches starts, or begins to be confirmed; if none does, every playbook's verdict is on record.
    async fn decide(&mut self, open: &Open) -> anyhow::Result<()> {
        let playbooks = self.app.playbooks();
        let mut chosen: Option<(&Playbook, Span)> = None;
        let mut disabled: Option<&Playbook> = None;
        for (loaded, candidate) in playbooks.candidates(&open.alert) {
            let Ok(found) = playbook::match_alert(candidate, &open.alert) else { continue };
            // Another may start in its place; if there is none, the alert waits for it.
            if self.app.disabled_by(&loaded.name).is_some() {
                disabled = disabled.or(Some(candidate));
                continue;
            }
            chosen = Some((candidate, found.confirmed_for));
            break;
        }
        match chosen.or(disabled.map(|playbook| (playbook, Span::ZERO))) {
            None => self.not_started(&open.id, verdicts(&playbooks, &open.alert), None).await,
            Some((chosen, hold)) if hold > Span::ZERO && matches!(open.state, State::New) => {
                self.begin_confirming(open, chosen, hold, false).await
            }
            Some((chosen, hold)) => self.start(open, chosen, hold).await,
        }
    }

    async fn hold(
        &self,
        open: &Open,
        service: &Name,
        playbook: &Name,
        why: Vec<Reason>,
        until: Time,
    ) -> anyhow::Result<()> {
        let stream = Stream::Service(service.clone());
        let (occurrence, playbook) = (Some(open.id.clone()), Some(playbook.clone()));
        let record = Record::Held { why, occurrence, playbook, until };
        let seq = self.app.seq(&stream).await?;
        self.app.journal.write(self.app.world.now(), stream, Some(seq), record).await?;
        Ok(())
    }

    async fn on_looked(&mut self, looked: Looked) -> anyhow::Result<()> {
        match looked {
            Looked::Observed(id, name, Ok(sheet)) => {
                let why = vec![verdict(
                    &name,
                    true,
                    "PM5404",
                    "its mode is observe: this is what it would have done",
                )];
                self.not_started(&id, why, Some(sheet)).await
            }
            Looked::Observed(id, name, Err(error)) => {
                let says = format!("its mode is observe, and its plan could not be made: {error}");
                self.not_started(&id, vec![verdict(&name, true, "PM5404", says)], None).await
            }
            Looked::Confirmed(id, seen) => self.on_confirmed(&id, seen).await,
            Looked::Listed(source, listed) => {
                self.on_listed(source, listed);
                Ok(())
            }
            Looked::Detailed(source, detailed) => self.on_detailed(source, detailed).await,
        }
    }

    /// `hold`: how long the alert had to be confirmed. What was held is looked at again at its source first.
    async fn start(&mut self, open: &Open, chosen: &Playbook, hold: Span) -> anyhow::Result<()> {
        self.name_service(&open.id, &chosen.service);
        let spec = match self.app.resolve(chosen, cause(open), Some(&open.alert)) {
            Ok(spec) => spec,
            Err(problems) => {
                let says = format!("it cannot be resolved for this alert: {}", problems.join("; "));
                return self
                    .not_started(&open.id, vec![verdict(&chosen.name, true, "PM5407", says)], None)
                    .await;
            }
        };
        if chosen.mode == Mode::Observe {
            if let Some(why) = self.app.out_of_use(&chosen.name) {
                let why = vec![PlaybookVerdict { playbook: chosen.name.clone(), matched: true, why }];
                return self.not_started(&open.id, why, None).await;
            }
            let (app, id, name) = (self.app.clone(), open.id.clone(), chosen.name.clone());
            self.set(&open.id, State::Observing);
            self.looks.spawn(async move {
                let plan = dry_plan(&app, spec).await.map(|dry| dry.sheet).map_err(|e| e.to_string());
                Looked::Observed(id, name, plan)
            });
            return Ok(());
        }
        // An open run of the service is joined, whatever its limits say.
        if let Some(run) = self.app.open_run(&chosen.service).await? {
            return self.join(open, chosen, run).await;
        }
        let why = self.against(chosen, &spec).await?;
        if !why.is_empty() {
            return self.wait(open, chosen, why).await;
        }
        if matches!(open.state, State::Waits { .. }) {
            return self.begin_confirming(open, chosen, hold, true).await;
        }
        match self.app.open(spec, vec![open.id.clone()]).await {
            Ok(run) => {
                tracing::info!(%run, occurrence = %open.id, playbook = %chosen.name, "a run is opened");
                self.set(&open.id, State::Attached(run));
                Ok(())
            }
            Err(OpenError::Locked { key, by }) if key == format!("service:{}", chosen.service) => {
                self.join(open, chosen, by).await
            }
            Err(error @ (OpenError::Locked { .. } | OpenError::Used(_))) => {
                self.wait(open, chosen, vec![Reason::new("PM5408", error.to_string())]).await
            }
            Err(error @ OpenError::Frozen(_)) => {
                self.wait(open, chosen, vec![Reason::new("PM5410", error.to_string())]).await
            }
            Err(error @ OpenError::Disabled(_)) => {
                self.wait(open, chosen, vec![Reason::new("PM5420", error.to_string())]).await
            }
            Err(error @ OpenError::Clocks(_)) => {
                self.wait(open, chosen, vec![Reason::new("PM5506", error.to_string())]).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Everything that stands against a run now, whoever it would ask.
    async fn against(&self, chosen: &Playbook, spec: &Resolved) -> anyhow::Result<Vec<Reason>> {
        let app = &self.app;
        let mut why: Vec<Reason> = app.frozen().map(|says| Reason::new("PM5410", says)).into_iter().collect();
        why.extend(app.frozen_by(&chosen.service).map(|freeze| Reason::new("PM5410", freeze.says())));
        why.extend(app.out_of_use(&chosen.name));
        why.extend(app.locked(spec).await?);
        if spec.is_automatic() {
            why.extend(app.against(chosen, self.sick()).await?);
        }
        Ok(why)
    }

    /// Services with an open alert that some playbook waits for.
    fn sick(&self) -> Sick {
        let sick: BTreeSet<&Name> =
            self.open.values().filter(|o| o.is_sick()).filter_map(|o| o.service.as_ref()).collect();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let sick = Sick { sick: count(sick.len()), of: count(self.app.services().len()) };
        self.app.sick.store(sick.sick, Ordering::Relaxed);
        sick
    }

    /// No for now: on record when its reasons are new, and looked at again soon.
    async fn wait(&mut self, open: &Open, chosen: &Playbook, why: Vec<Reason>) -> anyhow::Result<()> {
        let until = self.app.world.now() + LOOK_AGAIN;
        let codes: Vec<String> = why.iter().map(|r| r.code.clone()).collect();
        let known = matches!(&open.state, State::Waits { said, .. } if *said == codes);
        if !known {
            tracing::warn!(occurrence = %open.id, playbook = %chosen.name, ?codes, "held for now");
            self.hold(open, &chosen.service, &chosen.name, why, until).await?;
        }
        self.set(&open.id, State::Waits { until, said: codes });
        Ok(())
    }

    fn name_service(&mut self, id: &OccurrenceId, service: &Name) {
        if let Some(open) = self.open.get_mut(id) {
            open.service = Some(service.clone());
        }
    }

    /// The service has an open run: this occurrence belongs to it.
    async fn join(&mut self, open: &Open, chosen: &Playbook, run: RunId) -> anyhow::Result<()> {
        // A run whose own alerts are all over is about to end: this alert is not over, and waits for its turn.
        let ending = self.app.run(&run).await?.is_none_or(|r| r.resolved || r.finished.is_some());
        if ending {
            let why = Reason::new("PM5408", format!("run {run} of this service is about to end"));
            return self.wait(open, chosen, vec![why]).await;
        }
        let stream = Stream::Service(chosen.service.clone());
        let says = "the service has an open run".to_owned();
        let record = Record::Joined { occurrence: open.id.clone(), run: run.clone(), says };
        let seq = self.app.seq(&stream).await?;
        self.app.journal.write(self.app.world.now(), stream, Some(seq), record).await?;
        self.set(&open.id, State::Attached(run));
        Ok(())
    }

    async fn not_started(
        &mut self,
        id: &OccurrenceId,
        why: Vec<PlaybookVerdict>,
        plan: Option<PlanSheet>,
    ) -> anyhow::Result<()> {
        let Some(open) = self.open.get(id).cloned() else { return Ok(()) };
        let record = Record::NotStarted {
            occurrence: id.clone(),
            delivery: open.delivery,
            labels: open.labels,
            why,
            plan: plan.map(Box::new),
        };
        let seq = self.seq(&open.source).await?;
        let stream = Stream::Alerts(open.source.clone());
        let summary = alerts_cached(&record).unwrap_or_default();
        let batch = Batch::new(self.app.world.now()).part(stream, Some(seq), vec![record]).summary(summary);
        let receipt = self.app.journal.append(batch).await?;
        self.seqs.insert(open.source.clone(), receipt.stamped.last().map_or(seq, |s| s.seq));
        self.set(id, State::Settled);
        Ok(())
    }

    /// Where a source's stream of alerts goes on from.
    async fn seq(&self, source: &Name) -> Result<Seq, ReadError> {
        match self.seqs.get(source) {
            Some(seq) => Ok(*seq),
            None => self.app.seq(&Stream::Alerts(source.clone())).await,
        }
    }

    fn set(&mut self, id: &OccurrenceId, state: State) {
        if let Some(open) = self.open.get_mut(id) {
            open.state = state;
        }
    }
}

/// Why each of them does not start.
fn verdicts(playbooks: &Playbooks, alert: &AlertView) -> Vec<PlaybookVerdict> {
    let rejected = playbooks.rejected();
    let rejected =
        rejected.map(|loaded| verdict(&loaded.name, false, "PM5401", "it has problems and is not active"));
    let others = playbooks.active().filter_map(|(loaded, playbook)| {
        let why = playbook::match_alert(playbook, alert).err()?;
        Some(PlaybookVerdict { playbook: loaded.name.clone(), matched: false, why })
    });
    rejected.chain(others).collect()
}

/// A recorded alert as playbooks see it.
pub fn view(
    source: &Name,
    kind: SourceKind,
    labels: &serde_json::Value,
    annotations: &serde_json::Value,
) -> AlertView {
    let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
    let pairs = |of: &serde_json::Value| -> BTreeMap<String, String> {
        of.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect()
    };
    AlertView::new(source.clone(), kind, pairs(labels), pairs(annotations))
}

fn cause(open: &Open) -> Cause {
    Cause::Alert {
        occurrences: vec![open.id.clone()],
        started: open.started,
        delivered: open.delivered,
        labels: open.labels.clone(),
    }
}
