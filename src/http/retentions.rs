//! Records of an age go, or what would go is said: for people with the role admin, and for `pointsman db retain` beside a
//! server.

use super::Problem;
use super::auth::Decider;
use super::plans::bad_json;
use crate::kernel::domain::Digest;
use crate::units::parse_span;
use crate::worker::{App, CutError, Retained, retention_document};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// `400d`
    older_than: String,
    #[serde(default)]
    dry_run: bool,
    /// The journal's name, where who asks means a certain one.
    #[serde(default)]
    journal: Option<Digest>,
}

pub async fn create(
    State(app): State<Arc<App>>,
    decider: Decider,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let by = decider.as_admin()?;
    let Json(wanted) = wanted.map_err(|e| bad_json(&e))?;
    let older_than = parse_span(&wanted.older_than).map_err(|why| {
        let remedy = "write it with its unit, like 400d";
        Problem::new(StatusCode::BAD_REQUEST, "PM4011", why, "nothing was changed", remedy)
    })?;
    let origin = app.store.origin().await.map_err(Problem::store)?;
    if wanted.journal.is_some() && wanted.journal != origin {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "PM2713",
            "this server has another journal than the one that was named",
            "nothing was changed",
            "name the server of that data directory with --server",
        ));
    }
    // Records go in the background once it is on record: a client that leaves stops nothing half done.
    let Retained { cut, decided } =
        app.retain(older_than, &by, wanted.dry_run).await.map_err(|error| refused(&error))?;
    Ok(Json(retention_document(&cut, decided.as_ref(), wanted.dry_run, None)))
}

fn refused(error: &CutError) -> Problem {
    let refused = |status, next: &str| {
        Problem::new(status, "PM2713", error.to_string(), "no cut was decided, and no record went", next)
    };
    match error {
        CutError::Refused(_) => refused(StatusCode::BAD_REQUEST, "name an age of at least 35d"),
        CutError::Stopped(_) => refused(StatusCode::CONFLICT, "ask again when that is over"),
        CutError::Append(error) => Problem::doubt(error),
        CutError::Read(_) | CutError::Store(_) => Problem::store(error),
    }
}
