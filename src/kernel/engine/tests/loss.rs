//! What a run says was lost: of each promotion, and of all of them.

use super::scene::*;
use crate::domain::*;
use crate::engine::Run;
use serde_json::{Value, json};

fn of(bytes: Option<u64>, safe: i64, says: &str) -> Value {
    json!({ "rpo": Rpo { bytes, last_safe: bytes.map(|_| Time(safe)), says: says.into() } })
}

fn looks(run: &mut Run, item: usize, plan: StepPlan, evidence: Value) {
    let seen = Ok(Observation { identity: json!(0), state: json!(0), evidence, at: NOW });
    let item = ItemId::try_from(item).unwrap();
    write(run, Record::Observed { item, rung: 0, why: WhyObserved::Recheck, seen, plan, undo: false }, NOW);
}

fn ahead() -> StepPlan {
    StepPlan::Change(Box::new(change()))
}

fn promotes(run: &mut Run, item: usize, end: CallEnd) {
    let call = Call { item: ItemId::try_from(item).unwrap(), rung: 0, attempt: 1, undo: false };
    let spec = Spec { kind: "toy.set".into(), target: "toy".into(), with: json!({}) };
    write(run, Record::Intended { call, spec, change: Box::new(change()) }, NOW);
    write(run, Record::Ended { call, end }, NOW);
}

#[test]
fn the_end_of_the_promotion_knows_better_than_any_look() {
    let mut run = fence_done();
    assert_eq!(run.rpo(), None, "nobody said anything");
    looks(&mut run, PROMOTE, ahead(), of(None, 0, "unknown"));
    assert_eq!(run.rpo().unwrap().says, "unknown");
    promotes(&mut run, PROMOTE, CallEnd::applied(of(Some(7), 5, "seven bytes")));
    looks(&mut run, PROMOTE, holds(), of(Some(0), 9, "nothing is lost"));
    let rpo = run.rpo().unwrap();
    assert_eq!((rpo.bytes, rpo.last_safe, rpo.says.as_str()), (Some(7), Some(Time(5)), "seven bytes"));
}

#[test]
fn an_end_that_does_not_know_leaves_the_look_before_it_and_after_it() {
    let mut run = fence_done();
    looks(&mut run, PROMOTE, ahead(), of(Some(7), 5, "seven bytes"));
    promotes(&mut run, PROMOTE, CallEnd::indeterminate("lost"));
    assert_eq!(run.rpo().unwrap().bytes, Some(7));
    looks(&mut run, PROMOTE, holds(), of(None, 5, "unknown"));
    assert_eq!(run.rpo().unwrap().bytes, None);
}

/// A second server that loses nothing does not hide what the first one lost, and the other way round.
#[test]
fn of_two_servers_both_are_said_and_the_unknown_outweighs() {
    let mut run = fence_done();
    promotes(&mut run, PROMOTE, CallEnd::applied(of(Some(7), 5, "seven bytes")));
    looks(&mut run, LEFT, ahead(), of(Some(3), 4, "three bytes"));
    let rpo = run.rpo().unwrap();
    assert_eq!((rpo.bytes, rpo.last_safe), (Some(10), Some(Time(4))));
    assert_eq!(rpo.says, "promote: seven bytes; left: three bytes");
    looks(&mut run, LEFT, ahead(), of(None, 0, "unknown"));
    let rpo = run.rpo().unwrap();
    assert_eq!((rpo.bytes, rpo.last_safe), (None, None));
}
