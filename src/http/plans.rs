//! What a playbook would do right now. Nothing is written and no permit is minted.

use super::Problem;
use super::auth::Viewer;
use crate::kernel::domain::{Actor, Cause, Resolved};
use crate::playbook::Playbook;
use crate::worker::{App, dry_plan};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    pub playbook: String,
}

pub async fn create(
    State(app): State<Arc<App>>,
    Viewer(caller): Viewer,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(wanted) = wanted.map_err(|e| bad_json(&e))?;
    let by = caller.everywhere();
    let spec = resolved(&app, &wanted.playbook, by, "plan")?;
    planned(&app, &wanted.playbook, spec).await.map(Json)
}

/// The plan of a run that is not opened, as every surface gets it.
pub async fn planned(app: &App, playbook: &str, spec: Resolved) -> Result<Value, Problem> {
    let (kind, mode, from, to, service) =
        (spec.kind, spec.mode, spec.from.clone(), spec.to.clone(), spec.service.clone());
    let dry = dry_plan(app, spec).await.map_err(Problem::store)?;
    let plan = dry.blockers.is_empty().then_some(&dry.sheet);
    Ok(json!({
        "schema": "pointsman.plan/v1", "playbook": playbook, "service": service, "kind": kind, "mode": mode,
        "from": from, "to": to, "plan": plan, "lines": dry.sheet.lines, "at_risk": dry.sheet.at_risk,
        "blockers": dry.blockers,
    }))
}

pub fn resolved(app: &App, playbook: &str, by: Actor, reason: &str) -> Result<Resolved, Problem> {
    let checked = checked(app, playbook)?;
    let cause = Cause::Person { by, reason: reason.to_owned() };
    app.resolve(checked, cause, None).map_err(|problems| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "PM4010",
            format!("playbook {playbook} cannot be resolved: {}", problems.join("; ")),
            "nothing was changed",
            "a playbook whose expressions need an alert can only be started by one",
        )
    })
}

/// The playbook of that name, if it is active.
pub fn checked<'a>(app: &'a App, playbook: &str) -> Result<&'a Playbook, Problem> {
    let Some(loaded) = app.playbooks.find(playbook) else {
        return Err(Problem::no_such(format!("playbook {playbook:?}")));
    };
    let Some(checked) = &loaded.playbook else {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "PM4009",
            format!("playbook {playbook} has problems and is not active: {}", loaded.problems.join("; ")),
            "nothing was changed",
            "mend it, `pointsman check` it, and start the server again",
        ));
    };
    Ok(checked)
}

pub fn bad_json(error: &JsonRejection) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "PM4011",
        format!("the request cannot be read: {error}"),
        "nothing was changed",
        "see the HTTP API's page in the documentation",
    )
}
