//! One step at work, rule by rule: when it is looked at, waits, is called, or given up; and what the end says of all.

use super::scene::*;
use super::spec;
use crate::domain::*;
use crate::engine::{Act, ItemPhase, Run};
use serde_json::json;

const TICK: Span = Span::micros(1);
const TIMEOUT: Span = Span::secs(20);

fn refused() -> StepPlan {
    StepPlan::refuse("PM1", "no")
}

fn unknown() -> StepPlan {
    StepPlan::unknown("PM2", "silent")
}

/// The end that is written down now.
fn end(run: &Run) -> (Outcome, String) {
    let acts = run.next(NOW).acts;
    let [Act::Record(record)] = acts.as_slice() else { panic!("{acts:?}") };
    let Record::Finished { outcome, says, .. } = &**record else { panic!("{record:?}") };
    (*outcome, says.clone())
}

fn all_done() -> Run {
    let mut run = promoted();
    (LEFT..run.items.len()).for_each(|id| done(&mut run, id, vec![]));
    run
}

#[test]
fn the_end_says_what_was_left_out_and_whether_users_are_proven_to_be_served() {
    let skipped = || ItemPhase::Skipped { why: "left out".into() };
    let gave_up = || ItemPhase::GaveUp { why: vec![] };
    let told = |ids: &[usize], phase: fn() -> ItemPhase| {
        let mut run = all_done();
        ids.iter().for_each(|id| run.items[*id].phase = phase());
        end(&run)
    };
    let says = |outcome: Outcome, says: &str| (outcome, says.to_owned());
    let green = "shop is served from b, verified";
    assert_eq!(told(&[], skipped), says(Outcome::Succeeded, green));
    let but = format!("{green}; not done: left, right");
    assert_eq!(told(&[LEFT, 4], gave_up), says(Outcome::Succeeded, &but));
    assert_eq!(told(&[LEFT], skipped), says(Outcome::Partial, "users are served, but left out"));
    let not = "it is NOT verified that users are served: left out";
    assert_eq!(told(&[6], skipped), says(Outcome::Partial, not));
    assert_eq!(told(&[LEFT, 6], skipped), says(Outcome::Partial, &format!("{not}; left out")));
    let mut run = all_done();
    run.items.iter_mut().for_each(|item| item.changed = false);
    assert_eq!(end(&run), (Outcome::Unchanged, "already right; nothing was done".to_owned()));
}

fn call() -> Call {
    Call { item: 2, rung: 0, attempt: 1, undo: false }
}

/// The promotion at work since `NOW`, in this phase.
fn at_work(phase: ItemPhase) -> Run {
    let mut run = fence_done();
    let item = &mut run.items[PROMOTE];
    (item.phase, item.began, item.rung_began) = (phase, Some(NOW), Some(NOW));
    (item.numbered, item.seen) = (1, None);
    run
}

fn acts_on(run: &Run, now: Time) -> Option<Act> {
    run.next(now).acts.into_iter().next()
}

fn observes(run: &Run, now: Time, wanted: WhyObserved) -> bool {
    matches!(acts_on(run, now), Some(Act::Observe { item: 2, why, .. }) if why == wanted)
}

#[test]
fn what_is_not_seen_in_effect_in_its_time_is_a_persons() {
    let change = || Box::new(change());
    let run = at_work(ItemPhase::Applied { call: call(), change: change(), since: NOW });
    assert!(observes(&run, NOW + TIMEOUT, WhyObserved::Verify));
    assert_eq!(stopped(&run, NOW + TIMEOUT + TICK), [(Some(2), "PM5202".to_owned())]);
    let doubt = |settle, since| {
        let change = Box::new(Change { settle, ..*change() });
        at_work(ItemPhase::Doubt { call: call(), change, since })
    };
    let unsettled = [(Some(2), "PM5201".to_owned())];
    let run = doubt(Settle::AtOnce, NOW);
    assert!(observes(&run, NOW + TICK, WhyObserved::Classify), "while the step has time");
    assert!(observes(&run, NOW + TIMEOUT, WhyObserved::Classify));
    assert_eq!(stopped(&run, NOW + TIMEOUT + TICK), unsettled);
    // The call came late in the step's time: what settles it is looked for all the same, and one look may be slow.
    let half_a_minute = Span::secs(30);
    let last = NOW + half_a_minute + Span::secs(2);
    let run = doubt(Settle::After(half_a_minute), NOW);
    assert!(observes(&run, last, WhyObserved::Classify));
    assert_eq!(stopped(&run, last + TICK), unsettled);
    let run = doubt(Settle::AtOnce, NOW + TIMEOUT + TICK);
    assert!(observes(&run, NOW + TIMEOUT + TICK, WhyObserved::Classify), "its first look");
}

#[test]
fn looks_wait_for_each_other_and_the_first_is_at_once() {
    let mut run = at_work(ItemPhase::Applied { call: call(), change: Box::new(change()), since: NOW });
    let from_before = seen(changed(|_| ()), NOW - TICK);
    for (polls, last, due) in [
        (0, None, NOW),
        (3, from_before, NOW),
        (1, seen(changed(|_| ()), NOW), NOW + Span::millis(50)),
        (7, seen(changed(|_| ()), NOW + TICK), NOW + TICK + Span::millis(100)),
    ] {
        (run.items[PROMOTE].polls, run.items[PROMOTE].seen) = (polls, last);
        assert!(observes(&run, due, WhyObserved::Verify), "{polls}");
        let before = run.next(due - TICK);
        if due > NOW {
            assert_eq!((before.acts.len(), before.wake), (0, Some(due)), "{polls}");
        }
    }
}

/// A compare-and-set that took effect late rejects the attempt after it: then all is as wanted.
#[test]
fn a_rejection_after_a_call_that_nobody_heard_of_is_looked_at_first() {
    let rejected = |numbered, last: Option<StepPlan>| {
        let mut run = at_work(ItemPhase::Idle);
        let item = &mut run.items[PROMOTE];
        item.rejected = Some((false, "no".into()));
        (item.numbered, item.seen) = (numbered, last.and_then(|plan| seen(plan, NOW)));
        run
    };
    let parked = vec![(Some(2), "PM5203".to_owned())];
    assert_eq!(stopped(&rejected(1, None), NOW), parked, "there was no call before");
    for last in [None, Some(unknown())] {
        let run = rejected(2, last);
        assert!(
            observes(&run, NOW, WhyObserved::Recheck) && observes(&run, NOW + TIMEOUT, WhyObserved::Recheck)
        );
        assert_eq!(stopped(&run, NOW + TIMEOUT + TICK), parked);
    }
    assert_eq!(stopped(&rejected(2, Some(changed(|_| ()))), NOW), parked, "it is seen not to be so");
}

#[test]
fn an_attempt_waits_for_its_time() {
    let mut run = fence_done();
    run.items[PROMOTE].not_before = Some(NOW);
    assert_eq!(called(&run, NOW), [2]);
    run.items[PROMOTE].not_before = Some(NOW + TICK);
    let next = run.next(NOW);
    assert_eq!((next.acts.len(), next.wake), (0, Some(NOW + TICK)));
}

#[test]
fn a_look_at_the_way_before_is_none_at_this_one() {
    let mut run = fence_done();
    two_ways(&mut run, PROMOTE);
    run.items[PROMOTE].rung = 1;
    assert_eq!((called(&run, NOW), looked_at(&run, NOW)), (vec![], vec![2, 0]));
    run.items[PROMOTE].seen.as_mut().unwrap().rung = 1;
    assert_eq!(called(&run, NOW), [2]);
}

/// What a command says no to is not tried again; what a check waits for may still come.
#[test]
fn a_refusal_stops_a_change_and_a_check_goes_on_looking() {
    let mut run = fence_done();
    run.items[PROMOTE].seen = seen(refused(), NOW);
    assert_eq!(stopped(&run, NOW), [(Some(2), "PM1".to_owned())]);
    change_spec(&mut run, |spec| {
        let check = Spec { kind: "toy.up".into(), target: "promote".into(), with: json!({}) };
        spec.items[PROMOTE].rungs[0].form = Form::Check(check);
    });
    assert!(observes(&run, NOW, WhyObserved::Recheck));
    run.items[PROMOTE].seen = seen(unknown(), NOW);
    assert!(observes(&run, NOW, WhyObserved::Recheck));
    run.items[PROMOTE].seen = None;
    assert_eq!(looked_at(&run, NOW), [2], "a check asks no guard");
}

/// Every second is an outage: where only a person can decide, nobody waits for what does not come.
#[test]
fn a_fence_that_cannot_be_told_is_asked_about_at_once_where_a_person_may_accept_that() {
    let blind = |asks: bool, ways: usize| {
        let mut run = planned(Mode::Auto);
        run.first_change = Some(NOW);
        if asks {
            may_be_unfenced(&mut run, FENCE);
        }
        if ways == 2 {
            two_ways(&mut run, FENCE);
        }
        run.items[FENCE].seen = seen(unknown(), NOW);
        run
    };
    assert_eq!(stopped(&blind(true, 1), NOW), [(Some(1), "PM2".to_owned())]);
    assert_eq!(looked_at(&blind(false, 1), NOW), [1]);
    assert_eq!(looked_at(&blind(true, 2), NOW), [1], "the other way first");
}

#[test]
fn a_step_whose_time_is_over_says_what_it_waited_for() {
    let over = |turn: &dyn Fn(&mut Run)| {
        let mut run = at_work(ItemPhase::Idle);
        turn(&mut run);
        let acts = run.next(NOW + TIMEOUT + TICK).acts;
        let [Act::Record(record)] = acts.as_slice() else { panic!("{acts:?}") };
        let Record::Parked { item: Some(2), doubt: false, why } = &**record else { panic!("{record:?}") };
        why.iter().map(|r| format!("{} {}", r.code, r.says)).collect::<Vec<_>>()
    };
    let blind = |run: &mut Run| run.items[GUARD].seen = seen(unknown(), NOW);
    assert_eq!(over(&|run| run.items[PROMOTE].seen = seen(unknown(), NOW)), ["PM2 silent"]);
    assert_eq!(
        over(&|run| run.items[PROMOTE].seen = seen(changed(|_| ()), NOW)),
        ["PM5204 it did not come about in its time"]
    );
    assert_eq!(over(&blind), ["PM2 guard: silent"], "it was ready itself");
    let refused = |run: &mut Run| run.items[GUARD].seen = seen(refused(), NOW);
    assert_eq!(over(&refused), ["PM5204 it did not come about in its time"], "the guard knows");
    let past = |run: &mut Run| {
        blind(run);
        run.committed = Some(NOW);
    };
    assert_eq!(over(&past), ["PM5204 it did not come about in its time"], "nobody asks the guard any more");
}

/// Whatever the first change is: until then nothing has happened that a guard could not still prevent.
#[test]
fn an_ordinary_first_change_asks_the_guards_too() {
    let mut run = planned(Mode::Auto);
    let plain = seen(changed(|_| ()), NOW);
    (run.items[FENCE].planned, run.items[FENCE].seen) = (plain.clone(), plain);
    assert_eq!(called(&run, NOW), [1]);
    run.items[GUARD].seen = None;
    assert_eq!((called(&run, NOW), looked_at(&run, NOW)), (vec![], vec![0]));
    run.items[GUARD].seen = seen(refused(), NOW);
    assert_eq!((called(&run, NOW), stopped(&run, NOW)), (vec![], vec![(None, "PM1".to_owned())]));
}

#[test]
fn guards_are_looked_at_beside_a_step_that_asks_them_and_beside_no_other() {
    let mut run = planned(Mode::Auto);
    run.items[FENCE].seen = None;
    assert_eq!(looked_at(&run, NOW), [1, 0], "the first change");
    run.first_change = Some(NOW);
    assert_eq!(looked_at(&run, NOW), [1, 0], "a fence, as its plan says");
    plan_as(&mut run, FENCE, changed(|_| ()));
    assert_eq!(looked_at(&run, NOW), [1], "an ordinary step");
    change_spec(&mut run, |spec| spec.items[FENCE].rungs[0].proves = vec![fenced()]);
    assert_eq!(looked_at(&run, NOW), [1, 0], "a fence, as its way says");
    let mut run = promoted();
    run.items[LEFT].seen = None;
    assert_eq!(looked_at(&run, NOW), [3], "past the commit point");
    let mut run = promoted();
    (run.items[LEFT].seen, run.items[4].seen, run.committed, run.late) = (None, None, None, true);
    assert_eq!(looked_at(&run, NOW), [3, 0, 4], "one look at the guard is enough for both");
}

#[test]
fn once_one_first_step_is_held_none_is_called() {
    let mut run = planned(Mode::Auto);
    change_spec(&mut run, |spec| spec.items[LEFT].after.clear());
    assert_eq!(called(&run, NOW), [1, 3]);
    run.items[FENCE].seen = seen(changed(|change| change.from = json!(7)), NOW);
    assert_eq!((called(&run, NOW), stopped(&run, NOW)), (vec![], vec![(None, "PM5104".to_owned())]));
    let until = |act: &Act| match act {
        Act::Record(record) => match &**record {
            Record::Held { until, .. } => Some(*until),
            _ => None,
        },
        _ => None,
    };
    assert_eq!(run.next(NOW).acts.iter().find_map(until), Some(NOW + Span::secs(2)), "and planned anew soon");
}

#[test]
fn a_stronger_way_than_the_planned_one_is_no_drift_and_a_weaker_one_is() {
    let mut run = fence_done();
    two_ways(&mut run, PROMOTE);
    let other = |run: &mut Run| {
        let plan = changed(|change| change.from = json!(7));
        run.items[PROMOTE].seen = seen(plan, NOW);
    };
    other(&mut run);
    run.items[PROMOTE].seen.as_mut().unwrap().rung = 1;
    assert_eq!(called(&run, NOW), [2], "the first way could not be gone");
    // Planned by the second way, since the first was silent then.
    let mut run = fence_done();
    two_ways(&mut run, PROMOTE);
    run.items[PROMOTE].planned.as_mut().unwrap().rung = 1;
    assert_eq!((called(&run, NOW), stopped(&run, NOW)), (vec![], vec![(Some(2), "PM5104".to_owned())]));
    // Half of it is this run's own doing.
    let mut run = fence_done();
    other(&mut run);
    run.items[PROMOTE].changed = true;
    assert_eq!(called(&run, NOW), [2]);
}

#[test]
fn without_a_commit_point_a_resolved_alert_stops_the_next_fence_and_no_ordinary_step() {
    let mut run = planned(Mode::Auto);
    change_spec(&mut run, |spec| spec.items[PROMOTE].commit_point = false);
    (run.first_change, run.resolved) = (Some(NOW), true);
    assert_eq!((called(&run, NOW), stopped(&run, NOW)), (vec![], vec![(Some(1), "PM5106".to_owned())]));
    run.resolved = false;
    assert_eq!(called(&run, NOW), [1]);
    run.resolved = true;
    let plain = seen(changed(|_| ()), NOW);
    (run.items[FENCE].planned, run.items[FENCE].seen) = (plain.clone(), plain);
    assert_eq!(called(&run, NOW), [1]);
}

#[test]
fn one_sentence_says_where_it_stands() {
    let says = |run: &Run| run.next(NOW).says;
    let mut run = promoted();
    run.items[LEFT].began = Some(NOW);
    assert_eq!(says(&run), "working: left");
    (run.items[LEFT].ended, run.items[LEFT].phase) = (Some(NOW), ItemPhase::Done { gives: vec![] });
    assert_eq!(says(&run), "going on", "what has ended is not at work, nor what has not begun");
    run.items[4].phase = ItemPhase::AwaitingPerson;
    assert_eq!(says(&run), "waits for a person: right");
    let why = vec![Reason::new("PM1", "no"), Reason::new("PM2", "silent")];
    run.items[5].phase = ItemPhase::Parked { why, doubt: false };
    assert_eq!(says(&run), "parked: dns: no; silent");
}

/// Verifications say whether users are served by all that was done.
#[test]
fn verifications_come_after_every_step() {
    let mut run = all_done();
    for id in [5, 6] {
        run.items[id].phase = ItemPhase::Idle;
    }
    run.items[5].seen = None;
    assert_eq!(looked_at(&run, NOW), [5]);
    done(&mut run, 5, vec![]);
    assert_eq!(looked_at(&run, NOW), [6]);
    assert_eq!(opened(spec(Mode::Auto)).item(6).role, ItemRole::Verify);
}
