//! What people say about automation as a whole: freeze, thaw, acknowledge, reset the storm breaker.

use super::Problem;
use super::auth::Decider;
use super::plans::bad_json;
use super::runs::refused;
use crate::kernel::domain::{Name, Position, Rule};
use crate::units::parse_span;
use crate::worker::{App, CommandError};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) type Answer = Result<Json<Value>, Problem>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    service: Option<Name>,
    reason: String,
    /// `30m`, `2h`: a freeze without an end is forgotten.
    #[serde(rename = "for")]
    lasts: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thaw {
    service: Option<Name>,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lift {
    rule: Rule,
    service: Name,
    reason: String,
    /// `15m`: an override without an end would be a setting.
    #[serde(rename = "for")]
    lasts: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enforce {
    rule: Rule,
    service: Name,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Why {
    pub(super) reason: String,
}

pub async fn freeze(
    State(app): State<Arc<App>>,
    decider: Decider,
    wanted: Result<Json<Freeze>, JsonRejection>,
) -> Answer {
    let Json(wanted) = wanted.map_err(|e| bad_json(&e))?;
    let lasts = span(&wanted.lasts)?;
    let by = decider.on_or_everywhere(wanted.service.as_ref())?;
    answer(app.freeze(wanted.service, &by, &wanted.reason, lasts).await)
}

pub(super) fn span(text: &str) -> Result<crate::kernel::domain::Span, Problem> {
    parse_span(text).map_err(|says| {
        let remedy = "send \"for\" with its unit, like \"2h\" or \"30m\"";
        Problem::new(StatusCode::BAD_REQUEST, "PM4011", says, "nothing was changed", remedy)
    })
}

pub async fn lift(
    State(app): State<Arc<App>>,
    decider: Decider,
    wanted: Result<Json<Lift>, JsonRejection>,
) -> Answer {
    let Json(wanted) = wanted.map_err(|e| bad_json(&e))?;
    let lasts = span(&wanted.lasts)?;
    let by = decider.on(&wanted.service)?;
    answer(app.lift((wanted.rule, wanted.service), &by, &wanted.reason, lasts).await)
}

pub async fn enforce(
    State(app): State<Arc<App>>,
    decider: Decider,
    wanted: Result<Json<Enforce>, JsonRejection>,
) -> Answer {
    let Json(wanted) = wanted.map_err(|e| bad_json(&e))?;
    let by = decider.on(&wanted.service)?;
    answer(app.enforce((wanted.rule, wanted.service), &by, &wanted.reason).await)
}

pub async fn thaw(
    State(app): State<Arc<App>>,
    decider: Decider,
    wanted: Result<Json<Thaw>, JsonRejection>,
) -> Answer {
    let Json(wanted) = wanted.map_err(|e| bad_json(&e))?;
    let by = decider.on_or_everywhere(wanted.service.as_ref())?;
    answer(app.thaw(wanted.service, &by, &wanted.reason).await)
}

pub async fn acknowledge(
    State(app): State<Arc<App>>,
    decider: Decider,
    Path(service): Path<Name>,
    wanted: Result<Json<Why>, JsonRejection>,
) -> Answer {
    let Json(wanted) = wanted.map_err(|e| bad_json(&e))?;
    let by = decider.on(&service)?;
    answer(app.acknowledge(&service, &by, &wanted.reason).await)
}

pub async fn reset_breaker(
    State(app): State<Arc<App>>,
    decider: Decider,
    wanted: Result<Json<Why>, JsonRejection>,
) -> Answer {
    let Json(wanted) = wanted.map_err(|e| bad_json(&e))?;
    let by = decider.everywhere()?;
    answer(app.reset_breaker(&by, &wanted.reason).await)
}

pub(super) fn answer(said: Result<(Position, String), CommandError>) -> Answer {
    let (position, says) = said.map_err(|error| refused(error, "-"))?;
    Ok(Json(json!({ "schema": "pointsman.decision/v1", "position": position, "says": says })))
}
