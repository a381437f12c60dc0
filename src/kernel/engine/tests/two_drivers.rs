//! Two drivers on one store: the first is paused at every place in turn, the second takes the run over and ends it, and
//! then the first wakes up. It may not change anything any more, and has to say so.

use super::*;
use crate::drive::{DriveError, Driver, Pass};
use crate::journal::{AppendError, Journal};

/// What the first came to after it woke, and the changes that were made in all; `None`: it never got to that place.
fn woken_at(place: u32, settle: Settle) -> Option<(Result<Pass, DriveError>, BTreeMap<Name, u32>)> {
    let sim = Sim::new(Schedule { pauses: vec![place], ..Schedule::default() }, Time(1_000_000_000));
    let registers = Arc::new(Mutex::new(Registers::default()));
    let toy = Toy { settle, ..Toy::new(&sim, &registers) };
    let run = RunId::from("RUN001");
    let opening = crate::drive::opening(&spec(Mode::Auto), sim.world.now()).unwrap();
    let journal = Journal::new(sim.backend.clone());
    // A pause while the run opens is triage's, not a driver's.
    sim.block_on(journal.append(opening))?.unwrap();
    let world = Arc::new(sim.world.clone());
    let driver = Driver::new(&journal, &toy, world, Arc::new(NoSamples), "the first");
    let mut first = Box::pin(driver.drive(&run));
    if let Some(done) = sim.block_on(first.as_mut()) {
        assert!(matches!(done, Ok(Pass::Finished(Outcome::Succeeded))), "{done:?}");
        return None;
    }
    sim.fuse.revive();
    let end = sim.finish(&run, &toy, Arc::new(NoSamples));
    assert_eq!(end, Ok(End::Finished(Outcome::Succeeded)), "paused at {place}");
    let before = registers.lock().unwrap().changes.clone();
    let count = || sim.block_on(journal.read(&Stream::Run(run.clone()), 1)).expect("alive").unwrap().len();
    let records = count();
    sim.fuse.wake(place);
    let late = sim.block_on(first).expect("nobody dies here");
    let after = registers.lock().unwrap().changes.clone();
    assert_eq!(before, after, "paused at {place}: it changed something after another had ended the run");
    assert_eq!(count(), records, "paused at {place}: it wrote after the end");
    Some((late, after))
}

#[test]
fn an_old_driver_that_wakes_up_changes_nothing() {
    for settle in [Settle::AtOnce, Settle::Repeatable(Span::secs(5))] {
        let (mut deposed, mut ended, mut place) = (0, 0, 2);
        while let Some((late, changes)) = woken_at(place, settle) {
            assert!(changes.values().all(|n| *n == 1), "paused at {place}: {changes:?}");
            match late {
                Err(DriveError::Append(AppendError::Moved { .. } | AppendError::Deposed { .. })) => {
                    deposed += 1
                }
                // It reads what the other wrote, and sees that nothing is left to do.
                Ok(Pass::Finished(Outcome::Succeeded)) => ended += 1,
                other => panic!("paused at {place}: {other:?}"),
            }
            place += 1;
        }
        println!("{settle:?}: paused at {} places: {deposed} deposed, {ended} found it ended", place - 2);
        assert!(deposed > 10 && place > 30, "the space shrank: {deposed} of {place}");
    }
}

/// Dies at every place; the new runner has the same clock to the microsecond, so every old look would still be fresh.
#[test]
fn a_new_runner_trusts_no_look_of_the_old_one() {
    let mut taken_before = 0;
    for death in 0..60 {
        let sim = Sim::new(Schedule { deaths: vec![death], ..Schedule::default() }, Time(1_000_000_000));
        let registers = Arc::new(Mutex::new(Registers::default()));
        let toy = Toy::new(&sim, &registers);
        let run = sim.open(spec(Mode::Auto)).unwrap();
        sim.finish(&run, &toy, Arc::new(NoSamples)).unwrap();
        let journal = Journal::new(sim.backend.clone());
        let records = sim.block_on(journal.read(&Stream::Run(run), 1)).unwrap().unwrap();
        let at = |kind: &str| records.iter().position(|r| r.record.kind() == kind);
        let (Some(taken), Some(first)) = (at("taken"), at("intended")) else { continue };
        if taken < first {
            taken_before += 1;
            let guard = |r: &Stamped| matches!(r.record, Record::Observed { item: 0, .. });
            let looked = records[taken..first].iter().any(guard);
            assert!(looked, "death at {death}: the first change stands on the look of a dead runner");
        }
    }
    assert!(taken_before > 1, "no death fell between the opening and the first change");
}
