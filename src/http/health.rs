//! Is the process there, can it work, and what it has counted.

use super::Problem;
use crate::worker::App;
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{StatusCode, header};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub async fn alive() -> &'static str {
    "ok\n"
}

/// Ready: the store can be read and written, and playbooks are loaded.
pub async fn ready(State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    let head = app.journal.backend().head().await.map_err(Problem::store)?;
    if app.store_failing.load(Ordering::Relaxed) {
        return Err(Problem::store("the last write failed; it is tried again with the next"));
    }
    let playbooks = app.playbooks();
    let active = playbooks.active().count();
    let rejected = playbooks.rejected().count();
    if active == 0 && rejected > 0 {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "PM4007",
            format!("none of {rejected} playbooks is active"),
            "alerts are recorded, but nothing can start",
            "`pointsman check` says what is wrong with them",
        ));
    }
    Ok(Json(json!({ "ready": true, "position": head.position, "playbooks": active })))
}

pub async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let now = app.world.now();
    app.count_heartbeats(now);
    app.metrics.rules(app.overrides(now).len(), app.disabled().len(), app.changes.now(now).begun);
    let text = app.metrics.encode();
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}
