//! The crash matrix of the shipped playbooks: the real engine, drive and providers against a simulated world, with
//! every fault at every step. Each schedule must end as the undisturbed run does with every change made exactly once,
//! or stop for a person with nothing made twice; and at no moment may two servers take writes.

mod judge;
mod plot;
mod schedules;

use judge::{Verdict, judge};
use plot::{Plot, Story};
use pointsman::kernel::domain::Span;
use pointsman::kernel::drive::Mistake;
use pointsman::kernel::sim::End;
use pointsman::simulated::world::Start;
use schedules::{Life, Space};
use std::sync::Mutex;
use std::time::Instant;

/// The primary was killed; SQL reaches nobody, so the fence stops and masks it over SSH.
const KILLED: Start = Start {
    primary_killed: true,
    app_dead: false,
    ssh_cut: false,
    orders: false,
    promote_looks: 2,
    dns_lag: 2,
    latency: Span::millis(2),
};
/// The application is dead, the primary lives and goes on taking orders: lockout by SQL, and a drain.
const APP_DEAD: Start = Start { primary_killed: false, app_dead: true, orders: true, ..KILLED };
/// The primary was killed, and its machine cannot be reached: nothing can be proven without a person.
const CUT_OFF: Start = Start { ssh_cut: true, ..KILLED };

/// Runs every life, on all cores, and judges each against the undisturbed one.
fn matrix(name: &str, plot: &Plot, lives: &[Life]) -> Vec<(Life, Story)> {
    let begun = Instant::now();
    let calm = plot.tell(&Life::default(), Mistake::None);
    assert!(calm.watch.violations.is_empty(), "{name}: {:?}", calm.watch.violations);
    let bad: Mutex<Vec<String>> = Mutex::default();
    let told: Mutex<Vec<(Life, Story)>> = Mutex::default();
    let cores = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    std::thread::scope(|scope| {
        for core in 0..cores {
            let (bad, told, calm) = (&bad, &told, &calm);
            scope.spawn(move || {
                for life in lives.iter().skip(core).step_by(cores) {
                    let story = plot.tell(life, Mistake::None);
                    if let Verdict::Bad(why) = judge(&story, calm, life) {
                        bad.lock().unwrap().push(format!("{life:?}: {why}"));
                    }
                    told.lock().unwrap().push((life.clone(), story));
                }
            });
        }
    });
    let (bad, told) = (bad.into_inner().unwrap(), told.into_inner().unwrap());
    let finished = told.iter().filter(|(_, story)| matches!(story.end, Ok(End::Finished(_)))).count();
    println!(
        "{name}: {} schedules, {finished} finished, {} stopped for a person, {:.1} s",
        told.len(),
        told.len() - finished,
        begun.elapsed().as_secs_f64()
    );
    assert!(bad.is_empty(), "{name}: {} of {} are wrong:\n{}", bad.len(), told.len(), some(&bad));
    told
}

fn some(bad: &[String]) -> String {
    bad.iter().take(12).cloned().collect::<Vec<_>>().join("\n")
}

#[test]
fn undisturbed_runs_end_as_they_should() {
    for (file, _) in plot::shipped() {
        let killed = Plot::shipped(&file, KILLED).tell(&Life::default(), Mistake::None);
        for (i, c) in killed.watch.calls.iter().enumerate() { println!("  {i} {c:?}"); }
        println!("{file}: killed: {:?} {:?} {:?}", killed.end, killed.counted, killed.effects);
        assert!(matches!(killed.end, Ok(End::Finished(_))), "{:?}", killed.end);
        let dead = Plot::app_only(&file, APP_DEAD).tell(&Life::default(), Mistake::None);
        println!("{file}: app dead: {:?} {:?} {:?}", dead.end, dead.counted, dead.effects);
        assert!(matches!(dead.end, Ok(End::Finished(_))), "{:?}", dead.end);
        let cut = Plot::shipped(&file, CUT_OFF).tell(&Life::default(), Mistake::None);
        println!("{file}: cut off: {:?} {:?} {:?}", cut.end, cut.counted, cut.effects);
        assert!(matches!(cut.end, Ok(End::Waits(_))), "{:?}", cut.end);
    }
}

#[test]
fn killed_primary() {
    for (file, _) in plot::shipped() {
        let plot = Plot::shipped(&file, KILLED);
        let space = Space::of(&plot.tell(&Life::default(), Mistake::None));
        matrix(&format!("{file}, primary killed"), &plot, &space.all());
    }
}
