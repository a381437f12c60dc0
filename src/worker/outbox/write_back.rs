//! What Pointsman does about a problem of Zabbix, said at the problem itself, where its source has `write_back`: acknowledged with
//! the run's link when a run has it, and how that run ended. One more reader of the journal, with the queue of a channel; what
//! Zabbix has already is looked for before it is said.

use crate::config::Source;
use crate::intake::occurrence::fingerprint;
use crate::kernel::domain::{Name, OccurrenceId, Position, Record, RunId, Stamped, Stream};
use crate::kernel::engine::Run;
use crate::kernel::engine::tell::tell;
use crate::notify::{Delivery, plain};
use crate::provider::http::zabbix::{Left, Trouble, Word, leave};
use crate::worker::App;
use crate::worker::zabbix::{zabbix_of, zabbix_token};

const NAME: &str = "write-back to ";
/// Records of a service among which the alerts of a run are looked for.
const BACK: u32 = 1_000;

/// What `status`, metrics and the cursor call it.
pub fn name(source: &Name) -> Name {
    format!("{NAME}{source}").into()
}

/// Sources that want it.
pub fn wanted(app: &App) -> impl Iterator<Item = (&Name, &Source)> {
    app.config.sources.iter().filter(|(_, source)| source.write_back)
}

/// The words for one source.
pub struct WriteBack {
    source: Name,
}

/// One word at some problems.
struct Saying {
    run: RunId,
    events: Vec<String>,
    word: Word,
}

impl WriteBack {
    /// If that is the queue's name.
    pub fn of(app: &App, queue: &Name) -> Option<WriteBack> {
        let source = wanted(app).map(|(source, _)| source).find(|source| name(source) == *queue)?;
        Some(WriteBack { source: source.clone() })
    }

    /// In whose order it is told: that of the run.
    pub fn lane(&self, stamped: &Stamped) -> Option<Stream> {
        match (&stamped.stream, &stamped.record) {
            (_, Record::Joined { occurrence, run, .. }) => {
                self.event(occurrence).map(|_| Stream::Run(run.clone()))
            }
            (Stream::Run(_), Record::Finished { .. }) => Some(stamped.stream.clone()),
            _ => None,
        }
    }

    fn event(&self, occurrence: &OccurrenceId) -> Option<String> {
        let event = fingerprint(&self.source, occurrence)?;
        event.bytes().all(|b| b.is_ascii_digit()).then(|| event.to_owned())
    }

    /// `None`: there is nothing to say.
    pub async fn deliver(&self, app: &App, position: Position) -> Option<Delivery> {
        let saying = match self.saying(app, position).await {
            Ok(saying) => saying?,
            Err(error) => return Some(Delivery::unreachable(error)),
        };
        let source = app.config.sources.get(&self.source)?;
        let token = match zabbix_token(source) {
            Ok(token) => token,
            Err(trouble) => return Some(Delivery::unreachable(trouble.to_string())),
        };
        let api = zabbix_of(app, source, token.as_ref());
        let mut refused = None;
        for event in &saying.events {
            match leave(&api, event, &saying.word).await {
                Ok(Left::Now) => tracing::info!(run = %saying.run, event, "said at the problem in Zabbix"),
                Ok(Left::Before) => {}
                Ok(Left::NotShown) => {
                    let says = format!(
                        "event {event} is not shown to the token's user: it may not read its host, or it is gone"
                    );
                    refused = Some(Delivery::Refused(says));
                }
                Err(trouble) => {
                    let answered = matches!(trouble, Trouble::Refused(_));
                    let says = plain(&format!("event {event}: {trouble}"));
                    return Some(Delivery::Failed { says, after: None, answered });
                }
            }
        }
        Some(refused.unwrap_or(Delivery::Done))
    }

    async fn saying(&self, app: &App, position: Position) -> Result<Option<Saying>, String> {
        let found = app.journal.scan(position, 1).await.map_err(|e| e.to_string())?;
        let Some(stamped) = found.into_iter().next().filter(|s| s.position == position) else {
            return Ok(None);
        };
        let (id, joined) = match (&stamped.stream, &stamped.record) {
            (_, Record::Joined { occurrence, run, .. }) => (run, Some(occurrence)),
            (Stream::Run(run), Record::Finished { .. }) => (run, None),
            _ => return Ok(None),
        };
        let Some(run) = app.run(id).await.map_err(|e| e.to_string())? else { return Ok(None) };
        let (events, word) = match joined {
            Some(occurrence) => (self.event(occurrence).into_iter().collect(), opened(app, &run)),
            None => (self.events_of(app, &run).await?, ended(&run, &stamped.record)),
        };
        Ok((!events.is_empty()).then(|| Saying { run: run.id().clone(), events, word }))
    }

    /// All problems that the run had.
    async fn events_of(&self, app: &App, run: &Run) -> Result<Vec<String>, String> {
        let stream = Stream::Service(run.spec.service.clone());
        let records = app.journal.newest(&stream, &["joined"], BACK).await.map_err(|e| e.to_string())?;
        let ours = records.iter().filter_map(|stamped| match &stamped.record {
            Record::Joined { occurrence, run: of, .. } if of == run.id() => self.event(occurrence),
            _ => None,
        });
        Ok(ours.collect())
    }
}

fn opened(app: &App, run: &Run) -> Word {
    let mark = format!("Pointsman: run {} opened", run.id());
    let says = plain(&format!("Pointsman: {}.", tell(&Record::Opened(Box::new((*run.spec).clone())), None)));
    let follow = match app.config.web.url {
        Some(_) => app.approval_link(run),
        None => format!("pointsman why {}", run.id()),
    };
    Word { mark, text: format!("{says} {follow}"), acknowledge: true }
}

fn ended(run: &Run, finished: &Record) -> Word {
    let mark = format!("Pointsman: run {} ended", run.id());
    let text = plain(&format!("{mark}: {}", tell(finished, Some(&run.spec))));
    Word { mark, text, acknowledge: false }
}
