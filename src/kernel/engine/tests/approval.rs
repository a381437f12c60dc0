//! Who may decide what, when: a plan is approved once, in time, as it was shown, by a person with the role.

use super::scene::*;
use super::spec;
use crate::domain::*;
use crate::engine::{Act, Command, Consent, ItemPhase, Refused, Run, Said};
use serde_json::json;

const UNTIL: Time = Time(NOW.0 + 60_000_000);

fn digest() -> Digest {
    Digest::of(b"the plan")
}

fn asked() -> Run {
    let mut run = planned(Mode::Approve);
    run.consent = Consent::Asked { digest: digest(), until: UNTIL, yes: vec![], passed: vec![] };
    run
}

fn approve(digest: Digest) -> Command {
    Command::Approve { digest, accept_unfenced: vec![], solo: false }
}

fn conflict(said: Result<Record, Refused>, words: &str) {
    let Err(Refused::Conflict(says)) = &said else { panic!("{said:?}") };
    assert!(says.contains(words), "{says}");
}

fn not_allowed(said: Result<Record, Refused>) {
    assert!(matches!(said, Err(Refused::NotAllowed(_))), "{said:?}");
}

#[test]
fn who_is_asked_is_told_what_for() {
    let says = planned(Mode::Approve).next(NOW).says;
    assert!(says.starts_with("approval of plan ") && says.ends_with(" is asked for"), "{says}");
}

#[test]
fn a_plan_is_approved_as_shown_in_time_by_whoever_may() {
    let run = asked();
    for role in [Role::Approver, Role::Admin] {
        let by = person(&[role]);
        let record = run.decide(&approve(digest()), &by, "go", NOW).unwrap();
        let (yes, accept_unfenced) = (true, vec![]);
        assert_eq!(
            record,
            Record::Decided { digest: digest(), by, yes, reason: "go".into(), accept_unfenced, solo: false }
        );
    }
    for role in [Role::Source, Role::Viewer, Role::Operator, Role::IncidentLead] {
        not_allowed(run.decide(&approve(digest()), &person(&[role]), "go", NOW));
    }
    let by = person(&[Role::Approver]);
    not_allowed(run.decide(&approve(digest()), &by, " ", NOW));
    conflict(run.decide(&approve(Digest::of(b"another")), &by, "go", NOW), "the plan changed");
    assert!(run.decide(&approve(digest()), &by, "go", UNTIL - Span::micros(1)).is_ok());
    conflict(run.decide(&approve(digest()), &by, "go", UNTIL), "expired");
}

#[test]
fn a_no_is_said_once_and_an_offer_is_taken_back_before_the_first_change_alone() {
    let by = person(&[Role::Approver]);
    let mut run = asked();
    assert!(run.decide(&Command::Replan, &by, "", NOW).is_ok());
    run.first_change = Some(NOW);
    conflict(run.decide(&Command::Replan, &by, "", NOW), "no plan is offered");
    let mut run = asked();
    run.consent = Consent::Denied { by: by.clone(), reason: "no".into(), at: NOW };
    conflict(run.decide(&Command::Reject, &by, "no", NOW), "already rejected by bo");
}

/// The name of a token is nobody's name: two tokens may be one person.
#[test]
fn where_two_must_say_yes_or_a_group_is_asked_only_people_count() {
    let token = person(&[Role::Approver]);
    let bo = Actor { person: true, groups: vec!["oncall".into()], ..token.clone() };
    for (need, from, tokens_too) in [(1, vec![], true), (2, vec![], false), (1, vec!["oncall".into()], false)]
    {
        let mut run = asked();
        let mut spec = (*run.spec).clone();
        (spec.approval.need, spec.approval.from) = (need, from);
        run.spec = spec.into();
        assert!(run.decide(&approve(digest()), &bo, "go", NOW).is_ok());
        assert_eq!(run.decide(&approve(digest()), &token, "go", NOW).is_ok(), tokens_too, "{need}");
    }
}

#[test]
fn who_deals_with_stopped_steps_is_whoever_decides() {
    let run = asked();
    for role in Role::ALL {
        let works = Role::DECIDES.contains(&role);
        assert_eq!(run.may_work(&person(&[role])), works, "{role:?}");
    }
}

#[test]
fn it_is_decided_once() {
    let mut run = asked();
    let by = person(&[Role::Approver]);
    run.consent = Consent::Given { digest: digest(), by: vec![Said { by: by.clone(), at: NOW }] };
    conflict(run.decide(&approve(digest()), &by, "go", NOW), "already approved by bo");
    conflict(run.decide(&Command::Reject, &by, "no", NOW), "use abort");
    run.consent = Consent::Denied { by: by.clone(), reason: "no".into(), at: NOW };
    conflict(run.decide(&approve(digest()), &by, "go", NOW), "already rejected by bo");
    run.consent = Consent::None;
    conflict(run.decide(&approve(digest()), &by, "go", NOW), "no approval is asked for");
    run.finished = Some(Outcome::Succeeded);
    conflict(run.decide(&approve(digest()), &by, "go", NOW), "finished");
}

#[test]
fn a_rejection_needs_the_role_and_comes_before_the_first_change() {
    let mut run = asked();
    for role in [Role::Approver, Role::Admin] {
        let record = run.decide(&Command::Reject, &person(&[role]), "no", NOW).unwrap();
        assert!(
            matches!(record, Record::Decided { yes: false, digest: d, .. } if d == digest()),
            "{record:?}"
        );
    }
    not_allowed(run.decide(&Command::Reject, &person(&[Role::Operator]), "no", NOW));
    run.consent = Consent::None;
    let shown = run.plan.as_ref().unwrap().digest;
    let record = run.decide(&Command::Reject, &person(&[Role::Approver]), "no", NOW).unwrap();
    assert!(matches!(record, Record::Decided { yes: false, digest: d, .. } if d == shown), "{record:?}");
    run.first_change = Some(NOW);
    conflict(run.decide(&Command::Reject, &person(&[Role::Approver]), "no", NOW), "use abort");
}

#[test]
fn going_on_unfenced_is_for_the_named_role_when_the_run_asks() {
    let mut run = fence_done();
    may_be_unfenced(&mut run, FENCE);
    let accept = |target: &str| Command::Approve {
        digest: Digest::ZERO,
        accept_unfenced: vec![target.into()],
        solo: false,
    };
    let lead = person(&[Role::IncidentLead]);
    for phase in [ItemPhase::Parked { why: vec![], doubt: false }, ItemPhase::AwaitingPerson] {
        run.items[FENCE].phase = phase;
        let record = run.decide(&accept("fence"), &lead, "it burns", NOW).unwrap();
        let shown = run.plan.as_ref().unwrap().digest;
        let Record::Decided { digest, accept_unfenced, yes: true, .. } = record else { panic!("{record:?}") };
        assert_eq!((digest, accept_unfenced), (shown, vec!["fence".into()]), "bound to the plan in force");
        not_allowed(run.decide(&accept("fence"), &person(&[Role::Approver, Role::Admin]), "why", NOW));
        not_allowed(run.decide(&accept("fence"), &lead, "", NOW));
        assert!(matches!(run.decide(&accept("left"), &lead, "why", NOW), Err(Refused::NoSuch(_))));
    }
    run.items[FENCE].phase = ItemPhase::Idle;
    conflict(run.decide(&accept("fence"), &lead, "why", NOW), "does not ask");
    done(&mut run, FENCE, vec![fenced()]);
    conflict(run.decide(&accept("fence"), &lead, "why", NOW), "does not ask");
}

#[test]
fn consent_is_given_by_the_mode_by_a_person_or_by_the_commit_point() {
    assert_eq!(called(&planned(Mode::Auto), NOW), [1]);
    assert!(called(&planned(Mode::Observe), NOW).is_empty());
    let mut run = asked();
    assert!(called(&run, NOW).is_empty());
    let next = run.next(NOW);
    assert_eq!(next.wake, Some(UNTIL));
    assert!(next.says.starts_with("waits for approval"), "{}", next.says);
    run.consent =
        Consent::Given { digest: digest(), by: vec![Said { by: person(&[Role::Approver]), at: NOW }] };
    assert_eq!(called(&run, NOW), [1]);
    run.consent = Consent::Denied { by: person(&[Role::Approver]), reason: "no".into(), at: NOW };
    assert!(called(&run, NOW).is_empty());
    let mut run = promoted();
    let mut spec = (*run.spec).clone();
    spec.mode = Mode::Approve;
    run.spec = spec.into();
    assert_eq!(called(&run, NOW), [3, 4], "past the commit point nobody is asked again");
}

fn records(run: &Run, now: Time) -> Vec<Record> {
    let acts = run.next(now).acts;
    acts.into_iter()
        .filter_map(|act| if let Act::Record(record) = act { Some(*record) } else { None })
        .collect()
}

#[test]
fn approval_is_asked_for_with_an_end_and_asked_again_after_it() {
    let mut run = planned(Mode::Approve);
    let (shown, expires) = (run.plan.as_ref().unwrap().digest, run.spec.approval.expires);
    let asks = |records: Vec<Record>, now: Time| {
        let [Record::Asked { digest, item: None, until, .. }] = records.as_slice() else {
            panic!("{records:?}")
        };
        assert_eq!((*digest, *until), (shown, Some(now + expires)));
    };
    asks(records(&run, NOW), NOW);
    run.consent = Consent::Asked { digest: shown, until: UNTIL, yes: vec![], passed: vec![] };
    assert!(records(&run, UNTIL - Span::micros(1)).is_empty());
    let over = records(&run, UNTIL);
    let [Record::Held { why, .. }] = over.as_slice() else { panic!("{over:?}") };
    assert_eq!(why[0].code, "PM5103");
    run.first_change = Some(NOW);
    asks(records(&run, UNTIL), UNTIL);
}

#[test]
fn people_name_the_step_they_mean() {
    let by = person(&[Role::Operator]);
    let mut run = fence_done();
    let retry = |item| Command::Retry { item };
    conflict(run.decide(&retry(None), &by, "again", NOW), "no step is parked");
    run.items[PROMOTE].phase = ItemPhase::Parked { why: vec![], doubt: false };
    let told = |what| Record::Told { what, by: by.clone(), reason: "again".into() };
    assert_eq!(run.decide(&retry(None), &by, "again", NOW), Ok(told(Told::Retry(2))));
    assert_eq!(run.decide(&retry(Some(2)), &by, "again", NOW), Ok(told(Told::Retry(2))));
    conflict(run.decide(&retry(Some(1)), &by, "again", NOW), "not one that is parked");
    let past = u16::try_from(run.items.len()).unwrap();
    assert!(matches!(run.decide(&retry(Some(past)), &by, "again", NOW), Err(Refused::NoSuch(_))));
    conflict(run.decide(&retry(Some(past - 1)), &by, "again", NOW), "not one that is parked");
    run.items[LEFT].phase = ItemPhase::Parked { why: vec![], doubt: false };
    conflict(run.decide(&retry(None), &by, "again", NOW), "several steps are possible");
    conflict(run.decide(&Command::Confirm { item: None }, &by, "", NOW), "waits for a person");
    run.items[LEFT].phase = ItemPhase::AwaitingPerson;
    assert!(
        run.decide(&Command::Confirm { item: None }, &by, "", NOW).is_ok(),
        "a confirmation needs no reason"
    );
    not_allowed(run.decide(&retry(None), &by, "", NOW));
}

#[test]
fn a_run_is_closed_where_nothing_is_on_its_way() {
    let by = person(&[Role::Operator]);
    let mut run = planned(Mode::Auto);
    assert!(run.decide(&Command::Close, &by, "by hand", NOW).is_ok(), "nothing was changed");
    run = fence_done();
    conflict(run.decide(&Command::Close, &by, "by hand", NOW), "at work");
    run.items[PROMOTE].phase = ItemPhase::AwaitingPerson;
    assert!(run.decide(&Command::Close, &by, "by hand", NOW).is_ok());
    run.items[PROMOTE].phase = ItemPhase::Parked { why: vec![], doubt: true };
    assert!(run.decide(&Command::Close, &by, "by hand", NOW).is_ok());
    let call = Call { item: 3, rung: 0, attempt: 1, undo: false };
    run.items[LEFT].phase = ItemPhase::InFlight { call, change: Box::new(change()) };
    conflict(run.decide(&Command::Close, &by, "by hand", NOW), "in flight");
    let mut run = fence_done();
    assert!(run.decide(&Command::Abort, &by, "stop", NOW).is_ok());
    run.aborted = Some((by.clone(), "stop".into()));
    conflict(run.decide(&Command::Abort, &by, "stop", NOW), "already aborted");
    (run.aborted, run.undoing) = (None, Some(vec![]));
    conflict(run.decide(&Command::Abort, &by, "stop", NOW), "goes back already");
    conflict(promoted().decide(&Command::Abort, &by, "stop", NOW), "past its commit point");
    assert!(run.decide(&Command::Resolved, &Actor::internal(), "", NOW).is_ok());
    run.resolved = true;
    conflict(run.decide(&Command::Resolved, &Actor::internal(), "", NOW), "already known");
}

#[test]
fn what_a_promotion_stands_on_is_never_left_out() {
    let by = person(&[Role::Operator]);
    let stopped = || ItemPhase::Parked { why: vec![], doubt: false };
    let skip = |run: &Run, item: usize| {
        run.decide(&Command::Skip { item: Some(item as ItemId) }, &by, "by hand", NOW)
    };
    let at = |run: Run, item: usize| {
        let mut run = run;
        run.items[item].phase = stopped();
        run
    };
    let told = |item| Record::Told { what: Told::Skip(item), by: by.clone(), reason: "by hand".into() };
    assert_eq!(skip(&at(fence_done(), LEFT), LEFT), Ok(told(3)), "an ordinary step, before the commit point");
    conflict(skip(&at(fence_done(), PROMOTE), PROMOTE), "what the run is for");

    // Each of three says that it is a fence: its kind, what it proves, that its absence can be accepted.
    type Says = fn(&mut Item);
    let fences: [Says; 3] = [
        |item| {
            item.rungs[0].form =
                Form::Act(Spec { kind: "toy.fence".into(), target: "a".into(), with: json!({}) })
        },
        |item| item.rungs[0].proves = vec![fenced()],
        |item| item.accept_unfenced = Some(UnfencedRule { target: "fence".into(), role: Role::IncidentLead }),
    ];
    for says in fences {
        let mut spec = spec(Mode::Auto);
        says(&mut spec.items[FENCE]);
        let mut run = at(opened(spec), FENCE);
        conflict(skip(&run, FENCE), "the fence that a promotion needs");
        run.committed = Some(NOW);
        assert_eq!(skip(&run, FENCE), Ok(told(1)), "the promotion is over");
        run.committed = None;
        run.undoing = Some(vec![]);
        assert_eq!(skip(&run, FENCE), Ok(told(1)), "on the way back it is done by hand");
    }
}
