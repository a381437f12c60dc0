//! One look at one playbook: a plan as if its outage were there, every other way of its steps, and what each would be allowed
//! to do. Reads only: the plan is the real drive over a journal in memory, without permits.

use super::as_if::AsIf;
use super::board::{Found, Looked};
use super::{disk, sources};
use crate::kernel::domain::{
    Cause, Fact, Finding, Form, Grade, Item, ItemId, Observation, Record, Resolved, Span, Spec, Stamped,
    StepPlan,
};
use crate::kernel::engine::Run;
use crate::kernel::port::{Ctx, Registry as _};
use crate::playbook::Playbook;
use crate::worker::App;
use crate::worker::dry::dry_run;
use futures_util::future::{join, join_all};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// For one thing; most answer within milliseconds.
const EACH: Span = Span::secs(10);
/// For the plan; whatever has not answered by then is unknown.
const PLAN: Duration = Duration::from_secs(25);

/// Never longer than 45 seconds.
pub async fn look(app: &App, playbook: &Playbook) -> Looked {
    let cause = Cause::Person { by: crate::kernel::domain::Actor::internal(), reason: "readiness".into() };
    let stand_in = playbook.stand_in();
    let alert = (!stand_in.labels.is_empty()).then_some(&stand_in);
    let findings: Vec<Found> = match app.resolve(playbook, cause, alert) {
        Err(problems) => {
            let fix =
                "an expression that needs more of an alert than its trigger says can only be seen in a test";
            vec![whole(app, Finding::of(Grade::Unknown, "PM5801", problems.join("; "), fix))]
        }
        Ok(spec) => {
            let (steps, sources) = join(of_run(app, spec.clone()), sources::look(app, playbook, &spec)).await;
            let own = of_instance(app, playbook);
            steps.into_iter().chain(sources).chain(own).collect()
        }
    };
    let findings = findings.into_iter().chain([disk::look(app).await]).collect();
    Looked::new(app.world.now(), playbook.digest, findings)
}

fn whole(app: &App, finding: Finding) -> Found {
    Found { about: "the playbook".into(), target: String::new(), at: app.world.now(), finding }
}

/// What holds for every playbook of this instance.
pub(super) fn of_instance(app: &App, playbook: &Playbook) -> Vec<Found> {
    let stops = |code, says: String, fix| whole(app, Finding::of(Grade::Bad, code, says, fix));
    let frozen = app.frozen().map(|why| stops("PM5410", why, "`pointsman thaw`, once a person has looked"));
    let freeze = app
        .frozen_by(&playbook.service)
        .map(|f| stops("PM5410", f.says(), "wait for its end, or `pointsman thaw`"));
    let clocks = app.clock_finding().map(|why| stops("PM5506", why, "set the clocks right"));
    let tripped = app.tripped().map(|t| stops("PM5414", t.reason().says, "`pointsman breaker reset`"));
    [frozen, freeze, clocks, tripped].into_iter().flatten().collect()
}

async fn of_run(app: &App, spec: Resolved) -> Vec<Found> {
    let registry = AsIf(&app.faults);
    let planned = tokio::time::timeout(PLAN, dry_run(app, spec, &registry)).await;
    let (run, records) = match planned {
        Ok(Ok(planned)) => planned,
        Ok(Err(error)) => {
            return vec![whole(
                app,
                Finding::of(Grade::Unknown, "PM5801", error.to_string(), "see the server's log"),
            )];
        }
        Err(_) => {
            let says = format!("not everything answered within {} s", PLAN.as_secs());
            return vec![whole(
                app,
                Finding::of(Grade::Unknown, "PM5801", says, "`pointsman plan` shows what is waited for"),
            )];
        }
    };
    let seen = seen(&records);
    let looks = run.ids().flat_map(|id| (0..).zip(&run.item(id).rungs).map(move |(rung, _)| (id, rung)));
    let looks = looks.map(|(id, rung)| of_way(app, &run, (id, rung), &seen));
    let mut found: Vec<Found> = join_all(looks).await.into_iter().flatten().collect();
    found.extend(of_rules(app, &run, &found));
    found.extend(of_objective(app, &run));
    found
}

type Sights<'a> = BTreeMap<(ItemId, u8), (&'a Result<Observation, String>, &'a StepPlan)>;

fn seen(records: &[Stamped]) -> Sights<'_> {
    let looks = records.iter().filter_map(|stamped| match &stamped.record {
        Record::Observed { item, rung, seen, plan, .. } => Some(((*item, *rung), (seen, plan))),
        _ => None,
    });
    looks.collect()
}

/// One way of one item: by the plan where that came to it, else by a look of its own; then what it would be allowed.
async fn of_way(app: &App, run: &Run, at: (ItemId, u8), seen: &Sights<'_>) -> Vec<Found> {
    let ((id, rung), item) = (at, run.item(at.0));
    let Some(spec) = run.form_at(id, rung).spec() else { return vec![] };
    let acts = matches!(run.form_at(id, rung), Form::Act(_));
    let found =
        |finding, at| Found { about: item.name.to_string(), target: spec.target.to_string(), at, finding };
    // A check that has its turn later would only say that nothing was done yet.
    if !acts && !item.planned_ahead {
        return vec![];
    }
    let now = app.world.now();
    let (sight, verdict) = match seen.get(&at) {
        Some((Ok(sight), plan)) => (sight.clone(), Some((*plan).clone())),
        Some((Err(_), plan)) => return vec![found(judged(item, at, chosen(run, id), plan), now)],
        None => match observe(app, run, id, spec).await {
            Ok(sight) => {
                let plan = item.planned_ahead.then(|| plan(app, spec, &sight, &run.promised(id)));
                (sight, plan)
            }
            Err(why) => {
                return vec![found(
                    judged(item, at, chosen(run, id), &StepPlan::unknown("PM5301", why)),
                    now,
                )];
            }
        },
    };
    let mut all = vec![];
    let mut stuck = false;
    if let Some(plan) = &verdict {
        let finding = judged(item, at, chosen(run, id), plan);
        stuck = finding.grade != Grade::Ok;
        all.push(found(finding, sight.at));
    }
    match rehearse(app, run, id, spec, &sight).await {
        Some(findings) => all.extend(findings.into_iter().map(|finding| found(finding, sight.at))),
        None if acts && !stuck => {
            let says = format!("whether {} would be allowed is not known before it is done", spec.kind);
            let finding = Finding::of(Grade::Open, "PM5802", says, "a drill shows it");
            all.push(found(finding, sight.at));
        }
        None => {}
    }
    all
}

/// The way that the plan has come to.
fn chosen(run: &Run, id: ItemId) -> u8 {
    let state = run.state(id);
    state.planned.as_ref().map_or(state.plan_rung, |planned| planned.rung)
}

fn judged(item: &Item, (_, rung): (ItemId, u8), chosen: u8, plan: &StepPlan) -> Finding {
    let way = if item.rungs.len() > 1 { format!("way {}: ", rung + 1) } else { String::new() };
    let (grade, why) = match plan {
        StepPlan::Nothing { says, .. } => return Finding::ok(format!("{way}{says}")),
        StepPlan::Change(change) => {
            return Finding::ok(format!("{way}{}, would become {}", change.now, change.after));
        }
        StepPlan::Refuse(why) => (Grade::Bad, why),
        StepPlan::Unknown(why) => (Grade::Unknown, why),
    };
    // A ladder goes on to the way that the plan has come to; the ways behind that are for the night on which it is gone.
    let lesser = item.optional || rung < chosen;
    let says: Vec<&str> = why.iter().map(|reason| reason.says.as_str()).collect();
    let code = why.first().map_or("PM5801", |reason| reason.code.as_str());
    let grade = if lesser { Grade::Warn } else { grade };
    Finding::of(grade, code, format!("{way}{}", says.join("; ")), format!("`pointsman explain {code}`"))
}

/// What no single item shows: needs that nothing proves, the rules of the instance.
fn of_rules(app: &App, run: &Run, found: &[Found]) -> Vec<Found> {
    let known: BTreeSet<&str> = found.iter().map(|found| found.finding.code.as_str()).collect();
    let why = run.blockers(app.world.now());
    let news = why.into_iter().filter(|reason| !known.contains(reason.code.as_str()));
    news.map(|reason| {
        let fix = format!("`pointsman explain {}`", reason.code);
        whole(app, Finding::of(Grade::Bad, &reason.code, reason.says, fix))
    })
    .collect()
}

/// Users who are led to the old site for longer than the whole failover may take.
fn of_objective(app: &App, run: &Run) -> Vec<Found> {
    let Some(rto) = run.spec.objective.rto else { return vec![] };
    let late = run.ids().filter_map(|id| match run.state(id).planned.as_ref().map(|seen| &seen.plan) {
        Some(StepPlan::Change(change)) => Some((id, change.lasts.filter(|lasts| *lasts > rto)?)),
        _ => None,
    });
    let told = late.map(|(id, lasts)| {
        let says = format!(
            "caches may keep what is there now for {lasts}, longer than the objective of {rto} for the whole failover"
        );
        let fix = "lower the TTL now, as long as nothing is wrong";
        let target = run.form(id).spec().map(|spec| spec.target.to_string()).unwrap_or_default();
        let finding = Finding::of(Grade::Warn, "PM5813", says, fix);
        Found { about: run.item(id).name.to_string(), target, at: app.world.now(), finding }
    });
    told.collect()
}

fn ctx(app: &App, run: &Run, id: ItemId) -> Ctx {
    app.ctx(run.id(), &run.spec.service, run.epoch, run.item(id).timeout.min(EACH))
}

async fn observe(app: &App, run: &Run, id: ItemId, spec: &Spec) -> Result<Observation, String> {
    let bound = app.faults.bind(spec).map_err(|problems| problems.join("; "))?;
    let ctx = ctx(app, run, id);
    match tokio::time::timeout(EACH.as_duration(), bound.check().observe(&ctx)).await {
        Ok(seen) => seen.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {EACH}")),
    }
}

fn plan(app: &App, spec: &Spec, seen: &Observation, given: &[Fact]) -> StepPlan {
    match app.faults.bind(spec) {
        Ok(bound) => bound.check().plan(seen, given, app.world.now()),
        Err(problems) => StepPlan::unknown("PM5301", problems.join("; ")),
    }
}

async fn rehearse(app: &App, run: &Run, id: ItemId, spec: &Spec, seen: &Observation) -> Option<Vec<Finding>> {
    let bound = app.faults.bind(spec).ok()?;
    let ctx = ctx(app, run, id);
    match tokio::time::timeout(EACH.as_duration(), bound.check().rehearse(&ctx, seen)).await {
        Ok(findings) => findings,
        Err(_) => {
            let says = format!("whether it would be allowed was asked, and not answered within {EACH}");
            Some(vec![Finding::of(Grade::Unknown, "PM5803", says, "see that the target answers in time")])
        }
    }
}
