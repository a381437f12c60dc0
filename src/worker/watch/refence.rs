//! An old primary that came back is fenced again, by a run of its own: recorded, with permits, through the ladder that
//! its playbook has for it. Ways that need a person are left out, since nobody may be there; people are told instead.

use super::{Seen, write};
use crate::kernel::domain::{
    Actor, Afterwards, Cause, Fact, FenceRung, FenceWatchState, Form, Item, ItemRole, Mode, Name, Outcome,
    Record, Resolved, Retry, RunId, RunKind, Rung, Span, Spec,
};
use crate::kernel::engine::{Command, ItemPhase, Run, WatchLine};
use crate::worker::{App, CommandError};
use serde_json::json;

/// After a try that did not fence it; doubled up to ten minutes.
const AGAIN: Span = Span::secs(10);
const MOST_DOUBLINGS: u32 = 6;
const GUARD: Span = Span::secs(10);

/// Opens a run that fences it, unless one is at work or was just tried.
pub async fn begin(
    app: &App,
    id: &RunId,
    line: &WatchLine,
    stale: bool,
    seen: &mut Seen,
) -> anyhow::Result<()> {
    let now = app.world.now();
    if seen.refence.is_some() || now < seen.not_before {
        return Ok(());
    }
    let target = &line.target;
    let spec = match app.run(id).await? {
        Some(run) if stale => spec(&run, line, RunId::from_random(app.world.random())),
        _ => None,
    };
    let why = match spec {
        None if !stale => {
            format!("it is not proven that {} supersedes it, so it is not fenced by itself", line.promoted)
        }
        None => "its playbook has no way to fence it without a person".to_owned(),
        Some(spec) => match app.open(spec, vec![]).await {
            Ok(run) => {
                tracing::warn!(%target, %run, "the old primary is fenced again by this run");
                seen.refence = Some(run);
                return Ok(());
            }
            Err(error) => error.to_string(),
        },
    };
    give_up(app, id, line, &why, seen).await
}

/// What became of the run that fences it.
pub async fn follow(app: &App, run: &Run, line: &WatchLine, seen: &mut Seen) -> anyhow::Result<()> {
    let Some(refence) = seen.refence.clone() else { return Ok(()) };
    let Some(fencing) = app.run(&refence).await? else {
        seen.refence = None;
        return Ok(());
    };
    let waits = fencing.items.iter().any(|item| item.phase == ItemPhase::AwaitingPerson);
    match fencing.finished {
        Some(Outcome::Succeeded | Outcome::Unchanged) => {
            (seen.refence, seen.tries) = (None, 0);
            let rung = proven(&fencing, &line.target).unwrap_or(line.rung);
            let says = format!("fenced again ({rung}) by run {refence}; watched on");
            tracing::warn!(run = %run.id(), target = %line.target, "the old primary is {says}");
            app.metrics.fenced_again(true);
            let state = FenceWatchState::Watching;
            let record = Record::FenceWatch { target: line.target.clone(), rung, state, says, by: None };
            write(app, run.id(), record).await?;
        }
        Some(outcome) => {
            seen.refence = None;
            let says = format!("run {refence} ended {outcome}: {}", fencing.summary().says);
            give_up(app, run.id(), line, &says, seen).await?;
        }
        None if fencing.is_parked() || waits => {
            // It would hold the service's lock while nobody is there; the watch tries again and tells people.
            let reason = format!("the fence watch gives this try up: {}", fencing.summary().says);
            match app.command(&refence, &Command::Close, &Actor::internal(), &reason).await {
                Ok(_) | Err(CommandError::Refused(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        None => {}
    }
    Ok(())
}

/// What was to be fenced is a standby by now, whoever made it one: a run that still waits for a way to it would hold the service
/// for nothing. Whether none is left.
pub async fn call_off(app: &App, seen: &Seen) -> anyhow::Result<bool> {
    let Some(refence) = &seen.refence else { return Ok(true) };
    if app.run(refence).await?.is_none_or(|run| run.finished.is_some()) {
        return Ok(true);
    }
    match app.command(refence, &Command::Close, &Actor::internal(), "it is a standby by now").await {
        Ok(_) => Ok(true),
        // A call of it is on its way.
        Err(CommandError::Refused(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn proven(run: &Run, target: &Name) -> Option<FenceRung> {
    let gives = run.items.iter().filter_map(|item| match &item.phase {
        ItemPhase::Done { gives } => Some(gives),
        _ => None,
    });
    let rung = |fact: &Fact| match fact {
        Fact::Fenced { target: fenced, rung, .. } if fenced == target => Some(*rung),
        _ => None,
    };
    gives.flatten().filter_map(rung).max()
}

/// People are told: log, journal, metric, status. It is tried again later all the same.
async fn give_up(app: &App, id: &RunId, line: &WatchLine, why: &str, seen: &mut Seen) -> anyhow::Result<()> {
    let wait = Span(AGAIN.0 << seen.tries.min(MOST_DOUBLINGS));
    seen.tries = seen.tries.saturating_add(1);
    seen.not_before = app.world.now() + wait;
    let target = &line.target;
    app.metrics.fenced_again(false);
    tracing::error!(run = %id, %target, code = "PM5502", "the old primary accepts writes and is NOT fenced again: {why}");
    let says = format!(
        "PM5502: it accepts writes and is NOT fenced again: {why}. Stop and mask {target} by hand now; the next try is \
         in {wait}"
    );
    let record = Record::FenceWatch {
        target: target.clone(),
        rung: FenceRung::None,
        state: FenceWatchState::SeenWritable,
        says,
        by: None,
    };
    write(app, id, record).await?;
    Ok(())
}

/// The guard that proves which of the two is the stale one.
pub fn superseded(room: &str, line: &WatchLine) -> Spec {
    Spec {
        kind: format!("{room}.superseded").as_str().into(),
        target: line.target.clone(),
        with: json!({ "by": line.promoted }),
    }
}

/// The fence of the run that promoted, behind a guard that proves that the target is the stale one of the two.
fn spec(run: &Run, line: &WatchLine, id: RunId) -> Option<Resolved> {
    let room = fence_of(run, &line.target)?;
    let guard = superseded(room, line);
    let mut items = vec![Item {
        name: Name::from(format!("{} is the stale one of two primaries", line.target)),
        role: ItemRole::Guard,
        rungs: vec![Rung { form: Form::Check(guard), proves: vec![] }],
        after: vec![],
        optional: false,
        commit_point: false,
        planned_ahead: true,
        accept_unfenced: None,
        continues: None,
        on_failure: Default::default(),
        retry: Retry::default(),
        timeout: GUARD,
    }];
    let steps = run.spec.items.iter().filter(|item| item.role == ItemRole::Step);
    items.extend(steps.filter(|item| fences(item, &line.target)).take(1).filter_map(|item| {
        let by_itself = |rung: &&Rung| matches!(rung.form, Form::Act(_) | Form::Check(_));
        let rungs: Vec<Rung> = item.rungs.iter().filter(by_itself).cloned().collect();
        // A fence that is half made here is never taken back: the other server takes writes.
        let on_failure = Default::default();
        let fence =
            Item { rungs, after: vec![], accept_unfenced: None, optional: false, on_failure, ..item.clone() };
        (!fence.rungs.is_empty()).then_some(fence)
    }));
    if items.len() < 2 {
        return None;
    }
    let acts = items.iter().flat_map(|item| &item.rungs).filter_map(|rung| match &rung.form {
        Form::Act(spec) => Some(spec.target.clone()),
        Form::Check(_) | Form::Manual { .. } => None,
    });
    let mut locks: Vec<Name> = acts.chain([line.target.clone()]).collect();
    locks.sort();
    locks.dedup();
    let reason =
        format!("{} came back as a primary after run {} promoted {}", line.target, run.id(), line.promoted);
    Some(Resolved {
        run: id,
        kind: RunKind::Refence,
        // The fence of this server is what was approved, until it is a standby; a person may not be there.
        mode: Mode::Auto,
        items,
        locks,
        afterwards: Afterwards::default(),
        cause: Cause::Person { by: Actor::internal(), reason },
        epoch: 0,
        ..(*run.spec).clone()
    })
}

/// `postgres`, `redis` or `patroni`: whoever promoted the other one knows what this one is.
fn fence_of(run: &Run, target: &Name) -> Option<&'static str> {
    let watched = run.spec.afterwards.fence_watch.iter().find(|watched| watched.target == *target)?;
    let of_item = run.spec.items.get(usize::from(watched.item)).into_iter().flat_map(|item| &item.rungs);
    let mut kinds = of_item.filter_map(|rung| rung.form.spec()).map(|spec| spec.kind.as_str());
    if kinds.any(|kind| kind == "patroni.promote_standby_cluster") {
        return Some("patroni");
    }
    let specs = run.spec.items.iter().flat_map(|item| &item.rungs).filter_map(|rung| rung.form.spec());
    let promotes = |spec: &&Spec| spec.with.get("old").and_then(|old| old.as_str()) == Some(target.as_str());
    let room = |spec: &Spec| match spec.kind.as_str() {
        // They would make it a replica ten seconds later, and what it acknowledged until then would be lost.
        "redis.promote" | "sentinel.failover" => Some("redis"),
        kind => kind.ends_with(".promote").then_some("postgres"),
    };
    specs.filter(promotes).find_map(room)
}

fn room_of_fence(spec: &Spec) -> Option<&str> {
    spec.kind.as_str().strip_suffix(".fence")
}

fn fences(item: &Item, target: &Name) -> bool {
    item.rungs.iter().any(|rung| {
        let proves = |fact: &Fact| matches!(fact, Fact::Fenced { target: fenced, .. } if fenced == target);
        let acts = rung.form.spec().is_some_and(|s| room_of_fence(s).is_some() && s.target == *target);
        acts || rung.proves.iter().any(proves)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::domain::{OnFailure, Stamped, Stream, Time};
    use crate::playbook::{self, Opening};
    use crate::provider::{Ports, ProviderRegistry};
    use std::sync::Arc;

    /// A planned move, opened.
    fn switchover() -> Run {
        let config = include_str!("../../../playbooks/pointsman.example.toml");
        let text = include_str!("../../../playbooks/postgres-switchover.yaml");
        let config = Arc::new(crate::config::parse(config, "pointsman.toml").0.unwrap());
        let registry = ProviderRegistry { config: config.clone(), ports: Ports::real(config.clone()) };
        let playbook = playbook::check(text, "p.yaml", &config, &registry).0.unwrap();
        let cause = Cause::Person { by: Actor::internal(), reason: "maintenance".into() };
        let run = RunId::from_random(1);
        let opening = Opening { run: run.clone(), epoch: 1, owner: "test".into(), cause, alert: None };
        let spec = playbook::resolve(&playbook, &config, opening).unwrap();
        let record = Record::Opened(Box::new(spec));
        Run::open(&Stamped { position: 1, stream: Stream::Run(run), seq: 1, at: Time(1), record }).unwrap()
    }

    /// Before the promotion the old primary may be given back; once the other server takes writes, it may not.
    #[test]
    fn a_fence_made_again_is_never_taken_back_whatever_its_playbook_says() {
        let run = switchover();
        let line = WatchLine {
            target: "pg-gra".into(),
            promoted: "pg-sbg".into(),
            rung: FenceRung::Lockout,
            state: FenceWatchState::SeenWritable,
            says: String::new(),
        };
        let of_playbook = run.spec.items.iter().find(|item| fences(item, &line.target)).unwrap();
        assert_eq!(of_playbook.on_failure, OnFailure::Undo, "the playbook says it, so it could be inherited");
        let again = spec(&run, &line, RunId::from_random(2)).unwrap();
        assert_eq!(again.kind, RunKind::Refence);
        let fence = again.items.iter().find(|item| fences(item, &line.target)).unwrap();
        assert_eq!(fence.rungs, of_playbook.rungs, "it is the same fence");
        for item in &again.items {
            assert_eq!(item.on_failure, OnFailure::Pause, "{}", item.name);
        }
    }
}
