//! Somebody sets the wall clock by ten minutes, at every place of the shipped playbook's run: while it runs, and while no
//! process does. A living process follows forward only; a new one begins at the wall clock, but not before the journal.

use super::plot::Story;
use super::schedules::{Life, Space};
use super::{calm, deaths_alone, matrix, plots};
use pointsman::kernel::domain::{Outcome, Span};
use pointsman::kernel::sim::{End, Leap};

const TEN: Span = Span::mins(10);
/// What cannot be seen by a living process is tried at every so many places; what it sees, at every other one.
const STRIDE: usize = 5;
const AHEAD: usize = 2;
/// Pairs of a leap and its correction, of all there are.
const PAIRS: usize = 80;

fn succeeded(told: &[(Life, Story)]) -> usize {
    told.iter().filter(|(_, story)| story.end == Ok(End::Finished(Outcome::Succeeded))).count()
}

/// Everything that was seen is old at once; what is waited for is waited for anew, and nobody is needed.
#[test]
fn set_ahead_at_every_place() {
    for (name, plot) in plots() {
        let space = Space::of(&calm(&plot));
        let all = space.leaps(Leap::Ahead(TEN));
        let some: Vec<Life> = all.iter().step_by(AHEAD).cloned().collect();
        let told = matrix(&format!("{name}, clock +10 min"), &plot, &some);
        println!("  every {AHEAD}nd place; left out: {}", all.len() - some.len());
        assert_eq!(succeeded(&told), told.len(), "a clock that is set needs nobody");
        let told = matrix(
            &format!("{name}, death and clock +10 min"),
            &plot,
            &space.deaths_with_a_leap(Leap::Ahead(TEN)),
        );
        deaths_alone(&told);
    }
}

#[test]
fn set_back_at_every_place() {
    for (name, plot) in plots() {
        let undisturbed = calm(&plot);
        let space = Space::of(&undisturbed);
        let all = space.leaps(Leap::Back(TEN));
        let some: Vec<Life> = all.iter().step_by(STRIDE).cloned().collect();
        let told = matrix(&format!("{name}, clock -10 min"), &plot, &some);
        println!("  every {STRIDE}th place; left out: {}", all.len() - some.len());
        for (life, story) in &told {
            assert_eq!(story.counted, undisturbed.counted, "{life:?}: a living process must not notice");
        }
        let told = matrix(
            &format!("{name}, death and clock -10 min"),
            &plot,
            &space.deaths_with_a_leap(Leap::Back(TEN)),
        );
        deaths_alone(&told);
    }
}

/// The journal is ten minutes ahead of the clock when the new process starts.
#[test]
fn set_ahead_and_right_again() {
    for (name, plot) in plots() {
        let space = Space::of(&calm(&plot));
        let lives = space.leaps_set_right(TEN, PAIRS);
        let told = matrix(&format!("{name}, clock +10 min, then death and -10 min"), &plot, &lives);
        let all = space.boundaries() as usize * (space.boundaries() as usize + 15) / 2;
        println!("  {} of some {all} pairs", told.len());
        assert_eq!(succeeded(&told), told.len(), "a clock that is set twice needs nobody");
    }
}
