//! A defect of the program that each pass meets: the run is stopped with words, nothing is done twice, and once the defect
//! is gone a person's word lets it go on.

use super::scene::*;
use super::*;
use crate::drive::{Driver, Pass};
use crate::engine::{Command, ItemPhase, Run};
use crate::journal::Journal;
use std::panic::{AssertUnwindSafe, catch_unwind};

struct Tale {
    sim: Sim,
    toy: Toy,
    run: RunId,
}

impl Tale {
    fn new(broken: Option<(Name, Broken)>, spec: Resolved) -> Tale {
        let sim = Sim::new(Schedule::default(), Time(1_000_000_000));
        let registers = Arc::new(Mutex::new(Registers::default()));
        let mut toy = Toy::new(&sim, &registers);
        toy.plot.broken = broken;
        let run = sim.open(spec).unwrap();
        Tale { sim, toy, run }
    }

    fn panics(&self) -> bool {
        catch_unwind(AssertUnwindSafe(|| self.end())).is_err()
    }

    fn end(&self) -> End {
        self.sim.finish(&self.run, &self.toy, Arc::new(NoSamples)).unwrap()
    }

    fn stop(&self) -> Pass {
        let journal = Journal::new(self.sim.backend.clone());
        let world = Arc::new(self.sim.world.clone());
        let driver = Driver::new(&journal, &self.toy, world, Arc::new(NoSamples), "stops");
        self.sim.block_on(driver.stop(&self.run, &why())).unwrap().unwrap()
    }

    fn folded(&self) -> Run {
        let journal = Journal::new(self.sim.backend.clone());
        let stream = Stream::Run(self.run.clone());
        Run::fold(&self.sim.block_on(journal.read(&stream, 1)).unwrap().unwrap()).unwrap()
    }
}

fn why() -> Reason {
    Reason::new("PM5109", "it broke off")
}

#[test]
fn a_defect_behind_the_first_change_stops_the_run_and_a_retry_goes_on_once_it_is_gone() {
    // A look that breaks off takes those with it that are written down together with it: their calls are in doubt, too.
    for (how, parked) in [(Broken::InPlan, vec![3, 4]), (Broken::InCall, vec![5])] {
        let mut spec = spec(Mode::Auto);
        // Planned in its turn, so that the defect is met behind the commit point.
        spec.items[5].planned_ahead = false;
        let mut tale = Tale::new(Some(("dns".into(), how)), spec);
        assert!(tale.panics() && tale.panics(), "{how:?}: each pass meets it");
        let Pass::Waiting { wake: Some(_), .. } = tale.stop() else { panic!("{how:?}") };
        let run = tale.folded();
        let found: Vec<ItemId> = run.parked().map(|(id, _, _)| id).collect();
        assert!(
            found == parked && run.parked().all(|(_, why, doubt)| why[0].code == "PM5109" && doubt),
            "{how:?}: {found:?}"
        );
        // The pass that follows has nothing to do, and so does not meet it.
        assert!(
            matches!(tale.end(), End::Waits(says) if says.starts_with("parked: ") && says.contains("it broke off"))
        );
        assert!(matches!(tale.stop(), Pass::Waiting { wake: None, .. }), "it stands still already");
        tale.toy.plot.broken = None;
        for item in found {
            tale.sim.say(&tale.run, &person(&Role::ALL), &Command::Retry { item: Some(item) }).unwrap();
        }
        assert_eq!(tale.end(), End::Finished(Outcome::Succeeded), "{how:?}");
        let changes = tale.toy.registers.lock().unwrap().changes.clone();
        assert!(changes.len() == SET.len() && changes.values().all(|n| *n == 1), "{how:?}: {changes:?}");
    }
}

#[test]
fn a_defect_before_the_first_change_ends_the_run_and_frees_its_locks() {
    let tale = Tale::new(Some(("guard".into(), Broken::InPlan)), spec(Mode::Auto));
    assert!(tale.panics());
    assert!(matches!(tale.stop(), Pass::Finished(Outcome::Failed)));
    let run = tale.folded();
    assert_eq!(run.end_says.as_deref(), Some("nothing was changed: it broke off"));
    assert!(matches!(tale.stop(), Pass::Finished(Outcome::Failed)), "and that is all");
    // The next run of the service opens: what this one locked is free.
    let spec = Resolved { run: "RUN002".into(), epoch: 9, ..spec(Mode::Auto) };
    let batch = crate::drive::opening(&spec, tale.sim.world.now()).unwrap();
    let journal = Journal::new(tale.sim.backend.clone());
    tale.sim.block_on(journal.append(batch)).unwrap().unwrap();
}

#[test]
fn what_is_stopped_is_every_call_in_doubt_or_the_step_whose_turn_it_is() {
    let items = |run: &Run| -> Vec<(ItemId, bool)> {
        let of = |record| match record {
            Record::Parked { item: Some(id), doubt, .. } => (id, doubt),
            other => panic!("{other:?}"),
        };
        run.stand_still(&why()).into_iter().map(of).collect()
    };
    let mut run = promoted();
    assert_eq!(items(&run), [(3, false)]);
    for id in [LEFT, LEFT + 1] {
        let call = Call { item: id as ItemId, rung: 0, attempt: 1, undo: false };
        run.items[id].phase = ItemPhase::Doubt { call, change: Box::new(change()), since: NOW };
    }
    assert_eq!(items(&run), [(3, true), (4, true)]);
    run.items[LEFT].phase = ItemPhase::Parked { why: vec![], doubt: false };
    run.items[LEFT + 1].phase = ItemPhase::Idle;
    assert!(items(&run).is_empty(), "it stands still already");
    run.finished = Some(Outcome::Partial);
    assert!(run.stand_still(&why()).is_empty());
    // On the way back it is what is taken back next.
    let mut run = fence_done();
    run.items[FENCE].back = Some(back_by_a_call(&run, FENCE));
    run.items[FENCE].phase = ItemPhase::Idle;
    run.undoing = Some(vec![]);
    assert_eq!(items(&run), [(1, false)]);
}

/// Read at three in the morning: a step that is no longer as the run left it is not said to stand.
#[test]
fn the_last_sentence_tells_what_stands_from_what_does_not() {
    let mut run = promoted();
    let closed = |run: &Run| {
        let mut run = run.clone();
        run.closed = Some((person(&Role::ALL), "enough".into()));
        run.next(NOW).says
    };
    assert!(
        closed(&run).ends_with("it stands changed: fence, promote; not done: left, right, dns"),
        "{}",
        closed(&run)
    );
    run.items[FENCE].phase = ItemPhase::Parked { why: vec![], doubt: false };
    run.items[LEFT].phase = ItemPhase::Skipped { why: "nobody knew".into() };
    run.items[LEFT].changed = true;
    let wanted = "it stands changed: promote; changed, and not as it should be: fence; not known whether it happened: left; \
                  not done: right, dns";
    assert!(closed(&run).ends_with(wanted), "{}", closed(&run));
}
