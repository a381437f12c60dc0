//! Compare and append, rule by rule, at the model that every other backend is compared with.

use super::*;
use crate::domain::{Call, Change, Record, Spec, Time};
use crate::domain::{Digest, Name, RunId, Seq, Stream};
use serde_json::json;

fn stream(name: &str) -> Stream {
    Stream::Run(RunId::from(name))
}

fn batch(name: &str, expect: Option<Seq>) -> RawBatch {
    let entry = NewEntry { kind: "clock", version: 1, body: b"{}".to_vec() };
    let part = RawPart { stream: stream(name), expect, entries: vec![entry], summary: None };
    RawBatch { at: Time(5), parts: vec![part], epoch: None, rows: vec![] }
}

fn with(row: Row) -> RawBatch {
    RawBatch { rows: vec![row], ..batch("rows", None) }
}

fn lock(key: &str, run: &str) -> Row {
    Row::Lock { key: key.into(), run: run.into() }
}

/// Backends in memory answer at once.
fn now<T>(future: futures_util::future::BoxFuture<'_, T>) -> T {
    use futures_util::FutureExt as _;
    future.now_or_never().expect("the memory backend waits for nothing")
}

fn moved(said: Result<Vec<Written>, AppendError>) -> bool {
    matches!(said, Err(AppendError::Moved { .. }))
}

#[test]
fn an_append_names_the_sequence_that_it_has_seen() {
    let backend = MemoryBackend::new();
    assert!(moved(backend.append_now(&batch("A", Some(1)))), "nothing is there yet");
    assert_eq!(backend.append_now(&batch("A", Some(0))).unwrap()[0].seq, 1);
    assert!(moved(backend.append_now(&batch("A", Some(0)))), "somebody wrote first");
    assert!(moved(backend.append_now(&batch("A", Some(2)))), "nobody has seen the future");
    let second = backend.append_now(&batch("A", Some(1))).unwrap();
    assert_eq!((second[0].seq, second[0].position), (2, 2));
    assert_eq!(backend.append_now(&batch("A", None)).unwrap()[0].seq, 3, "deliveries commute");
    assert_eq!(backend.append_now(&batch("B", Some(0))).unwrap()[0].seq, 1, "each stream counts by itself");
}

#[test]
fn all_of_a_batch_or_nothing() {
    let backend = MemoryBackend::new();
    let mut two = batch("A", Some(0));
    two.parts.extend(batch("B", Some(7)).parts);
    two.rows = vec![lock("service:shop", "A")];
    assert!(moved(backend.append_now(&two)));
    assert!(backend.entries().is_empty());
    assert!(backend.append_now(&with(lock("service:shop", "B"))).is_ok(), "the lock was not kept either");
    two.parts[1].expect = Some(0);
    two.rows.clear();
    assert_eq!(backend.append_now(&two).unwrap().len(), 2);
}

#[test]
fn the_epoch_of_the_writer_is_the_current_one_and_only_rises() {
    let backend = MemoryBackend::new();
    let raise = |to| with(Row::RaiseEpoch { service: "shop".into(), to });
    let as_epoch = |epoch| RawBatch { epoch: Some(("shop".into(), epoch)), ..batch("A", None) };
    let deposed =
        |said, now: u64| matches!(said, Err(AppendError::Deposed { current, .. }) if current == now);
    assert!(backend.append_now(&as_epoch(0)).is_ok(), "no epoch is zero");
    assert!(deposed(backend.append_now(&as_epoch(1)), 0));
    assert!(deposed(backend.append_now(&raise(0)), 0));
    backend.append_now(&raise(3)).unwrap();
    assert_eq!(now(backend.epoch(&Name::from("shop"))), Ok(3));
    assert_eq!(now(backend.epoch(&Name::from("other"))), Ok(0));
    for old in [2, 3] {
        assert!(deposed(backend.append_now(&raise(old)), 3));
    }
    for wrong in [2, 4] {
        assert!(deposed(backend.append_now(&as_epoch(wrong)), 3));
    }
    assert!(backend.append_now(&as_epoch(3)).is_ok());
}

#[test]
fn a_lock_has_one_holder_until_that_one_lets_go() {
    let backend = MemoryBackend::new();
    let locked = |said, holder: &str| matches!(said, Err(AppendError::Locked { by, .. }) if by == holder);
    backend.append_now(&with(lock("target:pg", "A"))).unwrap();
    assert!(locked(backend.append_now(&with(lock("target:pg", "B"))), "A"));
    assert!(backend.append_now(&with(lock("target:pg", "A"))).is_ok(), "it holds it already");
    assert!(backend.append_now(&with(lock("target:app", "B"))).is_ok(), "another key");
    let both = RawBatch { rows: vec![lock("x", "A"), lock("x", "B")], ..batch("C", None) };
    assert!(matches!(backend.append_now(&both), Err(AppendError::Locked { .. })), "two of one batch");
    let same = RawBatch { rows: vec![lock("x", "A"), lock("y", "B"), lock("x", "A")], ..batch("C", None) };
    assert!(backend.append_now(&same).is_ok());
    backend.append_now(&with(Row::Unlock { run: "B".into() })).unwrap();
    assert!(locked(backend.append_now(&with(lock("target:pg", "B"))), "A"), "not its own to free");
    backend.append_now(&with(Row::Unlock { run: "A".into() })).unwrap();
    assert!(backend.append_now(&with(lock("target:pg", "B"))).is_ok());
}

#[test]
fn what_was_written_is_read_in_order_and_in_part() {
    let backend = MemoryBackend::new();
    for (name, at) in [("A", 5), ("B", 3), ("A", 9)] {
        backend.append_now(&RawBatch { at: Time(at), ..batch(name, None) }).unwrap();
    }
    let ats: Vec<i64> = backend.entries().iter().map(|entry| entry.at.0).collect();
    assert_eq!(ats, [5, 5, 9], "time never goes back");
    let positions = |entries: Result<Vec<Entry>, ReadError>| -> Vec<u64> {
        entries.unwrap().iter().map(|entry| entry.position).collect()
    };
    assert_eq!(positions(now(backend.read(&stream("A"), 1))), [1, 3]);
    assert_eq!(positions(now(backend.read(&stream("A"), 2))), [3]);
    assert_eq!(positions(now(backend.scan(2, 10))), [2, 3]);
    assert_eq!(positions(now(backend.scan(1, 2))), [1, 2]);
    let head = now(backend.head()).unwrap();
    assert_eq!((head.position, head.at, head.hash), (3, Time(9), backend.entries()[2].hash));
    assert_eq!(now(MemoryBackend::new().head()), Ok(Head::EMPTY));
}

#[test]
fn rows_are_kept_beside_the_records() {
    let backend = MemoryBackend::new();
    let (name, digest) = (Name::from("triage"), Digest::of(b"body"));
    assert_eq!((now(backend.cursor(&name)), now(backend.content(digest))), (Ok(0), Ok(None)));
    backend.append_now(&with(Row::Cursor { name: name.clone(), position: 7 })).unwrap();
    backend.append_now(&with(Row::Content { digest, bytes: b"body".to_vec() })).unwrap();
    assert_eq!(
        (now(backend.cursor(&name)), now(backend.content(digest))),
        (Ok(7), Ok(Some(b"body".to_vec())))
    );
    for (stream, at) in [("A", 10), ("B", 20), ("A", 30)] {
        let mut raw = RawBatch { at: Time(at), ..batch(stream, None) };
        raw.parts[0].summary = Some(json!(at));
        backend.append_now(&raw).unwrap();
    }
    let found = now(backend.summaries("run:", 10)).unwrap();
    let found: Vec<_> = found.into_iter().map(|s| (s.stream, s.value, s.first, s.last)).collect();
    let (ten, twenty, thirty) = (Some(Time(10)), Some(Time(20)), Some(Time(30)));
    assert_eq!(
        found,
        [(stream("A"), json!(30), ten, thirty), (stream("B"), json!(20), twenty, twenty)],
        "the newest first"
    );
    assert_eq!(now(backend.summaries("run:", 1)).unwrap().len(), 1);
    assert_eq!(now(backend.summaries("run:B", 9)).unwrap().len(), 1);
}

#[test]
fn a_permit_comes_back_for_each_intent_and_for_nothing_else() {
    let backend = std::sync::Arc::new(MemoryBackend::new());
    backend.append_now(&with(Row::RaiseEpoch { service: "shop".into(), to: 4 })).unwrap();
    let journal = Journal::new(backend);
    let call = Call { item: 2, rung: 1, attempt: 3, undo: false };
    let spec = Spec { kind: "toy.set".into(), target: "x".into(), with: json!(null) };
    let change = Change::new(json!(0), json!(1));
    let intent = Record::Intended { call, spec: spec.clone(), change: Box::new(change.clone()) };
    let held = Record::Undoing { why: vec![] };
    let batch =
        Batch::new(Time(50)).part(stream("A"), Some(0), vec![held, intent.clone()]).epoch("shop".into(), 4);
    let receipt = now(Box::pin(journal.append(batch))).unwrap();
    let [permit] = receipt.permits.as_slice() else { panic!("{:?}", receipt.permits) };
    assert_eq!((permit.call(), permit.spec(), permit.change()), (call, &spec, &change));
    assert_eq!((permit.epoch(), permit.position()), (4, 3), "its own place in the journal");
    let stamped: Vec<_> = receipt.stamped.iter().map(|s| (s.position, s.seq, s.at)).collect();
    assert_eq!(stamped, [(2, 1, Time(50)), (3, 2, Time(50))]);
    let late = Batch::new(Time(60)).part(stream("A"), Some(1), vec![intent.clone()]);
    assert!(now(Box::pin(journal.append(late))).is_err(), "no record, no permit");
    let wrong = Batch::new(Time(60)).part(stream("A"), Some(2), vec![intent]).epoch("shop".into(), 3);
    assert!(now(Box::pin(journal.append(wrong))).is_err());
    assert_eq!(now(Box::pin(journal.read(&stream("A"), 2))).unwrap(), receipt.stamped[1..]);
    assert_eq!(now(Box::pin(journal.scan(2, 1))).unwrap(), receipt.stamped[..1]);
    let row = Batch::new(Time(70)).part(stream("A"), Some(2), vec![Record::Undoing { why: vec![] }]);
    let row = row.summary(json!("sum")).row(Row::Cursor { name: "c".into(), position: 9 });
    now(Box::pin(journal.append(row))).unwrap();
    assert_eq!(now(journal.backend().summaries("run:A", 1)).unwrap()[0].value, json!("sum"));
    assert_eq!(now(journal.backend().cursor(&Name::from("c"))), Ok(9));
    now(Box::pin(journal.write(Time(80), stream("A"), Some(3), Record::Undoing { why: vec![] }))).unwrap();
    assert_eq!(now(Box::pin(journal.read(&stream("A"), 4))).unwrap()[0].at, Time(80));
}

#[test]
fn the_newest_of_the_kinds_that_are_asked_for() {
    let journal = Journal::new(std::sync::Arc::new(MemoryBackend::new()));
    let undoing = || Record::Undoing { why: vec![] };
    let taken = || Record::Taken { epoch: 1, owner: "bo".into(), gap: crate::domain::Span::ZERO };
    let batch =
        Batch::new(Time(5)).part(stream("A"), Some(0), vec![undoing(), taken(), undoing(), undoing()]);
    now(Box::pin(journal.append(batch))).unwrap();
    let newest = |kinds: &[&str], max| {
        let found = now(Box::pin(journal.newest(&stream("A"), kinds, max))).unwrap();
        found.into_iter().map(|r| (r.seq, r.record.kind())).collect::<Vec<_>>()
    };
    assert_eq!(newest(&["undoing"], 2), [(3, "undoing"), (4, "undoing")]);
    assert_eq!(newest(&["taken"], 9), [(2, "taken")]);
    assert_eq!(newest(&[], 3), [(2, "taken"), (3, "undoing"), (4, "undoing")]);
}
