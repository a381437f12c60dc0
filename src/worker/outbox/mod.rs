//! The outbox: one task for each channel follows the journal and tells what it is for. The journal is the queue, so that
//! nothing has to be written for a notice to exist, and a run never waits for one; what is kept is how far each channel
//! has got. At least once: after a crash some are told again, with the same id.

mod lanes;
mod load;
mod personal;
mod signed;
mod test;
mod write_back;

pub use test::TestError;

use super::App;
use crate::config::{Channel as Configured, ChannelKind, Topic};
use crate::kernel::domain::{Name, Position, Span, Stamped, Stream, Time};
use crate::kernel::journal::ReadError;
use crate::notify::{self, Channel, Delivery, Matter, Poster, Pull, Tools};
use crate::store::Told;
use futures_util::FutureExt as _;
use lanes::{Lanes, Next, Verdict, Waiting};
use load::Runs;
use personal::{LINKS, send_links};
use serde::Serialize;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use write_back::WriteBack;

const PAGE: u32 = 200;
/// Notices that a channel holds in memory; further ones wait in the journal.
const KEPT: usize = 5_000;
/// Nobody wants to read it any more.
const TOO_OLD: Span = Span::mins(24 * 60);
/// For one notice, whatever a channel does.
const PATIENCE: Duration = Duration::from_secs(25);
/// What is on its way may end when the process stops.
const LAST: Duration = Duration::from_secs(2);
/// In case that a bell was missed.
const LOOK: Duration = Duration::from_secs(1);
/// Records that are for nobody, until the position is kept all the same.
const STRIDE: Position = 1_000;

/// How a channel fares, for `status`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ChannelState {
    pub waiting: usize,
    pub told: u64,
    pub skipped: u64,
    pub last: Option<Time>,
    pub failing_since: Option<Time>,
    pub says: Option<String>,
}

#[derive(Default)]
pub struct Board(Mutex<BTreeMap<Name, ChannelState>>);

impl Board {
    pub(in crate::worker) fn set(&self, name: &Name, change: impl FnOnce(&mut ChannelState)) {
        let mut states = self.0.lock().expect("invariant: no panic while holding the lock");
        change(states.entry(name.clone()).or_default());
    }
    pub fn all(&self) -> BTreeMap<Name, ChannelState> {
        self.0.lock().expect("invariant: no panic while holding the lock").clone()
    }
}

/// Where each channel stands; a new one begins with what comes from now on. Before any task writes a record.
pub async fn begin_notices(app: &App) -> anyhow::Result<Vec<(Name, Told)>> {
    let head = app.journal.backend().head().await?.position;
    let mut channels = vec![];
    let links = Name::from(LINKS);
    let reached = app.config.people.values().any(|person| !app.config.reach(person).is_empty());
    let personal = (reached && app.config.web.is_private()).then_some(&links);
    let zabbix: Vec<Name> = write_back::wanted(app).map(|(source, _)| write_back::name(source)).collect();
    for name in app.config.channels.keys().chain(personal).chain(&zabbix) {
        let mut told = app.store.told(name).await?;
        if told.as_ref().is_some_and(|told| told.position > head) {
            tracing::warn!(channel = %name, "it was told of records that this journal does not have; it goes on at its end");
            told = None;
        }
        let told = match told {
            Some(told) => told,
            None => {
                app.store.put_notice_cursor(name, head);
                Told { position: head, ..Told::default() }
            }
        };
        app.metrics.channel(name);
        app.channels.set(name, |_| {});
        channels.push((name.clone(), told));
    }
    app.store.flush().await?;
    Ok(channels)
}

/// `serve` runs it until `stop`.
pub async fn send_notices(app: Arc<App>, channels: Vec<(Name, Told)>, stop: CancellationToken) {
    let tools = Tools { poster: Arc::new(Poster::default()), store: app.store.clone() };
    let mut tasks = JoinSet::new();
    for (name, told) in channels {
        if name.as_str() == LINKS {
            tasks.spawn(send_links(app.clone(), told.position, stop.clone()));
            continue;
        }
        let errand = match (app.config.channels.get(&name), WriteBack::of(&app, &name)) {
            (Some(configured), _) => Errand::People(Box::new(ToPeople {
                configured: configured.clone(),
                channel: notify::open(&name, configured, &tools),
                runs: Runs::default(),
                signed: signed::Due::default(),
            })),
            (None, Some(zabbix)) => Errand::Zabbix(zabbix),
            (None, None) => continue,
        };
        let kept = told.position;
        let (app, lanes) = (app.clone(), Lanes::default());
        let outbox = Outbox { app, name, errand, lanes, read_to: kept, kept, told };
        tasks.spawn(outbox.work(stop.clone()));
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a channel of notices ended badly");
        }
    }
}

struct Outbox {
    app: Arc<App>,
    name: Name,
    errand: Errand,
    lanes: Lanes,
    /// Records up to here are in `lanes`, or for others.
    read_to: Position,
    /// The position that the store was given last.
    kept: Position,
    told: Told,
}

/// Whom a queue is for.
enum Errand {
    People(Box<ToPeople>),
    Zabbix(WriteBack),
}

/// A channel of the configuration.
struct ToPeople {
    configured: Configured,
    channel: Box<dyn Channel>,
    runs: Runs,
    /// Of checkpoints, where this channel gets them.
    signed: signed::Due,
}

impl Outbox {
    async fn work(mut self, stop: CancellationToken) {
        let mut bell = self.app.store.follow();
        while !stop.is_cancelled() {
            bell.mark_unchanged();
            if let Err(error) = self.fill().await {
                tracing::warn!(channel = %self.name, %error, "the journal cannot be read for notices now");
            }
            self.keep();
            let now = self.app.world.now();
            let wake = match self.lanes.next(now) {
                Next::Now(stream, position) => {
                    tokio::select! {
                        () = self.one(&stream, position) => {}
                        () = async { stop.cancelled().await; tokio::time::sleep(LAST).await } => return,
                    }
                    continue;
                }
                Next::At(at) => at,
                Next::Nothing => {
                    tokio::select! {
                        () = self.checkpoint() => {}
                        () = stop.cancelled() => {}
                    }
                    now + Span::secs(1)
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.app.world.sleep_until(wake) => {}
                // Whatever waits is not made faster by a new record; but a new one may be for another lane.
                _ = tokio::time::timeout(LOOK, bell.changed()) => {}
            }
        }
        self.keep();
    }

    /// Reads on in the journal, as far as there is room.
    async fn fill(&mut self) -> Result<(), ReadError> {
        while self.lanes.len() < KEPT {
            let records = self.app.journal.scan(self.read_to + 1, PAGE).await?;
            if records.is_empty() {
                break;
            }
            for stamped in records {
                self.look_at(&stamped).await?;
                self.read_to = stamped.position;
            }
        }
        let waiting = self.lanes.len();
        self.app.channels.set(&self.name, |state| state.waiting = waiting);
        self.app.metrics.notices_waiting(&self.name, waiting);
        Ok(())
    }

    async fn look_at(&mut self, stamped: &Stamped) -> Result<(), ReadError> {
        if self.told.done.remove(&stamped.position) {
            return Ok(());
        }
        let place = match &mut self.errand {
            Errand::People(people) => people.place(&self.app, stamped).await?,
            Errand::Zabbix(zabbix) => zabbix.lane(stamped).map(|lane| (lane, false)),
        };
        let Some((lane, urgent)) = place else { return Ok(()) };
        if self.app.world.now().since(stamped.at) > TOO_OLD {
            tracing::error!(channel = %self.name, position = stamped.position, "a notice of more than a day ago is not told any more");
            self.app.metrics.notice(&self.name, "too_old");
            self.app.channels.set(&self.name, |state| state.skipped += 1);
            return Ok(());
        }
        self.lanes.push(lane, Waiting { position: stamped.position, urgent });
        Ok(())
    }

    /// One try to tell one notice.
    async fn one(&mut self, stream: &Stream, position: Position) {
        // A notice that makes us fall over must not take the others with it.
        let tried = AssertUnwindSafe(self.tried(stream, position)).catch_unwind().await;
        let now = self.app.world.now();
        let delivery = match tried {
            Ok(Some(delivery)) => delivery,
            // Nothing is to be told after all.
            Ok(None) => return self.finished(stream, position, false, Span::ZERO),
            Err(_) => Delivery::Refused("it cannot be put into words".to_owned()),
        };
        match delivery {
            Delivery::Done => {
                self.app.metrics.notice(&self.name, "told");
                self.app.channels.set(&self.name, |state| {
                    state.told += 1;
                    (state.last, state.failing_since, state.says) = (Some(now), None, None);
                });
                let pace = match &self.errand {
                    Errand::People(people) => people.channel.pace(),
                    Errand::Zabbix(_) => Span::ZERO,
                };
                self.finished(stream, position, true, pace);
            }
            Delivery::Refused(says) => self.skip(stream, position, &says),
            Delivery::Failed { says, after, answered } => {
                tracing::warn!(channel = %self.name, position, %says, "a notice could not be told, and is tried again");
                self.app.metrics.notice(&self.name, "failed");
                self.app.channels.set(&self.name, |state| {
                    state.failing_since.get_or_insert(now);
                    state.says = Some(says.clone());
                });
                let chance = self.app.world.random();
                if self.lanes.failed(stream, now, after, answered, chance) == Verdict::Poison {
                    self.skip(
                        stream,
                        position,
                        &format!("tried again and again while others got through: {says}"),
                    );
                }
            }
        }
    }

    async fn tried(&self, stream: &Stream, position: Position) -> Option<Delivery> {
        let late = |_| Some(Delivery::unreachable("it did not answer in time"));
        let people = match &self.errand {
            Errand::People(people) => people,
            Errand::Zabbix(zabbix) => {
                let delivered = tokio::time::timeout(PATIENCE, zabbix.deliver(&self.app, position)).await;
                return delivered.unwrap_or_else(late);
            }
        };
        let notice = match load::notice(&self.app, stream, position).await {
            Ok(notice) => notice?,
            Err(error) => return Some(Delivery::unreachable(error)),
        };
        let delivered = tokio::time::timeout(PATIENCE, people.channel.deliver(&notice)).await;
        delivered.map_or_else(late, Some)
    }

    /// Said loudly, since nobody else will tell it.
    fn skip(&mut self, stream: &Stream, position: Position, says: &str) {
        tracing::error!(channel = %self.name, position, %says, "a notice was GIVEN UP; read the record with `pointsman audit show`");
        self.app.metrics.notice(&self.name, "given_up");
        let words = format!("the notice of record {position} was given up: {says}");
        self.app.channels.set(&self.name, |state| {
            state.skipped += 1;
            state.says = Some(words);
        });
        self.finished(stream, position, false, Span::ZERO);
    }

    fn finished(&mut self, stream: &Stream, position: Position, told: bool, pace: Span) {
        self.lanes.done(stream, told, self.app.world.now(), pace);
        // Only while something older waits does it have to be kept by itself.
        if self.lanes.oldest().is_some_and(|oldest| oldest < position) {
            self.app.store.put_notice_done(&self.name, position);
        } else {
            self.keep_to(self.dealt_with());
        }
    }

    fn dealt_with(&self) -> Position {
        self.lanes.oldest().map_or(self.read_to, |oldest| oldest - 1)
    }

    /// Long stretches without a notice are not read again after a start.
    fn keep(&mut self) {
        let position = self.dealt_with();
        if position >= self.kept + STRIDE {
            self.keep_to(position);
        }
    }

    fn keep_to(&mut self, position: Position) {
        if position > self.kept {
            self.kept = position;
            self.app.store.put_notice_cursor(&self.name, position);
        }
    }
}

impl ToPeople {
    /// In which lane a record waits, and whether it is urgent. `None`: it is not for them.
    async fn place(&mut self, app: &App, stamped: &Stamped) -> Result<Option<(Stream, bool)>, ReadError> {
        // Whether an alert is behind it changes how loud it is, not whether it is told.
        if notify::matter(&stamped.stream, &stamped.record, true).is_none() {
            return Ok(None);
        }
        let (service, alert) = self.runs.about(app, &stamped.stream).await?;
        let Some(matter) = notify::matter(&stamped.stream, &stamped.record, alert) else { return Ok(None) };
        let is_for = self.configured.is_for(service.as_ref()) && wants(&self.configured, matter);
        Ok(is_for.then(|| (stamped.stream.clone(), matter.pull == Pull::Raise)))
    }
}

/// A pager takes what raises, is taken or clears; others what they are configured for, and the loud ones as `page`.
fn wants(configured: &Configured, matter: Matter) -> bool {
    match configured.kind {
        ChannelKind::Pagerduty { .. } => matter.pull != Pull::Tell,
        // Whatever may close a question has to reach it; what is posted besides, the channel decides.
        ChannelKind::Slack(_) if matter.topic != Topic::Watch && matter.topic != Topic::Instance => true,
        ChannelKind::Webhook { .. } | ChannelKind::Email(_) | ChannelKind::Slack(_) => {
            configured.topics.contains(&matter.topic)
                || (matter.pull == Pull::Raise && configured.topics.contains(&Topic::Page))
        }
    }
}
