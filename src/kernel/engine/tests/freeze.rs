//! A freeze that arrives during every call of a run: nothing is begun under it but what lies past the commit point,
//! nothing that was seen before it counts after it, and its end is on record.

use super::*;
use crate::engine::{Command, Run};
use crate::journal::Journal;
use crate::sim::FaultyBackend;
use std::sync::atomic::{AtomicU32, Ordering};

const FIVE: Span = Span::mins(5);

/// Freezes the service during call number `at`, and thaws it during look number `thaw_at`, if any.
pub(in crate::engine) struct Freezer {
    calls: AtomicU32,
    at: u32,
    backend: Arc<FaultyBackend>,
    lasts: Span,
}

fn lead() -> Actor {
    Actor::token("lea".into(), vec![Role::IncidentLead], Via::Cli)
}

impl Freezer {
    pub(super) async fn call(&self, now: Time) {
        if self.calls.fetch_add(1, Ordering::SeqCst) == self.at {
            let until = now + self.lasts;
            say(&self.backend, now, &Command::Freeze { service: Some("shop".into()), until }).await;
        }
    }
}

async fn say(backend: &Arc<FaultyBackend>, now: Time, command: &Command) {
    let (journal, stream) = (Journal::new(backend.clone()), Stream::Run("RUN001".into()));
    let run = Run::fold(&journal.read(&stream, 1).await.unwrap()).unwrap();
    let record = run.decide(command, &lead(), "the network is being changed", now).unwrap();
    journal.write(now, stream, Some(run.seq), record).await.unwrap();
}

/// How the story ended, and its records.
fn frozen_at(call: u32, lasts: Span) -> (End, Vec<Stamped>, u32) {
    let sim = Sim::new(Schedule::default(), Time(1_000_000_000));
    let registers = Arc::new(Mutex::new(Registers::default()));
    let backend = sim.backend.clone();
    let freezer = Arc::new(Freezer { calls: AtomicU32::new(0), at: call, backend, lasts });
    let toy = Toy { freezer: Some(freezer.clone()), ..Toy::new(&sim, &registers) };
    let run = sim.open(spec(Mode::Auto)).unwrap();
    let end = sim.finish(&run, &toy, Arc::new(NoSamples)).unwrap();
    assert!(registers.lock().unwrap().changes.values().all(|n| *n == 1));
    let journal = Journal::new(sim.backend.clone());
    let records = sim.block_on(journal.read(&Stream::Run(run), 1)).unwrap().unwrap();
    (end, records, freezer.calls.load(Ordering::SeqCst))
}

#[test]
fn a_freeze_at_every_call_begins_nothing_before_the_commit_point() {
    let (calm, _, calls) = frozen_at(u32::MAX, FIVE);
    assert_eq!(calm, End::Finished(Outcome::Succeeded));
    let (mut held, mut paused, mut finished) = (0, 0, 0);
    for call in 0..calls {
        let (end, records, _) = frozen_at(call, FIVE);
        assert_eq!(end, End::Finished(Outcome::Succeeded), "frozen at call {call}");
        let at = |kind: &str| records.iter().position(|r| r.record.kind() == kind);
        let frozen = at("frozen").unwrap();
        let before = Run::fold(&records[..=frozen]).unwrap();
        match (before.first_change, at("thawed")) {
            (_, None) => {
                let run = Run::fold(&records[..records.len() - 1]).unwrap();
                assert!(run.committed.is_some(), "call {call}: only a committed run may end under a freeze");
                finished += 1;
            }
            (first_change, Some(thawed)) => {
                for n in frozen..thawed {
                    let begun = matches!(records[n].record, Record::Intended { .. });
                    let run = Run::fold(&records[..n]).unwrap();
                    assert!(!begun || run.committed.is_some(), "call {call}: begun under the freeze");
                }
                looked_again(call, first_change.is_none(), &records[frozen..], thawed - frozen);
                match first_change {
                    None => held += 1,
                    Some(_) => paused += 1,
                }
            }
        }
    }
    println!("freeze at {calls} calls: {held} held, {paused} paused, {finished} past the commit point");
    assert!(held > 3 && paused > 1 && finished > 3, "{held} {paused} {finished}");
}

/// Between the end of the freeze and the next intent: everything for a new plan, or the guard and the finished steps.
fn looked_again(call: u32, unchanged: bool, records: &[Stamped], thawed: usize) {
    let rest = &records[thawed..];
    let Some(intent) = rest.iter().position(|r| matches!(r.record, Record::Intended { .. })) else { return };
    let looks: Vec<ItemId> = rest[..intent]
        .iter()
        .filter_map(|r| match &r.record {
            Record::Observed { item, .. } => Some(*item),
            _ => None,
        })
        .collect();
    assert!(looks.contains(&0), "call {call}: the guard is taken again: {looks:?}");
    if unchanged {
        assert!((0..6).all(|item| looks.contains(&item)), "call {call}: planned again: {looks:?}");
        assert!(rest[..intent].iter().any(|r| matches!(r.record, Record::Planned(_))));
        assert!(records[..thawed].iter().any(|r| matches!(r.record, Record::Held { .. })), "call {call}");
    } else if records[0].record.kind() == "frozen" {
        assert!(looks.contains(&1), "call {call}: the fence is looked at again: {looks:?}");
    }
}

#[test]
fn a_freeze_longer_than_the_run_may_take_leaves_the_rest_to_a_person() {
    let (_, _, calls) = frozen_at(u32::MAX, FIVE);
    let ends: Vec<End> = (0..calls).map(|call| frozen_at(call, Span::mins(45)).0).collect();
    assert!(ends.iter().any(|end| matches!(end, End::Waits(says) if says.contains("retry goes on"))));
    assert!(ends.contains(&End::Finished(Outcome::Succeeded)));
}

#[test]
fn only_who_leads_freezes_and_a_pause_can_be_closed_as_it_stands() {
    let opened = |record, seq| Stamped {
        position: seq,
        stream: Stream::Run("RUN001".into()),
        seq,
        at: Time(10),
        record,
    };
    let mut run = Run::open(&opened(Record::Opened(Box::new(spec(Mode::Auto))), 1)).unwrap();
    let freeze = Command::Freeze { service: None, until: Time(1_000) };
    let operator = Actor { roles: vec![Role::Operator], ..lead() };
    assert!(run.decide(&freeze, &operator, "why", Time(10)).is_err());
    assert!(run.decide(&freeze, &lead(), " ", Time(10)).is_err(), "a reason is needed");
    assert!(run.decide(&freeze, &lead(), "why", Time(1_000)).is_err(), "its end lies in the past");
    let record = run.decide(&freeze, &lead(), "why", Time(10)).unwrap();
    run.apply(&opened(record, 2)).unwrap();
    assert!(run.next(Time(20)).says.contains("everything is frozen by lea"), "{}", run.next(Time(20)).says);
    assert!(run.decide(&freeze, &lead(), "why", Time(20)).is_err(), "the same again");
    run.first_change = Some(Time(15));
    assert!(run.next(Time(20)).says.starts_with("parked: everything is frozen by lea"));
    assert_eq!(run.summary().state, "parked");
    assert!(run.decide(&Command::Close, &lead(), "by hand from here", Time(20)).is_ok());
    run.committed = Some(Time(18));
    assert!(!run.paused(), "past the commit point it finishes");
    let thaw = run.decide(&Command::Thaw { service: None }, &lead(), "done", Time(30)).unwrap();
    assert!(matches!(thaw, Record::Thawed { by: Some(_), .. }));
    assert!(run.decide(&Command::Thaw { service: Some("shop".into()) }, &lead(), "done", Time(30)).is_err());
}

/// Nobody approves in time: held, planned anew, and asked again; the alert is not forgotten.
#[test]
fn an_expired_approval_is_asked_for_again_with_a_new_plan() {
    let mut sim = Sim::new(Schedule::default(), Time(1_000_000_000));
    sim.patience = Span::mins(40);
    let registers = Arc::new(Mutex::new(Registers::default()));
    let toy = Toy::new(&sim, &registers);
    let run = sim.open(spec(Mode::Approve)).unwrap();
    assert!(matches!(sim.finish(&run, &toy, Arc::new(NoSamples)).unwrap(), End::Waits(_)));
    let journal = Journal::new(sim.backend.clone());
    let records = sim.block_on(journal.read(&Stream::Run(run), 1)).unwrap().unwrap();
    let kinds: Vec<&str> =
        records.iter().map(|r| r.record.kind()).filter(|kind| *kind != "observed").collect();
    let wanted = ["taken", "opened"];
    let told: Vec<&str> = kinds.into_iter().filter(|kind| !wanted.contains(kind)).collect();
    assert_eq!(told[..6], ["planned", "asked", "held", "planned", "asked", "held"], "{told:?}");
    assert!(registers.lock().unwrap().changes.is_empty());
}
