//! The word of a person who has dealt with an old primary: its fence watch ends.

use super::Problem;
use super::auth::Decider;
use super::plans::bad_json;
use super::runs::refused;
use crate::kernel::domain::Name;
use crate::worker::App;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Close {
    reason: String,
}

pub async fn close(
    State(app): State<Arc<App>>,
    decider: Decider,
    Path(target): Path<Name>,
    close: Result<Json<Close>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(close) = close.map_err(|e| bad_json(&e))?;
    let service = app.watched_service(&target).await.map_err(|error| refused(error, "-"))?;
    let by = decider.on(&service)?;
    let closed = app.close_fence_watch(&target, &by, &close.reason).await;
    let (run, position) = closed.map_err(|error| refused(error, "-"))?;
    let says =
        format!("the fence watch of {target} (run {run}) is closed by {by}: nothing looks at it any more");
    Ok(Json(json!({ "schema": "pointsman.decision/v1", "position": position, "says": says })))
}
