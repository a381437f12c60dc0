//! What a notice needs of the journal: the record, and its run as it stood when the record was written.

use super::App;
use crate::kernel::domain::{Name, Position, Record, RunId, Stamped, Stream};
use crate::kernel::engine::Run;
use crate::kernel::journal::ReadError;
use crate::notify::{Notice, Scene, by_alert, compose, ends_earlier_runs, stays_raised};
use std::collections::HashMap;

/// Runs whose first record is remembered.
const KNOWN: usize = 1_000;
/// Earlier runs that one record may end the pages of, and the newest among which they are looked for.
const RAISED: usize = 20;
const AMONG: u32 = 500;

/// Of each run: its service, and whether an alert is behind it.
#[derive(Default)]
pub struct Runs(HashMap<RunId, (Option<Name>, bool)>);

impl Runs {
    pub async fn about(&mut self, app: &App, stream: &Stream) -> Result<(Option<Name>, bool), ReadError> {
        let id = match stream {
            Stream::Run(id) => id,
            Stream::Service(name) => return Ok((Some(name.clone()), true)),
            Stream::Source(_) | Stream::Alerts(_) | Stream::Playbook(_) | Stream::Instance => {
                return Ok((None, true));
            }
        };
        if let Some(known) = self.0.get(id) {
            return Ok(known.clone());
        }
        let first = app.journal.backend().read(stream, 1).await?.into_iter().next();
        let first = first.map(|entry| Record::decode(&entry.kind, entry.version, &entry.body));
        let about = match first.transpose().map_err(ReadError)? {
            Some(Record::Opened(spec)) => (Some(spec.service.clone()), by_alert(&spec.cause)),
            _ => (None, true),
        };
        if self.0.len() >= KNOWN {
            self.0.clear();
        }
        self.0.insert(id.clone(), about.clone());
        Ok(about)
    }
}

/// A record, and its run as it stood then.
pub struct Stood {
    stamped: Stamped,
    /// The run's records before it.
    before: Vec<Stamped>,
    pub run: Option<Run>,
    raised: Vec<RunId>,
}

/// `None`: there is nothing to tell.
pub async fn notice(app: &App, stream: &Stream, position: Position) -> Result<Option<Notice>, String> {
    let stood = stood(app, stream, position).await?;
    Ok(stood.and_then(|stood| {
        let linked = stood.run.as_ref().filter(|_| app.config.web.url.is_some());
        stood.notice(app, linked.map(|run| app.approval_link(run)))
    }))
}

pub async fn stood(app: &App, stream: &Stream, position: Position) -> Result<Option<Stood>, String> {
    let found = app.journal.scan(position, 1).await.map_err(|e| e.to_string())?;
    let Some(stamped) = found.into_iter().next().filter(|s| s.position == position) else { return Ok(None) };
    let mut records = match stream {
        Stream::Run(_) => app.journal.read(stream, 1).await.map_err(|e| e.to_string())?,
        _ => vec![],
    };
    let until = records.iter().position(|s| s.seq == stamped.seq).map_or(0, |at| at + 1);
    records.truncate(until);
    let run = if records.is_empty() { None } else { Some(Run::fold(&records).map_err(|e| e.to_string())?) };
    records.pop();
    let raised = raised_before(app, &stamped, run.as_ref()).await?;
    Ok(Some(Stood { stamped, before: records, run, raised }))
}

/// Earlier runs of the same service whose end raised somebody, if the record is the end of that.
async fn raised_before(app: &App, stamped: &Stamped, run: Option<&Run>) -> Result<Vec<RunId>, String> {
    let service = match (&stamped.stream, run) {
        _ if !ends_earlier_runs(&stamped.stream, &stamped.record) => return Ok(vec![]),
        (Stream::Service(name), _) => name.clone(),
        (_, Some(run)) => run.spec.service.clone(),
        (_, None) => return Ok(vec![]),
    };
    let summaries = app.summaries(AMONG).await.map_err(|e| e.to_string())?;
    let earlier = summaries.into_iter().filter(|s| s.service == service && s.opened < stamped.at);
    let raised = earlier.filter(|s| s.updated <= stamped.at && s.outcome.is_some_and(stays_raised));
    Ok(raised.map(|s| s.run).take(RAISED).collect())
}

impl Stood {
    /// In words, with this link to follow.
    pub fn notice(&self, app: &App, link: Option<String>) -> Option<Notice> {
        let journal = app.registry.ports.owner.get().unwrap_or("journal");
        compose(
            &self.stamped,
            &Scene { journal, run: self.run.as_ref(), before: &self.before, link, raised: &self.raised },
        )
    }
}
