//! Why something happened or did not: answered from the journal, with the values that were there.

use super::Problem;
use super::audit::Teller;
use super::auth::Viewer;
use crate::kernel::domain::{Disabled, ItemId, Name, OccurrenceId, Reason, Record, RunId, Stamped, Stream};
use crate::kernel::engine::{ItemPhase, Run};
use crate::worker::App;
use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Records shown, newest last.
const MOST: usize = 50;
/// Records that are looked at, of each stream: an answer must not cost a whole journal.
const LOOK_BACK: u32 = 2_000;
/// Sources whose alerts are looked through, newest first.
const SOURCES: u32 = 100;
/// What the instance's stream says about limits.
const LIMITS: [&str; 8] = [
    "frozen",
    "thawed",
    "breaker_tripped",
    "breaker_reset",
    "overridden",
    "override_ended",
    "disabled",
    "enabled",
];

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
    let (kind, says, now, found) = if let Some(run) = run {
        let mut found = newest(&app, &Stream::Run(run.id().clone()), &[]).await?;
        let mut now = run.blockers(app.world.now());
        now.extend(passed_over(&run, &found.records));
        found.records.retain(|r| decides(&r.record));
        ("run", run.next(app.world.now()).says, now, found)
    } else if app.services().contains(&Name::from(of)) {
        let (says, now, found) = service(&app, &Name::from(of)).await?;
        ("service", says, now, found)
    } else {
        let found = alert(&app, of).await?;
        let Some(last) = found.records.last() else {
            let what =
                format!("run, service or alert {of:?} among the newest {LOOK_BACK} records of each source");
            return Err(super::sealed::no_such(&app, what).await);
        };
        ("alert", crate::kernel::engine::tell::tell(&last.record, None), vec![], found)
    };
    let (mut told, mut teller) = (vec![], Teller::new(&app));
    let Found { records, older } = found;
    let skip = records.len().saturating_sub(MOST);
    for stamped in records.into_iter().skip(skip) {
        let reasons = reasons(&stamped.record);
        let mut record = teller.tell(stamped).await?;
        record["reasons"] = json!(reasons);
        told.push(record);
    }
    Ok(Json(json!({
        "schema": "pointsman.why/v1", "of": of, "kind": kind, "says": says, "now": now, "records": told,
        "left_out": skip, "older": older,
    })))
}

/// What a question found, and whether there is more behind what was looked at.
#[derive(Default)]
pub(super) struct Found {
    pub(super) records: Vec<Stamped>,
    older: bool,
}

/// Where a ladder has come to a person: why each way before that one did not do.
fn passed_over(run: &Run, records: &[Stamped]) -> Vec<Reason> {
    let mut last: BTreeMap<(ItemId, u8), &[Reason]> = BTreeMap::new();
    for stamped in records {
        if let Record::Observed { item, rung, plan, .. } = &stamped.record {
            last.insert((*item, *rung), plan.reasons());
        }
    }
    let waits = |id: ItemId, rung: u8| {
        let state = run.items.get(usize::from(id));
        state.is_some_and(|s| s.phase == ItemPhase::AwaitingPerson && rung < s.rung)
    };
    let named = |id: ItemId, reason: &Reason| {
        let item = run.spec.items.get(usize::from(id)).map_or("", |item| item.name.as_str());
        Reason::new(&reason.code, format!("{item}: {}", reason.says))
    };
    let left = last.into_iter().filter(|((id, rung), _)| waits(*id, *rung));
    left.flat_map(|((id, _), why)| why.iter().map(move |reason| named(id, reason))).collect()
}

/// What stands against an automatic run of the service now, and what was decided about it.
async fn service(app: &App, service: &Name) -> Result<(String, Vec<Reason>, Found), Problem> {
    let (runs, now) = (app.past().await.map_err(Problem::store)?, app.world.now());
    let mut why: Vec<Reason> = vec![];
    why.extend(app.frozen().map(|says| Reason::new("PM5410", says)));
    why.extend(app.frozen_by(service).map(|freeze| Reason::new("PM5410", freeze.says())));
    why.extend(app.tripped().map(|tripped| tripped.reason()));
    let playbooks = app.playbooks();
    for (_, playbook) in playbooks.active().filter(|(_, p)| p.service == *service) {
        why.extend(app.out_of_use(&playbook.name));
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
    let mut found = newest(app, &Stream::Service(service.clone()), &[]).await?;
    let whole = newest(app, &Stream::Instance, &LIMITS).await?;
    found.older |= whole.older;
    found.records.extend(whole.records.into_iter().filter(|r| match &r.record {
        Record::Frozen { service: of, .. } | Record::Thawed { service: of, .. } => {
            of.as_ref().is_none_or(|of| of == service)
        }
        Record::Overridden(lifted) => lifted.service == *service,
        Record::OverrideEnded { service: of, .. } => of == service,
        Record::Disabled(Disabled { playbook, .. }) | Record::Enabled { playbook, .. } => {
            playbooks.find(playbook.as_str()).is_some_and(|loaded| loaded.service() == Some(service))
        }
        _ => true,
    }));
    found.records.sort_by_key(|r| r.position);
    Ok((says, why, found))
}

/// What was said about occurrences of this alert.
pub(super) async fn alert(app: &App, of: &str) -> Result<Found, Problem> {
    let mut ids: Vec<OccurrenceId> = vec![];
    let mut all = Found::default();
    let streams = app.journal.backend().summaries("alerts:", SOURCES).await.map_err(Problem::store)?;
    for row in streams {
        let found = newest(app, &row.stream, &[]).await?;
        all.older |= found.older;
        for stamped in found.records {
            if let Record::OccurrenceOpened { occurrence, fingerprint, labels, .. } = &stamped.record
                && (occurrence.as_str() == of || fingerprint == of || labels["alertname"] == of)
            {
                ids.push(occurrence.clone());
            }
            if occurrence_of(&stamped.record).is_some_and(|id| ids.contains(id)) {
                all.records.push(stamped);
            }
        }
    }
    for service in app.services() {
        let found = newest(app, &Stream::Service(service), &["held", "joined"]).await?;
        let ours = |r: &Stamped| occurrence_of(&r.record).is_some_and(|id| ids.contains(id));
        all.older |= found.older;
        all.records.extend(found.records.into_iter().filter(ours));
    }
    all.records.sort_by_key(|r| r.position);
    Ok(all)
}

/// The newest records of a stream, no more than are looked back at.
async fn newest(app: &App, stream: &Stream, kinds: &[&str]) -> Result<Found, Problem> {
    let records = app.journal.newest(stream, kinds, LOOK_BACK).await.map_err(Problem::store)?;
    let first = records.first().map_or(1, |record| record.seq);
    Ok(Found { older: records.len() >= LOOK_BACK as usize && first > 1, records })
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
        | Record::Readiness { why, .. }
        | Record::BreakerTripped { why } => why.clone(),
        Record::NotStarted { why, .. } => {
            why.iter().map(|v| Reason::new(&v.why.code, format!("{}: {}", v.playbook, v.why.says))).collect()
        }
        _ => vec![],
    }
}
