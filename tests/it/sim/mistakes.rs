//! The tests of the tests: mistakes planted in the driver, or in the store, must be caught by the same matrix.

use super::judge::{Verdict, judge};
use super::plot::{Plot, Staged as _, shipped};
use super::schedules::{Life, Space};
use super::{CUT_OFF, KILLED, calm};
use pointsman::kernel::drive::Mistake;
use pointsman::kernel::sim::{End, Schedule};

/// How many lives it takes until one is judged bad; `None` when all are good.
fn caught(plot: &Plot, lives: &[Life], mistake: Mistake) -> Option<usize> {
    let calm = calm(plot);
    lives.iter().position(
        |life| matches!(judge(&plot.tell(life, mistake), &calm, life), Verdict::Bad(why) if !why.is_empty()),
    )
}

fn killed() -> Vec<(Plot, Space)> {
    let of = |(file, _): (String, String)| {
        let plot = Plot::shipped(&file, KILLED);
        let space = Space::of(&calm(&plot));
        (plot, space)
    };
    shipped().into_iter().map(of).collect()
}

#[test]
fn applying_again_in_doubt_is_caught() {
    for (plot, space) in killed() {
        let lives = space.lost_replies();
        assert!(caught(&plot, &lives, Mistake::ReapplyInDoubt).is_some());
        let lives = space.deaths();
        assert!(caught(&plot, &lives, Mistake::ReapplyInDoubt).is_some(), "a death is doubt as well");
    }
}

#[test]
fn calling_before_the_intent_is_caught() {
    for (plot, _) in killed() {
        assert!(caught(&plot, &[Life::default()], Mistake::CallBeforeIntent).is_some());
    }
}

#[test]
fn applying_on_a_stale_verification_is_caught() {
    for (plot, space) in killed() {
        let lives = space.stale_for_a_while();
        assert!(caught(&plot, &lives, Mistake::ReapplyOnStaleVerify).is_some());
        assert_eq!(caught(&plot, &lives, Mistake::None), None, "only the mistake does it");
    }
}

#[test]
fn a_store_that_lies_is_caught() {
    for (plot, space) in killed() {
        let lying = |life: Life| Life { schedule: Schedule { lying_store: true, ..life.schedule }, ..life };
        let lives: Vec<Life> = space.deaths().into_iter().map(lying).collect();
        assert!(caught(&plot, &lives, Mistake::None).is_some());
    }
}

/// The order of the steps keeps a promote behind its fence; where somebody wrote another order, its need does.
#[test]
fn promoting_with_an_unproven_need_is_caught() {
    for (file, _) in shipped() {
        let mut plot = Plot::shipped(&file, CUT_OFF);
        for item in &mut plot.spec.items {
            if item.commit_point {
                item.after.clear();
            }
        }
        let story = calm(&plot);
        assert!(matches!(story.end, Ok(End::Waits(_))) && story.effects.is_empty(), "{:?}", story.end);
        let story = plot.tell(&Life::default(), Mistake::UnprovenNeed);
        assert!(!story.watch.violations.is_empty(), "{:?} {:?}", story.end, story.effects);
    }
}
