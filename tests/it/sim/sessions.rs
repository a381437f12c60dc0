//! The shipped failover of Redis: one fault at every fifth place of it, `pointsman test` tries all. Never two writers, nothing
//! twice, nothing lost that was said to be there.

use super::plot::{Plot, Staged as _};
use super::schedules::Space;
use super::{APP_DEAD, KILLED, calm, deaths_alone, matrix};
use pointsman::kernel::domain::Outcome;
use pointsman::kernel::sim::End;

#[test]
fn redis_one_fault() {
    for (world, start) in [("primary killed", KILLED), ("application dead", APP_DEAD)] {
        let plot = Plot::shipped("redis-two-sites.yaml", start);
        let calm = calm(&plot);
        assert_eq!(calm.end, Ok(End::Finished(Outcome::Succeeded)), "{world}");
        let lives: Vec<_> = Space::of(&calm).single_faults().into_iter().step_by(5).collect();
        assert!(lives.len() > 60, "{world}: {} places", lives.len());
        deaths_alone(&matrix(&format!("Redis, {world}, one fault"), &plot, &lives));
    }
}
