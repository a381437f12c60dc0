//! The journal as it is: records in order, each with its sentence.

use super::auth::Viewer;
use super::{Problem, sealed};
use crate::audit::{Filter, Found, IndexError, Page, Word, facets, parse};
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
    /// A filter; then `from`, `before` and `limit` say which part of what fits.
    q: Option<String>,
    stream: Option<String>,
    run: Option<RunId>,
    kind: Option<String>,
    from: Option<Position>,
    before: Option<Position>,
    limit: Option<u32>,
}

const LIMIT: u32 = 1_000;

pub async fn list(
    State(app): State<Arc<App>>,
    _: Viewer,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Problem> {
    match &wanted.q {
        Some(text) => search(&app, text, &wanted).await,
        None => scan(&app, &wanted).await,
    }
}

/// Records that fit a filter: the newest, those before a position, or those from one on.
async fn search(app: &App, text: &str, wanted: &Wanted) -> Result<Json<Value>, Problem> {
    if wanted.stream.is_some() || wanted.run.is_some() || wanted.kind.is_some() {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "PM4008",
            "q stands alone; stream, run and kind are part of the older form",
            "nothing was read",
            "write run:ID and action:KIND into the filter",
        ));
    }
    let page = match (wanted.from, wanted.before) {
        (Some(from), None) => Page::From(from),
        (None, before) => Page::Before(before.unwrap_or(Position::MAX)),
        (Some(_), Some(_)) => {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "PM4008",
                "from and before exclude each other",
                "nothing was read",
                "put both ends into the filter: seq:FIRST-LAST",
            ));
        }
    };
    let filter = filter(text)?;
    let limit = wanted.limit.unwrap_or(50).clamp(1, LIMIT);
    let found = found(app, &filter, page, limit).await?;
    // Fewer than asked for, and not all were looked at.
    let partial = found.rest.is_some() && found.records.len() < limit as usize;
    let (mut told, mut out) = (Teller::new(app), vec![]);
    for (stamped, _) in found.records {
        out.push(told.tell(stamped).await?);
    }
    let (next, previous) = match page {
        Page::From(_) => (found.rest, None),
        Page::Before(_) => (None, found.rest),
    };
    // Whoever follows goes on here; nothing that fits lies between.
    let follow = match page {
        Page::From(_) => found.rest.map_or(found.head, |rest| rest.saturating_sub(1)),
        Page::Before(_) => found.head,
    };
    let begins = sealed::begins(app).await?.filter(|first| match page {
        Page::From(from) => from < *first,
        Page::Before(_) => previous.is_none(),
    });
    Ok(Json(json!({
        "schema": "pointsman.audit/v1", "filter": filter.to_string(), "records": out, "next": next,
        "previous": previous, "partial": partial, "head": found.head, "follow": follow, "begins": begins,
    })))
}

pub fn filter(text: &str) -> Result<Filter, Problem> {
    parse(text).map_err(|e| {
        let remedy =
            "`pointsman audit --help` has the words; quotes keep spaces, * stands for anything, - excludes";
        Problem::new(StatusCode::BAD_REQUEST, "PM2701", e.says, "nothing was read", remedy)
    })
}

pub async fn found(app: &App, filter: &Filter, page: Page, limit: u32) -> Result<Found, Problem> {
    let not_ready = |why: String| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "PM2702",
            why,
            "the records are all there; only searching them has to wait",
            "try again soon; `pointsman audit --from POSITION` without a filter reads them in order now",
        )
    };
    let Some(index) = &app.audit else {
        return Err(not_ready(
            "the index of the journal could not be opened; the server's log says why".into(),
        ));
    };
    match index.search(filter, page, limit, app.world.now()).await {
        Ok(found) => Ok(found),
        Err(IndexError::Journal(error)) => Err(Problem::store(error)),
        Err(error @ (IndexError::Behind { .. } | IndexError::Broken(_))) => Err(not_ready(error.to_string())),
    }
}

/// The journal, or one stream of it, in order.
async fn scan(app: &App, wanted: &Wanted) -> Result<Json<Value>, Problem> {
    let limit = wanted.limit.unwrap_or(200).clamp(1, LIMIT);
    let from = wanted.from.unwrap_or(0);
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
        None => app.journal.scan(from.max(1), limit).await.map_err(Problem::store)?,
    };
    let full = stream.is_none() && records.len() == limit as usize;
    let last = records.last().map(|r| r.position);
    let mut told = Teller::new(app);
    let mut out = vec![];
    for stamped in records {
        let kind_ok = wanted.kind.as_ref().is_none_or(|k| k == stamped.record.kind());
        if kind_ok && stamped.position >= from && out.len() < limit as usize {
            out.push(told.tell(stamped).await?);
        }
    }
    let next = if full { last.map(|p| p + 1) } else { None };
    // Asked from an earlier position than the journal has any more.
    let begins = sealed::begins(app).await?.filter(|first| wanted.from.is_some_and(|from| from < *first));
    Ok(Json(json!({ "schema": "pointsman.audit/v1", "records": out, "next": next, "begins": begins })))
}

pub async fn show(
    State(app): State<Arc<App>>,
    _: Viewer,
    Path(position): Path<Position>,
) -> Result<Json<Value>, Problem> {
    let found = app.journal.scan(position, 1).await.map_err(Problem::store)?;
    let stamped = found.into_iter().next().filter(|s| s.position == position);
    let Some(stamped) = stamped else {
        return Err(sealed::no_such(&app, format!("record {position}")).await);
    };
    let mut document = Teller::new(&app).tell(stamped.clone()).await?;
    super::detail::add(&app, &stamped, &mut document).await?;
    Ok(Json(document))
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
        let facets = facets(&stamped, run);
        let columns: serde_json::Map<String, Value> = Word::ALL
            .into_iter()
            .filter_map(|word| Some((word.as_str().to_owned(), json!(facets.get(word)?))))
            .collect();
        let body = serde_json::to_value(&stamped.record).map_err(Problem::store)?;
        // The record is tagged with its kind inside; the kind stands beside it here.
        let body = body.as_object().and_then(|o| o.values().next()).cloned().unwrap_or(Value::Null);
        Ok(json!({
            "position": stamped.position, "stream": stamped.stream, "seq": stamped.seq, "at": stamped.at,
            "kind": stamped.record.kind(), "says": says, "columns": columns, "body": body,
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
