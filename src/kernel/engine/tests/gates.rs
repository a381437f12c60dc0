//! What an intent must pass, one rule at a time and to the microsecond: fresh guards, proven needs, no drift, the run's
//! time. The matrix shows that the rules are enough; here each is shown to be there.

use super::scene::*;
use super::{NoSamples, Plot, Registers, Toy, spec};
use crate::domain::*;
use crate::engine::{ItemPhase, Run};
use crate::sim::{End, Schedule, Sim};
use serde_json::json;
use std::sync::{Arc, Mutex};

const FRESH: Span = Span::secs(2);
const TICK: Span = Span::micros(1);

fn guard(run: &mut Run, plan: StepPlan, at: Time) {
    run.items[GUARD].seen = seen(plan, at);
}

#[test]
fn the_first_change_needs_every_guard_seen_a_moment_ago() {
    let mut run = planned(Mode::Auto);
    assert_eq!(called(&run, NOW), [1], "the fence alone: the rest waits for it");
    guard(&mut run, holds(), NOW - FRESH);
    assert_eq!(called(&run, NOW), [1], "just fresh enough");
    guard(&mut run, holds(), NOW - FRESH - TICK);
    assert_eq!((called(&run, NOW), looked_at(&run, NOW)), (vec![], vec![0]), "asked again first");
    run.items[GUARD].seen = None;
    assert_eq!((called(&run, NOW), looked_at(&run, NOW)), (vec![], vec![0]));
    for no in [StepPlan::refuse("PM1", "up"), StepPlan::unknown("PM1", "blind")] {
        guard(&mut run, no, NOW);
        assert_eq!((called(&run, NOW), stopped(&run, NOW)), (vec![], vec![(None, "PM1".into())]), "held");
    }
}

#[test]
fn the_commit_point_asks_the_guards_again_and_is_patient_with_not_knowing() {
    let mut run = fence_done();
    assert_eq!(called(&run, NOW), [2]);
    guard(&mut run, holds(), NOW - FRESH - TICK);
    assert_eq!((called(&run, NOW), looked_at(&run, NOW)), (vec![], vec![0]));
    guard(&mut run, StepPlan::refuse("PM1", "users are served"), NOW);
    assert_eq!((called(&run, NOW), stopped(&run, NOW)), (vec![], vec![(Some(2), "PM1".into())]));
    // Blind for now: asked again every tenth of a second while the step has time.
    guard(&mut run, StepPlan::unknown("PM2", "blind"), NOW);
    run.items[PROMOTE].rung_began = Some(NOW);
    let next = run.next(NOW + Span::millis(99));
    assert!(next.acts.is_empty() && next.wake == Some(NOW + Span::millis(100)), "{next:?}");
    assert_eq!(looked_at(&run, NOW + Span::millis(100)), [0]);
    run.items[PROMOTE].rung_began = None;
    assert_eq!(stopped(&run, NOW), [(Some(2), "PM2".into())], "a step that has not begun waits for nobody");
}

#[test]
fn past_the_commit_point_no_guard_stops_the_rest() {
    let mut run = promoted();
    guard(&mut run, StepPlan::refuse("PM1", "the standby is a primary: it has no lag"), NOW);
    assert_eq!(called(&run, NOW), [3, 4]);
    // Taken over after a long gap while the promotion was in doubt, or thawed: the guards are of the old world.
    (run.late, run.look_anew) = (true, true);
    assert_eq!(called(&run, NOW), [3, 4]);
    run.committed = None;
    assert_eq!((called(&run, NOW), stopped(&run, NOW).len()), (vec![], 2), "before it they are asked");
    (run.late, run.look_anew) = (true, false);
    assert!(called(&run, NOW).is_empty());
    (run.late, run.look_anew) = (false, true);
    assert!(called(&run, NOW).is_empty());
    (run.late, run.look_anew) = (false, false);
    assert_eq!(called(&run, NOW), [3, 4], "an ordinary step between the two asks no guard");
}

#[test]
fn a_need_is_met_by_a_proof_or_an_override_of_that_target_alone() {
    let mut run = fence_done();
    let unproven = vec![(Some(2), "PM5102".to_owned())];
    done(&mut run, FENCE, vec![]);
    assert_eq!(
        (called(&run, NOW), stopped(&run, NOW)),
        (vec![], unproven.clone()),
        "done, and nothing proven"
    );
    let weaker = |rung| vec![Fact::Fenced { target: "fence".into(), rung, position: None }];
    done(&mut run, FENCE, weaker(FenceRung::ReadOnly));
    assert_eq!((called(&run, NOW), stopped(&run, NOW)), (vec![], unproven.clone()), "a client can undo it");
    done(&mut run, FENCE, weaker(FenceRung::Lockout));
    assert_eq!(called(&run, NOW), [2], "just enough");
    let other = Fact::Fenced { target: "left".into(), rung: FenceRung::PoweredOff, position: None };
    done(&mut run, FENCE, vec![other]);
    assert_eq!((called(&run, NOW), stopped(&run, NOW)), (vec![], unproven.clone()), "another target's fence");
    // Promised is not proven.
    run.items[FENCE].phase = ItemPhase::Skipped { why: "left out".into() };
    assert_eq!((called(&run, NOW), stopped(&run, NOW)), (vec![], unproven.clone()));
    accept(&mut run, "left", NOW + TICK);
    assert_eq!((called(&run, NOW), stopped(&run, NOW)), (vec![], unproven));
    accept(&mut run, "fence", NOW + TICK);
    assert_eq!(called(&run, NOW), [2]);
}

#[test]
fn only_what_is_done_proves_and_a_promise_to_write_a_file_never_does() {
    let mut run = fence_done();
    assert!(run.proven(2).contains(&fenced()));
    let rendered = Fact::Rendered { target: "app".into(), file: "env".into() };
    done(&mut run, FENCE, vec![fenced(), rendered.clone()]);
    assert!(run.proven(2).contains(&fenced()) && !run.proven(2).contains(&rendered));
    assert!(run.promised(2).contains(&rendered), "while planning it counts");
    let run = planned(Mode::Auto);
    assert!(!run.proven(2).contains(&fenced()), "a plan is no proof");
    assert!(
        run.promised(2).contains(&fenced()) && !run.promised(1).contains(&fenced()),
        "earlier steps alone"
    );
}

#[test]
fn a_guard_that_holds_gives_its_facts_to_all_but_itself() {
    let down = Fact::Down { site: "a".into() };
    let mut run = planned(Mode::Auto);
    guard(&mut run, StepPlan::gives(vec![down.clone()], "down"), NOW);
    assert!(run.proven(1).contains(&down) && run.promised(1).contains(&down));
    assert!(!run.proven(0).contains(&down) && !run.promised(0).contains(&down));
    guard(&mut run, StepPlan::refuse("PM1", "up"), NOW);
    assert!(!run.proven(1).contains(&down));
}

#[test]
fn what_this_run_intended_is_its_own_and_nobody_elses() {
    let ours = Fact::Ours { target: "promote".into(), to: json!(1) };
    let call = Call { item: 2, rung: 0, attempt: 1, undo: false };
    let mut run = fence_done();
    assert!(!run.proven(2).contains(&ours));
    run.items[PROMOTE].phase = ItemPhase::Doubt { call, change: Box::new(change()), since: NOW };
    assert!(run.proven(2).contains(&ours) && !run.proven(3).contains(&ours));
    run.items[PROMOTE].phase = ItemPhase::Idle;
    run.items[PROMOTE].changed = true;
    assert!(run.proven(2).contains(&ours), "asked again while it may have been heard");
}

#[test]
fn a_fact_that_changed_since_the_plan_is_drift() {
    let other = StepPlan::Change(Box::new(Change::new(json!(7), json!(1))));
    let mut run = planned(Mode::Auto);
    run.items[FENCE].seen = seen(other.clone(), NOW);
    assert_eq!((called(&run, NOW), stopped(&run, NOW)), (vec![], vec![(None, "PM5104".into())]));
    let mut run = fence_done();
    run.items[PROMOTE].seen = seen(other.clone(), NOW);
    assert_eq!((called(&run, NOW), stopped(&run, NOW)), (vec![], vec![(Some(2), "PM5104".into())]));
    let mut run = promoted();
    run.items[LEFT].planned = seen(StepPlan::nothing("right already"), NOW);
    assert_eq!(stopped(&run, NOW), [(Some(3), "PM5104".into())]);
    run.items[LEFT].planned = None;
    run.items[LEFT].seen = seen(other, NOW);
    assert_eq!(called(&run, NOW), [3, 4], "after a person's retry there is no plan to drift from");
}

#[test]
fn a_look_from_before_the_last_change_is_taken_again() {
    let mut run = fence_done();
    run.items[FENCE].ended = Some(NOW + TICK);
    assert_eq!((called(&run, NOW + TICK), looked_at(&run, NOW + TICK)), (vec![], vec![2, 0]));
    run.items[FENCE].ended = Some(NOW);
    assert_eq!(called(&run, NOW), [2]);
    let old = NOW + FRESH + TICK;
    guard(&mut run, holds(), old);
    assert_eq!((called(&run, old), looked_at(&run, old)), (vec![], vec![2, 0]), "two seconds old");
}

#[test]
fn nothing_is_begun_when_the_runs_time_is_over_or_its_alert() {
    let mut run = fence_done();
    let over = run.spec.limits.deadline;
    run.deadline_from = Some(NOW - over);
    assert_eq!(called(&run, NOW), [2]);
    run.deadline_from = Some(NOW - over - TICK);
    assert_eq!((called(&run, NOW), stopped(&run, NOW)), (vec![], vec![(Some(2), "PM5107".into())]));
    let mut run = planned(Mode::Auto);
    run.deadline_from = None;
    assert_eq!(called(&run, NOW + over), Vec::<ItemId>::new(), "looked at again, of course");
    assert_eq!(called(&run, NOW), [1]);
}

#[test]
fn a_parked_step_begins_nothing_else_and_a_target_is_never_written_twice_at_once() {
    let mut run = promoted();
    run.items[LEFT].phase = ItemPhase::Parked { why: vec![], doubt: false };
    assert!(called(&run, NOW).is_empty());
    let mut run = promoted();
    let mut spec = (*run.spec).clone();
    spec.items[4].rungs = spec.items[3].rungs.clone();
    run.spec = spec.into();
    assert_eq!(called(&run, NOW), [3], "both would write the same target");
    let call = Call { item: 3, rung: 0, attempt: 1, undo: false };
    run.items[LEFT].phase = ItemPhase::InFlight { call, change: Box::new(change()) };
    assert!(called(&run, NOW).is_empty());
}

#[test]
fn a_plan_says_everything_that_stands_against_it() {
    let mut run = planned(Mode::Auto);
    assert!(run.blockers(NOW).is_empty());
    run.items[GUARD].planned = seen(StepPlan::Change(Box::new(change())), NOW);
    run.items[FENCE].planned = seen(StepPlan::refuse("PM1", "alive"), NOW);
    let codes: Vec<String> = run.blockers(NOW).into_iter().map(|reason| reason.code).collect();
    assert_eq!(
        codes,
        ["PM5101", "PM1", "PM5102"],
        "a guard that would change, the refusal, the need of the promotion"
    );
    let rule = UnfencedRule { target: "fence".into(), role: Role::IncidentLead };
    let with_rule = |optional: bool| {
        let mut spec = (*run.spec).clone();
        spec.items[FENCE].accept_unfenced = Some(rule.clone());
        spec.items[LEFT].optional = optional;
        spec
    };
    let mut asks = run.clone();
    asks.spec = with_rule(true).into();
    asks.items[GUARD].planned = seen(holds(), NOW);
    asks.items[LEFT].planned = seen(StepPlan::unknown("PM2", "silent"), NOW);
    let codes: Vec<String> = asks.blockers(NOW).into_iter().map(|reason| reason.code).collect();
    assert_eq!(
        codes,
        ["PM1"],
        "a living primary refuses, whoever may accept; what is optional stands against nothing"
    );
    asks.items[FENCE].planned = seen(StepPlan::unknown("PM2", "silent"), NOW);
    assert!(asks.blockers(NOW).is_empty(), "people are asked when its turn comes");
    asks.spec = with_rule(false).into();
    assert_eq!(asks.blockers(NOW).len(), 1, "what is required and unknown stands against the plan");
}

/// A machine that is switched off answers nothing: each look at it takes its whole time, which is as long as a look may
/// count as fresh. Guard and step are looked at side by side, or neither would ever be fresh when the other is.
#[test]
fn looks_that_take_long_do_not_outlast_each_other() {
    for takes in [Span::millis(1990), Span::millis(2010), Span::millis(3500)] {
        let sim = Sim::new(Schedule::default(), Time(1_000_000_000));
        let registers = Arc::new(Mutex::new(Registers::default()));
        let silent = ["guard", "fence", "promote"].map(|name| (Name::from(name), takes)).to_vec();
        let toy = Toy { plot: Plot { silent, ..Plot::default() }, ..Toy::new(&sim, &registers) };
        let run = sim.open(spec(Mode::Auto)).unwrap();
        let end = sim.finish(&run, &toy, Arc::new(NoSamples));
        assert_eq!(end, Ok(End::Finished(Outcome::Succeeded)), "looks of {takes}");
        assert_eq!(registers.lock().unwrap().changes[&Name::from("promote")], 1);
    }
}
