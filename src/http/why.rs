//! Why something happened or did not: answered from the journal, with the values that were there.

use super::Problem;
use super::audit::Teller;
use super::auth::Viewer;
use crate::kernel::domain::{Name, OccurrenceId, Reason, Record, RunId, Stamped, Stream};
use crate::worker::App;
use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Records shown, newest last.
const MOST: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// A run, a service, or an alert: its occurrence, its fingerprint or its name.
    of: String,
}

pub async fn show(
    State(app): State<Arc<App>>,
    _: Viewer,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Problem> {
    let of = wanted.of.trim();
    let run = app.run(&RunId::from(of.to_uppercase().as_str())).await.map_err(Problem::store)?;
    let (kind, says, now, records) = if let Some(run) = run {
        let records = app.journal.read(&Stream::Run(run.id().clone()), 1).await.map_err(Problem::store)?;
        let (says, now) = (run.next(app.world.now()).says, run.blockers(app.world.now()));
        ("run", says, now, records.into_iter().filter(|r| decides(&r.record)).collect())
    } else if app.services().contains(&Name::from(of)) {
        service(&app, &Name::from(of)).await?
    } else {
        let records = alert(&app, of).await?;
        if records.is_empty() {
            return Err(Problem::no_such(format!("run, service or alert {of:?} in the journal")));
        }
        ("alert", format!("alert {of}"), vec![], records)
    };
    let (mut told, mut teller) = (vec![], Teller::new(&app));
    let skip = records.len().saturating_sub(MOST);
    let says = match (kind, records.last()) {
        ("alert", Some(last)) => crate::kernel::engine::tell::tell(&last.record, None),
        _ => says,
    };
    for stamped in records.into_iter().skip(skip) {
        let reasons = reasons(&stamped.record);
        let mut record = teller.tell(stamped).await?;
        record["reasons"] = json!(reasons);
        told.push(record);
    }
    Ok(Json(json!({
        "schema": "pointsman.why/v1", "of": of, "kind": kind, "says": says, "now": now, "records": told,
        "left_out": skip,
    })))
}

type Found = (&'static str, String, Vec<Reason>, Vec<Stamped>);

/// What stands against an automatic run of the service now, and what was decided about it.
async fn service(app: &App, service: &Name) -> Result<Found, Problem> {
    let (runs, now) = (app.past().await.map_err(Problem::store)?, app.world.now());
    let mut why: Vec<Reason> = vec![];
    why.extend(app.frozen().map(|says| Reason::new("PM5410", says)));
    why.extend(app.frozen_by(service).map(|freeze| Reason::new("PM5410", freeze.says())));
    why.extend(app.tripped().map(|tripped| tripped.reason()));
    for (_, playbook) in app.playbooks.active().filter(|(_, p)| p.service == *service) {
        let against = app.against_service(playbook, &runs, now).await.map_err(Problem::store)?;
        why.extend(
            against.into_iter().map(|r| Reason::new(&r.code, format!("{}: {}", playbook.name, r.says))),
        );
    }
    let open = app.open_run(service).await.map_err(Problem::store)?;
    let open = match &open {
        Some(id) => app.run(id).await.map_err(Problem::store)?.map(|run| run.summary()),
        None => None,
    };
    let says = match (open, why.is_empty()) {
        (Some(run), _) => format!("run {} is open: {}", run.run, run.says),
        (None, true) => format!("nothing stands against a run of {service}"),
        (None, false) => format!("{service} would not move by itself now"),
    };
    let mut records = app.journal.read(&Stream::Service(service.clone()), 1).await.map_err(Problem::store)?;
    let whole = app.journal.read(&Stream::Instance, 1).await.map_err(Problem::store)?;
    records.extend(whole.into_iter().filter(|r| match &r.record {
        Record::Frozen { service: of, .. } | Record::Thawed { service: of, .. } => {
            of.as_ref().is_none_or(|of| of == service)
        }
        Record::Overridden(lifted) => lifted.service == *service,
        Record::OverrideEnded { service: of, .. } => of == service,
        Record::BreakerTripped { .. } | Record::BreakerReset { .. } => true,
        _ => false,
    }));
    records.sort_by_key(|r| r.position);
    Ok(("service", says, why, records))
}

/// Everything that was said about occurrences of this alert.
async fn alert(app: &App, of: &str) -> Result<Vec<Stamped>, Problem> {
    let mut ids: Vec<OccurrenceId> = vec![];
    let mut found: Vec<Stamped> = vec![];
    let streams = app.journal.backend().summaries("alerts:", 1_000).await.map_err(Problem::store)?;
    for row in streams {
        for stamped in app.journal.read(&row.stream, 1).await.map_err(Problem::store)? {
            if let Record::OccurrenceOpened { occurrence, fingerprint, labels, .. } = &stamped.record
                && (occurrence.as_str() == of || fingerprint == of || labels["alertname"] == of)
            {
                ids.push(occurrence.clone());
            }
            if occurrence_of(&stamped.record).is_some_and(|id| ids.contains(id)) {
                found.push(stamped);
            }
        }
    }
    for service in app.services() {
        let records = app.journal.read(&Stream::Service(service), 1).await.map_err(Problem::store)?;
        let ours = |r: &Stamped| occurrence_of(&r.record).is_some_and(|id| ids.contains(id));
        found.extend(records.into_iter().filter(ours));
    }
    found.sort_by_key(|r| r.position);
    Ok(found)
}

fn occurrence_of(record: &Record) -> Option<&OccurrenceId> {
    match record {
        Record::OccurrenceOpened { occurrence, .. }
        | Record::OccurrenceClosed { occurrence, .. }
        | Record::NotStarted { occurrence, .. }
        | Record::Joined { occurrence, .. } => Some(occurrence),
        Record::Held { occurrence, .. } => occurrence.as_ref(),
        _ => None,
    }
}

/// Records of a run that decide something; what was merely looked at is left to `audit`.
fn decides(record: &Record) -> bool {
    !matches!(record, Record::Observed { .. } | Record::Taken { .. } | Record::Ended { .. })
}

fn reasons(record: &Record) -> Vec<Reason> {
    match record {
        Record::Held { why, .. }
        | Record::Parked { why, .. }
        | Record::NotOpened { why, .. }
        | Record::Finished { why, .. }
        | Record::BreakerTripped { why } => why.clone(),
        Record::NotStarted { why, .. } => {
            why.iter().map(|v| Reason::new(&v.why.code, format!("{}: {}", v.playbook, v.why.says))).collect()
        }
        _ => vec![],
    }
}
