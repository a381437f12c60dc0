//! The shipped move of a primary that lives, which a person asks for: it ends moved with nothing lost, given back, or stopped
//! for a person; an alert never gets that far.

use super::plot::{Plot, Staged as _, Story};
use super::schedules::Space;
use super::{KILLED, calm, matrix, windows};
use pointsman::kernel::domain::Outcome;
use pointsman::kernel::sim::End;
use pointsman::simulated::world::{Hand, Start};
use pointsman::trial::Stage;
use std::path::Path;
use std::sync::Arc;

/// Both sites live, and orders come all the time.
const LIVELY: Start = Start { primary_killed: false, orders: true, ..KILLED };
const FILE: &str = "postgres-switchover.yaml";

fn text() -> String {
    std::fs::read_to_string(folder().join(FILE)).unwrap().replace("mode: observe", "mode: auto")
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks")
}

/// As a person starts it.
fn asked(text: &str, start: Start) -> Plot {
    let example = std::fs::read_to_string(folder().join("pointsman.example.toml")).unwrap();
    let config = Arc::new(pointsman::config::parse(&example, "example.toml").0.unwrap());
    let (stage, problems) = Stage::new(text, FILE, config, &folder());
    stage.unwrap_or_else(|| panic!("{problems:?}")).plot(start).unwrap()
}

fn moved_means_nothing_lost(told: &[Story]) {
    let moved = told.iter().filter(|story| story.end == Ok(End::Finished(Outcome::Succeeded)));
    let (mut all, mut none) = (0, 0);
    for story in moved {
        all += 1;
        none +=
            usize::from(story.lost == Some(0) && story.rpo.as_ref().is_some_and(|rpo| rpo.bytes == Some(0)));
    }
    assert!(all > 50 && none == all, "{none} of {all} moves lost nothing and said so");
}

#[test]
fn planned_moves_lose_nothing_whatever_goes_wrong_once() {
    let plot = asked(&text(), LIVELY);
    let calm = calm(&plot);
    assert_eq!(calm.end, Ok(End::Finished(Outcome::Succeeded)));
    assert!(calm.effects.contains_key("pg-gra pg_hba written"), "{:?}", calm.effects);
    // Every third place; `pointsman test` tries all of them.
    let lives: Vec<_> = Space::of(&calm).single_faults().into_iter().step_by(3).collect();
    let told = matrix("planned, one fault", &plot, &lives);
    moved_means_nothing_lost(&told.into_iter().map(|(_, story)| story).collect::<Vec<_>>());
}

#[test]
fn planned_moves_beside_somebody_who_takes_the_fence_back() {
    let plot = asked(&text(), LIVELY);
    let lives = Space::of(&calm(&plot)).by_hand(&[Hand::UnfenceOld]);
    windows(&matrix("planned, the fence taken back by hand", &plot, &lives));
}

/// Nothing that is written after the plan arrives: whatever goes wrong, nothing is promoted.
#[test]
fn planned_moves_that_cannot_drain_promote_nothing() {
    let short = text().replace("drain_timeout: 20s", "drain_timeout: 1s");
    let plot = asked(&short, Start { cut_replication: true, ..LIVELY });
    let calm = calm(&plot);
    assert_eq!(calm.end, Ok(End::Finished(Outcome::Undone)));
    assert_eq!(calm.standing, calm.before, "given back");
    let lives: Vec<_> = Space::of(&calm).single_faults().into_iter().step_by(23).collect();
    let told = matrix("planned, a drain that does not end", &plot, &lives);
    assert!(told.iter().all(|(_, story)| !story.effects.contains_key("pg-sbg promoted")));
}

#[test]
fn a_planned_move_needs_a_primary_that_lives_and_a_person() {
    let dead = calm(&asked(&text(), KILLED));
    assert_eq!(dead.end, Ok(End::Finished(Outcome::Refused)));
    assert!(dead.effects.is_empty() && dead.intents.is_empty(), "{:?}", dead.effects);
    // Were an alert ever to open it: the primary is alive, and that refuses.
    let by_alert = calm(&Plot::written(&text(), FILE, LIVELY).unwrap());
    let held = matches!(&by_alert.end, Ok(End::Waits(says)) if says.starts_with("held") && says.contains("is alive"));
    assert!(held && by_alert.effects.is_empty(), "{:?}", by_alert.end);
}
