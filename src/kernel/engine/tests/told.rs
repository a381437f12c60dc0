//! What a run still knows after a person's word: what it changed, and in which order, stays its own to take back.

use super::scene::*;
use super::spec;
use crate::domain::*;
use crate::engine::{Act, Command, Consent, ItemPhase, Run};
use serde_json::json;

fn say(run: &mut Run, command: &Command) {
    let told = run.decide(command, &person(&Role::ALL), "so be it", NOW).unwrap();
    write(run, told, NOW);
}

fn retry(item: ItemId) -> Command {
    Command::Retry { item: Some(item) }
}

fn intended(run: &mut Run, item: ItemId, rung: u8, undo: bool) -> Call {
    let attempt = run.state(item).numbered + 1;
    let call = Call { item, rung, attempt, undo };
    let spec = Spec { kind: "toy.set".into(), target: run.item(item).name.clone(), with: json!({}) };
    let undo_to = Undo::To(Spec { with: json!({ "to": 0 }), ..spec.clone() });
    let change = Change { undo: undo_to, settle: Settle::Never, ..change() };
    write(run, Record::Intended { call, spec, change: Box::new(change) }, NOW);
    call
}

/// A call from its intent to its end.
fn calls(run: &mut Run, item: ItemId, rung: u8, end: CallEnd) {
    let call = intended(run, item, rung, false);
    write(run, Record::Ended { call, end }, NOW);
}

fn lost() -> CallEnd {
    CallEnd::indeterminate("lost")
}

fn parks(run: &mut Run, item: ItemId, doubt: bool) {
    write(run, Record::Parked { item: Some(item), doubt, why: vec![Reason::new("PM1", "no")] }, NOW);
}

fn looks(run: &mut Run, item: ItemId, rung: u8, plan: StepPlan) {
    let undo = run.turned(item);
    let seen = Ok(Observation { identity: json!(0), state: json!(0), evidence: json!(0), at: NOW });
    write(run, Record::Observed { item, rung, why: WhyObserved::Recheck, seen, plan, undo }, NOW);
}

/// What it writes down next.
fn writes(run: &mut Run) {
    let acts = run.next(NOW).acts;
    let [Act::Record(record)] = acts.as_slice() else { panic!("{acts:?}") };
    write(run, (**record).clone(), NOW);
}

/// One person of another role accepts a missing fence; the plan is another question.
#[test]
fn who_accepts_a_missing_fence_says_no_yes_to_the_plan() {
    let mut run = fence_done();
    may_be_unfenced(&mut run, FENCE);
    change_spec(&mut run, |spec| spec.mode = Mode::Approve);
    run.items[FENCE].phase = ItemPhase::Parked { why: vec![], doubt: false };
    // As after a gap, past the first change.
    let (digest, until) = (run.plan.as_ref().unwrap().digest, NOW + Span::mins(9));
    run.consent = Consent::Asked { digest, until, yes: vec![], passed: vec![] };
    let unfenced = vec!["fence".into()];
    say(&mut run, &Command::Approve { digest, accept_unfenced: unfenced, solo: false });
    assert!(run.overrides.contains_key(&Name::from("fence")));
    assert!(matches!(&run.consent, Consent::Asked { yes, .. } if yes.is_empty()), "{:?}", run.consent);
    assert!(called(&run, NOW).is_empty(), "nothing is promoted");
    say(&mut run, &Command::Approve { digest, accept_unfenced: vec![], solo: false });
    assert_eq!(called(&run, NOW), [2]);
}

#[test]
fn a_promotion_that_may_have_happened_may_have_after_retry_too() {
    let mut run = fence_done();
    calls(&mut run, 2, 0, lost());
    parks(&mut run, 2, true);
    assert!(!run.may_abort());
    say(&mut run, &retry(2));
    assert!(run.changed() && !run.may_abort(), "the fence is not taken back beside it");
    looks(&mut run, 2, 0, changed(|_| ()));
    let acts = run.next(NOW).acts;
    let second = |act: &Act| matches!(act, Act::Apply { call: Call { attempt: 2, .. }, .. });
    assert!(acts.iter().all(second) && acts.len() == 1, "no two calls have one number: {acts:?}");
}

#[test]
fn what_was_changed_before_retry_is_taken_back_all_the_same() {
    let mut run = planned(Mode::Auto);
    calls(&mut run, 1, 0, lost());
    parks(&mut run, 1, true);
    say(&mut run, &retry(1));
    say(&mut run, &Command::Abort);
    writes(&mut run);
    assert_eq!((run.undoing.is_some(), run.way_back()), (true, vec![1]));
}

/// The promotion itself is looked at before its fence goes, also where a person had it tried again meanwhile.
#[test]
fn what_holds_before_a_fence_is_taken_back_is_known_after_retry() {
    let mut run = planned(Mode::Auto);
    calls(&mut run, 1, 0, CallEnd::applied(json!(null)));
    looks(&mut run, 1, 0, StepPlan::gives(vec![fenced()], "fenced"));
    let nobody = Spec { kind: "toy.up".into(), target: "promote".into(), with: json!({}) };
    looks(&mut run, 2, 0, changed(|change| change.before_undo = Some(nobody)));
    parks(&mut run, 2, false);
    say(&mut run, &retry(2));
    say(&mut run, &Command::Abort);
    writes(&mut run);
    run.items[FENCE].back.as_mut().unwrap().made.change.gives = vec![fenced()];
    looks(&mut run, 1, 0, changed(|_| ()));
    let acts = run.next(NOW).acts;
    assert!(matches!(acts.as_slice(), [Act::Observe { item: 2, .. }]), "{acts:?}");
}

#[test]
fn what_is_taken_back_again_is_still_what_the_second_way_did() {
    let mut run = planned(Mode::Auto);
    two_ways(&mut run, FENCE);
    run.items[FENCE].rung = 1;
    calls(&mut run, 1, 1, CallEnd::applied(json!(null)));
    looks(&mut run, 1, 1, StepPlan::nothing("fenced"));
    say(&mut run, &Command::Abort);
    writes(&mut run);
    parks(&mut run, 1, false);
    say(&mut run, &retry(1));
    let acts = run.next(NOW).acts;
    assert!(matches!(acts.as_slice(), [Act::Observe { item: 1, rung: 1, .. }]), "{acts:?}");
}

#[test]
fn what_a_person_did_last_is_taken_back_first() {
    let mut run = opened(spec(Mode::Auto));
    change_spec(&mut run, |spec| {
        spec.items[LEFT].rungs[0].form = Form::Manual { text: "turn it".into() };
    });
    write(&mut run, asks(3), NOW);
    let call = intended(&mut run, 4, 0, false);
    write(&mut run, Record::Told { what: Told::Confirm(3), by: person(&[]), reason: String::new() }, NOW);
    write(&mut run, Record::Ended { call, end: CallEnd::applied(json!(null)) }, NOW);
    looks(&mut run, 4, 0, holds());
    say(&mut run, &Command::Abort);
    writes(&mut run);
    assert_eq!(run.way_back(), [3, 4]);
}

fn asks(item: ItemId) -> Record {
    Record::Asked { digest: Digest::ZERO, item: Some(item), until: None, says: "turn it".into(), level: 0 }
}

/// Asked whether it is still so, a person calls the run off: what they did is still there to be taken back.
#[test]
fn what_a_person_did_is_taken_back_also_while_they_are_asked_again() {
    let mut run = opened(spec(Mode::Auto));
    change_spec(&mut run, |spec| {
        spec.items[FENCE].rungs[0].form = Form::Manual { text: "power it off".into() };
    });
    write(&mut run, asks(1), NOW);
    run.first_change = Some(NOW);
    let mut unasked = run.clone();
    say(&mut unasked, &Command::Abort);
    writes(&mut unasked);
    assert!(unasked.way_back().is_empty(), "nobody has done it");
    say(&mut run, &Command::Confirm { item: None });
    write(&mut run, asks(1), NOW);
    say(&mut run, &Command::Abort);
    writes(&mut run);
    assert_eq!(run.way_back(), [1]);
}
