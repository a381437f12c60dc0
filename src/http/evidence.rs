//! What can be taken away of a run: its report, and the bundle that proves it elsewhere.

use super::Problem;
use super::auth::Viewer;
use crate::audit::{MakeError, html, make_bundle, markdown, report};
use crate::kernel::domain::{RunId, Stream};
use crate::worker::{App, sign_head};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    #[default]
    Json,
    Md,
    Html,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    #[serde(default)]
    format: Format,
}

pub async fn show_report(
    State(app): State<Arc<App>>,
    _: Viewer,
    Path(id): Path<RunId>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    let records = app.store.stream(&Stream::Run(id.clone())).await.map_err(Problem::store)?;
    if records.is_empty() {
        return Err(super::sealed::no_such(&app, format!("run {id}")).await);
    }
    let report = report(&records).map_err(Problem::store)?;
    let text = |kind: &'static str, text: String| ([(header::CONTENT_TYPE, kind)], text).into_response();
    Ok(match wanted.format {
        Format::Json => Json(report).into_response(),
        Format::Md => text("text/markdown; charset=utf-8", markdown(&report)),
        Format::Html => text("text/html; charset=utf-8", html(&report)),
    })
}

/// Signs the journal's end as it is now, so that the last record of the run is covered.
pub async fn bundle(
    State(app): State<Arc<App>>,
    _: Viewer,
    Path(id): Path<RunId>,
) -> Result<Response, Problem> {
    let head = sign_head(&app)
        .await
        .map_err(|e| Problem::new(StatusCode::SERVICE_UNAVAILABLE, e.code, e.what, e.state, e.next))?;
    let signed = app.checkpoints.sign(head);
    let made = make_bundle(&app.store, &id, head, signed, &app.checkpoints.public()).await;
    match made {
        Ok(bundle) => Ok(Json(bundle).into_response()),
        Err(MakeError::NoSuchRun(id)) => Err(super::sealed::no_such(&app, format!("run {id}")).await),
        Err(error @ MakeError::TooLong(_)) => Err(Problem::new(
            StatusCode::CONFLICT,
            "PM2708",
            error.to_string(),
            "nothing was made",
            "take a whole copy with `pointsman db backup`; it proves the same",
        )),
        Err(error) => Err(Problem::store(error)),
    }
}
