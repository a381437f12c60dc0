//! Channels of notices: a test of one of them, on request.

use super::Problem;
use super::auth::Decider;
use crate::kernel::domain::Name;
use crate::worker::{App, TestError};
use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

pub async fn test(
    State(app): State<Arc<App>>,
    decider: Decider,
    Path(name): Path<Name>,
) -> Result<Json<Value>, Problem> {
    let by = decider.everywhere()?;
    match app.test_channel(&name, &by.name).await {
        Ok(()) => {
            let says = format!("channel {name} took a test notice");
            Ok(Json(json!({ "schema": "pointsman.notify_test/v1", "channel": name, "says": says })))
        }
        Err(TestError::NoSuchChannel(name, known)) => {
            Err(Problem::no_such(format!("channel {name:?}; the configuration has: {known}")))
        }
        Err(TestError::NotDelivered(says)) => Err(Problem::new(
            StatusCode::BAD_GATEWAY,
            "PM4020",
            format!("channel {name} did not take the test notice: {says}"),
            "nothing was told; notices that wait are tried again by themselves",
            format!("mend [channel.{name}] of the configuration or what is behind it, then test it again"),
        )),
    }
}
