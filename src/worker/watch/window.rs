//! The commit window: for a while after a run its names and pages are looked at, and what is no longer as the run left
//! it is reported. Nothing is done about it: a person may have meant it.

use super::{ALL, NEWEST, found, write};
use crate::kernel::domain::{Form, ItemId, Record, RunId, Span, StepPlan, WindowState};
use crate::kernel::engine::{ItemPhase, Run, Summary};
use crate::kernel::port::Registry as _;
use crate::worker::App;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const EVERY: Span = Span::secs(5);
const LOOK: Span = Span::secs(5);
/// One failed look may be a hiccup.
const IN_A_ROW: u32 = 2;

type Failing = BTreeMap<(RunId, ItemId), u32>;

/// Watches commit windows until `stop`.
pub async fn watch_windows(app: Arc<App>, stop: CancellationToken) {
    let wanted = |summary: &Summary| summary.window;
    let mut runs = found(&app, ALL, wanted).await;
    let mut failing = Failing::new();
    loop {
        let due = app.world.now() + EVERY;
        runs.extend(found(&app, NEWEST, wanted).await);
        for id in runs.clone() {
            match look_after(&app, &id, &mut failing).await {
                Ok(true) => {}
                Ok(false) => {
                    runs.remove(&id);
                    failing.retain(|(of, _), _| *of != id);
                }
                Err(error) => tracing::error!(run = %id, %error, "the commit window cannot be looked at now"),
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.world.sleep_until(due) => {}
        }
    }
}

async fn look_after(app: &App, id: &RunId, failing: &mut Failing) -> anyhow::Result<bool> {
    let Some(run) = app.run(id).await? else { return Ok(false) };
    let Some(until) = run.window_until() else { return Ok(false) };
    if app.world.now() >= until {
        let record = Record::CommitWindow { item: None, state: WindowState::Over, says: end(&run) };
        write(app, id, record).await?;
        return Ok(false);
    }
    for item in watched(&run) {
        let found = look(app, &run, item).await;
        let key = (id.clone(), item);
        let drifted = run.window.drifted.contains_key(&item);
        match found {
            None => {
                failing.remove(&key);
                if drifted {
                    let says = "as the run left it again".to_owned();
                    tracing::info!(run = %id, step = %run.item(item).name, "commit window: {says}");
                    let record = Record::CommitWindow { item: Some(item), state: WindowState::Back, says };
                    write(app, id, record).await?;
                }
            }
            Some(says) => {
                let count = failing.entry(key).or_insert(0);
                *count += 1;
                if *count >= IN_A_ROW && !drifted {
                    let says = format!("PM5503: no longer as the run left it: {says}");
                    tracing::error!(run = %id, step = %run.item(item).name, code = "PM5503", "commit window: {says}");
                    app.metrics.drifted();
                    let record = Record::CommitWindow { item: Some(item), state: WindowState::Drifted, says };
                    write(app, id, record).await?;
                }
            }
        }
    }
    Ok(true)
}

fn end(run: &Run) -> String {
    let left: Vec<&str> = run.window.drifted.keys().map(|id| run.item(*id).name.as_str()).collect();
    match left.is_empty() {
        true => "over; names, load balancers and pages are as the run left them".to_owned(),
        false => format!("over; still not as the run left it: {}", left.join(", ")),
    }
}

/// Names that were set, load balancers, and pages that answered.
fn watched(run: &Run) -> Vec<ItemId> {
    let done = |id: &ItemId| matches!(run.state(*id).phase, ItemPhase::Done { .. });
    let kind = |id: &ItemId| match run.form(*id) {
        Form::Act(spec) => spec.leads_users(),
        Form::Check(spec) => spec.kind.as_str() == "http.expect",
        Form::Manual { .. } => false,
    };
    run.ids().filter(done).filter(|id| kind(id) && !run.is_passed(*id)).collect()
}

/// `None`: right. Not being able to look is told too: what is not known is not fine.
async fn look(app: &App, run: &Run, item: ItemId) -> Option<String> {
    let spec = run.form(item).spec()?;
    let bound = match app.faults.bind(spec) {
        Ok(bound) => bound,
        Err(problems) => return Some(format!("it cannot be looked at any more: {}", problems.join("; "))),
    };
    let ctx = app.ctx(run.id(), &run.spec.service, run.epoch, LOOK);
    let looked = tokio::time::timeout(LOOK.as_duration() * 2, bound.check().observe(&ctx)).await;
    let plan = match looked {
        Ok(Ok(seen)) => bound.check().plan(&seen, &run.proven(item), app.world.now()),
        Ok(Err(error)) => return Some(error.to_string()),
        Err(_) => return Some("no answer in time".to_owned()),
    };
    match plan {
        StepPlan::Nothing { says, lingers: Some(lingers), .. }
            if run.outlasts(item, &lingers, app.world.now()) =>
        {
            Some(format!("PM4122: longer than the old TTL allows: {says}"))
        }
        StepPlan::Nothing { .. } => None,
        StepPlan::Change(change) => Some(change.now.clone()),
        StepPlan::Refuse(why) | StepPlan::Unknown(why) => {
            Some(why.iter().map(|r| r.says.as_str()).collect::<Vec<_>>().join("; "))
        }
    }
}
