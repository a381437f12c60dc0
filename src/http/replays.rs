//! An alert of the past, asked again: what would today's playbooks do? Like a plan it looks at the targets, and like a
//! plan it changes and records nothing.

use super::Problem;
use super::auth::Viewer;
use super::plans::{bad_json, planned};
use crate::kernel::domain::{Cause, Record, Stamped};
use crate::playbook::match_alert;
use crate::worker::{App, alert_view};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Its occurrence, its fingerprint or its name; the newest that fits.
    of: String,
}

pub async fn create(
    State(app): State<Arc<App>>,
    _: Viewer,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(wanted) = wanted.map_err(|e| bad_json(&e))?;
    let records = super::why::alert(&app, wanted.of.trim()).await?.records;
    let opened = records.iter().rev().find(|r| matches!(r.record, Record::OccurrenceOpened { .. }));
    let Some(Stamped { at, record, position, .. }) = opened else {
        return Err(super::sealed::no_such(&app, format!("alert {:?} in the journal", wanted.of)).await);
    };
    let Record::OccurrenceOpened { occurrence, kind, labels, annotations, started, .. } = record else {
        return Err(super::sealed::no_such(&app, format!("alert {:?} in the journal", wanted.of)).await);
    };
    let source = occurrence.as_str().split('/').next().unwrap_or_default();
    let alert = alert_view(&source.into(), *kind, labels, annotations);
    let mut verdicts: Vec<Value> = vec![];
    let mut plan = Value::Null;
    let mut chosen = false;
    let playbooks = app.playbooks();
    for (loaded, playbook) in playbooks.active() {
        let verdict =
            |matched: bool, says: &str| json!({ "playbook": loaded.name, "matched": matched, "says": says });
        let found = match match_alert(playbook, &alert) {
            Err(why) => {
                verdicts.push(verdict(false, &format!("{}: {}", why.code, why.says)));
                continue;
            }
            Ok(_) if app.disabled_by(&loaded.name).is_some() => {
                verdicts
                    .push(verdict(true, "PM5420: it is disabled, and starts nothing before it is enabled"));
                continue;
            }
            Ok(_) if chosen => {
                verdicts.push(verdict(true, "it matches too, but another comes first"));
                continue;
            }
            Ok(found) => found,
        };
        chosen = true;
        let cause = Cause::Alert {
            occurrences: vec![occurrence.clone()],
            started: *started,
            delivered: *at,
            labels: labels.clone(),
        };
        match app.resolve(playbook, cause, Some(&alert)) {
            Ok(spec) => plan = planned(&app, loaded.name.as_str(), spec).await?,
            Err(problems) => {
                verdicts.push(verdict(true, &format!("it cannot be resolved: {}", problems.join("; "))));
                continue;
            }
        }
        let says =
            format!("it would start, confirmed for {} first, mode {:?}", found.confirmed_for, playbook.mode);
        verdicts.push(verdict(true, &says.to_lowercase()));
    }
    Ok(Json(json!({
        "schema": "pointsman.replay/v1", "occurrence": occurrence, "record": position, "labels": labels,
        "verdicts": verdicts, "plan": plan,
    })))
}
