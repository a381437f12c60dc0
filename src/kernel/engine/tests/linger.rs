//! A step that is done, and waits for those who may still see what was there before it: to the microsecond, begun anew by
//! whatever makes the time doubtful, and bounded.

use super::scene::*;
use crate::domain::*;
use crate::engine::{ItemPhase, Run};
use serde_json::json;

const TTL: Span = Span::secs(60);
const TICK: Span = Span::micros(1);
const TIMEOUT: Span = Span::secs(20);

fn write(run: &mut Run, record: Record, at: Time) {
    let stream = Stream::Run(run.spec.run.clone());
    run.apply(&Stamped { position: 9, stream, seq: run.seq + 1, at, record }).unwrap();
}

fn looks(run: &mut Run, plan: StepPlan, at: Time) {
    let seen = Ok(Observation { identity: json!(0), state: json!(0), evidence: json!(0), at });
    let why = WhyObserved::Verify;
    write(run, Record::Observed { item: LEFT as ItemId, rung: 0, why, seen, plan, undo: false }, at);
}

/// It is as wanted, and somebody still has the old state for ten seconds.
fn somebody() -> StepPlan {
    let lingers = Some(Lingers { waits: true, seen: true, at_most: Span::secs(10) });
    StepPlan::Nothing { gives: vec![], says: "a resolver gives the old address".into(), lingers }
}

fn applied(lasts: Option<Span>) -> Run {
    let mut run = promoted();
    let change = Box::new(Change { lasts, ..change() });
    let call = Call { item: LEFT as ItemId, rung: 0, attempt: 1, undo: false };
    let item = &mut run.items[LEFT];
    item.phase = ItemPhase::Applied { call, change, since: NOW };
    (item.numbered, item.changed, item.began, item.rung_began) = (1, true, Some(NOW), Some(NOW));
    // The one beside it is done: what comes after both waits for this one alone.
    done(&mut run, LEFT + 1, vec![]);
    run
}

fn is_done(run: &Run) -> bool {
    matches!(run.items[LEFT].phase, ItemPhase::Done { .. })
}

/// What is looked at now, for whatever reason, and when it goes on otherwise.
fn next_look(run: &Run, now: Time) -> (bool, Option<Time>) {
    let next = run.next(now);
    let looks = next
        .acts
        .iter()
        .any(|act| matches!(act, crate::engine::Act::Observe { item, .. } if *item == LEFT as ItemId));
    (looks, next.wake)
}

#[test]
fn it_is_over_with_the_old_ttl_and_not_a_moment_earlier() {
    let mut run = applied(Some(TTL));
    looks(&mut run, somebody(), NOW);
    assert!(!is_done(&run) && called(&run, NOW).is_empty(), "the step after it waits");
    assert!(
        run.next(NOW).says.contains("waiting until nobody sees what was there before: left (up to 1 min")
    );
    let soon = NOW + Span::secs(10);
    assert_eq!(next_look(&run, NOW), (false, Some(soon)), "nothing is held, and nobody looks in vain");
    assert!(next_look(&run, soon).0);
    looks(&mut run, somebody(), NOW + TTL - TICK);
    assert!(!is_done(&run));
    // The step's own time-out is long over, and is not what counts.
    assert!(stopped(&run, NOW + TTL - TICK).is_empty());
    looks(&mut run, somebody(), NOW + TTL);
    assert!(is_done(&run), "{:?}", run.items[LEFT]);
    assert!(!looked_at(&run, NOW + TTL).is_empty(), "and the next one begins");
}

#[test]
fn looks_are_a_second_apart_also_at_its_end() {
    let mut run = applied(Some(TTL));
    looks(&mut run, somebody(), NOW);
    let late = NOW + TTL - Span::millis(500);
    looks(&mut run, somebody(), late);
    assert_eq!(next_look(&run, NOW + TTL), (false, Some(late + Span::secs(1))));
}

#[test]
fn what_is_taken_back_waits_for_nobody() {
    let mut run = applied(Some(TTL));
    looks(&mut run, somebody(), NOW);
    assert_eq!(run.items[LEFT].waits_until(), Some(NOW + TTL));
    run.items[LEFT].back = Some(back_by_a_call(&run, LEFT));
    assert_eq!(run.items[LEFT].waits_until(), None);
}

#[test]
fn it_is_over_at_once_when_nobody_sees_the_old_state() {
    let mut run = applied(Some(TTL));
    looks(&mut run, somebody(), NOW);
    looks(&mut run, StepPlan::nothing("all resolvers follow"), NOW + Span::secs(3));
    assert!(is_done(&run) && run.items[LEFT].lingering.is_none());
    // Who does not ask for it does not wait for it.
    let mut run = applied(Some(TTL));
    let lingers = Some(Lingers { waits: false, seen: true, at_most: TTL });
    looks(&mut run, StepPlan::Nothing { gives: vec![], says: "old".into(), lingers }, NOW);
    assert!(is_done(&run));
}

#[test]
fn time_in_which_it_was_not_as_wanted_or_nobody_looked_does_not_count() {
    let at = |secs| NOW + Span::secs(secs);
    for plan in [StepPlan::unknown("PM4102", "one server lags"), StepPlan::Change(Box::new(change()))] {
        let mut run = applied(Some(TTL));
        looks(&mut run, somebody(), NOW);
        looks(&mut run, plan, at(30));
        assert!(stopped(&run, at(31)).is_empty(), "one bad look is no end");
        looks(&mut run, somebody(), at(40));
        looks(&mut run, somebody(), at(99));
        assert!(!is_done(&run));
        looks(&mut run, somebody(), at(100));
        assert!(is_done(&run));
    }
    let mut run = applied(Some(TTL));
    looks(&mut run, somebody(), NOW);
    write(&mut run, Record::Taken { epoch: 9, owner: "next".into(), gap: TTL }, at(60));
    assert!(next_look(&run, at(60)).0);
    looks(&mut run, somebody(), at(60));
    assert!(!is_done(&run), "how long it really was is not known");
    assert!(stopped(&run, at(119)).is_empty(), "nor is it given up for time that nobody had");
    looks(&mut run, somebody(), at(120));
    assert!(is_done(&run));
}

#[test]
fn no_wait_is_endless() {
    let day = Span::mins(24 * 60);
    let mut run = applied(Some(day));
    looks(&mut run, somebody(), NOW);
    let end = NOW + Lingers::LONGEST + TIMEOUT;
    looks(&mut run, somebody(), end);
    assert!(stopped(&run, end).is_empty());
    assert_eq!(stopped(&run, end + TICK), [(Some(LEFT as ItemId), "PM5206".into())]);
    let stop = format!("{:?}", run.next(end + TICK).acts);
    assert!(
        stop.contains("before: a resolver gives the old address"),
        "whoever reads it is told who: {stop}"
    );
    // The longest that is waited for whole may be begun anew once, like any shorter one.
    let mut run = applied(Some(Lingers::LONGEST));
    looks(&mut run, somebody(), NOW);
    looks(&mut run, somebody(), NOW + Lingers::LONGEST - TICK);
    assert_eq!(stopped(&run, NOW + Lingers::LONGEST + TIMEOUT + TICK), []);
    // Nor one that is begun anew again and again.
    let mut run = applied(Some(TTL));
    looks(&mut run, somebody(), NOW);
    let end = NOW + TTL + TTL + TIMEOUT;
    looks(&mut run, StepPlan::unknown("PM4101", "silent"), end);
    assert!(stopped(&run, end).is_empty());
    let id = Some(LEFT as ItemId);
    assert_eq!(
        stopped(&run, end + TICK),
        [(id, "PM5202".into()), (id, "PM4101".into())],
        "with the last look"
    );
}

#[test]
fn what_another_changed_lasts_as_long_as_the_look_tells() {
    let mut run = applied(None);
    run.items[LEFT].phase = ItemPhase::Idle;
    run.items[LEFT].changed = false;
    looks(&mut run, somebody(), NOW);
    assert!(!is_done(&run));
    assert!(next_look(&run, NOW + Span::secs(10)).0);
    looks(&mut run, somebody(), NOW + Span::secs(10));
    assert!(is_done(&run));
}

#[test]
fn a_call_in_doubt_that_is_seen_in_effect_is_not_open_any_more() {
    let mut run = applied(Some(TTL));
    let ItemPhase::Applied { call, change, .. } = run.items[LEFT].phase.clone() else { unreachable!() };
    run.items[LEFT].phase = ItemPhase::Doubt { call, change, since: NOW };
    assert!(run.calls_open());
    looks(&mut run, somebody(), NOW + Span::secs(1));
    assert!(matches!(run.items[LEFT].phase, ItemPhase::Applied { .. }) && !run.calls_open());
}

#[test]
fn old_answers_after_their_time_are_told_apart_from_those_that_are_right() {
    let mut run = applied(Some(TTL));
    looks(&mut run, StepPlan::nothing("right"), NOW);
    let ItemPhase::Done { .. } = run.items[LEFT].phase else { panic!("not done") };
    run.items[LEFT].made.push(crate::engine::Made {
        seq: 3,
        rung: 0,
        change: Box::new(Change { lasts: Some(TTL), ..change() }),
        open: crate::engine::back::Open::No,
    });
    let old = Lingers { waits: false, seen: true, at_most: TTL };
    let silent = Lingers { seen: false, ..old };
    let id = LEFT as ItemId;
    assert!(!run.outlasts(id, &old, NOW + TTL) && run.outlasts(id, &old, NOW + TTL + TICK));
    assert!(!run.outlasts(id, &silent, NOW + TTL + TTL));
}
