//! Right now, in one answer: what runs, what is loaded, where the journal stands.

use super::Problem;
use super::auth::Viewer;
use super::playbooks::brief;
use crate::kernel::domain::{Mode, Override};
use crate::kernel::engine::Freeze;
use crate::units::counted;
use crate::worker::App;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::sync::Arc;

pub async fn show(State(app): State<Arc<App>>, Viewer(who): Viewer) -> Result<Json<Value>, Problem> {
    let head = app.journal.backend().head().await.map_err(Problem::store)?;
    let runs = app.summaries(50).await.map_err(Problem::store)?;
    let open = runs.iter().filter(|r| r.outcome.is_none()).count();
    let set = app.playbooks();
    let playbooks: Vec<Value> = set.all().map(|loaded| brief(&app, loaded)).collect();
    let (active, last_good) = (set.active().count(), set.last_good().count());
    let disabled = set.active().filter(|(loaded, _)| app.disabled_by(&loaded.name).is_some()).count();
    let trouble = app.playbooks_trouble();
    let frozen = app.frozen();
    let asks = app.asks(&who).await.map_err(Problem::store)?;
    let watches = fence_watches(&app).await?;
    let loose: Vec<&str> = watches
        .iter()
        .filter(|w| w["state"] == "seen_writable")
        .filter_map(|w| w["target"].as_str())
        .collect();
    let freezes = app.freezes();
    let whole = freezes.iter().find(|f| f.service.is_none()).map(Freeze::says);
    let tripped = app.tripped();
    let (now, spent) = (app.world.now(), app.changes.now(app.world.now()));
    let overrides: Vec<Value> = app.overrides(now).iter().map(lifted).collect();
    let says = match (frozen.as_ref().or(whole.as_ref()), open, active) {
        // The whole of it is in `frozen`; this is one sentence.
        (Some(why), _, _) => format!("FROZEN: {}", why.lines().next().unwrap_or_default()),
        _ if !loose.is_empty() => {
            format!("ALARM: the old primary {} accepts writes again", loose.join(", "))
        }
        (None, _, _) if tripped.is_some() => {
            "STORM: no automatic run starts before a person resets the breaker".to_owned()
        }
        (None, 0, 0) => "no playbook is active: alerts are recorded, nothing can start".to_owned(),
        (None, 0, n) => quiet(n, last_good, disabled, trouble.is_some()),
        (None, runs, _) => match asks.iter().filter(|ask| ask.mine).count() {
            0 => format!("{} open", counted(runs, "run")),
            1 => format!("{} open, 1 thing waits for you", counted(runs, "run")),
            n => format!("{} open, {n} things wait for you", counted(runs, "run")),
        },
    };
    Ok(Json(json!({
        "schema": "pointsman.status/v1", "version": env!("CARGO_PKG_VERSION"), "site": app.config.site,
        "frozen": frozen, "freezes": freezes.iter().map(freeze).collect::<Vec<_>>(),
        "breaker": tripped.map(|t| json!({ "since": t.at, "says": t.reason().says })),
        "overrides": overrides,
        "changes": { "begun": spent.begun, "reserved": spent.reserved, "most": spent.most },
        "held_back": held_back(&app).await?, "runs": runs, "asks": asks,
        "fence_watches": watches, "clocks": app.clock_finding(),
        "channels": app.channels.all(), "playbooks": playbooks,
        "playbooks_trouble": trouble.map(|t| json!({ "since": t.since, "says": t.says })),
        "head": { "position": head.position, "hash": head.hash }, "says": says,
    })))
}

/// Quiet only where the files are what is in force.
fn quiet(active: usize, last_good: usize, disabled: usize, trouble: bool) -> String {
    let active = match disabled {
        0 => counted(active, "playbook"),
        n => format!("{} ({n} disabled)", counted(active, "playbook")),
    };
    match (trouble, last_good) {
        (true, _) => format!("{active} active as before, no run open; the folder cannot be taken now"),
        (false, 0) => format!("quiet: {active} active, no run open"),
        (false, n) => format!("{active} active, {n} in a form before that of its file; no run open"),
    }
}

/// Old primaries that are still watched, of whatever run, with what the last look saw.
async fn fence_watches(app: &App) -> Result<Vec<Value>, Problem> {
    let all = app.summaries(10_000).await.map_err(Problem::store)?;
    let mut shown = vec![];
    for summary in all.iter().filter(|summary| !summary.watches.is_empty()) {
        let run = app.run(&summary.run).await.map_err(Problem::store)?;
        for line in &summary.watches {
            let since = run.as_ref().and_then(|run| run.watches.get(&line.target)).map(|watch| watch.since);
            let seen = app.board.seen(&summary.run, &line.target);
            shown.push(json!({
                "run": summary.run, "service": summary.service, "target": line.target,
                "promoted": line.promoted, "rung": line.rung, "state": line.state, "says": line.says,
                "since": since, "seen": seen.as_ref().map(|s| s.says.clone()),
                "looked": seen.as_ref().map(|s| s.at),
            }));
        }
    }
    Ok(shown)
}

fn lifted(lifted: &Override) -> Value {
    json!({
        "rule": lifted.rule, "service": lifted.service, "by": lifted.by.name, "reason": lifted.reason,
        "until": lifted.until, "says": lifted.says(),
    })
}

fn freeze(freeze: &Freeze) -> Value {
    json!({
        "service": freeze.service, "by": freeze.by.name, "reason": freeze.reason, "until": freeze.until,
        "says": freeze.says(),
    })
}

/// Playbooks of mode auto that would not start by themselves now, each with every reason.
async fn held_back(app: &App) -> Result<Vec<Value>, Problem> {
    let (runs, now) = (app.past().await.map_err(Problem::store)?, app.world.now());
    let mut held = vec![];
    let playbooks = app.playbooks();
    for (loaded, playbook) in playbooks.active().filter(|(_, p)| p.mode == Mode::Auto) {
        let why = app.against_service(playbook, &runs, now).await.map_err(Problem::store)?;
        if !why.is_empty() {
            held.push(json!({ "service": playbook.service, "playbook": loaded.name, "why": why }));
        }
    }
    Ok(held)
}
