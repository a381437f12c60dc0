//! The shipped failover of PostgreSQL with the Redis beside it: one fault at every seventh place of it, and the world changed by
//! hand before every seventh call; `pointsman test` tries every place. Of neither kind two writers, nothing twice.

use super::plot::{Plot, Staged as _};
use super::schedules::Space;
use super::{KILLED, calm, deaths_alone, matrix, windows};
use pointsman::kernel::domain::Outcome;
use pointsman::kernel::sim::End;
use pointsman::simulated::world::Hand;

fn plot() -> Plot {
    Plot::shipped("postgres-redis-two-sites.yaml", KILLED)
}

#[test]
fn both_one_fault() {
    let calm = calm(&plot());
    assert_eq!(calm.end, Ok(End::Finished(Outcome::Succeeded)), "{:?}", calm.effects);
    assert_eq!(calm.standing.writers, ["pg-sbg".into(), "redis-sbg".into()]);
    let rpo = calm.rpo.as_ref().expect("both say what may be lost");
    for promoted in ["promote standby: ", "promote sessions: "] {
        assert!(rpo.says.contains(promoted), "{rpo:?}");
    }
    let lives: Vec<_> = Space::of(&calm).single_faults().into_iter().step_by(7).collect();
    assert!(lives.len() > 60, "{} places", lives.len());
    deaths_alone(&matrix("PostgreSQL and Redis, one fault", &plot(), &lives));
}

#[test]
fn both_by_hand() {
    let lives: Vec<_> = Space::of(&calm(&plot())).by_hand(&Hand::ALL).into_iter().step_by(7).collect();
    windows(&matrix("PostgreSQL and Redis, changed by hand", &plot(), &lives));
}
