//! How old a proof may be when a change stands on it, to the microsecond: what can be seen is looked at again, what a
//! person said is asked for again, and in a whole run nobody takes a fence away unseen.

use super::scene::*;
use super::*;
use crate::engine::{Act, Command, ItemPhase, PROVEN_FOR, Run, WORD_FOR};
use crate::journal::Journal;

const TICK: Span = Span::micros(1);

/// The fence was proven at `at`; everything else was seen just now.
fn proven_at(at: Time) -> Run {
    let mut run = fence_done();
    run.items[FENCE].ended = Some(at);
    run.items[FENCE].seen = seen(StepPlan::gives(vec![fenced()], "fenced"), at);
    run
}

fn looks(run: &mut Run, plan: StepPlan) {
    let seen = Ok(Observation { identity: json!(0), state: json!(0), evidence: json!(0), at: NOW });
    let why = WhyObserved::Recheck;
    let record = Record::Observed { item: 1, rung: run.items[FENCE].rung, why, seen, plan, undo: false };
    write(run, record, NOW);
}

#[test]
fn a_fence_proven_some_time_ago_is_looked_at_again_before_the_promotion() {
    assert_eq!(called(&proven_at(NOW - PROVEN_FOR), NOW), [2], "just young enough");
    let mut run = proven_at(NOW - PROVEN_FOR - TICK);
    assert_eq!((called(&run, NOW), looked_at(&run, NOW)), (vec![], vec![1]));
    guard(&mut run);
    assert_eq!(looked_at(&run, NOW), [1, 0], "and the guards meanwhile");
    run.items[GUARD].seen = seen(holds(), NOW);
    looks(&mut run, StepPlan::gives(vec![fenced()], "fenced"));
    assert_eq!(called(&run, NOW), [2]);
    // Nobody has seen it: a proof from before this process is as old as its end.
    let mut run = proven_at(NOW - PROVEN_FOR - TICK);
    run.items[FENCE].seen = None;
    assert_eq!((called(&run, NOW), looked_at(&run, NOW)), (vec![], vec![1]));
    // What needs no proof waits for none.
    let mut run = promoted();
    run.items[FENCE].ended = Some(NOW - PROVEN_FOR - TICK);
    assert_eq!(called(&run, NOW), [3, 4]);
}

fn guard(run: &mut Run) {
    run.items[GUARD].seen = None;
}

#[test]
fn a_fence_that_is_gone_stops_the_run_and_one_that_cannot_be_seen_begins_anew() {
    let old = || proven_at(NOW - PROVEN_FOR - TICK);
    for (gone, words) in [
        (StepPlan::Change(Box::new(Change { now: "running".into(), ..change() })), "now it is running"),
        (StepPlan::Change(Box::new(change())), "as this run left it"),
        (StepPlan::refuse("PM1", "alive"), "left it: alive"),
    ] {
        let mut run = old();
        looks(&mut run, gone);
        let ItemPhase::Parked { why, doubt: false } = &run.items[FENCE].phase else { panic!() };
        assert!(why[0].code == "PM5105" && why[0].says.ends_with(words), "{why:?}");
        assert!(called(&run, NOW).is_empty());
    }
    let mut run = old();
    run.items[PROMOTE].rung_began = Some(Time(1));
    looks(&mut run, StepPlan::unknown("PM1", "silent"));
    assert_eq!(run.items[FENCE].phase, ItemPhase::Idle);
    assert_eq!((called(&run, NOW), looked_at(&run, NOW)), (vec![], vec![1]), "and nothing else meanwhile");
    assert_eq!(run.items[PROMOTE].rung_began, None, "its time does not run while it may not begin");
    let over = NOW + run.item(1).timeout + TICK;
    assert_eq!(stopped(&run, over), [(Some(1), "PM1".to_owned())], "in the end a person is asked");
    looks(&mut run, StepPlan::gives(vec![fenced()], "fenced"));
    assert_eq!(called(&run, NOW), [2], "seen again");
    // With another way to fence, that one is tried.
    let mut run = old();
    change_spec(&mut run, |spec| {
        let mut next = spec.items[FENCE].rungs[0].clone();
        next.form = Form::Manual { text: "power off".into() };
        spec.items[FENCE].rungs.push(next);
    });
    looks(&mut run, StepPlan::unknown("PM1", "silent"));
    assert_eq!((run.items[FENCE].rung, &run.items[FENCE].phase), (1, &ItemPhase::Idle));
    // After a gap the finished step is a person's, also where it cannot be seen; and the words say which.
    let mut run = old();
    run.items[FENCE].recheck = true;
    looks(&mut run, StepPlan::unknown("PM1", "silent"));
    let ItemPhase::Parked { why, .. } = &run.items[FENCE].phase else { panic!() };
    assert!(why[0].says.contains("is not known: silent"), "{why:?}");
}

#[test]
fn a_weaker_proof_takes_the_place_of_a_stronger_one_and_a_position_once_read_is_kept() {
    let fact = |rung, position| Fact::Fenced { target: "fence".into(), rung, position };
    let at = Some(Lsn(7));
    let mut run = proven_at(NOW);
    done(&mut run, FENCE, vec![fact(FenceRung::Lockout, at)]);
    let again = |rung| StepPlan::gives(vec![fact(rung, None)], "fenced");
    looks(&mut run, again(FenceRung::Stopped));
    assert!(run.proven(2).contains(&fact(FenceRung::Lockout, at)), "the promotion drains to it");
    looks(&mut run, again(FenceRung::ReadOnly));
    assert!(!run.proven(2).contains(&fact(FenceRung::Lockout, at)));
    assert_eq!(stopped(&run, NOW), [(Some(2), "PM5102".to_owned())]);
}

#[test]
fn the_commit_point_itself_is_never_begun_anew() {
    let mut run = promoted();
    let seen = Ok(Observation { identity: json!(0), state: json!(0), evidence: json!(0), at: NOW });
    let plan = StepPlan::unknown("PM1", "silent");
    let why = WhyObserved::Recheck;
    write(&mut run, Record::Observed { item: 2, rung: 0, why, seen, plan, undo: false }, NOW);
    assert!(matches!(run.items[PROMOTE].phase, ItemPhase::Parked { doubt: false, .. }));
}

#[test]
fn a_persons_word_that_it_is_off_holds_a_quarter_of_an_hour() {
    let said_at = |at: Time| {
        let mut run = proven_at(at);
        change_spec(&mut run, |spec| {
            spec.items[FENCE].rungs[0].form = Form::Manual { text: "power off".into() };
        });
        run.items[FENCE].seen = None;
        run
    };
    assert_eq!(called(&said_at(NOW - WORD_FOR), NOW), [2]);
    let mut run = said_at(NOW - WORD_FOR - TICK);
    let acts = run.next(NOW).acts;
    let [Act::Record(record)] = acts.as_slice() else { panic!("{acts:?}") };
    assert!(matches!(&**record, Record::Asked { item: Some(1), says, .. } if says.contains("power off")));
    write(&mut run, (**record).clone(), NOW);
    assert!(called(&run, NOW).is_empty());
    let told = run.decide(&Command::Confirm { item: None }, &person(&Role::ALL), "looked", NOW).unwrap();
    // What is proven is what its rung says; the toy's says nothing.
    change_spec(&mut run, |spec| spec.items[FENCE].rungs[0].proves = vec![fenced()]);
    write(&mut run, told, NOW);
    run.items[PROMOTE].seen = seen(run.items[PROMOTE].seen.clone().unwrap().plan, NOW + TICK);
    assert_eq!(called(&run, NOW + TICK), [2]);
}

#[test]
fn an_address_that_answered_some_time_ago_is_looked_at_again() {
    let records = Effect::Records {
        name: "shop.test".into(),
        kind: "A".into(),
        before: vec![],
        after: vec!["192.0.2.7".into()],
    };
    let mut run = promoted();
    change_spec(&mut run, |spec| spec.limits.min_live_targets = 1);
    let plan = StepPlan::Change(Box::new(Change { effects: vec![records], ..change() }));
    run.items[LEFT].planned = seen(plan.clone(), NOW);
    run.items[LEFT].seen = seen(plan, NOW);
    let live = StepPlan::gives(vec![Fact::Live { at: "192.0.2.7".into() }], "up");
    run.items[GUARD].seen = seen(live.clone(), NOW - PROVEN_FOR);
    assert_eq!(called(&run, NOW), [3, 4]);
    run.items[GUARD].seen = seen(live, NOW - PROVEN_FOR - TICK);
    assert_eq!((called(&run, NOW), looked_at(&run, NOW)), (vec![4], vec![0]));
    // The guard cannot see it now: the step waits as long as it may take, and then says so.
    run.items[GUARD].seen = seen(StepPlan::unknown("PM2", "blind"), NOW);
    run.items[LEFT].rung_began = Some(NOW);
    assert_eq!((called(&run, NOW), stopped(&run, NOW)), (vec![4], vec![]));
    assert_eq!(looked_at(&run, NOW + Span::secs(1)), [0]);
    run.items[LEFT].rung_began = None;
    assert_eq!(stopped(&run, NOW), [(Some(3), "PM5603".to_owned())]);
}

#[test]
fn every_fence_before_the_commit_point_asks_the_guards() {
    let mut run = planned(Mode::Auto);
    run.first_change = Some(NOW);
    run.items[GUARD].seen = None;
    assert_eq!((called(&run, NOW), looked_at(&run, NOW)), (vec![], vec![0]));
    run.items[GUARD].seen = seen(StepPlan::refuse("PM1", "users are served"), NOW);
    assert_eq!(stopped(&run, NOW), [(Some(1), "PM1".to_owned())]);
    run.items[GUARD].seen = None;
    let plain = seen(StepPlan::Change(Box::new(change())), NOW);
    (run.items[FENCE].planned, run.items[FENCE].seen) = (plain.clone(), plain);
    assert_eq!(called(&run, NOW), [1], "an ordinary step asks none");
    change_spec(&mut run, |spec| spec.items[FENCE].rungs[0].proves = vec![fenced()]);
    assert_eq!((called(&run, NOW), looked_at(&run, NOW)), (vec![], vec![0]), "a command that proves a fence");
}

/// The fence could not be proven, and a person accepted that.
fn accepted() -> Run {
    let mut run = fence_done();
    may_be_unfenced(&mut run, FENCE);
    run.items[FENCE].phase = ItemPhase::Parked { why: vec![], doubt: false };
    accepts(&mut run, NOW);
    run
}

fn accepts(run: &mut Run, at: Time) {
    let lead = Actor { roles: vec![Role::IncidentLead], ..person(&[]) };
    let yes = Command::Approve { digest: Digest::ZERO, accept_unfenced: vec!["fence".into()], solo: false };
    let decided = run.decide(&yes, &lead, "I know", at).unwrap();
    write(run, decided, at);
}

/// Everything was looked at at `now`.
fn looked(mut run: Run, now: Time) -> Run {
    run.items[GUARD].seen = seen(holds(), now);
    run.items[PROMOTE].seen =
        run.items[PROMOTE].seen.clone().map(|last| crate::engine::Seen { at: now, ..last });
    run
}

#[test]
fn an_acceptance_holds_for_one_run_and_a_quarter_of_an_hour_and_is_asked_for_again() {
    let run = accepted();
    assert!(matches!(run.items[FENCE].phase, ItemPhase::Skipped { .. }));
    let last = NOW + WORD_FOR - TICK;
    assert_eq!(called(&looked(run.clone(), last), last), [2]);
    let over = NOW + WORD_FOR;
    let mut run = looked(run, over);
    assert_eq!((called(&run, over), stopped(&run, over)), (vec![], vec![(Some(1), "PM5108".to_owned())]));
    let acts = run.next(over).acts;
    let [Act::Record(record)] = acts.as_slice() else { panic!("{acts:?}") };
    write(&mut run, (**record).clone(), over);
    assert!(run.overrides.is_empty() && called(&run, over).is_empty(), "nothing promotes on an old word");
    assert!(run.sheet(over).digest != accepted().sheet(over - WORD_FOR).digest, "and no plan counts on it");
    accepts(&mut run, over);
    assert_eq!(called(&run, over), [2], "who says it again goes on");
    // Past the commit point it is history.
    let mut run = accepted();
    run.committed = Some(NOW);
    assert!(stopped(&run, over).iter().all(|(_, code)| code != "PM5108"));
}

/// Accepted while a person was asked to do it by hand, with one more way behind that: this way is tried then, and nothing is
/// left of what was accepted.
#[test]
fn an_acceptance_that_ran_out_ends_also_where_there_is_another_way_to_fence() {
    let mut run = accepted();
    two_ways(&mut run, FENCE);
    assert!(run.overrides.contains_key(&Name::from("fence")));
    let over = NOW + WORD_FOR;
    let mut run = looked(run, over);
    let acts = run.next(over).acts;
    let [Act::Record(record)] = acts.as_slice() else { panic!("{acts:?}") };
    write(&mut run, (**record).clone(), over);
    assert_eq!((run.items[FENCE].rung, &run.items[FENCE].phase), (1, &ItemPhase::Idle));
    assert!(run.overrides.is_empty(), "two writers, on a word that has ended");
    done(&mut run, FENCE, vec![]);
    assert_eq!(stopped(&looked(run, over), over), [(Some(2), "PM5102".to_owned())]);
}

#[test]
fn while_a_call_is_open_an_acceptance_that_ran_out_begins_nothing() {
    let mut run = accepted();
    let call = Call { item: 5, rung: 0, attempt: 1, undo: false };
    run.items[5].phase = ItemPhase::Doubt { call, change: Box::new(change()), since: NOW };
    let over = NOW + WORD_FOR;
    let run = looked(run, over);
    assert_eq!((called(&run, over), stopped(&run, over)), (vec![], vec![]));
    let classify = |act: &Act| matches!(act, Act::Observe { item: 5, why: WhyObserved::Classify, .. });
    assert!(run.next(over).acts.iter().all(classify) && !run.next(over).acts.is_empty());
}

/// Fence, then something that takes half a minute, then the promotion; meanwhile somebody takes the fence away.
#[test]
fn a_fence_taken_away_by_hand_before_a_slow_promotion_is_seen() {
    let tell = |meddle: bool| {
        let sim = Sim::new(Schedule::default(), Time(1_000_000_000));
        let registers = Arc::new(Mutex::new(Registers::default()));
        let mut toy = Toy::new(&sim, &registers);
        toy.plot.slow = Some(("drain".into(), Span::secs(30)));
        toy.plot.meddle = meddle.then(|| ("drain".into(), "fence".into()));
        let mut spec = spec(Mode::Auto);
        spec.items[2] = item("drain", "toy.set", ItemRole::Step, vec![1], json!({}));
        spec.items[2].timeout = Span::secs(60);
        spec.items[3] = item("promote", "toy.set", ItemRole::Step, vec![2], json!({"needs": "fence"}));
        spec.afterwards.fence_watch[0].item = 3;
        let run = sim.open(spec).unwrap();
        let end = sim.finish(&run, &toy, Arc::new(NoSamples)).unwrap();
        let journal = Journal::new(sim.backend.clone());
        let records = sim.block_on(journal.read(&Stream::Run(run), 1)).unwrap().unwrap();
        let fence_again =
            |r: &Stamped| matches!(&r.record, Record::Observed { item: 1, why: WhyObserved::Recheck, .. });
        let looks = records.iter().filter(|r| fence_again(r)).count();
        let registers = registers.lock().unwrap();
        (end, registers.two_writers, registers.changes.contains_key(&Name::from("promote")), looks)
    };
    let (end, two, promoted, looks) = tell(false);
    assert_eq!((end, two, promoted), (End::Finished(Outcome::Succeeded), false, true));
    assert_eq!(looks, 1, "before the promotion");
    let (end, two, promoted, _) = tell(true);
    assert!(matches!(&end, End::Waits(says) if says.contains("no longer as this run left it")), "{end:?}");
    assert!(!two && !promoted);
}
