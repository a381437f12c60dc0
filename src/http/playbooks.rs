//! The playbooks themselves: what is in force, the text of every form that ever was, what became of each, and a person's
//! word that one is out of use for a while.

use super::Problem;
use super::auth::{Decider, Viewer};
use super::limits::{Answer, Why, answer, span};
use super::plans::bad_json;
use crate::kernel::domain::{Actor, Digest, Disabled, Name, Record, Stamped, Stream};
use crate::kernel::engine::tell::tell;
use crate::worker::{App, Loaded};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Records of one playbook that are looked at, newest first.
const LOOK_BACK: u32 = 1_000;
/// A digest as people quote it has at least that many characters.
const QUOTED: usize = 7;

/// One playbook, for lists and for `status`.
pub fn brief(app: &App, p: &Loaded) -> Value {
    let disabled = app.disabled_by(&p.name);
    json!({
        "name": p.name, "service": p.service(), "mode": p.mode(), "digest": p.digest,
        "owner": p.playbook.as_ref().and_then(|playbook| playbook.owner.clone()),
        "kind": p.playbook.as_ref().map(|playbook| playbook.kind),
        "description": p.playbook.as_ref().map(|playbook| playbook.description.clone()),
        "active": p.playbook.is_some(), "problems": p.problems, "warnings": p.warnings, "file": p.file,
        "refused": p.refused.as_ref().map(|refused| refused.digest),
        "disabled": disabled.as_ref().map(out_of_use), "ready": super::ready::ready(app, p),
    })
}

fn out_of_use(disabled: &Disabled) -> Value {
    json!({
        "by": disabled.by.name, "reason": disabled.reason, "until": disabled.until, "says": disabled.says(),
    })
}

pub async fn list(State(app): State<Arc<App>>, _: Viewer) -> Json<Value> {
    let set = app.playbooks();
    let playbooks: Vec<Value> = set.all().map(|loaded| brief(&app, loaded)).collect();
    let trouble = app.playbooks_trouble().map(|t| json!({ "since": t.since, "says": t.says }));
    Json(json!({ "schema": "pointsman.playbooks/v1", "playbooks": playbooks, "trouble": trouble }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// The beginning of a digest; without it, the form that is in force.
    form: Option<String>,
}

pub async fn show(
    State(app): State<Arc<App>>,
    _: Viewer,
    Path(name): Path<Name>,
    Query(wanted): Query<Form>,
) -> Result<Json<Value>, Problem> {
    let set = app.playbooks();
    let loaded = set.find(name.as_str());
    let records = records(&app, &name).await?;
    if loaded.is_none() && records.is_empty() {
        return Err(Problem::no_such(format!("playbook {name:?}")));
    }
    let of_now = loaded.map(|l| l.digest);
    let form = match &wanted.form {
        Some(start) => form(start, loaded, &records),
        // The last one there was, of a playbook whose file is gone.
        None => of_now.or_else(|| records.last().and_then(|stamped| digest_of(&stamped.record))),
    };
    let unknown =
        || Problem::no_such(format!("form {:?} of playbook {name}", wanted.form.as_deref().unwrap_or("-")));
    let form = form.ok_or_else(unknown)?;
    let text = match loaded {
        Some(loaded) if loaded.digest == form => loaded.text.clone(),
        _ => kept(&app, form).await?.ok_or_else(unknown)?,
    };
    let mut document = loaded.map_or_else(|| json!({ "name": name, "active": false }), |l| brief(&app, l));
    let known = records.iter().find(|stamped| digest_of(&stamped.record) == Some(form));
    document["schema"] = json!("pointsman.playbook/v1");
    document["form"] = json!(form);
    document["first"] = json!(known.map(|stamped| stamped.at));
    document["text"] = json!(text);
    Ok(Json(document))
}

/// What became of it, oldest first: each form, and who took it out of use.
pub async fn history(
    State(app): State<Arc<App>>,
    _: Viewer,
    Path(name): Path<Name>,
) -> Result<Json<Value>, Problem> {
    let mut records = records(&app, &name).await?;
    let whole = records.len() < LOOK_BACK as usize;
    let words = app.journal.newest(&Stream::Instance, &["disabled", "enabled"], LOOK_BACK).await;
    records.extend(words.map_err(Problem::store)?.into_iter().filter(|stamped| match &stamped.record {
        Record::Disabled(Disabled { playbook, .. }) | Record::Enabled { playbook, .. } => *playbook == name,
        _ => false,
    }));
    if records.is_empty() {
        return Err(Problem::no_such(format!("playbook {name:?}")));
    }
    records.sort_by_key(|stamped| stamped.position);
    let records: Vec<Value> = records.iter().map(told).collect();
    let document = json!({
        "schema": "pointsman.playbook-history/v1", "playbook": name, "records": records, "whole": whole,
    });
    Ok(Json(document))
}

fn told(stamped: &Stamped) -> Value {
    let (problems, active, stays) = match &stamped.record {
        Record::Loaded { problems, active, stays, .. } => (problems.as_slice(), Some(*active), *stays),
        _ => (&[][..], None, None),
    };
    json!({
        "position": stamped.position, "at": stamped.at, "kind": stamped.record.kind(),
        "says": tell(&stamped.record, None), "digest": digest_of(&stamped.record), "active": active,
        "stays": stays, "problems": problems,
    })
}

/// Only forms of this very playbook: other texts that the store keeps by digest are none of its.
fn form(start: &str, loaded: Option<&Loaded>, records: &[Stamped]) -> Option<Digest> {
    let start = start.to_ascii_lowercase();
    let of_now = loaded.into_iter().flat_map(|l| [Some(l.digest), l.refused.as_ref().map(|r| r.digest)]);
    let known = of_now.flatten().chain(records.iter().rev().filter_map(|stamped| digest_of(&stamped.record)));
    let mut fits = known.filter(|digest| digest.to_string().starts_with(&start));
    fits.next().filter(|_| start.len() >= QUOTED)
}

fn digest_of(record: &Record) -> Option<Digest> {
    match record {
        Record::Loaded { digest, .. } => Some(*digest),
        _ => None,
    }
}

async fn records(app: &App, name: &Name) -> Result<Vec<Stamped>, Problem> {
    let stream = Stream::Playbook(name.clone());
    app.journal.newest(&stream, &["loaded"], LOOK_BACK).await.map_err(Problem::store)
}

async fn kept(app: &App, form: Digest) -> Result<Option<String>, Problem> {
    let bytes = app.journal.backend().content(form).await.map_err(Problem::store)?;
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disable {
    reason: String,
    /// `2h`, `7d`: a playbook that is disabled without an end is one that was removed, and nobody knows.
    #[serde(rename = "for")]
    lasts: String,
}

pub async fn disable(
    State(app): State<Arc<App>>,
    decider: Decider,
    Path(name): Path<Name>,
    wanted: Result<Json<Disable>, JsonRejection>,
) -> Answer {
    let Json(wanted) = wanted.map_err(|e| bad_json(&e))?;
    let lasts = span(&wanted.lasts)?;
    let by = of_its_service(&app, &decider, &name)?;
    answer(app.disable(&name, &by, &wanted.reason, lasts).await)
}

pub async fn enable(
    State(app): State<Arc<App>>,
    decider: Decider,
    Path(name): Path<Name>,
    wanted: Result<Json<Why>, JsonRejection>,
) -> Answer {
    let Json(wanted) = wanted.map_err(|e| bad_json(&e))?;
    let by = of_its_service(&app, &decider, &name)?;
    answer(app.enable(&name, &by, &wanted.reason).await)
}

/// The service of a playbook that cannot be read is not known.
fn of_its_service(app: &App, decider: &Decider, name: &Name) -> Result<Actor, Problem> {
    let set = app.playbooks();
    decider.on_or_everywhere(set.find(name.as_str()).and_then(Loaded::service))
}
