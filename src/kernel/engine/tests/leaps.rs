//! A process that was stopped, and a clock that was set: time is only believed while it passes. Nothing is sent late on what
//! was seen long ago, no doubt settles early, and no step runs out of time that nobody had.

use super::scene::*;
use super::*;
use crate::drive::{Driver, Pass};
use crate::engine::{Consent, ItemPhase, Run};
use crate::journal::Journal;
use crate::sim::Leap;

const TEN: Span = Span::mins(10);

fn leap(run: &mut Run, at: Time) {
    let jump = i64::try_from(TEN.0).unwrap();
    write(run, Record::Clock { says: "leapt".into(), jump }, at);
}

fn looks(run: &mut Run, item: usize, at: Time) {
    let seen = Ok(Observation { identity: json!(0), state: json!(0), evidence: json!(0), at });
    let (why, plan) = (WhyObserved::Classify, StepPlan::Change(Box::new(change())));
    write(run, Record::Observed { item: item as ItemId, rung: 0, why, seen, plan, undo: false }, at);
}

/// A promotion whose end nobody heard; what is seen again settles it after half a minute.
fn in_doubt() -> Run {
    let mut run = fence_done();
    let change = Change { settle: Settle::After(Span::secs(30)), ..change() };
    let call = Call { item: 2, rung: 0, attempt: 1, undo: false };
    let item = &mut run.items[PROMOTE];
    item.phase = ItemPhase::Doubt { call, change: Box::new(change), since: NOW };
    (item.numbered, item.changed, item.rung_began) = (1, true, Some(NOW));
    run
}

#[test]
fn a_doubt_does_not_settle_by_a_clock_that_was_set() {
    let after = NOW + TEN;
    let mut run = in_doubt();
    looks(&mut run, PROMOTE, after);
    assert_eq!(run.items[PROMOTE].phase, ItemPhase::Idle, "ten minutes that went by do settle it");
    let mut run = in_doubt();
    leap(&mut run, after);
    looks(&mut run, PROMOTE, after);
    assert!(matches!(run.items[PROMOTE].phase, ItemPhase::Doubt { since, .. } if since == after));
    assert!(stopped(&run, after + Span::secs(29)).is_empty(), "nor is its time over");
    looks(&mut run, PROMOTE, after + Span::secs(30));
    assert_eq!(run.items[PROMOTE].phase, ItemPhase::Idle);
    // Taken over by a new process it is the same: how long nobody looked is what the clock says, and no more.
    let mut run = in_doubt();
    write(&mut run, Record::Taken { epoch: 9, owner: "next".into(), gap: TEN }, after);
    looks(&mut run, PROMOTE, after);
    assert!(matches!(run.items[PROMOTE].phase, ItemPhase::Doubt { .. }));
}

#[test]
fn a_leap_is_a_gap_and_a_call_on_its_way_is_still_ours() {
    let after = NOW + TEN;
    let call = Call { item: 2, rung: 0, attempt: 1, undo: false };
    let mut run = fence_done();
    done(&mut run, GUARD, vec![]);
    let at = &mut run.items[PROMOTE];
    (at.phase, at.numbered) = (ItemPhase::InFlight { call, change: Box::new(change()) }, 1);
    run.consent = Consent::Given { digest: Digest::ZERO, by: vec![] };
    leap(&mut run, after);
    assert!(matches!(run.items[PROMOTE].phase, ItemPhase::InFlight { .. }), "its end will be heard");
    assert!(run.items[FENCE].recheck && run.late && run.consent == Consent::None, "as after a gap");
    assert!(!run.items[GUARD].recheck, "a guard is looked at again anyway, and changed nothing");
    write(&mut run, Record::Ended { call, end: CallEnd::applied(json!(null)) }, after);
    assert_eq!(run.committed, Some(after));
}

#[test]
fn a_living_process_goes_on_wherever_its_clock_leaps() {
    for settle in [Settle::AtOnce, Settle::After(Span::secs(5)), Settle::Repeatable(Span::secs(5))] {
        let (mut place, mut leapt) = (0, 0);
        loop {
            let schedule = Schedule { leaps: vec![(place, Leap::Ahead(TEN))], ..Schedule::default() };
            let sim = Sim::new(schedule, Time(1_000_000_000));
            let registers = Arc::new(Mutex::new(Registers::default()));
            let toy = Toy { settle, ..Toy::new(&sim, &registers) };
            let run = sim.open(spec(Mode::Auto)).unwrap();
            let end = sim.finish(&run, &toy, Arc::new(NoSamples));
            assert_eq!(end, Ok(End::Finished(Outcome::Succeeded)), "{settle:?}, leap at {place}");
            let changes = registers.lock().unwrap().changes.clone();
            assert!(changes.values().all(|n| *n == 1), "{settle:?}, leap at {place}: {changes:?}");
            leapt += sim.backend.inner.entries().iter().filter(|entry| entry.kind == "clock").count();
            if place > sim.fuse.counted().0 {
                break;
            }
            place += 1;
        }
        println!("{settle:?}: {place} places, {leapt} leaps on record");
        assert!(leapt > 20, "the space shrank");
    }
}

#[test]
fn a_call_that_was_not_sent_spends_neither_an_attempt_nor_the_steps_time() {
    let mut run = fence_done();
    let send = |run: &mut Run, attempt, at| {
        let call = Call { item: 2, rung: 0, attempt, undo: false };
        let spec = run.form(2).spec().unwrap().clone();
        write(run, Record::Intended { call, spec, change: Box::new(change()) }, at);
        let late = at + Span::mins(1);
        write(run, Record::Ended { call, end: CallEnd::not_sent("it slept") }, late);
        late
    };
    let late = send(&mut run, 1, NOW);
    let item = &run.items[PROMOTE];
    assert_eq!((item.attempts, item.rung_began, item.changed), (0, Some(late), false));
    assert!(
        matches!(&item.rejected, Some((true, says)) if says.contains("nothing was sent") || says.contains("slept"))
    );
    let second = send(&mut run, 2, late);
    assert_eq!(run.items[PROMOTE].rung_began, Some(second));
    send(&mut run, 3, second);
    assert_eq!(run.items[PROMOTE].rung_began, Some(second), "but not for ever");
}

/// Stopped at every place for a while, and nobody took its place.
#[test]
fn what_was_decided_before_a_pause_is_not_sent_after_it() {
    let (mut place, mut held, mut sent) = (2, 0, 0);
    loop {
        let sim = Sim::new(Schedule { pauses: vec![place], ..Schedule::default() }, Time(1_000_000_000));
        let registers = Arc::new(Mutex::new(Registers::default()));
        let toy = Toy::new(&sim, &registers);
        let run = sim.open(spec(Mode::Auto)).unwrap();
        let journal = Journal::new(sim.backend.clone());
        let world = Arc::new(sim.world.clone());
        let driver = Driver::new(&journal, &toy, world, Arc::new(NoSamples), "the only one");
        let mut pass = Box::pin(driver.drive(&run));
        if sim.block_on(pass.as_mut()).is_some() {
            break;
        }
        sim.fuse.revive();
        sim.world.advance_to(sim.world.now() + Span::secs(15));
        sim.fuse.wake(place);
        let first = sim.block_on(pass.as_mut()).expect("nobody dies here").unwrap();
        drop(pass);
        if !matches!(first, Pass::Finished(_)) {
            sim.finish(&run, &toy, Arc::new(NoSamples)).unwrap();
        }
        let changes = registers.lock().unwrap().changes.clone();
        assert!(
            changes.len() == SET.len() && changes.values().all(|n| *n == 1),
            "paused at {place}: {changes:?}"
        );
        let records = sim.block_on(journal.read(&Stream::Run(run), 1)).unwrap().unwrap();
        let ends = records.iter().filter_map(|r| match &r.record {
            Record::Ended { end, .. } => Some(end.clone()),
            _ => None,
        });
        held += ends.clone().filter(|end| !end.was_sent()).count();
        sent += ends.filter(CallEnd::was_sent).count();
        place += 1;
    }
    println!("paused at {place} places: {held} calls were not sent, {sent} were");
    assert!(held >= SET.len(), "each intent's append is such a place: {held}");
}

/// `gap` is what the clock says between the last record and the new process.
fn taken(run: Run, gap: Span) -> Run {
    let mut run = run;
    write(&mut run, Record::Taken { epoch: 9, owner: "next".into(), gap }, NOW + gap);
    run
}

#[test]
fn a_run_is_late_after_more_than_its_time_and_only_between_first_change_and_commit_point() {
    let within = spec(Mode::Auto).limits.resume_within;
    let longer = Span(within.0 + 1);
    assert!(!taken(fence_done(), within).late, "exactly its time is in time");
    assert!(taken(fence_done(), longer).late);
    assert!(
        !taken(planned(Mode::Auto), longer).late,
        "nothing was changed: there is nothing to be late with"
    );
    assert!(!taken(promoted(), longer).late, "forward only");
}
