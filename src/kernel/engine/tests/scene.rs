//! A run of the toy playbook set by hand at one moment, so that one rule at a time can be asked.

use crate::domain::*;
use crate::engine::back::{Open, Way};
use crate::engine::{Accepted, Act, Back, ItemPhase, Made, Run, Seen};
use serde_json::json;

use super::spec;

/// The moment of every scene.
pub(super) const NOW: Time = Time(100_000_000);
pub(super) const GUARD: usize = 0;
pub(super) const FENCE: usize = 1;
pub(super) const PROMOTE: usize = 2;
pub(super) const LEFT: usize = 3;

pub(super) fn opened(spec: Resolved) -> Run {
    let stream = Stream::Run(spec.run.clone());
    let record = Record::Opened(Box::new(spec));
    Run::open(&Stamped { position: 1, stream, seq: 1, at: Time(1), record }).unwrap()
}

pub(super) fn person(roles: &[Role]) -> Actor {
    Actor::token("bo".into(), roles.to_vec(), Via::Cli)
}

pub(super) fn fenced() -> Fact {
    Fact::Fenced { target: "fence".into(), rung: FenceRung::Stopped, position: None }
}

pub(super) fn change() -> Change {
    Change::new(json!(0), json!(1))
}

pub(super) fn seen(plan: StepPlan, at: Time) -> Option<Seen> {
    Some(Seen { rung: 0, plan, at })
}

pub(super) fn holds() -> StepPlan {
    StepPlan::nothing("up")
}

/// Planned, shown, and everything was looked at just now: the fence is the first change.
pub(super) fn planned(mode: Mode) -> Run {
    let mut run = opened(spec(mode));
    run.items[GUARD].planned = seen(holds(), NOW);
    run.items[GUARD].seen = seen(holds(), NOW);
    for id in FENCE..6 {
        let mut change = change();
        if id == FENCE {
            change.gives = vec![fenced()];
        }
        if id == PROMOTE {
            change.needs =
                vec![Fact::Fenced { target: "fence".into(), rung: FenceRung::Lockout, position: None }];
        }
        let plan = StepPlan::Change(Box::new(change));
        run.items[id].planned = seen(plan.clone(), NOW);
        run.items[id].seen = seen(plan, NOW);
    }
    run.plan = Some(run.sheet(NOW));
    run
}

/// The fence is done and proven; the promotion is next.
pub(super) fn fence_done() -> Run {
    let mut run = planned(Mode::Auto);
    done(&mut run, FENCE, vec![fenced()]);
    run.first_change = Some(NOW);
    run.deadline_from = Some(NOW);
    run
}

/// So is the promotion.
pub(super) fn promoted() -> Run {
    let mut run = fence_done();
    done(&mut run, PROMOTE, vec![]);
    run.committed = Some(NOW);
    // The old primary is watched already.
    run.spec = {
        let mut spec = (*run.spec).clone();
        spec.afterwards.fence_watch.clear();
        spec.into()
    };
    run
}

pub(super) fn done(run: &mut Run, id: usize, gives: Vec<Fact>) {
    let item = &mut run.items[id];
    item.phase = ItemPhase::Done { gives };
    (item.changed, item.ended, item.began) = (true, Some(NOW), Some(NOW));
}

/// The run's next record.
pub(super) fn write(run: &mut Run, record: Record, at: Time) {
    let stream = Stream::Run(run.spec.run.clone());
    run.apply(&Stamped { position: 9, stream, seq: run.seq + 1, at, record }).unwrap();
}

pub(super) fn change_spec(run: &mut Run, change: impl Fn(&mut Resolved)) {
    let mut spec = (*run.spec).clone();
    change(&mut spec);
    run.spec = spec.into();
}

/// That this item could not fence may be accepted by a person, by name.
pub(super) fn may_be_unfenced(run: &mut Run, id: usize) {
    change_spec(run, |spec| {
        let rule = UnfencedRule { target: "fence".into(), role: Role::IncidentLead };
        spec.items[id].accept_unfenced = Some(rule);
    });
}

/// The step can be done in a second way, which is like its first.
pub(super) fn two_ways(run: &mut Run, item: usize) {
    change_spec(run, |spec| {
        let rungs = &mut spec.items[item].rungs;
        rungs.push(rungs[0].clone());
    });
}

/// The item's verdict in the plan.
pub(super) fn plan_as(run: &mut Run, id: usize, plan: StepPlan) {
    run.items[id].planned = seen(plan, NOW);
}

pub(super) fn changed(with: impl FnOnce(&mut Change)) -> StepPlan {
    let mut change = change();
    with(&mut change);
    StepPlan::Change(Box::new(change))
}

/// A person accepts that this target is not fenced.
pub(super) fn accept(run: &mut Run, target: &str, until: Time) {
    let accepted = Accepted { by: person(&[Role::IncidentLead]), until };
    run.overrides.insert(target.into(), accepted);
}

/// Items that are called at `now`.
pub(super) fn called(run: &Run, now: Time) -> Vec<ItemId> {
    let item = |act: &Act| match act {
        Act::Apply { call, .. } => Some(call.item),
        Act::Observe { .. } | Act::Record(_) => None,
    };
    run.next(now).acts.iter().filter_map(item).collect()
}

/// Items that are looked at again at `now`.
pub(super) fn looked_at(run: &Run, now: Time) -> Vec<ItemId> {
    let item = |act: &Act| match act {
        Act::Observe { item, why: WhyObserved::Recheck, .. } => Some(*item),
        Act::Observe { .. } | Act::Apply { .. } | Act::Record(_) => None,
    };
    run.next(now).acts.iter().filter_map(item).collect()
}

/// Codes of what is written down at `now`: what is held, or parked with its item.
pub(super) fn stopped(run: &Run, now: Time) -> Vec<(Option<ItemId>, String)> {
    let codes = |item: Option<ItemId>, why: &[Reason]| -> Vec<_> {
        why.iter().map(|reason| (item, reason.code.clone())).collect()
    };
    let acts = run.next(now).acts;
    let record = |act: &Act| match act {
        Act::Record(record) => match &**record {
            Record::Held { why, .. } => codes(None, why),
            Record::Parked { item, why, .. } => codes(*item, why),
            _ => vec![],
        },
        Act::Observe { .. } | Act::Apply { .. } => vec![],
    };
    acts.iter().flat_map(record).collect()
}

/// As a call takes back what it changed.
pub(super) fn back_by_a_call(run: &Run, index: usize) -> Back {
    let made = Made { seq: 1, rung: 0, change: Box::new(change()), open: Open::No };
    let form = run.form(index as ItemId).clone();
    Back { made, way: Way::Call, form, left: vec![], asked: false, tries: 0, since: None }
}
