//! The crash matrix of any playbook, with no test written: one fault of each kind at every place of a run, in several
//! worlds. Each life ends as the undisturbed one, or as before the run, or stopped for a person; nothing is done twice,
//! and at no moment do two servers take writes.

use super::judge::{Verdict, judge};
use super::space::{Life, Space};
use super::stage::Stage;
use crate::kernel::domain::{RunKind, Span};
use crate::kernel::sim::End;
use crate::simulated::world::{Patroni, Sentinels, Standby, Start};
use std::sync::Mutex;

/// Bad lives that are told; all are counted.
const TOLD: usize = 12;
/// Lives of one world; a longer run is tried at places spread evenly over it.
const MOST: usize = 5_000;
/// Where the undisturbed run does nothing: one look that is held is like the other.
const MOST_IDLE: usize = 120;
/// Calls of all lives of one world, by those of the undisturbed one: a run that waits long is made of looks that are alike.
const MOST_CALLS: usize = 150_000;

/// How the kinds of actions end that make another server the one that takes writes.
const PROMOTES: [&str; 4] = [".promote", ".promote_standby_cluster", ".switchover", ".failover"];

/// What came of one world.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// In words: `primary killed`.
    pub world: &'static str,
    /// How the undisturbed run ends.
    pub calm: String,
    pub lives: usize,
    pub finished: usize,
    /// Stopped for a person, or held.
    pub stopped: usize,
    pub bad: usize,
    pub told: Vec<String>,
}

const KILLED: Start = Start {
    primary_killed: true,
    primary_hangs: false,
    app_dead: true,
    ssh_cut: false,
    orders: false,
    cut_replication: false,
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

/// Both sites live, and so does the pair.
const LIVELY: Start = Start { primary_killed: false, app_dead: false, ..KILLED };

/// Of a move that a person asks for.
const PLANNED: [(&str, Start); 5] = [
    ("both sites live", LIVELY),
    ("both sites live, orders come all the time", Start { orders: true, ..LIVELY }),
    (
        "both sites live, and what is written arrives no more",
        Start { orders: true, cut_replication: true, ..LIVELY },
    ),
    ("both sites live, every call takes its time", Start { latency: Span::millis(700), ..LIVELY }),
    ("old site dead", KILLED),
];

/// Of a site that is lost.
const LOST: [(&str, Start); 4] = [
    ("old site dead", KILLED),
    ("old site dead, the primary's machine cut off", Start { ssh_cut: true, ..KILLED }),
    (
        "application dead, primary alive and taking orders",
        Start { primary_killed: false, orders: true, ..KILLED },
    ),
    ("old site dead, every call takes its time", Start { latency: Span::millis(700), ..KILLED }),
];

/// `Err`: this playbook cannot be simulated, and why.
pub fn matrix(stage: &Stage) -> Result<Vec<Matrix>, Vec<String>> {
    let spec = stage.plot(KILLED)?.spec;
    let promotes = spec.items.iter().flat_map(|item| &item.rungs).any(|rung| {
        rung.form.spec().is_some_and(|spec| PROMOTES.iter().any(|end| spec.kind.as_str().ends_with(end)))
    });
    // What differs in its database alone is the same world to a playbook that has none.
    let differs = |start: &Start| promotes || !(start.ssh_cut || start.orders);
    let worlds: &[(&str, Start)] = if spec.kind == RunKind::Switchover { &PLANNED } else { &LOST };
    let worlds = worlds.iter().filter(|(_, start)| differs(start));
    worlds.map(|(world, start)| one(stage, world, *start)).collect()
}

fn one(stage: &Stage, world: &'static str, start: Start) -> Result<Matrix, Vec<String>> {
    let plot = stage.plot(start)?;
    let calm = plot.live(&Life::default())?;
    let lives = Space::of(&calm).single_faults();
    let most = match calm.effects.is_empty() {
        true => MOST_IDLE,
        false => (MOST_CALLS / calm.watch.calls.len().max(1)).clamp(MOST_IDLE, MOST),
    };
    let lives: Vec<&Life> = lives.iter().step_by(lives.len().div_ceil(most)).collect();
    let all: Mutex<Matrix> = Mutex::new(Matrix {
        world,
        calm: match &calm.end {
            Ok(End::Finished(outcome)) => outcome.to_string(),
            Ok(End::Waits(says)) => says.clone(),
            Err(why) => why.clone(),
        },
        lives: lives.len(),
        finished: 0,
        stopped: 0,
        bad: 0,
        told: vec![],
    });
    let cores = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    std::thread::scope(|scope| {
        for core in 0..cores {
            let (all, lives, plot, calm) = (&all, &lives, &plot, &calm);
            scope.spawn(move || {
                for life in lives.iter().skip(core).step_by(cores) {
                    let told = plot.live(life).map(|story| match judge(&story, calm, life) {
                        Verdict::Good => Ok(matches!(story.end, Ok(End::Finished(_)))),
                        Verdict::Bad(why) => Err(why),
                    });
                    note(all, life, told.unwrap_or_else(|why| Err(why.join("; "))));
                }
            });
        }
    });
    Ok(all.into_inner().expect("invariant: no panic while holding the lock"))
}

fn note(all: &Mutex<Matrix>, life: &Life, told: Result<bool, String>) {
    let mut all = all.lock().expect("invariant: no panic while holding the lock");
    match told {
        Ok(true) => all.finished += 1,
        Ok(false) => all.stopped += 1,
        Err(why) => {
            all.bad += 1;
            if all.told.len() < TOLD {
                all.told.push(format!("{life:?}: {why}"));
            }
        }
    }
}
