//! What a playbook would have done with the alerts of the last weeks, against what people did.

use super::Problem;
use super::auth::Viewer;
use super::plans::checked;
use crate::kernel::domain::Span;
use crate::worker::{App, Score, scorecard};
use axum::Json;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

const MOST_DAYS: u64 = 366;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    days: Option<u64>,
}

pub async fn show(
    State(app): State<Arc<App>>,
    _: Viewer,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Problem> {
    let days = wanted.days.unwrap_or(28);
    if days == 0 || days > MOST_DAYS {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "PM4011",
            format!("{days} days are not between 1 and {MOST_DAYS}"),
            "nothing was looked at",
            "send days=28, or leave it out",
        ));
    }
    let set = app.playbooks();
    let playbook = checked(&set, &name)?;
    let since = app.world.now() - Span::mins(days * 24 * 60);
    let lines = scorecard(&app, &playbook.name, &playbook.service, since).await.map_err(Problem::store)?;
    let count = |score| lines.iter().filter(|line| line.score == score).count();
    Ok(Json(json!({
        "schema": "pointsman.scorecard/v1", "playbook": playbook.name, "mode": playbook.mode, "days": days,
        "since": since, "agrees": count(Score::Agrees), "needless": count(Score::Needless),
        "missed": count(Score::Missed), "open": count(Score::Open), "alerts": lines,
    })))
}
