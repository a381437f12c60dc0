//! A freeze by people that comes right before each append of the shipped playbook's run: nothing begins under it before
//! the commit point, its end looks again, and every fault in a frozen run is as harmless as in any other.

use super::judge::{Verdict, judge};
use super::plot::{NOW, Plot, Staged as _};
use super::schedules::{Life, Space};
use super::{calm, matrix, plots};
use pointsman::kernel::domain::{Outcome, Record, RunId, Span, Stamped, Stream, Time};
use pointsman::kernel::drive::Mistake;
use pointsman::kernel::engine::{Command, Run};
use pointsman::kernel::journal::Journal;
use pointsman::kernel::sim::{End, Schedule};

const FIVE: Span = Span::mins(5);
/// Faults in a frozen run, of all there are: every so many.
const STRIDE: usize = 6;

/// Long enough for the freeze to be over.
fn patient(plot: Plot) -> Plot {
    Plot { patience: Span::mins(20), hold: Span::mins(10), ..plot }
}

fn patient_plots() -> impl Iterator<Item = (String, Plot)> {
    plots().into_iter().map(|(name, plot)| (name, patient(plot)))
}

fn frozen_at(append: u32, until: Time) -> Life {
    let freeze = Command::Freeze { service: Some("shop".into()), until };
    Schedule { said: vec![(append, freeze)], ..Schedule::default() }.into()
}

/// What a freeze met: how far the run was when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    Nothing,
    BeforeTheFirstChange,
    BetweenFirstChangeAndCommit,
    PastTheCommitPoint,
}

/// No intent between the freeze and its end unless the run was committed by then.
fn met(records: &[Stamped]) -> Result<Met, String> {
    let at = |kind: &str| records.iter().position(|r| r.record.kind() == kind);
    let Some(frozen) = at("frozen") else { return Ok(Met::Nothing) };
    let thawed = at("thawed").unwrap_or(records.len());
    for n in frozen + 1..thawed {
        let run = Run::fold(&records[..n]).unwrap();
        if matches!(records[n].record, Record::Intended { .. }) && run.committed.is_none() {
            return Err(format!("sequence {} was begun under the freeze", records[n].seq));
        }
    }
    let before = Run::fold(&records[..=frozen]).unwrap();
    Ok(match (before.first_change, before.committed) {
        (None, _) => Met::BeforeTheFirstChange,
        (Some(_), None) => Met::BetweenFirstChangeAndCommit,
        (Some(_), Some(_)) => Met::PastTheCommitPoint,
    })
}

/// One story with its records.
fn story(plot: &Plot, life: &Life) -> (Result<Met, String>, super::plot::Story) {
    let stage = plot.stage(life, Mistake::None);
    let run: RunId = plot.spec.run.clone();
    let end = stage.sim.open(plot.spec.clone()).and_then(|run| stage.finish(&run));
    let journal = Journal::new(stage.sim.backend.clone());
    let records = stage.sim.block_on(journal.read(&Stream::Run(run), 1)).unwrap().unwrap();
    (met(&records), stage.story(end))
}

#[test]
fn a_freeze_at_every_append_begins_nothing_before_the_commit_point() {
    for (name, plot) in patient_plots() {
        let calm = calm(&plot);
        let mut counts = [0; 3];
        for append in 0..calm.counted.2 {
            let life = frozen_at(append, NOW + FIVE);
            let (met, story) = story(&plot, &life);
            if let Verdict::Bad(why) = judge(&story, &calm, &life) {
                panic!("{name}, frozen at append {append}: {why}");
            }
            assert_eq!(story.end, Ok(End::Finished(Outcome::Succeeded)), "{name}, frozen at append {append}");
            match met.unwrap_or_else(|why| panic!("{name}, frozen at append {append}: {why}")) {
                Met::Nothing => {}
                Met::BeforeTheFirstChange => counts[0] += 1,
                Met::BetweenFirstChangeAndCommit => counts[1] += 1,
                Met::PastTheCommitPoint => counts[2] += 1,
            }
        }
        println!(
            "{name}: frozen at {} appends; before the first change, up to the commit point, past it: {counts:?}",
            calm.counted.2
        );
        assert!(counts.iter().all(|n| *n > 0), "{counts:?}");
    }
}

/// One fault at places of a run that is frozen right before its commit point, and thawed by time.
#[test]
fn frozen_between_fence_and_promotion_with_one_fault() {
    for (name, plot) in patient_plots() {
        let appends = 0..calm(&plot).counted.2;
        let paused = |append: &u32| {
            let (met, _) = story(&plot, &frozen_at(*append, NOW + FIVE));
            met == Ok(Met::BetweenFirstChangeAndCommit)
        };
        let base = frozen_at(appends.rev().find(paused).unwrap(), NOW + FIVE);
        let faults = Space::of(&plot.tell(&base, Mistake::None)).single_faults();
        let all = faults.len();
        let with_freeze = |life: Life| Life {
            schedule: Schedule { said: base.schedule.said.clone(), ..life.schedule },
            ..life
        };
        let lives: Vec<Life> = faults.into_iter().step_by(STRIDE).map(with_freeze).collect();
        matrix(&format!("{name}, frozen before the commit point, one fault"), &plot, &lives);
        println!("  every {STRIDE}th of {all}; left out: {}", all - lives.len());
    }
}
