//! What a notice needs of the journal: the record, and its run as it stood when the record was written.

use super::App;
use crate::kernel::domain::{Name, Position, Record, RunId, Stamped, Stream};
use crate::kernel::engine::Run;
use crate::kernel::journal::ReadError;
use crate::notify::{Notice, Scene, by_alert, compose};
use std::collections::HashMap;

/// Runs whose first record is remembered.
const KNOWN: usize = 1_000;

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
    Ok(Some(Stood { stamped, before: records, run }))
}

impl Stood {
    /// In words, with this link to follow.
    pub fn notice(&self, app: &App, link: Option<String>) -> Option<Notice> {
        let journal = app.registry.ports.owner.get().unwrap_or("journal");
        compose(&self.stamped, &Scene { journal, run: self.run.as_ref(), before: &self.before, link })
    }
}
