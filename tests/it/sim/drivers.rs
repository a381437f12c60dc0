//! Two drivers on one store, with the shipped playbook and the models of real remotes: the first is paused at every place
//! in turn, another takes the run over, and the first wakes up: after the end, or in the middle of the other's work.

use super::judge::{Verdict, judge};
use super::plot::{Plot, Stage, Staged as _, Story};
use super::schedules::{Life, Space};
use super::{calm, plots, some};
use pointsman::kernel::domain::{Outcome, RunId, Stream};
use pointsman::kernel::drive::{DriveError, Driver, Mistake, Pass, opening};
use pointsman::kernel::journal::{AppendError, Journal};
use pointsman::kernel::port::World as _;
use pointsman::kernel::sim::{End, Schedule};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Stories of one kind in which the first was stopped between its permit and a command over SSH. No server compares there:
/// who wakes up so late runs the command again.
const WINDOWS: u32 = 8;

/// Pairs of places, of all there are: where the first is paused, and how far the second has come when it wakes.
const PAIRS: usize = 80;

/// What becomes of the second when the first wakes up in the middle of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Second {
    Dies,
    GoesOn,
}

/// What the first came to when it woke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Late {
    Deposed,
    FoundItEnded,
    /// It was paused before its first record, or the other had not taken over yet: it may go on.
    WentOn,
}

/// Takes out what is known: one command run twice, by the one that woke up late. Everything else stays to be judged.
fn without_late_commands(effects: &mut BTreeMap<String, u32>) -> u32 {
    let command = |what: &str| what.ends_with(" fence") || what.ends_with(" restart-shop");
    let twice: Vec<_> = effects.iter_mut().filter(|(what, n)| **n == 2 && command(what)).collect();
    match twice.len() {
        1 => twice.into_iter().map(|(_, n)| std::mem::replace(n, 1) - 1).sum(),
        _ => 0,
    }
}

type Drive = Option<Result<Pass, DriveError>>;

fn late(end: Drive) -> Result<Late, String> {
    match end {
        Some(Err(DriveError::Append(AppendError::Moved { .. } | AppendError::Deposed { .. }))) => {
            Ok(Late::Deposed)
        }
        Some(Ok(Pass::Finished(_))) => Ok(Late::FoundItEnded),
        Some(Ok(Pass::Waiting { .. })) => Ok(Late::WentOn),
        other => Err(format!("the first woke to {other:?}")),
    }
}

fn run() -> RunId {
    "S1M001".into()
}

fn records(stage: &Stage) -> usize {
    let journal = Journal::new(stage.sim.backend.clone());
    stage.sim.block_on(journal.read(&Stream::Run(run()), 1)).expect("nobody dies here").unwrap().len()
}

/// Opens the run outside of the space: a pause while it opens is triage's, not a driver's.
fn open(plot: &Plot, stage: &Stage) -> Option<()> {
    let batch = opening(&plot.spec, stage.sim.world.now()).unwrap();
    stage.sim.block_on(Journal::new(stage.sim.backend.clone()).append(batch))?.unwrap();
    Some(())
}

/// The other ends the run before the first wakes up. `None`: the first never got to that place.
fn woken_after_the_end(plot: &Plot, place: u32) -> Option<Result<(Late, Story), String>> {
    let stage = plot.stage(&Schedule { pauses: vec![place], ..Schedule::default() }.into(), Mistake::None);
    open(plot, &stage)?;
    let journal = Journal::new(stage.sim.backend.clone());
    let world = Arc::new(stage.sim.world.clone());
    let driver = Driver::new(&journal, &stage.registry, world, stage.samples.clone(), "the first");
    let id = run();
    let mut first = Box::pin(driver.drive(&id));
    if stage.sim.block_on(first.as_mut()).is_some() {
        return None;
    }
    stage.sim.fuse.revive();
    let end = stage.finish(&id);
    let (effects, written) = (stage.sites.effects(), records(&stage));
    stage.sim.fuse.wake(place);
    let woke = late(stage.sim.block_on(first.as_mut()));
    drop(first);
    let mut after = (stage.sites.effects(), records(&stage));
    without_late_commands(&mut after.0);
    if after != (effects.clone(), written) {
        return Some(Err(format!("paused at {place}: {effects:?} and {written} records became {after:?}")));
    }
    drop(driver);
    Some(woke.map(|woke| (woke, stage.story(end))))
}

/// The first wakes up at place `then`, in the middle of the other's work.
fn woken_in_the_middle(
    plot: &Plot,
    (place, then): (u32, u32),
    second: Second,
) -> Option<Result<(Late, Story), String>> {
    let schedule = match second {
        Second::Dies => Schedule { pauses: vec![place], deaths: vec![then], ..Schedule::default() },
        Second::GoesOn => Schedule { pauses: vec![place, then], ..Schedule::default() },
    };
    let stage = plot.stage(&schedule.into(), Mistake::None);
    open(plot, &stage)?;
    let journal = Journal::new(stage.sim.backend.clone());
    let world = || Arc::new(stage.sim.world.clone());
    let driver = |owner: &str| Driver::new(&journal, &stage.registry, world(), stage.samples.clone(), owner);
    let (one, two) = (driver("the first"), driver("the second"));
    let id = run();
    let mut first = Box::pin(one.drive(&id));
    if stage.sim.block_on(first.as_mut()).is_some() {
        return None;
    }
    stage.sim.fuse.revive();
    let mut other = Box::pin(two.drive(&id));
    let before = stage.sim.block_on(other.as_mut());
    stage.sim.fuse.revive();
    stage.sim.fuse.wake(place);
    let woke = late(stage.sim.block_on(first.as_mut()));
    stage.sim.fuse.revive();
    if second == Second::GoesOn && before.is_none() {
        stage.sim.fuse.wake(then);
        // It ends the run, or finds that the first has gone on; what it says is judged by the world below.
        let _ = stage.sim.block_on(other.as_mut());
    }
    drop((first, other));
    let end = stage.finish(&id);
    drop((one, two));
    Some(woke.map(|woke| (woke, stage.story(end))))
}

/// Runs `one` for every place on all cores, judges every story, and says how often the first came to what.
fn judged<P: Copy + std::fmt::Debug + Sync>(
    name: &str,
    plot: &Plot,
    places: &[P],
    one: impl Fn(P) -> Option<Result<(Late, Story), String>> + Sync,
) -> Vec<(Late, usize)> {
    let begun = Instant::now();
    let calm = calm(plot);
    let (bad, told, windows) = (Mutex::new(vec![]), Mutex::new(vec![]), AtomicU32::new(0));
    let cores = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    std::thread::scope(|scope| {
        for core in 0..cores {
            let (bad, told, calm, one, windows) = (&bad, &told, &calm, &one, &windows);
            scope.spawn(move || {
                for place in places.iter().skip(core).step_by(cores) {
                    match one(*place) {
                        None => {}
                        Some(Err(why)) => bad.lock().unwrap().push(format!("{place:?}: {why}")),
                        Some(Ok((late, mut story))) => {
                            windows.fetch_add(without_late_commands(&mut story.effects), Ordering::SeqCst);
                            if let Verdict::Bad(why) = judge(&story, calm, &Life::default()) {
                                bad.lock().unwrap().push(format!("{place:?}, {late:?}: {why}"));
                            }
                            let done = story.end == Ok(End::Finished(Outcome::Succeeded));
                            told.lock().unwrap().push((late, done));
                        }
                    }
                }
            });
        }
    });
    let (bad, told) = (bad.into_inner().unwrap(), told.into_inner().unwrap());
    let count = |wanted| told.iter().filter(|(late, _)| *late == wanted).count();
    let counts = [Late::Deposed, Late::FoundItEnded, Late::WentOn].map(|late| (late, count(late)));
    let done = told.iter().filter(|(_, done)| *done).count();
    println!(
        "{name}: {} schedules, {done} succeeded, {} stopped for a person; the first: {counts:?}; {:.1} s",
        told.len(),
        told.len() - done,
        begun.elapsed().as_secs_f64()
    );
    let windows = windows.into_inner();
    println!("  in {windows} of these the first was about to send a command over SSH, and sent it late");
    assert!(windows <= WINDOWS, "{windows} commands were run twice");
    assert!(bad.is_empty(), "{name}: {} are wrong:\n{}", bad.len(), some(&bad));
    counts.to_vec()
}

#[test]
fn an_old_driver_that_wakes_up_after_the_end_changes_nothing() {
    for (name, plot) in plots() {
        let places: Vec<u32> = (2..Space::of(&calm(&plot)).boundaries()).collect();
        let name = format!("{name}, paused until after the end");
        let counts = judged(&name, &plot, &places, |place| woken_after_the_end(&plot, place));
        assert!(counts[0].1 > 100, "the space shrank: {counts:?}");
    }
}

#[test]
fn an_old_driver_that_wakes_up_in_the_middle_of_the_others_work() {
    for (name, plot) in plots() {
        let (pairs, all) = Space::of(&calm(&plot)).pairs(PAIRS);
        for second in [Second::Dies, Second::GoesOn] {
            let name = format!("{name}, ownership lost, the second {second:?}");
            let counts = judged(&name, &plot, &pairs, |pair| woken_in_the_middle(&plot, pair, second));
            println!("  left out: {} of {all} pairs", all - pairs.len());
            assert!(counts[0].1 > PAIRS / 4, "the space shrank: {counts:?}");
        }
    }
}
