//! What a playbook would do right now, and plans that were made before. Nothing is recorded and no permit is minted; a
//! plan is kept beside the journal under its name, to be shared, and run as long as it is valid and unused.

use super::Problem;
use super::auth::Viewer;
use crate::kernel::domain::{Actor, Cause, Digest, Item, ItemRole, PlanSheet, Resolved, Time, Verdict};
use crate::playbook::Playbook;
use crate::provider::reach;
use crate::store::KeptPlan;
use crate::worker::{App, Playbooks, dry_plan, past};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
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
    let playbooks = app.playbooks();
    let spec = resolved(&app, checked(&playbooks, &wanted.playbook)?, by, "plan")?;
    let id = spec.run.clone();
    let mut document = planned(&app, &wanted.playbook, spec).await?;
    // A plan that is blocked has nothing to run. One that cannot be kept is a plan all the same, without a name.
    if let Some(digest) = digest_of(&document) {
        document["id"] = json!(id);
        let kept = KeptPlan { id, digest, made: app.world.now(), document: document.clone() };
        match app.store.keep_plan(kept).await {
            Ok(true) => document["state"] = json!("valid"),
            Ok(false) => document["id"] = Value::Null,
            Err(error) => {
                tracing::warn!(%error, "a plan was shown and cannot be kept");
                document["id"] = Value::Null;
            }
        }
    }
    Ok(Json(document))
}

/// A plan as it was shown, by its name or the beginning of its digest, and whether it may still be run.
pub async fn show(
    State(app): State<Arc<App>>,
    _: Viewer,
    Path(named): Path<String>,
) -> Result<Json<Value>, Problem> {
    let mut kept = kept(&app, &named).await?;
    let until = valid_until(&kept);
    let used = app.has_run(&kept.id).await.map_err(Problem::store)?;
    kept.document["state"] = json!(match (used, until) {
        (true, _) => "used",
        (false, Some(until)) if app.world.now() < until => "valid",
        (false, _) => "stale",
    });
    Ok(Json(kept.document))
}

async fn kept(app: &App, named: &str) -> Result<KeptPlan, Problem> {
    let found = app.store.plan(named.trim()).await.map_err(Problem::store)?;
    found
        .ok_or_else(|| Problem::no_such(format!("plan {named:?}; plans are kept for 7 days, the newest 500")))
}

fn digest_of(document: &Value) -> Option<Digest> {
    serde_json::from_value::<PlanSheet>(document["plan"].clone()).ok().map(|sheet| sheet.digest)
}

fn valid_until(kept: &KeptPlan) -> Option<Time> {
    serde_json::from_value::<PlanSheet>(kept.document["plan"].clone()).ok().map(|sheet| sheet.until)
}

/// What a person runs by a plan's name: its playbook, as long as it is valid and has opened no run.
pub async fn unused(app: &App, named: &str) -> Result<(KeptPlan, String), Problem> {
    let kept = kept(app, named).await?;
    if app.has_run(&kept.id).await.map_err(Problem::store)? {
        return Err(used(&kept.id));
    }
    let playbook = kept.document["playbook"].as_str().unwrap_or_default().to_owned();
    let now = app.world.now();
    match valid_until(&kept) {
        Some(until) if now < until => Ok((kept, playbook)),
        _ => Err(stale(&kept, format!("plan {} was valid for {} and is older", kept.id, valid_for(&kept)))),
    }
}

fn valid_for(kept: &KeptPlan) -> String {
    valid_until(kept).map_or_else(|| "no time".into(), |until| until.since(kept.made).to_string())
}

pub fn stale(kept: &KeptPlan, failed: String) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "PM4030",
        failed,
        "no run was started, nothing was changed",
        format!(
            "look at a new plan: pointsman plan {}",
            kept.document["playbook"].as_str().unwrap_or("PLAYBOOK")
        ),
    )
}

pub fn used(plan: &crate::kernel::domain::RunId) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "PM4031",
        format!("plan {plan} was used: it opened run {plan}"),
        "no other run was started",
        format!("`pointsman watch {plan}` shows that run; a plan is good for one"),
    )
}

/// The plan of a run that is not opened, as every surface gets it.
pub async fn planned(app: &App, playbook: &str, spec: Resolved) -> Result<Value, Problem> {
    let (kind, mode, from, to, service) =
        (spec.kind, spec.mode, spec.from.clone(), spec.to.clone(), spec.service.clone());
    let (items, objective, text) = (spec.items.clone(), spec.objective.rto, spec.playbook_digest);
    let history = past(app, &spec.playbook).await.map_err(|e| Problem::store(format!("{e}")))?;
    let dry = dry_plan(app, spec).await.map_err(Problem::store)?;
    let plan = dry.blockers.is_empty().then_some(&dry.sheet);
    Ok(json!({
        "schema": "pointsman.plan/v1", "playbook": playbook, "service": service, "kind": kind, "mode": mode,
        "from": from, "to": to, "plan": plan, "lines": dry.sheet.lines, "at_risk": dry.sheet.at_risk,
        "blockers": dry.blockers, "playbook_digest": text, "no_return": no_return(&items, &dry.sheet),
        "reach": reaches(app, &items, &dry.sheet),
        "time": { "history": history, "objective": objective },
    }))
}

/// The first step after which the run cannot take back what it did: the commit point, or what has no undo.
fn no_return(items: &[Item], sheet: &PlanSheet) -> Value {
    let pending = |verdict| !matches!(verdict, Verdict::Ok | Verdict::Nothing);
    let first =
        sheet.lines.iter().filter(|l| l.role == ItemRole::Step && pending(l.verdict)).find(|line| {
            line.no_undo || items.get(usize::from(line.item)).is_some_and(|item| item.commit_point)
        });
    first.map_or(Value::Null, |line| json!({ "item": line.item, "name": line.name }))
}

/// How far each pending step can reach at worst, by the way that it would be done first.
fn reaches(app: &App, items: &[Item], sheet: &PlanSheet) -> Vec<Value> {
    let pending = sheet.lines.iter().filter(|l| !matches!(l.verdict, Verdict::Ok | Verdict::Nothing));
    pending
        .filter_map(|line| {
            let rungs = &items.get(usize::from(line.item))?.rungs;
            let says: Vec<String> =
                rungs.iter().filter_map(|rung| reach(rung.form.spec()?, &app.config)).collect();
            (!says.is_empty()).then(|| json!({ "item": line.item, "name": line.name, "says": says }))
        })
        .collect()
}

pub fn resolved(app: &App, checked: &Playbook, by: Actor, reason: &str) -> Result<Resolved, Problem> {
    let cause = Cause::Person { by, reason: reason.to_owned() };
    app.resolve(checked, cause, None).map_err(|problems| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "PM4010",
            format!("playbook {} cannot be resolved: {}", checked.name, problems.join("; ")),
            "nothing was changed",
            "a playbook whose expressions need an alert can only be started by one",
        )
    })
}

/// The playbook of that name, if it is active. One set for the whole of a request: roles are those of the service that
/// is moved.
pub fn checked<'a>(playbooks: &'a Playbooks, playbook: &str) -> Result<&'a Playbook, Problem> {
    let Some(loaded) = playbooks.find(playbook) else {
        return Err(Problem::no_such(format!("playbook {playbook:?}")));
    };
    let Some(checked) = &loaded.playbook else {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "PM4009",
            format!("playbook {playbook} has problems and is not active: {}", loaded.problems.join("; ")),
            "nothing was changed",
            "mend it and `pointsman check` it; the server takes it within seconds",
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

#[cfg(test)]
mod tests {
    use crate::kernel::domain::Spec;
    use crate::playbook::actions;
    use crate::provider::reach;
    use serde_json::json;

    /// A new action that changes something has to say how far it reaches.
    #[test]
    fn whatever_acts_says_how_far_it_reaches_and_whatever_looks_does_not() {
        let config = crate::config::for_test("");
        for action in actions() {
            let spec = Spec { kind: action.kind.into(), target: "x".into(), with: json!({}) };
            assert_eq!(reach(&spec, &config).is_some(), action.acts, "{}", action.kind);
        }
    }
}
