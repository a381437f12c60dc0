//! Each thing that counts, once.

mod book;
mod histories;

use super::*;
use crate::kernel::domain::{Actor, Digest, Record, Stamped};
use book::*;
use serde_json::json;

/// What lowers the cut of a journal in which, after one record that may go, `tell` is told and then time passes.
fn held(passes: i64, tell: impl Fn(&mut Book)) -> (Position, Vec<Kind>) {
    let mut book = Book::default();
    book.clock();
    tell(&mut book);
    book.wait(passes).clock();
    let cut = book.cut(book.terms());
    assert!(cut.held.is_sorted_by_key(|held| held.first));
    (cut.before, cut.held.iter().map(|held| held.kind).collect())
}

#[test]
fn age_alone_lets_all_go_but_what_is_young() {
    let mut book = Book::default();
    (0..3).for_each(|_| {
        book.clock();
    });
    book.wait(34);
    assert_eq!(book.cut(book.terms()).goes(), 0, "not old enough");
    book.wait(1).clock();
    let cut = book.cut(book.terms());
    assert_eq!((cut.first, cut.before, cut.aged, cut.goes()), (1, 4, 3, 3));
    assert_eq!(cut.held, []);
}

#[test]
fn what_counts_lowers_the_cut_below_its_first_record() {
    let run = |after: bool, tell: &'static [&'static str]| {
        move |book: &mut Book| {
            book.put("run:A", opened("A", "shop", 1, after));
            for word in tell {
                let record = match *word {
                    "intended" => intended(),
                    "over" => over(),
                    "ack" => acknowledged(),
                    "watching" | "closed" => watch(word),
                    outcome => finished(outcome),
                };
                book.put(if *word == "ack" { "service:shop" } else { "run:A" }, record);
            }
        }
    };
    let all = |kinds: &[Kind]| (2, kinds.to_vec());
    assert_eq!(held(400, run(false, &["intended"])), all(&[Kind::OpenRun]));
    assert_eq!(held(400, run(false, &["refused"])).0, 4, "a run that is over goes");
    assert_eq!(held(400, run(true, &["watching", "failed", "ack"])), all(&[Kind::FenceWatch]));
    assert_eq!(held(400, run(true, &["watching", "closed", "failed"])).1, []);
    assert_eq!(held(400, run(true, &["watching", "closed", "succeeded"])), all(&[Kind::CommitWindow]));
    assert_eq!(held(400, run(true, &["watching", "closed", "succeeded", "over"])).1, []);
    assert_eq!(held(400, run(false, &["intended", "failed"])), all(&[Kind::Unseen]));
    assert_eq!(held(400, run(false, &["intended", "failed", "ack"])).1, []);
    assert_eq!(held(50, run(false, &["intended", "failed", "ack"])), all(&[Kind::Cooldown]));
    assert_eq!(held(400, run(false, &["failed", "failed"])), all(&[Kind::BrokenRun]));
}

#[test]
fn alerts_freezes_and_the_breaker_count_until_they_are_over() {
    let open = |book: &mut Book| {
        let delivery = book.clock();
        book.clock();
        book.put("alerts:am", occurs("am/f/1", delivery));
    };
    assert_eq!(held(400, open), (2, vec![Kind::Occurrence]), "and its delivery stays with it");
    let closed = |book: &mut Book| {
        open(book);
        book.put("alerts:am", ends("am/f/1", Time(book.at)));
    };
    assert_eq!(held(400, closed).1, []);
    let freeze = |until| {
        move |book: &mut Book| {
            book.put("instance", frozen(Some("shop"), until));
        }
    };
    assert_eq!(held(400, freeze(i64::MAX)), (2, vec![Kind::Freeze]));
    assert_eq!(held(400, freeze(DAY)).1, [], "its time is over");
    let thaw = |service: Option<&'static str>| {
        move |book: &mut Book| {
            book.put("instance", own_freeze());
            book.put("instance", frozen(None, DAY));
            book.put("instance", thawed(service));
        }
    };
    assert_eq!(held(400, thaw(Some("shop"))), (2, vec![Kind::Freeze]), "a later freeze does not end our own");
    assert_eq!(held(400, thaw(None)).1, []);
    let told = |book: &mut Book| {
        book.put("instance", frozen(None, i64::MAX));
        book.put("run:A", opened("A", "shop", 1, false));
        for record in [frozen(None, i64::MAX), thawed(None), finished("refused")] {
            book.put("run:A", record);
        }
    };
    assert_eq!(held(400, told), (2, vec![Kind::Freeze]), "what a run was told ends no freeze");
    let off = |until: i64, on: bool| {
        move |book: &mut Book| {
            let why = json!({ "playbook": "move-shop", "by": person(), "reason": "upgrade", "until": until });
            book.put("instance", record("disabled", &why));
            if on {
                let why = json!({ "playbook": "move-shop", "by": null, "reason": "over" });
                book.put("instance", record("enabled", &why));
            }
        }
    };
    assert_eq!(held(400, off(i64::MAX, false)), (2, vec![Kind::Disabled]));
    assert_eq!((held(400, off(DAY, false)).1, held(400, off(i64::MAX, true)).1), (vec![], vec![]));
    let tripped = record("breaker_tripped", &json!({ "why": [] }));
    let reset = record("breaker_reset", &json!({ "by": person(), "reason": "seen", "sick": 1 }));
    assert_eq!(
        held(400, |b| {
            b.put("instance", tripped.clone());
        }),
        (2, vec![Kind::Breaker])
    );
    let twice = |book: &mut Book| {
        book.put("instance", tripped.clone());
        book.put("instance", reset.clone());
    };
    assert_eq!(held(400, twice).1, []);
}

#[test]
fn nothing_half_goes_and_one_half_may_lead_to_another() {
    let mut book = Book::default();
    book.clock();
    book.put("alerts:am", occurs("am/f/1", 1));
    let first = book.put("run:A", opened("A", "shop", 1, false));
    book.put("alerts:am", ends("am/f/1", Time(9)));
    book.clock();
    // Runs into what is young.
    book.wait(40).put("run:A", finished("refused"));
    let cut = book.cut(book.terms());
    assert_eq!((cut.before, cut.aged), (1, 5));
    let kinds: Vec<(Position, Kind)> = cut.held.iter().map(|h| (h.first, h.kind)).collect();
    assert_eq!(kinds, [(1, Kind::OccurrenceGoesOn), (first, Kind::RunGoesOn)]);
}

#[test]
fn readers_unknown_services_and_a_frozen_instance_hold() {
    let mut book = Book::default();
    (0..4).for_each(|_| {
        book.clock();
    });
    book.run("A", "gone");
    book.put("service:gone", acknowledged());
    book.wait(4_000).clock();
    let cut = book.cut(book.terms());
    assert_eq!((cut.before, cut.held[0].kind), (5, Kind::Cooldown), "what is unknown is not over");
    let cut = book.cut(Terms { readers: vec![("triage".into(), 2)], ..book.terms() });
    assert_eq!((cut.before, cut.held[0].kind), (3, Kind::Reader));
    let cut = book.cut(Terms { frozen: Some("PM2712".into()), ..book.terms() });
    assert_eq!((cut.goes(), cut.held[0].kind), (0, Kind::Freeze));
}

#[test]
fn too_young_an_age_and_a_gap_are_refused() {
    let young = Terms { older_than: Span(LEAST_AGE.0 - 1), ..Book::default().terms() };
    assert_eq!(Counted::new(young).err(), Some(RetainError::TooYoung(Span(LEAST_AGE.0 - 1))));
    let mut book = Book::default();
    (0..3).for_each(|_| {
        book.clock();
    });
    let mut counted = Counted::new(book.terms()).unwrap();
    counted.apply(&book.records[0]).unwrap();
    assert_eq!(counted.apply(&book.records[2]), Err(RetainError::Gap { after: 1, found: 3 }));
}

#[test]
fn what_goes_leaves_sequences_epochs_and_ends_and_a_later_cut_carries_them_on() {
    let mut book = Book::default();
    book.put("source:am", record("clock", &json!({ "says": "stands for a delivery", "jump": 0 })));
    book.put("alerts:am", occurs("am/f/1", 1));
    book.put("alerts:am", ends("am/f/1", Time(77)));
    book.put("run:A", opened("A", "shop", 4, false));
    book.put("run:A", record("taken", &json!({ "epoch": 6, "owner": "node-2", "gap": 1 })));
    book.put("run:A", finished("refused"));
    book.put("service:blog", record("claimed", &json!({ "owner": "a later state", "epoch": 9 })));
    book.wait(40).clock();
    let cut = book.cut(book.terms());
    assert_eq!(cut.before, 8);
    let hash = |stamped: &Stamped| Digest::of(&stamped.position.to_be_bytes());
    let mut parting = Parting::new(&cut, None).unwrap();
    assert!(Parting::new(&cut, None).unwrap().parted().is_err(), "not every record that goes was seen");
    for stamped in &book.records[..7] {
        parting.apply(stamped, hash(stamped)).unwrap();
    }
    assert_eq!(parting.apply(&book.records[7], Digest::ZERO), Err(RetainError::Beyond(8)));
    let first = Record::Sealed(Box::new(parting.parted().unwrap().sealed));
    assert_eq!(Record::decode("sealed", 1, &first.encode()), Ok(first.clone()), "as it is read back");
    let kept = json!({ "sealed": {
        "before": 8, "hash": hash(&book.records[6]), "origin": hash(&book.records[0]),
        "epochs": { "blog": 9, "shop": 6 }, "ends": { "am": 77 },
        "streams": { "alerts:am": 2, "service:blog": 1, "source:am": 1 },
    } });
    assert_eq!(serde_json::to_value(&first).unwrap(), kept);
    // The first seven are gone; the record of it goes, too.
    book.put("instance", first);
    book.records.drain(..7);
    book.wait(40);
    let cut = book.cut(book.terms());
    assert_eq!((cut.first, cut.before), (8, 10));
    let mut parting = Parting::new(&cut, Some(Actor::internal())).unwrap();
    for stamped in &book.records {
        parting.apply(stamped, hash(stamped)).unwrap();
    }
    let second = parting.parted().unwrap().sealed;
    let seqs: Vec<(String, u64)> = second.streams.iter().map(|(s, seq)| (s.to_string(), *seq)).collect();
    let named = [("source:am", 1), ("alerts:am", 2), ("service:blog", 1), ("instance", 2)];
    assert_eq!(seqs, named.map(|(s, seq)| (s.to_owned(), seq)));
    assert_eq!((second.epochs.len(), second.ends.len()), (2, 1));
    assert_eq!(second.origin, Some(Digest::of(&1_u64.to_be_bytes())), "the journal's name stays");
}

#[test]
fn a_sealed_record_of_before_is_read() {
    let body = json!({ "sealed": { "before": 100, "hash": Digest::ZERO } }).to_string();
    let Ok(Record::Sealed(sealed)) = Record::decode("sealed", 1, body.as_bytes()) else { panic!("{body}") };
    assert_eq!(*sealed, Sealed { before: 100, ..Sealed::default() });
}
