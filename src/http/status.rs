//! Right now, in one answer: what runs, what is loaded, where the journal stands.

use super::Problem;
use super::auth::Viewer;
use crate::units::counted;
use crate::worker::App;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::sync::Arc;

pub async fn show(State(app): State<Arc<App>>, _: Viewer) -> Result<Json<Value>, Problem> {
    let head = app.journal.backend().head().await.map_err(Problem::store)?;
    let runs = app.summaries(50).await.map_err(Problem::store)?;
    let open = runs.iter().filter(|r| r.outcome.is_none()).count();
    let playbooks: Vec<Value> = app
        .playbooks
        .all()
        .map(|p| {
            json!({
                "name": p.name, "service": p.service(), "mode": p.mode(), "digest": p.digest,
                "active": p.playbook.is_some(), "problems": p.problems, "warnings": p.warnings, "file": p.file,
            })
        })
        .collect();
    let active = app.playbooks.active().count();
    let frozen = app.frozen();
    let says = match (&frozen, open, active) {
        // The whole of it is in `frozen`; this is one sentence.
        (Some(why), _, _) => format!("FROZEN: {}", why.lines().next().unwrap_or_default()),
        (None, 0, 0) => "no playbook is active: alerts are recorded, nothing can start".to_owned(),
        (None, 0, n) => format!("quiet: {} active, no run open", counted(n, "playbook")),
        (None, runs, _) => format!("{} open", counted(runs, "run")),
    };
    Ok(Json(json!({
        "schema": "pointsman.status/v1", "version": env!("CARGO_PKG_VERSION"), "site": app.config.site,
        "frozen": frozen, "runs": runs, "playbooks": playbooks,
        "head": { "position": head.position, "hash": head.hash }, "says": says,
    })))
}
