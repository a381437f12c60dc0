//! The crash matrix of going back, over the toy world: every action failing with `on_failure: undo`, every undo
//! failing, abort and resolved at every point, deaths meanwhile. A run ends as undisturbed, or as before it, or stopped
//! for a person with nothing done twice; and never with two writers.

use super::tests::{NoSamples, Plot, Registers, Toy, Wrong, item, spec};
use super::{Command, ItemPhase, Run};
use crate::domain::*;
use crate::sim::{End, Schedule, Sim, Strike};
use serde_json::json;
use std::sync::{Arc, Mutex};

/// The plain run with a step before the fence; what comes before the commit point says undo.
fn going_back(mode: Mode) -> Resolved {
    use ItemRole::{Guard, Step, Verify};
    let none = || json!({});
    let mut spec = spec(mode);
    spec.items = vec![
        item("firing", "still_firing", Guard, vec![], none()),
        item("down", "quorum", Guard, vec![], json!({ "down": "majority" })),
        item("pause jobs", "toy.set", Step, vec![], none()),
        item("fence", "toy.set", Step, vec![2], none()),
        item("promote", "toy.set", Step, vec![3], json!({ "needs": "fence" })),
        item("dns", "toy.set", Step, vec![4], none()),
        item("probe", "toy.set", Verify, vec![], none()),
    ];
    for item in &mut spec.items[2..5] {
        item.on_failure = OnFailure::Undo;
    }
    spec
}

struct Told {
    end: Result<End, String>,
    registers: Registers,
    run: Run,
    counted: (u32, u32, u32),
    records: Vec<Stamped>,
}

fn tell(spec: &Resolved, plot: &Plot, schedule: Schedule, settle: Settle, last: &[Command]) -> Told {
    let sim = Sim::new(schedule, Time(1_000_000_000));
    let registers = Arc::new(Mutex::new(Registers::default()));
    let toy = Toy { settle, plot: plot.clone(), ..Toy::new(&sim, &registers) };
    let by = Actor::token("bo".into(), Role::ALL.to_vec(), Via::Cli);
    let samples = || Arc::new(NoSamples);
    let mut end = sim.open(spec.clone()).and_then(|run| sim.finish(&run, &toy, samples()));
    for command in last {
        if matches!(end, Ok(End::Waits(_))) {
            end = sim.say(&spec.run, &by, command).and_then(|()| sim.finish(&spec.run, &toy, samples()));
        }
    }
    let counted = sim.fuse.counted();
    let entries = sim.backend.inner.entries();
    let records: Vec<Stamped> = entries
        .iter()
        .map(|e| Stamped {
            position: e.position,
            stream: e.stream.clone(),
            seq: e.seq,
            at: e.at,
            record: Record::decode(&e.kind, e.version, &e.body).unwrap(),
        })
        .collect();
    let run = Run::fold(&records).unwrap();
    drop(toy);
    let registers = Arc::into_inner(registers).unwrap().into_inner().unwrap();
    Told { end, registers, run, counted, records }
}

fn quiet(spec: &Resolved, plot: &Plot) -> Told {
    tell(spec, plot, Schedule::default(), Settle::AtOnce, &[])
}

/// Everything is as it was before the run.
fn as_before(told: &Told) -> bool {
    told.registers.now.values().all(|value| *value == 0)
}

fn judge(told: &Told) -> Result<&'static str, String> {
    let registers = &told.registers;
    let twice = |counts: &std::collections::BTreeMap<Name, u32>| counts.values().any(|n| *n > 1);
    let why = match &told.end {
        _ if registers.two_writers => "two writers",
        _ if twice(&registers.changes) || twice(&registers.back) => "something was done twice",
        Ok(End::Finished(Outcome::Succeeded)) if registers.now.values().filter(|v| **v == 1).count() == 5 => {
            return Ok("succeeded");
        }
        Ok(End::Finished(Outcome::Undone)) if as_before(told) => return Ok("undone"),
        Ok(End::Finished(Outcome::Cancelled | Outcome::Failed)) if registers.changes.is_empty() => {
            return Ok("nothing changed");
        }
        Ok(End::Waits(says)) if says.starts_with("parked") => return Ok("parked"),
        _ => "a wrong end",
    };
    let (now, changes, back) = (&registers.now, &registers.changes, &registers.back);
    Err(format!("{why}: {:?}; now {now:?}, changes {changes:?}, taken back {back:?}", told.end))
}

/// Judges every schedule; how many ended in which way.
fn matrix(name: &str, spec: &Resolved, plot: &Plot, schedules: &[Schedule]) -> [usize; 4] {
    let words = ["succeeded", "undone", "nothing changed", "parked"];
    let mut counts = [0; 4];
    for schedule in schedules {
        let told = tell(spec, plot, schedule.clone(), Settle::AtOnce, &[]);
        let word = judge(&told).unwrap_or_else(|why| panic!("{name}: {schedule:?}: {why}"));
        counts[words.iter().position(|w| *w == word).unwrap()] += 1;
    }
    println!("{name}: {} schedules: {counts:?} {words:?}", schedules.len());
    counts
}

/// One fault at every place of what this schedule comes to, on top of it.
fn disturbed(spec: &Resolved, plot: &Plot, base: &Schedule) -> Vec<Schedule> {
    let (boundaries, calls, appends) = tell(spec, plot, base.clone(), Settle::AtOnce, &[]).counted;
    let mut all = vec![base.clone()];
    all.extend((0..boundaries + 8).map(|d| Schedule { deaths: vec![d], ..base.clone() }));
    for strike in [Strike::Reject, Strike::LoseReply, Strike::Stale] {
        all.extend((0..calls).map(|c| Schedule { strikes: vec![(c, strike)], ..base.clone() }));
    }
    all.extend((0..appends).map(|a| Schedule { doubtful_appends: vec![a], ..base.clone() }));
    all
}

fn said(command: &Command, at: u32) -> Schedule {
    Schedule { said: vec![(at, command.clone())], ..Schedule::default() }
}

#[test]
fn every_step_failing_at_every_place_is_undone() {
    let spec = going_back(Mode::Auto);
    for (name, ends) in
        [("pause jobs", Outcome::Failed), ("fence", Outcome::Undone), ("promote", Outcome::Undone)]
    {
        let plot = Plot { wrong: Some((name.into(), 1, Wrong::Rejects)), ..Plot::default() };
        let told = quiet(&spec, &plot);
        assert_eq!(told.end, Ok(End::Finished(ends)), "{name}");
        assert!(as_before(&told) && !told.registers.now.contains_key(&Name::from("promote")));
        let all = disturbed(&spec, &plot, &Schedule::default());
        let [succeeded, ..] = matrix(&format!("{name} is rejected"), &spec, &plot, &all);
        assert_eq!(succeeded, 0);
    }
    // Not said, not done: a person is asked, and what was done stands.
    let mut asks = spec.clone();
    asks.items[4].on_failure = OnFailure::Pause;
    let plot = Plot { wrong: Some(("promote".into(), 1, Wrong::Rejects)), ..Plot::default() };
    let told = quiet(&asks, &plot);
    assert!(matches!(&told.end, Ok(End::Waits(says)) if says.contains("promote")) && !as_before(&told));
    // After the commit point there is no way back.
    let mut late = spec;
    late.items[5].on_failure = OnFailure::Undo;
    let told = quiet(&late, &Plot { wrong: Some(("dns".into(), 1, Wrong::Rejects)), ..Plot::default() });
    assert!(matches!(told.end, Ok(End::Waits(_))) && told.registers.back.is_empty());
}

#[test]
fn every_undo_failing_stops_for_a_person_and_says_what_stands() {
    let spec = going_back(Mode::Auto);
    let mut asked = spec.clone();
    asked.items[4].on_failure = OnFailure::Pause;
    for wrong in [Wrong::Rejects, Wrong::Swallows, Wrong::LosesReplies] {
        for name in ["pause jobs", "fence"] {
            let plot = Plot { wrong: Some((name.into(), 0, wrong)), ..Plot::default() };
            // Aborted right before the promotion.
            let base = (0..40).map(|at| said(&Command::Abort, at)).find(|s| {
                let told = tell(&spec, &plot, s.clone(), Settle::AtOnce, &[]);
                told.registers.changes.len() == 2
            });
            let base = base.expect("an abort between the fence and the promotion");
            let told = tell(&spec, &plot, base.clone(), Settle::AtOnce, &[]);
            match wrong {
                Wrong::LosesReplies => assert_eq!(told.end, Ok(End::Finished(Outcome::Undone))),
                Wrong::Rejects | Wrong::Swallows | Wrong::Late => {
                    let parked = matches!(&told.end, Ok(End::Waits(says)) if says.starts_with("parked"));
                    assert!(parked, "{name} {wrong:?}: {:?}", told.end);
                    let hand = told.run.by_hand(Outcome::Partial).join("\n");
                    assert!(hand.contains(name), "{hand}");
                    // Left as it is by a person's word, the rest goes on, and it never reads as undone.
                    let last = [Command::Skip { item: None }, Command::Skip { item: None }];
                    let told = tell(&spec, &plot, base.clone(), Settle::AtOnce, &last);
                    assert_eq!(told.end, Ok(End::Finished(Outcome::Partial)), "{name} {wrong:?}");
                }
            }
            let all = disturbed(&spec, &plot, &base);
            matrix(&format!("taking {name} back {wrong:?}"), &spec, &plot, &all);
        }
    }
}

#[test]
fn an_abort_at_every_point() {
    let mut spec = going_back(Mode::Auto);
    spec.items.iter_mut().for_each(|item| item.on_failure = OnFailure::Pause);
    let plot = Plot::default();
    let appends = quiet(&spec, &plot).counted.2;
    let plain: Vec<Schedule> = (0..appends + 2).map(|at| said(&Command::Abort, at)).collect();
    let [succeeded, undone, nothing, parked] = matrix("abort", &spec, &plot, &plain);
    assert!(succeeded > 0 && undone > 0 && nothing > 0 && parked == 0, "an abort alone needs nobody else");
    let mut all = vec![];
    for base in &plain {
        all.extend(disturbed(&spec, &plot, base).into_iter().skip(1));
    }
    let [.., parked] = matrix("abort and one fault", &spec, &plot, &all);
    println!("{parked} of them wait for a person");
    assert!(all.len() > 1_500, "the space shrank to {}", all.len());
}

#[test]
fn resolved_at_every_point() {
    let mut spec = going_back(Mode::Auto);
    spec.items.iter_mut().for_each(|item| item.on_failure = OnFailure::Pause);
    let appends = quiet(&spec, &Plot::default()).counted.2;
    let plain: Vec<Schedule> = (0..appends + 2).map(|at| said(&Command::Resolved, at)).collect();
    let well = Plot { resolved: true, well: true, ..Plot::default() };
    let [succeeded, undone, nothing, parked] = matrix("resolved, and well", &spec, &well, &plain);
    assert!(succeeded > 0 && undone > 0 && nothing > 0 && parked == 0, "users are served: no person needed");
    // The probes do not say up: between the first change and the commit point people are asked.
    let ill = Plot { resolved: true, well: false, ..Plot::default() };
    let [succeeded, undone, nothing, parked] = matrix("resolved, and not well", &spec, &ill, &plain);
    assert!(succeeded > 0 && undone == 0 && nothing > 0 && parked > 0, "resolved alone cancels nothing");
    let faults: Vec<Schedule> =
        plain.iter().flat_map(|base| disturbed(&spec, &well, base).into_iter().skip(1)).collect();
    matrix("resolved, well, and one fault", &spec, &well, &faults);
}

#[test]
fn what_cannot_be_taken_back_by_a_call_is_listed_and_looked_at() {
    let mut spec = going_back(Mode::Auto);
    spec.items[2] = item("pause jobs", "toy.set", ItemRole::Step, vec![], json!({ "undo": "by hand" }));
    let plot = Plot { wrong: Some(("promote".into(), 1, Wrong::Rejects)), ..Plot::default() };
    let told = quiet(&spec, &plot);
    assert!(matches!(&told.end, Ok(End::Waits(says)) if says.contains("turn it back")), "{:?}", told.end);
    assert_eq!(told.registers.now[&Name::from("fence")], 0, "what comes before it is not held up");
    let hand = told.run.by_hand(Outcome::Partial).join("\n");
    assert!(hand.contains("turn it back"), "{hand}");
    // Somebody says that it is done, and it is not.
    let told = tell(&spec, &plot, Schedule::default(), Settle::AtOnce, &[Command::Retry { item: None }]);
    assert!(matches!(told.end, Ok(End::Waits(_))), "{:?}", told.end);
    spec.items[2] = item("pause jobs", "toy.set", ItemRole::Step, vec![], json!({ "undo": "none" }));
    let told = quiet(&spec, &plot);
    assert!(
        matches!(&told.end, Ok(End::Waits(says)) if says.contains("cannot be taken back")),
        "{:?}",
        told.end
    );
    let told = tell(&spec, &plot, Schedule::default(), Settle::AtOnce, &[Command::Close]);
    assert_eq!(told.end, Ok(End::Finished(Outcome::Partial)));
    let says = told.run.end_says.unwrap_or_default();
    let wanted = "it stands changed: pause jobs; taken back: fence; not done: promote";
    assert!(says.starts_with("closed by") && says.contains(wanted), "{says}");
}

/// A promotion that may have been heard forbids to take its fence back, whoever says so.
#[test]
fn a_commit_point_in_doubt_never_turns() {
    let mut spec = going_back(Mode::Auto);
    let plot = Plot { wrong: Some(("promote".into(), 1, Wrong::Swallows)), ..Plot::default() };
    for settle in [Settle::Never, Settle::Repeatable(Span::secs(5))] {
        let last = [Command::Abort];
        let told = tell(&spec, &plot, Schedule::default(), settle, &last);
        let refused = told.end.clone().expect_err("the abort must be refused");
        assert!(refused.contains("two writers"), "{refused}");
        assert_eq!(told.registers.now[&Name::from("fence")], 1, "its fence stands");
        let appends = told.counted.2;
        for at in 0..appends + 2 {
            let told = tell(&spec, &plot, said(&Command::Abort, at), settle, &[]);
            let promoting = told.run.state(4).changed;
            let stands = told.registers.now.get(&Name::from("fence")) == Some(&1);
            assert!(!promoting || stands, "aborted at {at}: {:?}", told.end);
            assert!(told.records.len() < 400, "it does not spin");
        }
    }
    spec.items[4].on_failure = OnFailure::Undo;
    let told = tell(&spec, &plot, Schedule::default(), Settle::Never, &[]);
    assert!(matches!(told.end, Ok(End::Waits(_))) && told.registers.back.is_empty(), "doubt is no failure");
}

#[test]
fn a_step_is_left_out_only_by_a_person_and_never_the_fence_nor_the_promotion() {
    let mut spec = going_back(Mode::Auto);
    spec.items.iter_mut().for_each(|item| item.on_failure = OnFailure::Pause);
    spec.items[3].rungs[0].proves =
        vec![Fact::Fenced { target: "fence".into(), rung: FenceRung::Stopped, position: None }];
    let skip = [Command::Skip { item: None }];
    for name in ["fence", "promote"] {
        let plot = Plot { wrong: Some((name.into(), 1, Wrong::Rejects)), ..Plot::default() };
        let told = tell(&spec, &plot, Schedule::default(), Settle::AtOnce, &skip);
        assert!(told.end.as_ref().is_err_and(|why| why.contains("cannot be left out")), "{:?}", told.end);
        assert!(!told.registers.now.contains_key(&Name::from("promote")));
    }
    for (name, says) in [("dns", "users are served, but"), ("probe", "NOT verified")] {
        let plot = Plot { wrong: Some((name.into(), 1, Wrong::Rejects)), ..Plot::default() };
        let told = tell(&spec, &plot, Schedule::default(), Settle::AtOnce, &skip);
        assert_eq!(told.end, Ok(End::Finished(Outcome::Partial)));
        let skipped = told.run.ids().find_map(|id| match &told.run.state(id).phase {
            ItemPhase::Skipped { why } => Some(why.clone()),
            _ => None,
        });
        assert!(
            skipped.is_some_and(|why| why.contains("bo") && why.contains("as the scenario says")),
            "{says}"
        );
    }
}

/// Found again an hour later, with the fence made: guards are looked at, and a person is asked, before anything else.
#[test]
fn a_late_resume_asks_again_before_the_commit_point() {
    let mut spec = going_back(Mode::Approve);
    spec.limits.deadline = Span::mins(600);
    let by = Actor::token("bo".into(), Role::ALL.to_vec(), Via::Cli);
    let (mut asked_again, mut tried) = (0, 0);
    for death in 0..70 {
        let mut sim =
            Sim::new(Schedule { deaths: vec![death], gap: true, ..Schedule::default() }, Time(1_000_000_000));
        sim.patience = Span::secs(1);
        let registers = Arc::new(Mutex::new(Registers::default()));
        let toy = Toy::new(&sim, &registers);
        let run = sim.open(spec.clone()).unwrap();
        let promoted = || registers.lock().unwrap().now.contains_key(&Name::from("promote"));
        let mut approvals = 0;
        let end = loop {
            let end = sim.finish(&run, &toy, Arc::new(NoSamples)).unwrap();
            let End::Waits(says) = &end else { break end };
            if !says.starts_with("waits for approval") || approvals > 3 {
                break end;
            }
            // The hour passed between the fence and the promotion, and nobody has said yes since.
            if approvals == 1 && registers.lock().unwrap().now.contains_key(&Name::from("fence")) {
                assert!(!promoted(), "death at {death}: promoted without a new yes");
                asked_again += 1;
            }
            let told = read(&sim);
            let digest = told.plan.as_ref().unwrap().digest;
            sim.say(&run, &by, &Command::Approve { digest, accept_unfenced: vec![], solo: false }).unwrap();
            approvals += 1;
        };
        tried += 1;
        assert_eq!(end, End::Finished(Outcome::Succeeded), "death at {death}");
    }
    println!("{tried} deaths with an hour's gap, {asked_again} asked again between fence and promotion");
    assert!(asked_again > 3);
}

fn read(sim: &Sim) -> Run {
    let stamped = |e: crate::journal::Entry| Stamped {
        position: e.position,
        stream: e.stream.clone(),
        seq: e.seq,
        at: e.at,
        record: Record::decode(&e.kind, e.version, &e.body).unwrap(),
    };
    Run::fold(&sim.backend.inner.entries().into_iter().map(stamped).collect::<Vec<_>>()).unwrap()
}

#[test]
fn a_parked_run_blocks_nobody_but_by_its_locks() {
    let sim = Sim::new(Schedule::default(), Time(1_000_000_000));
    let registers = Arc::new(Mutex::new(Registers::default()));
    let toy = Toy {
        plot: Plot { wrong: Some(("dns".into(), 1, Wrong::Rejects)), ..Plot::default() },
        ..Toy::new(&sim, &registers)
    };
    let of = |run: &str, service: &str, lock: &str| {
        let mut spec = going_back(Mode::Auto);
        (spec.run, spec.service, spec.locks) = (run.into(), service.into(), vec![lock.into()]);
        if service != "shop" {
            for item in &mut spec.items {
                for rung in &mut item.rungs {
                    if let Form::Act(act) = &mut rung.form {
                        act.target = format!("{service} {}", act.target).into();
                        act.with = json!({});
                    }
                }
            }
        }
        spec
    };
    let finish = |spec: Resolved| sim.open(spec).and_then(|run| sim.finish(&run, &toy, Arc::new(NoSamples)));
    let parked = finish(of("RUN001", "shop", "pg"));
    assert!(matches!(&parked, Ok(End::Waits(says)) if says.starts_with("parked")), "{parked:?}");
    assert_eq!(finish(of("RUN002", "mail", "other")), Ok(End::Finished(Outcome::Succeeded)));
    let locked = finish(of("RUN003", "wiki", "pg"));
    assert!(locked.as_ref().is_err_and(|why| why.contains("pg") && why.contains("RUN001")), "{locked:?}");
    // Closed, its locks are free.
    let by = Actor::token("bo".into(), Role::ALL.to_vec(), Via::Cli);
    sim.say(&"RUN001".into(), &by, &Command::Close).unwrap();
    sim.finish(&"RUN001".into(), &toy, Arc::new(NoSamples)).unwrap();
    assert_eq!(finish(of("RUN004", "wiki", "pg")), Ok(End::Finished(Outcome::Succeeded)));
}

/// The promotion is rejected and says undo, and somebody freezes everything at each point of that.
#[test]
fn frozen_it_does_not_go_back_by_itself() {
    let spec = going_back(Mode::Auto);
    let plot = Plot { wrong: Some(("promote".into(), 1, Wrong::Rejects)), ..Plot::default() };
    let appends = quiet(&spec, &plot).counted.2;
    let mut waited = 0;
    for at in 0..appends {
        let until = Time(1_000_000_000) + Span::mins(20);
        let freeze = Command::Freeze { service: None, until };
        let told = tell(&spec, &plot, said(&freeze, at), Settle::AtOnce, &[]);
        judge(&told).unwrap_or_else(|why| panic!("frozen at {at}: {why}"));
        let of = |kind: &str| told.records.iter().position(|r| r.record.kind() == kind);
        if let (Some(frozen), Some(undoing)) =
            (of("frozen"), of("undoing").filter(|u| of("frozen") < Some(*u)))
        {
            let thawed = of("thawed").unwrap_or_else(|| panic!("frozen at {at}: it went back all the same"));
            assert!(frozen < thawed && thawed < undoing, "frozen at {at}: it went back before the thaw");
            waited += 1;
        }
    }
    assert!(waited > 3, "a freeze came before the way back at {waited} places only");
}
