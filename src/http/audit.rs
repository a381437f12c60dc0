//! The journal as it is: records in order, each with its sentence.

use super::Problem;
use super::auth::Viewer;
use crate::kernel::domain::{Position, Record, RunId, Stamped, Stream};
use crate::kernel::engine::tell::tell;
use crate::worker::App;
use axum::Json;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    stream: Option<String>,
    run: Option<RunId>,
    kind: Option<String>,
    #[serde(default)]
    from: Position,
    limit: Option<u32>,
}

const LIMIT: u32 = 1_000;

pub async fn list(
    State(app): State<Arc<App>>,
    _: Viewer,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Problem> {
    let limit = wanted.limit.unwrap_or(200).clamp(1, LIMIT);
    let stream = match (&wanted.stream, &wanted.run) {
        (Some(text), _) => Some(Stream::try_from(text.clone()).map_err(|why| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "PM4008",
                why,
                "nothing was read",
                "run:ID, source:NAME, alerts:NAME, service:NAME, playbook:NAME or instance",
            )
        })?),
        (None, Some(run)) => Some(Stream::Run(run.clone())),
        (None, None) => None,
    };
    let records = match &stream {
        Some(stream) => app.journal.read(stream, 1).await.map_err(Problem::store)?,
        None => app.journal.scan(wanted.from.max(1), limit).await.map_err(Problem::store)?,
    };
    let full = stream.is_none() && records.len() == limit as usize;
    let last = records.last().map(|r| r.position);
    let mut told = Teller::new(&app);
    let mut out = vec![];
    for stamped in records {
        let kind_ok = wanted.kind.as_ref().is_none_or(|k| k == stamped.record.kind());
        if kind_ok && stamped.position >= wanted.from && out.len() < limit as usize {
            out.push(told.tell(stamped).await?);
        }
    }
    let next = if full { last.map(|p| p + 1) } else { None };
    Ok(Json(json!({ "schema": "pointsman.audit/v1", "records": out, "next": next })))
}

pub async fn show(
    State(app): State<Arc<App>>,
    _: Viewer,
    Path(position): Path<Position>,
) -> Result<Json<Value>, Problem> {
    let found = app.journal.scan(position, 1).await.map_err(Problem::store)?;
    let stamped = found.into_iter().next().filter(|s| s.position == position);
    let stamped = stamped.ok_or_else(|| Problem::no_such(format!("record {position}")))?;
    Ok(Json(Teller::new(&app).tell(stamped).await?))
}

/// Says records with the names of their run's steps, reading each run's first record once.
pub struct Teller<'a> {
    app: &'a App,
    runs: HashMap<RunId, Option<Box<crate::kernel::domain::Resolved>>>,
}

impl<'a> Teller<'a> {
    pub fn new(app: &'a App) -> Teller<'a> {
        Teller { app, runs: HashMap::new() }
    }

    pub async fn tell(&mut self, stamped: Stamped) -> Result<Value, Problem> {
        let run = match &stamped.stream {
            Stream::Run(id) => self.spec(id).await?,
            Stream::Source(_)
            | Stream::Alerts(_)
            | Stream::Service(_)
            | Stream::Playbook(_)
            | Stream::Instance => None,
        };
        let says = tell(&stamped.record, run);
        let body = serde_json::to_value(&stamped.record).map_err(Problem::store)?;
        // The record is tagged with its kind inside; the kind stands beside it here.
        let body = body.as_object().and_then(|o| o.values().next()).cloned().unwrap_or(Value::Null);
        Ok(json!({
            "position": stamped.position, "stream": stamped.stream, "seq": stamped.seq, "at": stamped.at,
            "kind": stamped.record.kind(), "says": says, "body": body,
        }))
    }

    async fn spec(&mut self, id: &RunId) -> Result<Option<&crate::kernel::domain::Resolved>, Problem> {
        if !self.runs.contains_key(id) {
            let stream = Stream::Run(id.clone());
            let first = self.app.first_record(&stream).await.map_err(Problem::store)?;
            let spec = match first {
                Some(Record::Opened(spec)) => Some(spec),
                _ => None,
            };
            self.runs.insert(id.clone(), spec);
        }
        Ok(self.runs.get(id).and_then(|s| s.as_deref()))
    }
}
