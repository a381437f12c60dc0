//! Going back, with the shipped playbook: called off at every point, a drain that never ends, and every fault on the way
//! back. A run ends as undisturbed, or exactly as before it, or stopped for a person with nothing made twice.

use super::plot::{Plot, Staged as _, Story, shipped};
use super::schedules::{Life, Space};
use super::{APP_DEAD, calm, matrix, plots};
use pointsman::kernel::domain::{Form, OnFailure, Outcome};
use pointsman::kernel::drive::Mistake;
use pointsman::kernel::engine::Command;
use pointsman::kernel::sim::{End, Schedule};
use pointsman::simulated::world::{Hand, Start};

fn said(command: &Command, at: u32) -> Life {
    Schedule { said: vec![(at, command.clone())], ..Schedule::default() }.into()
}

/// Somebody says it right before each append of the undisturbed run.
fn at_every_point(plot: &Plot, command: &Command) -> Vec<Life> {
    let appends = calm(plot).counted.2;
    (0..appends + 2).map(|at| said(command, at)).collect()
}

/// One fault at every place of the life in which `base` was said.
fn disturbed(plot: &Plot, base: &Life) -> Vec<Life> {
    let told = plot.tell(base, Mistake::None);
    let lives = Space::of(&told).single_faults().into_iter().skip(1);
    let with_word = |life: Life| Life {
        schedule: Schedule { said: base.schedule.said.clone(), ..life.schedule },
        ..life
    };
    lives.map(with_word).collect()
}

fn ended(told: &[(Life, Story)], outcome: Outcome) -> Vec<&(Life, Story)> {
    told.iter().filter(|(_, story)| story.end == Ok(End::Finished(outcome))).collect()
}

#[test]
fn aborted_at_every_point() {
    for (name, plot) in plots() {
        let lives = at_every_point(&plot, &Command::Abort);
        let told = matrix(&format!("{name}, aborted"), &plot, &lives);
        let undone = ended(&told, Outcome::Undone);
        let counts = [Outcome::Succeeded, Outcome::Undone, Outcome::Cancelled].map(|o| ended(&told, o).len());
        println!("  succeeded, undone, cancelled: {counts:?}");
        assert!(counts.iter().all(|n| *n > 0), "{counts:?}");
        assert_eq!(counts.iter().sum::<usize>(), told.len(), "an abort alone needs nobody else");
        for (_, story) in &undone {
            let back = story.effects.keys().any(|w| w.ends_with(" unfence") || w.ends_with(" restored"));
            assert!(back, "{:?}", story.effects);
        }
        let (last, _) = undone.iter().max_by_key(|(life, _)| life.schedule.said[0].0).unwrap();
        matrix(&format!("{name}, aborted, one fault"), &plot, &disturbed(&plot, last));
    }
}

#[test]
fn aborted_while_somebody_changes_things_by_hand() {
    for (name, plot) in plots() {
        let lives = at_every_point(&plot, &Command::Abort);
        let told = matrix(&format!("{name}, aborted"), &plot, &lives);
        let (base, story) = *ended(&told, Outcome::Undone).last().unwrap();
        let word = |life: Life| Life {
            schedule: Schedule { said: base.schedule.said.clone(), ..life.schedule },
            ..life
        };
        for hand in [Hand::PromoteNew, Hand::UnfenceOld, Hand::StartOld] {
            let lives = Space::of(story).by_hand(&[hand]).into_iter().map(word);
            let told: Vec<Story> = lives.map(|life| plot.tell(&life, Mistake::None)).collect();
            let beside =
                |story: &&Story| story.watch.violations.iter().any(|(_, w)| w.contains("taken back"));
            let windows = told.iter().filter(beside).count();
            println!("{name}, {hand:?}: {} schedules, {windows} in the last moment", told.len());
            // Between the last look at the standby and the call nothing can be seen.
            assert!(windows <= 6, "{windows} fences are taken back beside a promotion");
        }
    }
}

/// Thirty seconds of looks every few milliseconds are no more than a few of them. And there is no other way to fence:
/// a stop of the machine has no position to drain to.
fn short_drain(mut plot: Plot) -> Plot {
    for item in &mut plot.spec.items {
        item.rungs.truncate(1);
    }
    for rung in plot.spec.items.iter_mut().flat_map(|item| &mut item.rungs) {
        if let Form::Act(spec) = &mut rung.form
            && spec.kind.as_str() == "postgres.promote"
        {
            spec.with["drain_timeout"] = "50ms".into();
        }
    }
    plot
}

/// After the fence of a living primary its log never arrives: before the signal nothing is promoted.
#[test]
fn a_drain_that_never_ends() {
    for (file, _) in shipped() {
        let start = Start { cut_replication: true, ..APP_DEAD };
        let plot = short_drain(Plot::app_only(&file, start));
        let told = calm(&plot);
        assert!(matches!(&told.end, Ok(End::Waits(says)) if says.starts_with("parked")), "{:?}", told.end);
        assert!(told.standing.old_is_fenced, "it stops there and asks, unless its playbook says more");
        let mut undo = short_drain(Plot::app_only(&file, start));
        undo.spec.items.iter_mut().filter(|i| i.commit_point).for_each(|i| i.on_failure = OnFailure::Undo);
        let told = calm(&undo);
        assert_eq!(told.end, Ok(End::Finished(Outcome::Undone)), "{:?}", told.effects);
        assert_eq!((told.standing, told.watch.violations.len()), (told.before, 0));
        let space = Space::of(&calm(&undo));
        let mut lives = space.deaths();
        lives.extend(space.lost_replies());
        lives.extend(space.rejections());
        matrix(&format!("{file}, a drain that never ends"), &undo, &lives);
    }
}

/// The fence itself keeps the old site from serving, so that people are asked; never a promotion, never a lost fence.
#[test]
fn resolved_at_every_point() {
    for (name, plot) in plots() {
        let lives = at_every_point(&plot, &Command::Resolved);
        let told = matrix(&format!("{name}, resolved"), &plot, &lives);
        let counts = [Outcome::Succeeded, Outcome::Undone, Outcome::Cancelled].map(|o| ended(&told, o).len());
        println!("  succeeded, undone, cancelled: {counts:?} of {}", told.len());
        assert!(counts[0] > 0 && counts[2] > 0, "{counts:?}");
    }
}
