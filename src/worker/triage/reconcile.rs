//! What was told while nobody listened: each Zabbix is asked at the start and every minute what stands there now. Problems that a
//! playbook waits for and of which nothing was ever heard are taken in like a delivery, in a format of their own; open alerts
//! whose problem is over, by the word of its own event, close. Silence, a refusal, an event that is not shown change nothing.
//!
//! Only triage asks and only triage decides, so that a message which comes at the same moment is the same occurrence.

use super::{Looked, Triage};
use crate::intake::zabbix::{Found, Over, parse_found, stands};
use crate::intake::{Alert, Format};
use crate::kernel::domain::{Delivered, Digest, Name, Record, SourceKind, Span, Stream, Time};
use crate::kernel::journal::{Batch, Row};
use crate::playbook::{self, AlertView};
use crate::provider::http::zabbix::{Details, Listing, Trouble, details, open_problems};
use crate::worker::zabbix::{zabbix_of, zabbix_token};
use crate::worker::{App, Playbooks};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// For all questions of one look.
const WITHIN: Duration = Duration::from_secs(60);
/// A look that never came back is begun again.
const LOST: Span = Span::mins(2);
/// Where it was not reached, it is tried again soon.
const AGAIN: Span = Span::secs(15);
/// Events that one look asks more about; further ones with the next.
const MOST: usize = 500;

/// The looks at each source.
#[derive(Default)]
pub(super) struct Reconciling {
    sources: BTreeMap<Name, Asking>,
    /// Those that were in force when `unwanted` was said.
    playbooks: Option<Arc<Playbooks>>,
}

struct Asking {
    every: Span,
    due: Time,
    /// Problems that no playbook waits for, with the severity that they had then.
    unwanted: HashMap<String, String>,
}

impl Reconciling {
    pub(super) fn of(app: &App) -> Reconciling {
        let now = app.world.now();
        let asked = app.config.sources.iter().filter_map(|(name, source)| Some((name, source.reconcile?)));
        let asking = |every: Span| Asking { every, due: now, unwanted: HashMap::new() };
        let sources = asked.map(|(name, every)| (name.clone(), asking(every))).collect();
        Reconciling { sources, playbooks: None }
    }

    pub(super) fn due(&self) -> Option<Time> {
        self.sources.values().map(|asking| asking.due).min()
    }

    /// What no playbook wanted may be what another one waits for.
    fn look_again_if_changed(&mut self, playbooks: &Arc<Playbooks>) {
        if !self.playbooks.as_ref().is_some_and(|known| Arc::ptr_eq(known, playbooks)) {
            self.sources.values_mut().for_each(|asking| asking.unwanted.clear());
            self.playbooks = Some(playbooks.clone());
        }
    }

    /// Where it was not reached, it is tried again soon.
    fn answered(&mut self, source: &Name, now: Time, answered: bool) {
        let Some(asking) = self.sources.get_mut(source) else { return };
        asking.due = now + if answered { asking.every } else { asking.every.min(AGAIN) };
    }
}

/// How the last look at each source went: whether what it never told is found out. For `ready`.
#[derive(Default)]
pub struct Reconciled(Mutex<BTreeMap<Name, Result<(), String>>>);

impl Reconciled {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Name, Result<(), String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None: it was not looked at since the start.
    pub fn of(&self, source: &Name) -> Option<Result<(), String>> {
        self.all().get(source).cloned()
    }

    /// Told where it changed.
    fn note(&self, source: &Name, failed: Option<&Trouble>) {
        let before =
            self.all().insert(source.clone(), failed.map_or(Ok(()), |trouble| Err(trouble.to_string())));
        match (failed, before) {
            (Some(trouble), None | Some(Ok(()))) => {
                tracing::warn!(%source, %trouble, "what stands at the source cannot be asked; what it never told is not known");
            }
            (None, Some(Err(_))) => tracing::info!(%source, "the source can be asked again"),
            (Some(_), Some(Err(_))) | (None, None | Some(Ok(()))) => {}
        }
    }
}

impl Triage {
    /// Asks in the background: a slow source must not hold up alerts.
    pub(super) fn ask_sources(&mut self, now: Time) {
        self.reconciling.look_again_if_changed(&self.app.playbooks());
        for (name, asking) in self.reconciling.sources.iter_mut().filter(|(_, asking)| asking.due <= now) {
            asking.due = now + LOST;
            let (app, name) = (self.app.clone(), name.clone());
            self.looks.spawn(async move {
                let listed = bounded(list(&app, &name)).await;
                Looked::Listed(name, listed)
            });
        }
    }

    /// Asks more about what was never heard of, and about what is open here and does not stand there.
    pub(super) fn on_listed(&mut self, source: Name, listed: Result<Listing, Trouble>) {
        let now = self.app.world.now();
        let listing = match listed {
            Ok(listing) => listing,
            Err(trouble) => return self.looked(&source, now, Some(&trouble)),
        };
        if listing.cut {
            tracing::warn!(%source, "more problems stand there than are looked at");
        }
        let standing: BTreeSet<&str> = listing.problems.iter().map(|p| p.eventid.as_str()).collect();
        let gone =
            self.open.values().filter(|open| open.source == source && open.alert.kind == SourceKind::Zabbix);
        let gone = gone
            .filter_map(|open| open.alert.labels.get("event_id"))
            .filter(|id| !standing.contains(id.as_str()));
        let mut events: Vec<String> = gone.take(MOST).cloned().collect();
        let unwanted = self.reconciling.sources.get_mut(&source).map(|asking| &mut asking.unwanted);
        if let Some(unwanted) = unwanted {
            unwanted.retain(|event, _| standing.contains(event.as_str()));
            let unheard = listing.problems.iter().filter(|problem| {
                !problem.is_suppressed()
                    && self.occurrences.newest(&source, &problem.eventid).is_none()
                    && unwanted.get(&problem.eventid) != Some(&problem.severity)
            });
            events.extend(unheard.take(MOST).map(|problem| problem.eventid.clone()));
        }
        if events.is_empty() {
            return self.looked(&source, now, None);
        }
        let app = self.app.clone();
        self.looks.spawn(async move {
            let detailed = bounded(detail(&app, &source, &events)).await;
            Looked::Detailed(source, detailed)
        });
    }

    fn looked(&mut self, source: &Name, now: Time, failed: Option<&Trouble>) {
        self.reconciling.answered(source, now, failed.is_none());
        self.app.reconciled.note(source, failed);
    }

    /// Takes in what a playbook waits for, and what is over.
    pub(super) async fn on_detailed(
        &mut self,
        source: Name,
        detailed: Result<Details, Trouble>,
    ) -> anyhow::Result<()> {
        let now = self.app.world.now();
        self.looked(&source, now, detailed.as_ref().err());
        let Ok(Details { standing, over }) = detailed else { return Ok(()) };
        let mut found = Found::default();
        for event in standing {
            let alert = match stands(&event) {
                Ok(alert) => alert,
                Err(why) => {
                    tracing::warn!(%source, why, "what Zabbix says of an event cannot be understood");
                    continue;
                }
            };
            if self.occurrences.newest(&source, &alert.fingerprint).is_some() {
                continue;
            }
            if self.is_wanted(&source, &alert) {
                found.standing.push(event);
            } else if let Some(asking) = self.reconciling.sources.get_mut(&source) {
                let severity = event["severity"].as_str().unwrap_or_default().to_owned();
                asking.unwanted.insert(alert.fingerprint, severity);
            }
        }
        found.over = over.into_iter().map(|(eventid, r_eventid)| Over { eventid, r_eventid }).collect();
        found.over.retain(|over| {
            self.occurrences.newest(&source, &over.eventid).is_some_and(|known| known.ended.is_none())
        });
        match found == Found::default() {
            true => Ok(()),
            false => self.keep_found(source, &found).await,
        }
    }

    /// A disabled playbook waits for it as well: the alert is held then.
    fn is_wanted(&self, source: &Name, alert: &Alert) -> bool {
        let heartbeat = self.app.config.sources.get(source).and_then(|source| source.heartbeat.as_ref());
        if heartbeat.is_some_and(|heartbeat| heartbeat.is_beat(&alert.labels)) {
            return false;
        }
        let (labels, annotations) = (alert.labels.clone(), alert.annotations.clone());
        let view = AlertView::new(source.clone(), SourceKind::Zabbix, labels, annotations);
        let playbooks = self.app.playbooks();
        let mut candidates = playbooks.candidates(&view);
        candidates.any(|(_, candidate)| playbook::match_alert(candidate, &view).is_ok())
    }

    /// On record as what it is, before anything comes of it.
    async fn keep_found(&self, source: Name, found: &Found) -> anyhow::Result<()> {
        let kept = serde_json::to_vec(found)?;
        // Read as it will be read again: what cannot be, is not kept.
        let delivery = parse_found(&kept)?;
        let (digest, bytes) = (Digest::of(&kept), kept.len());
        tracing::warn!(
            %source, standing = found.standing.len(), over = found.over.len(),
            "the source was asked, and knows of what no message told of"
        );
        self.app.metrics.found(&source, delivery.alerts.len());
        let record = Record::Delivered(Delivered {
            source: source.clone(),
            format: Format::ZabbixFound.as_str().into(),
            digest,
            bytes: bytes as u64,
            alerts: u32::try_from(delivery.alerts.len()).unwrap_or(u32::MAX),
            truncated: 0,
            peer: String::new(),
            unread: None,
        });
        self.app.bodies.remember(Format::ZabbixFound, digest, bytes, Arc::new(delivery));
        let batch = Batch::new(self.app.world.now())
            .part(Stream::Source(source), None, vec![record])
            .row(Row::Content { digest, bytes: kept });
        self.app.journal.append(batch).await?;
        self.app.wakes.triage.notify_one();
        Ok(())
    }
}

async fn bounded<T>(asked: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    let late = |_| Err(Trouble::Lost(format!("no whole answer within {} s", WITHIN.as_secs())));
    tokio::time::timeout(WITHIN, asked).await.unwrap_or_else(late)
}

async fn list(app: &App, name: &Name) -> Result<Listing, Trouble> {
    let Some(source) = app.config.sources.get(name) else { return Ok(Listing::default()) };
    let token = zabbix_token(source)?;
    open_problems(&zabbix_of(app, source, token.as_ref())).await
}

async fn detail(app: &App, name: &Name, events: &[String]) -> Result<Details, Trouble> {
    let Some(source) = app.config.sources.get(name) else { return Ok(Details::default()) };
    let token = zabbix_token(source)?;
    details(&zabbix_of(app, source, token.as_ref()), events).await
}
