//! The shipped failover of a Redis that Sentinels run: one fault at every seventh place of it, and the world changed by hand
//! before every seventh call; `pointsman test` tries every place. Never two writers, nothing twice, nobody left held.

use super::plot::{Plot, Staged as _};
use super::schedules::Space;
use super::{APP_DEAD, KILLED, calm, deaths_alone, matrix, windows};
use pointsman::kernel::domain::Outcome;
use pointsman::kernel::sim::End;
use pointsman::simulated::world::{Hand, Sentinels, Start};

const FILE: &str = "redis-sentinel.yaml";
const LOST: Start = Start { app_dead: true, ..KILLED };

#[test]
fn sentinels_one_fault() {
    let worlds = [
        ("nobody is elected", LOST, Some(&1)),
        ("they elect", Start { sentinels: Sentinels::Elect, ..LOST }, None),
        ("the primary lives", APP_DEAD, Some(&1)),
    ];
    for (world, start, told) in worlds {
        let plot = Plot::shipped(FILE, start);
        let calm = calm(&plot);
        assert_eq!(calm.end, Ok(End::Finished(Outcome::Succeeded)), "{world}: {:?}", calm.effects);
        assert_eq!(calm.effects.get("carts-sentinels promoted"), told, "{world}: {:?}", calm.effects);
        assert_eq!(calm.standing.writers, ["carts-sbg".into()]);
        let lives: Vec<_> = Space::of(&calm).single_faults().into_iter().step_by(7).collect();
        assert!(lives.len() > 60, "{world}: {} places", lives.len());
        deaths_alone(&matrix(&format!("Sentinels, {world}, one fault"), &plot, &lives));
    }
}

#[test]
fn sentinels_by_hand() {
    let plot = Plot::shipped(FILE, LOST);
    let lives: Vec<_> = Space::of(&calm(&plot)).by_hand(&Hand::ALL).into_iter().step_by(7).collect();
    windows(&matrix("Sentinels, changed by hand", &plot, &lives));
}
