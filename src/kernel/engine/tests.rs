//! The crash matrix over a toy world: registers that are set one after the other, with a fence before the point of
//! no return. The models of real remotes go through the same matrix in the root package's tests.

mod approval;
mod approvals;
mod driver;
mod faults;
mod freeze;
mod gates;
mod leaps;
mod linger;
mod loss;
mod planned;
mod proofs;
mod rules;
mod scene;
mod sheet;
mod steps;
mod still;
mod told;
mod toy;
mod two_drivers;
mod watch;

use crate::domain::*;
use crate::drive::Mistake;
use crate::port::*;
use crate::sim::{End, Fuse, Schedule, Sim, Strike};
use futures_util::future::BoxFuture;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

pub(super) use toy::{Broken, NoSamples, Plot, Registers, Toy, Wrong, item, spec};

/// As with a name server that hung: the update was on its way all the time.
#[test]
fn what_takes_effect_late_is_seen_and_not_called_a_failure() {
    let sim = Sim::new(Schedule::default(), Time(1_000_000_000));
    let registers = Arc::new(Mutex::new(Registers::default()));
    let plot = Plot { wrong: Some(("dns".into(), 1, Wrong::Late)), ..Plot::default() };
    let toy = Toy { plot, ..Toy::new(&sim, &registers) };
    let run = sim.open(spec(Mode::Auto)).unwrap();
    let end = sim.finish(&run, &toy, Arc::new(NoSamples)).unwrap();
    assert_eq!(end, End::Finished(Outcome::Succeeded));
    assert_eq!(registers.lock().unwrap().changes[&Name::from("dns")], 1);
}

struct Story {
    end: Result<End, String>,
    changes: BTreeMap<Name, u32>,
    order: Vec<Name>,
    counted: (u32, u32, u32),
    /// Records that begin a fence watch.
    watches: usize,
}

fn story(schedule: Schedule, mistake: Mistake, cas: bool, settle: Settle) -> Story {
    let mut sim = Sim::new(schedule, Time(1_000_000_000));
    sim.mistake = mistake;
    let registers = Arc::new(Mutex::new(Registers::default()));
    let toy = Toy { cas, settle, ..Toy::new(&sim, &registers) };
    let end = sim.open(spec(Mode::Auto)).and_then(|run| sim.finish(&run, &toy, Arc::new(NoSamples)));
    let registers = registers.lock().unwrap();
    Story {
        end,
        changes: registers.changes.clone(),
        order: registers.order.clone(),
        counted: sim.fuse.counted(),
        watches: sim.backend.inner.entries().iter().filter(|e| e.kind == "fence_watch").count(),
    }
}

const SET: [&str; 6] = ["fence", "promote", "left", "right", "dns", "probe"];

/// Finished with every change made exactly once and in order; or stopped for a person with none made twice.
fn judge(story: &Story) -> Result<(), String> {
    let twice = story.changes.values().any(|n| *n > 1);
    let at = |name: &str| story.order.iter().position(|n| n.as_str() == name);
    let disordered = at("promote").is_some() && at("fence").is_none_or(|f| Some(f) > at("promote"));
    if twice || disordered {
        return Err(format!("changes {:?} in order {:?}", story.changes, story.order));
    }
    let finished = matches!(story.end, Ok(End::Finished(_)));
    if story.watches > 1
        || (finished && story.changes.contains_key(&Name::from("promote")) && story.watches == 0)
    {
        return Err(format!("promoted, and {} watches of the old primary began", story.watches));
    }
    match &story.end {
        Ok(End::Finished(Outcome::Succeeded)) if story.changes.len() == SET.len() => Ok(()),
        Ok(End::Waits(says)) if says.starts_with("parked") => Ok(()),
        other => Err(format!("ended {other:?} with {:?}", story.changes)),
    }
}

fn schedules() -> Vec<Schedule> {
    let (boundaries, calls, appends) =
        story(Schedule::default(), Mistake::None, true, Settle::AtOnce).counted;
    let mut all = vec![Schedule::default()];
    let deaths = (0..boundaries + 8).map(|d| Schedule { deaths: vec![d], ..Schedule::default() });
    all.extend(deaths.clone());
    all.extend(deaths.map(|s| Schedule { gap: true, ..s }));
    for strike in [Strike::Reject, Strike::LoseReply, Strike::Stale] {
        all.extend((0..calls).map(|c| Schedule { strikes: vec![(c, strike)], ..Schedule::default() }));
    }
    all.extend((0..appends).map(|a| Schedule { doubtful_appends: vec![a], ..Schedule::default() }));
    for first in 0..boundaries {
        let second = (first..boundaries + 8).step_by(5).map(|s| s + 1);
        all.extend(second.map(|s| Schedule { deaths: vec![first, s], ..Schedule::default() }));
        let lost = (0..calls).step_by(3).map(|c| (c, Strike::LoseReply));
        all.extend(lost.map(|l| Schedule { deaths: vec![first], strikes: vec![l], ..Schedule::default() }));
    }
    all
}

#[test]
fn every_schedule_ends_well_or_stops_for_a_person() {
    let all = schedules();
    let mut parked = 0;
    for schedule in &all {
        let story = story(schedule.clone(), Mistake::None, true, Settle::AtOnce);
        if let Err(why) = judge(&story) {
            panic!("{schedule:?}: {why}");
        }
        // An hour away in the middle is longer than a run may take: then a person decides.
        parked += u32::from(!schedule.gap && story.end != Ok(End::Finished(Outcome::Succeeded)));
    }
    println!("{} schedules, {parked} stopped for a person", all.len());
    assert!(all.len() > 900, "the space shrank to {}", all.len());
    assert_eq!(parked, 0, "with compare-and-set and a prompt remote nothing needs a person");
}

#[test]
fn what_may_be_asked_twice_needs_nobody_after_a_death() {
    let again = Settle::Repeatable(Span::secs(5));
    for schedule in schedules() {
        let deaths_alone = schedule.strikes.is_empty() && !schedule.gap;
        let story = story(schedule.clone(), Mistake::None, true, again);
        if let Err(why) = judge(&story) {
            panic!("{schedule:?}: {why}");
        }
        assert!(!deaths_alone || story.end == Ok(End::Finished(Outcome::Succeeded)), "{schedule:?}");
    }
}

#[test]
fn where_nothing_settles_doubt_stops_for_a_person() {
    let mut parked = 0;
    for schedule in schedules() {
        let story = story(schedule.clone(), Mistake::None, false, Settle::Never);
        let stale = schedule.strikes.iter().any(|(_, s)| *s == Strike::Stale);
        if let Err(why) = judge(&story).map_err(|e| if stale { String::new() } else { e }) {
            assert!(why.is_empty(), "{schedule:?}: {why}");
        }
        parked += u32::from(matches!(story.end, Ok(End::Waits(_))));
    }
    assert!(parked > 0, "a death between intent and call must stop when nothing can prove its effect");
}

fn caught(mistake: Mistake, cas: bool, change: impl Fn(Schedule) -> Schedule) -> bool {
    schedules().into_iter().any(|s| judge(&story(change(s), mistake, cas, Settle::AtOnce)).is_err())
}

#[test]
fn planted_mistakes_are_caught() {
    assert!(caught(Mistake::ReapplyInDoubt, false, |s| s));
    assert!(caught(Mistake::CallBeforeIntent, false, |s| s));
    assert!(caught(Mistake::None, false, |s| Schedule { lying_store: true, ..s }));
    let two_stale = |s: Schedule| {
        let strikes = s.strikes.iter().flat_map(|(c, k)| (0..3).map(move |i| (c + i, *k))).collect();
        Schedule { strikes, ..s }
    };
    assert!(caught(Mistake::ReapplyOnStaleVerify, false, two_stale));
    assert!(!caught(Mistake::None, true, |s| s));
}

#[test]
fn an_unproven_need_stops_the_plan_and_its_planted_mistake_is_seen() {
    let run = |mistake| {
        let mut sim = Sim::new(Schedule::default(), Time(1_000_000_000));
        sim.mistake = mistake;
        // The plan is held, and looked at again every 15 s: eight looks at a world that does not change are enough.
        sim.hold_patience = Span::mins(2);
        let registers = Arc::new(Mutex::new(Registers::default()));
        let toy = Toy::new(&sim, &registers);
        let mut spec = spec(Mode::Auto);
        spec.items[2] = item("promote", "toy.set", ItemRole::Step, vec![1], json!({"needs": "nobody"}));
        let run = sim.open(spec).unwrap();
        let end = sim.finish(&run, &toy, Arc::new(NoSamples)).unwrap();
        (end, registers.lock().unwrap().changes.contains_key(&Name::from("promote")))
    };
    let (end, promoted) = run(Mistake::None);
    let End::Waits(says) = &end else { panic!("{end:?}") };
    assert!(says.starts_with("held: promote: no step proves") && !promoted, "{says}");
    assert!(run(Mistake::UnprovenNeed).1, "the mistake must be one");
}
