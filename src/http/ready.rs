//! Whether each playbook would work now: the last looks, or new ones. Nothing is changed by a look, and nothing recorded.

use super::Problem;
use super::auth::Viewer;
use super::plans::{bad_json, checked};
use crate::kernel::domain::Grade;
use crate::worker::{App, Loaded, Playbooks};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Without it, all that are active.
    playbook: Option<String>,
}

pub async fn last(State(app): State<Arc<App>>, _: Viewer) -> Json<Value> {
    let set = app.playbooks();
    Json(document(&app, &set, None))
}

pub async fn look(
    State(app): State<Arc<App>>,
    _: Viewer,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(wanted) = wanted.map_err(|e| bad_json(&e))?;
    let set = app.playbooks();
    let names = match &wanted.playbook {
        Some(name) => vec![checked(&set, name)?.name.clone()],
        None => set.active().map(|(loaded, _)| loaded.name.clone()).collect(),
    };
    app.look_ready_now(&set, names).await;
    Ok(Json(document(&app, &set, wanted.playbook.as_deref())))
}

fn document(app: &App, set: &Playbooks, only: Option<&str>) -> Value {
    let shown = set.all().filter(|loaded| only.is_none_or(|only| loaded.name.as_str() == only));
    let playbooks: Vec<Value> = shown.map(|loaded| one(app, loaded)).collect();
    let ready = playbooks.iter().filter(|p| p["ready"] == true).count();
    let disabled = playbooks.iter().filter(|p| !p["disabled"].is_null()).count();
    json!({
        "schema": "pointsman.ready/v1", "at": app.world.now(), "every": app.config.ready_every,
        "ready": ready, "disabled": disabled, "playbooks": playbooks,
    })
}

fn one(app: &App, loaded: &Loaded) -> Value {
    let looked = app.ready.last(&loaded.name, loaded.digest);
    let disabled = app.disabled_by(&loaded.name).map(|disabled| disabled.says());
    let findings = looked.as_ref().map(|looked| json!(looked.findings)).unwrap_or(json!([]));
    let count = |grade| looked.as_ref().map_or(0, |looked| looked.count(grade));
    json!({
        "playbook": loaded.name, "service": loaded.service(), "active": loaded.playbook.is_some(),
        "ready": ready(app, loaded), "at": looked.as_ref().map(|looked| looked.at), "disabled": disabled,
        "counts": { "bad": count(Grade::Bad), "unknown": count(Grade::Unknown), "warn": count(Grade::Warn),
            "open": count(Grade::Open), "ok": count(Grade::Ok) },
        "findings": findings, "problems": loaded.problems,
    })
}

/// Null: it was not looked at in this form.
pub fn ready(app: &App, loaded: &Loaded) -> Value {
    match (&loaded.playbook, app.ready.last(&loaded.name, loaded.digest)) {
        (None, _) => json!(false),
        (Some(_), Some(looked)) => json!(looked.is_ready()),
        (Some(_), None) => Value::Null,
    }
}
