//! Runs: open one, look at one, decide about one.

use super::Problem;
use super::auth::{Decider, Operator, Viewer};
use super::plans::{bad_json, checked, resolved, stale, unused, used};
use crate::kernel::domain::{Digest, Form, ItemId, Mode, Name, Reason, RunId, StepPlan};
use crate::kernel::engine::{Command, Consent, ItemPhase, Refused, Run, Said};
use crate::worker::{App, CommandError, OpenError, dry_plan};
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
    /// One of both: a playbook, or a plan by name or digest.
    playbook: Option<String>,
    plan: Option<String>,
    reason: String,
    digest: Option<Digest>,
}

pub async fn open(
    State(app): State<Arc<App>>,
    operator: Operator,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let Json(wanted) = wanted.map_err(|e| bad_json(&e))?;
    if wanted.reason.trim().is_empty() {
        return Err(conflict("a run needs a reason", "send a reason; it is kept in the journal"));
    }
    let (playbook, kept) = match (&wanted.playbook, &wanted.plan) {
        (Some(playbook), None) => (playbook.clone(), None),
        (None, Some(plan)) => {
            let (kept, playbook) = unused(&app, plan).await?;
            (playbook, Some(kept))
        }
        _ => return Err(conflict("a run is of a playbook or of a plan", "name one of both")),
    };
    let playbooks = app.playbooks();
    let chosen = checked(&playbooks, &playbook)?;
    let requester = operator.on(&chosen.service)?;
    let mut spec = resolved(&app, chosen, requester.clone(), &wanted.reason)?;
    if spec.mode == Mode::Observe {
        return Err(conflict(
            format!("playbook {playbook} only observes"),
            "`pointsman plan` shows what it would do; mode: approve lets it act",
        ));
    }
    for shown in [wanted.digest, kept.as_ref().map(|kept| kept.digest)].into_iter().flatten() {
        let dry = dry_plan(&app, spec.clone()).await.map_err(Problem::store)?;
        let now = dry.sheet.digest;
        if now != shown {
            let says = format!("the plan changed: it is {} now, not {}", now.short(), shown.short());
            return Err(match &kept {
                Some(kept) => stale(kept, says),
                None => conflict(says, "look at the new plan and decide again"),
            });
        }
    }
    let opened = match kept {
        Some(kept) => {
            spec.run = kept.id;
            app.open_planned(spec).await
        }
        None => app.open(spec, vec![]).await,
    };
    let run = match opened {
        Ok(run) => run,
        Err(OpenError::Store(error)) => return Err(Problem::store(error)),
        Err(OpenError::Used(plan)) => return Err(used(&plan)),
        Err(error) => {
            let (code, remedy) = match &error {
                OpenError::Frozen(_) => ("PM5410", "a person has to thaw it first"),
                OpenError::Clocks(_) => ("PM5506", "set the clocks right"),
                OpenError::Disabled(_) => ("PM5420", "`pointsman playbook enable` takes it back into use"),
                _ => ("PM5408", "wait for that run, or close it"),
            };
            let why = Reason::new(code, error.to_string());
            app.not_opened(chosen, &requester, why).await.map_err(Problem::store)?;
            return Err(conflict(error.to_string(), remedy));
        }
    };
    Ok((StatusCode::CREATED, Json(json!({ "schema": "pointsman.run-opened/v1", "run": run }))))
}

pub async fn list(State(app): State<Arc<App>>, _: Viewer) -> Result<Json<Value>, Problem> {
    let runs = app.summaries(500).await.map_err(Problem::store)?;
    Ok(Json(json!({ "schema": "pointsman.runs/v1", "runs": runs })))
}

pub async fn show(
    State(app): State<Arc<App>>,
    _: Viewer,
    Path(id): Path<RunId>,
) -> Result<Json<Value>, Problem> {
    let run = app.run(&id).await.map_err(Problem::store)?;
    let run = run.ok_or_else(|| Problem::no_such(format!("run {id}")))?;
    Ok(Json(view(&run)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    command: String,
    digest: Option<Digest>,
    item: Option<ItemId>,
    #[serde(default)]
    accept_unfenced: Vec<Name>,
    #[serde(default)]
    solo: bool,
    #[serde(default)]
    reason: String,
}

pub async fn decide(
    State(app): State<Arc<App>>,
    decider: Decider,
    Path(id): Path<RunId>,
    decision: Result<Json<Decision>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(decision) = decision.map_err(|e| bad_json(&e))?;
    let command = command(&decision)?;
    let run = app.run(&id).await.map_err(Problem::store)?;
    let run = run.ok_or_else(|| Problem::no_such(format!("run {id}")))?;
    let by = decider.on(&run.spec.service)?;
    let said = app.command(&id, &command, &by, &decision.reason).await;
    let (position, says) = said.map_err(|error| refused(error, &id.to_string()))?;
    Ok(Json(json!({ "schema": "pointsman.decision/v1", "position": position, "says": says })))
}

pub(super) fn refused(error: CommandError, run: &str) -> Problem {
    match error {
        CommandError::NoSuchRun => Problem::no_such(format!("run {run}")),
        CommandError::Refused(Refused::NoSuch(what)) => Problem::no_such(what),
        CommandError::Refused(Refused::NotAllowed(why)) => Problem::new(
            StatusCode::FORBIDDEN,
            "PM4012",
            why,
            "nothing was decided",
            "somebody with that role has to do it; a reason is always needed",
        ),
        CommandError::Refused(Refused::Conflict(why)) => {
            conflict(why, "`pointsman status` and `pointsman watch` show where things stand")
        }
        CommandError::Doubt(why) => Problem::doubt(why),
        CommandError::Store(error) => Problem::store(error),
    }
}

fn command(decision: &Decision) -> Result<Command, Problem> {
    let item = decision.item;
    Ok(match decision.command.as_str() {
        "approve" => Command::Approve {
            digest: decision.digest.unwrap_or(Digest::ZERO),
            accept_unfenced: decision.accept_unfenced.clone(),
            solo: decision.solo,
        },
        "reject" => Command::Reject,
        "pass" => Command::Pass,
        "replan" => Command::Replan,
        "confirm" => Command::Confirm { item },
        "retry" => Command::Retry { item },
        "skip" => Command::Skip { item },
        "abort" => Command::Abort,
        "close" => Command::Close,
        other => {
            let says = format!("there is no command {other:?}");
            return Err(conflict(
                says,
                "approve, reject, pass, replan, confirm, retry, skip, abort or close",
            ));
        }
    })
}

fn conflict(failed: impl Into<String>, remedy: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "PM4013", failed, "nothing was decided or changed", remedy)
}

fn view(run: &Run) -> Value {
    let items: Vec<Value> = run.ids().map(|id| item_view(run, id)).collect();
    let asked = match &run.consent {
        Consent::Asked { digest, until, yes, passed } => {
            let names = |list: &[Said]| list.iter().map(|said| said.by.name.clone()).collect::<Vec<_>>();
            let need = run.spec.approval.need;
            json!({ "digest": digest, "until": until, "need": need, "yes": names(yes), "passed": names(passed) })
        }
        Consent::None | Consent::Given { .. } | Consent::Denied { .. } => Value::Null,
    };
    let offers: Vec<&Name> = run
        .ids()
        .filter(|id| matches!(run.state(*id).phase, ItemPhase::Parked { .. } | ItemPhase::AwaitingPerson))
        .filter_map(|id| run.item(id).accept_unfenced.as_ref().map(|rule| &rule.target))
        .collect();
    let started = match &run.spec.cause {
        crate::kernel::domain::Cause::Alert { started, .. } => json!(started),
        crate::kernel::domain::Cause::Person { .. } => Value::Null,
    };
    let outcome = run.finished;
    let by_hand = run.by_hand(outcome.unwrap_or(crate::kernel::domain::Outcome::Partial));
    json!({
        "schema": "pointsman.run/v1", "summary": run.summary(), "kind": run.spec.kind, "plan": run.plan,
        "items": items, "asked": asked, "unfenced_offer": offers, "alert_started": started, "rto": run.rto(),
        "rpo": run.rpo(), "by_hand": by_hand, "outcome": outcome, "end": run.end_says, "parked": run.is_parked(),
        "frozen": run.frozen().map(crate::kernel::engine::Freeze::says),
        "doubt": run.parked().any(|(_, _, doubt)| doubt), "undoing": run.undoing, "may_abort": run.may_abort(),
    })
}

fn item_view(run: &Run, id: ItemId) -> Value {
    let (item, state) = (run.item(id), run.state(id));
    let reasons = |list: &[crate::kernel::domain::Reason]| {
        list.iter().map(|r| r.says.clone()).collect::<Vec<_>>().join("; ")
    };
    let seen = state.seen.as_ref().map(|s| match &s.plan {
        StepPlan::Nothing { says, .. } => says.clone(),
        StepPlan::Change(change) => change.now.clone(),
        StepPlan::Refuse(why) | StepPlan::Unknown(why) => reasons(why),
    });
    let (phase, says) = match &state.phase {
        ItemPhase::Idle => ("idle", seen.unwrap_or_default()),
        ItemPhase::InFlight { .. } => ("in_flight", "the call is on its way".to_owned()),
        ItemPhase::Doubt { .. } => ("doubt", "finding out whether it happened".to_owned()),
        ItemPhase::Applied { .. } if state.lingering.is_some() => ("applied", seen.unwrap_or_default()),
        ItemPhase::Applied { .. } => ("applied", "applied; waiting to see it in effect".to_owned()),
        ItemPhase::AwaitingPerson => match run.form(id) {
            Form::Manual { text } => ("awaiting_person", text.clone()),
            Form::Act(_) | Form::Check(_) => ("awaiting_person", String::new()),
        },
        ItemPhase::Done { .. } if state.back.is_some() => ("done", "taken back".to_owned()),
        ItemPhase::Done { .. } => ("done", seen.unwrap_or_default()),
        ItemPhase::Skipped { why } => ("skipped", why.clone()),
        ItemPhase::GaveUp { why } => ("gave_up", reasons(why)),
        ItemPhase::Parked { why, .. } => ("parked", reasons(why)),
    };
    let line = run.plan.as_ref().and_then(|p| p.lines.iter().find(|l| l.item == id));
    json!({
        "item": id, "name": item.name, "role": item.role, "optional": item.optional,
        "target": run.form(id).spec().map_or("", |s| s.target.as_str()), "phase": phase, "says": says,
        "attempts": state.attempts, "rung": state.rung, "began": state.began, "ended": state.ended, "undo": state.back.is_some(),
        "now": line.map_or("", |l| l.now.as_str()), "after": line.map_or("", |l| l.after.as_str()),
    })
}
