//! The shipped failover between two clusters of Patroni: one fault at every fifth place of it, and the world changed by hand
//! before every fifth call. `pointsman test` tries every place. Never two writers, nothing twice.

use super::plot::{Plot, Staged as _};
use super::schedules::Space;
use super::{KILLED, calm, deaths_alone, matrix, windows};
use pointsman::kernel::domain::{Outcome, Span};
use pointsman::kernel::sim::End;
use pointsman::simulated::world::{Hand, Patroni, Start};

const FILE: &str = "patroni-two-sites.yaml";
const LOST: Start = Start { app_dead: true, ..KILLED };
/// Nobody is reached through its Patroni, and its PostgreSQL goes on.
const HANGS: Start = Start { primary_killed: false, patroni: Patroni::Hangs, ..LOST };

#[test]
fn patroni_one_fault() {
    for (world, start) in [("site lost", LOST), ("slow", Start { latency: Span::millis(700), ..LOST })] {
        let plot = Plot::shipped(FILE, start);
        let calm = calm(&plot);
        assert_eq!(calm.end, Ok(End::Finished(Outcome::Succeeded)), "{world}: {:?}", calm.effects);
        for fence in ["pg-orders-gra-1-host fence", "pg-orders-gra-2-host fence"] {
            assert_eq!(calm.effects.get(fence), Some(&1), "{world}: {:?}", calm.effects);
        }
        assert_eq!(calm.standing.writers, ["pg-orders-sbg-1".into()]);
        let rpo = calm.rpo.as_ref().expect("what is lost is told by samples");
        assert!(rpo.bytes == Some(0) && rpo.says.starts_with("nothing known is lost"), "{world}: {rpo:?}");
        let lives: Vec<_> = Space::of(&calm).single_faults().into_iter().step_by(5).collect();
        assert!(lives.len() > 60, "{world}: {} places", lives.len());
        let told = matrix(&format!("Patroni, {world}, one fault"), &plot, &lives);
        if world == "site lost" {
            deaths_alone(&told);
        }
    }
}

/// A machine that cannot be reached, a leader that hangs: nothing is promoted beside it.
#[test]
fn patroni_one_fault_where_a_fence_is_not_proven() {
    for (world, start) in [("cut off", Start { ssh_cut: true, ..LOST }), ("leader hangs", HANGS)] {
        let plot = Plot::shipped(FILE, start);
        let lives = Space::of(&calm(&plot)).single_faults();
        // A run that waits long is made of looks that are alike.
        let far = lives.len().div_ceil(30);
        let lives: Vec<_> = lives.into_iter().step_by(far).collect();
        matrix(&format!("Patroni, {world}, one fault"), &plot, &lives);
    }
}

#[test]
fn patroni_by_hand() {
    let plot = Plot::shipped(FILE, LOST);
    let lives: Vec<_> = Space::of(&calm(&plot)).by_hand(&Hand::ALL).into_iter().step_by(5).collect();
    windows(&matrix("Patroni, changed by hand", &plot, &lives));
}
