//! The crash matrix of the shipped playbooks: the real engine, drive and providers against a simulated world, with
//! every fault at every step. Each schedule must end as the undisturbed run does with every change made exactly once,
//! or stop for a person with nothing made twice; and at no moment may two servers take writes.

mod clocks;
mod clusters;
mod drivers;
mod faults;
mod freezes;
mod generated;
pub mod judge;
mod mistakes;
mod pair;
mod planned;
pub mod plot;
pub mod schedules;
mod sentinels;
mod sessions;
mod together;
mod undo;

use judge::{Verdict, judge};
use plot::{Answer, Plot, Staged as _, Story};
use pointsman::kernel::domain::{Outcome, Span};
use pointsman::kernel::drive::Mistake;
use pointsman::kernel::sim::End;
use pointsman::simulated::world::{Hand, Patroni, Sentinels, Standby, Start};
use schedules::{Life, Space};
use std::sync::Mutex;
use std::time::Instant;

/// The primary was killed; SQL reaches nobody, so the fence stops and masks it over SSH.
pub const KILLED: Start = Start {
    primary_killed: true,
    primary_hangs: false,
    cut_replication: false,
    app_dead: false,
    ssh_cut: false,
    orders: false,
    behind: 0,
    standby: Standby::Follows,
    patroni: Patroni::Runs,
    sentinels: Sentinels::Agree,
    new_app_dead: false,
    source_silent: false,
    dns_silent: false,
    resolvers_silent: false,
    promote_looks: 2,
    dns_lag: 2,
    latency: Span::millis(2),
};
/// The application is dead, the primary lives and goes on taking orders: lockout by SQL, and a drain.
const APP_DEAD: Start = Start { primary_killed: false, app_dead: true, orders: true, ..KILLED };
/// The primary was killed, and its machine cannot be reached: nothing can be proven without a person.
pub const CUT_OFF: Start = Start { ssh_cut: true, ..KILLED };

/// The bound of what is tried of two faults at once, out of all their pairs.
const PAIRS: usize = 500;

/// Runs every life, on all cores, and judges each against the undisturbed one.
fn matrix(name: &str, plot: &Plot, lives: &[Life]) -> Vec<(Life, Story)> {
    let begun = Instant::now();
    let calm = calm(plot);
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

pub fn calm(plot: &Plot) -> Story {
    plot.tell(&Life::default(), Mistake::None)
}

/// Each shipped playbook in both worlds in which it can go through without anybody.
fn plots() -> Vec<(String, Plot)> {
    let of = |(file, _): (String, String)| {
        [
            (format!("{file}, primary killed"), Plot::shipped(&file, KILLED)),
            (format!("{file}, app dead"), Plot::app_only(&file, APP_DEAD)),
        ]
    };
    plot::shipped().into_iter().flat_map(of).collect()
}

#[test]
fn undisturbed_runs_end_as_they_should() {
    for (file, _) in plot::shipped() {
        let killed = calm(&Plot::shipped(&file, KILLED));
        assert_eq!(killed.end, Ok(End::Finished(Outcome::Succeeded)));
        assert!(killed.effects.contains_key("pg-gra-host fence"), "{:?}", killed.effects);
        let dead = calm(&Plot::app_only(&file, APP_DEAD));
        assert_eq!(dead.end, Ok(End::Finished(Outcome::Succeeded)));
        assert!(dead.effects.contains_key("pg-gra pg_hba written"), "{:?}", dead.effects);
        assert_eq!(dead.lost, Some(0), "the drain loses nothing");
        for story in [&killed, &dead] {
            assert_eq!(story.standing.writers, ["pg-sbg".into()], "{:?}", story.standing);
            assert!(story.standing.old_is_fenced && story.effects.values().all(|n| *n == 1));
            println!("{file}: {:?} boundaries, calls, appends; {:?}", story.counted, story.effects);
        }
        let cut = calm(&Plot::shipped(&file, CUT_OFF));
        assert_eq!(cut.end, Ok(End::Waits("waits for a person: fence old primary".into())));
        assert_eq!(cut.effects.len(), 0, "{:?}", cut.effects);
        // The database answers, so its probe is a contrary vote: nothing happens while the origin guard does not hold.
        let mixed = calm(&Plot::shipped(&file, APP_DEAD));
        assert!(matches!(&mixed.end, Ok(End::Waits(says)) if says.starts_with("held")), "{:?}", mixed.end);
        assert_eq!(mixed.effects.len(), 0, "{:?}", mixed.effects);
    }
}

/// One fault of each kind at every place, and the world changed by hand before every call.
#[test]
fn primary_killed_one_fault() {
    for (file, _) in plot::shipped() {
        let plot = Plot::shipped(&file, KILLED);
        let lives = Space::of(&calm(&plot)).single_faults();
        deaths_alone(&matrix(&format!("{file}, primary killed, one fault"), &plot, &lives));
    }
}

#[test]
fn primary_killed_by_hand() {
    for (file, _) in plot::shipped() {
        let plot = Plot::shipped(&file, KILLED);
        let lives = Space::of(&calm(&plot)).by_hand(&Hand::ALL);
        let told = matrix(&format!("{file}, primary killed, changed by hand"), &plot, &lives);
        windows(&told);
    }
}

#[test]
fn app_dead_one_fault() {
    for (file, _) in plot::shipped() {
        let plot = Plot::app_only(&file, APP_DEAD);
        let lives = Space::of(&calm(&plot)).single_faults();
        deaths_alone(&matrix(&format!("{file}, app dead, one fault"), &plot, &lives));
    }
}

#[test]
fn app_dead_by_hand() {
    for (file, _) in plot::shipped() {
        let plot = Plot::app_only(&file, APP_DEAD);
        let lives = Space::of(&calm(&plot)).by_hand(&Hand::ALL);
        let told = matrix(&format!("{file}, app dead, changed by hand"), &plot, &lives);
        windows(&told);
    }
}

/// A death alone needs no person, wherever it strikes. (After an hour's gap the run's deadline is over: people decide.)
fn deaths_alone(told: &[(Life, Story)]) {
    let dead = told.iter().filter(|(life, _)| life.schedule.deaths.len() == 1 && !life.schedule.gap);
    for (life, story) in dead {
        assert!(matches!(story.end, Ok(End::Finished(Outcome::Succeeded))), "{life:?}: {:?}", story.end);
    }
}

/// What cannot be seen in time is counted, and small.
fn windows(told: &[(Life, Story)]) {
    let windows = told.iter().filter(|(_, story)| !story.watch.violations.is_empty()).count();
    println!("  of these, {windows} changed by hand between the last look at the old primary and the signal");
    assert!(windows <= 6, "{windows} schedules promote beside a fence that somebody took back");
}

/// Nothing is proven, so nothing may be promoted, whatever goes wrong.
#[test]
fn cut_off_nothing_is_promoted() {
    for (file, _) in plot::shipped() {
        let plot = Plot::shipped(&file, CUT_OFF);
        let space = Space::of(&calm(&plot));
        let mut lives = space.single_faults();
        lives.extend(space.by_hand(&[Hand::PromoteNew, Hand::Resolve, Hand::MoveDns]));
        let told = matrix(&format!("{file}, machine cut off"), &plot, &lives);
        assert!(told.iter().all(|(_, story)| story.effects.is_empty()), "something was changed");
    }
}

/// The run asks, a person answers: powered off and confirmed, or accepted by name. Faults before and after.
#[test]
fn cut_off_and_a_person_decides() {
    for (file, _) in plot::shipped() {
        for (answer, end) in
            [(Answer::PowerOff, Outcome::Succeeded), (Answer::AcceptUnfenced, Outcome::Partial)]
        {
            let plot = Plot { answer: Some(answer), ..Plot::shipped(&file, CUT_OFF) };
            let calm = calm(&plot);
            assert_eq!(calm.end, Ok(End::Finished(end)), "{:?}", calm.effects);
            let name = format!("{file}, machine cut off, {answer:?}");
            let space = Space::of(&calm);
            let mut lives = space.deaths();
            lives.extend(space.lost_replies());
            lives.extend(space.doubtful_appends());
            matrix(&name, &plot, &lives);
        }
    }
}

/// Every call takes its time: what was seen before a change is old when its turn comes, and guards are asked again.
#[test]
fn slow_remotes() {
    for (file, _) in plot::shipped() {
        let slow = Span::millis(700);
        for plot in [
            Plot::shipped(&file, Start { latency: slow, ..KILLED }),
            Plot::app_only(&file, Start { latency: slow, ..APP_DEAD }),
        ] {
            let space = Space::of(&calm(&plot));
            matrix(&format!("{file}, slow, one death"), &plot, &space.deaths());
            matrix(&format!("{file}, slow, lost replies"), &plot, &space.lost_replies());
            let hands = [Hand::StartOld, Hand::UnfenceOld];
            windows(&matrix(&format!("{file}, slow, by hand"), &plot, &space.by_hand(&hands)));
        }
    }
}

#[test]
fn two_faults() {
    for (file, _) in plot::shipped() {
        let killed = Plot::shipped(&file, KILLED);
        let space = Space::of(&calm(&killed));
        matrix(&format!("{file}, primary killed, two deaths"), &killed, &space.two_deaths(PAIRS));
        let lives = space.death_and_lost_reply(PAIRS / 2);
        matrix(&format!("{file}, primary killed, death and lost reply"), &killed, &lives);
        let dead = Plot::app_only(&file, APP_DEAD);
        let space = Space::of(&calm(&dead));
        matrix(&format!("{file}, app dead, two deaths"), &dead, &space.two_deaths(PAIRS / 2));
        let lives = space.death_and_lost_reply(PAIRS / 2);
        matrix(&format!("{file}, app dead, death and lost reply"), &dead, &lives);
    }
}
