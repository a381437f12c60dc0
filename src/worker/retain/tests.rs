//! Each thing that counts, once; and over any history: what is left means what the whole did, and no longer prefix
//! leaves as much.

use super::*;
use crate::intake::occurrence::Occurrences;
use crate::kernel::domain::{Actor, Digest, Record, RunId, Stamped, Stream};
use crate::kernel::engine::Run;
use crate::worker::ahead::left_frozen;
use crate::worker::limits::{Past, Standing, last_change, unseen};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const DAY: i64 = 86_400_000_000;
const COOLDOWN: Span = Span::mins(60 * 24 * 60);

fn record(kind: &str, body: &Value) -> Record {
    serde_json::from_value(json!({ kind: body })).unwrap_or_else(|e| panic!("{kind}: {e}"))
}

fn person() -> Value {
    json!({ "name": "ana", "roles": ["incident-lead"], "via": "cli" })
}

/// Kept `afterwards`: one old primary to be watched, and a commit window of a day.
fn opened(run: &str, service: &str, epoch: u64, afterwards: bool) -> Record {
    let spec = json!({ "kind": "command.run", "target": "box1", "with": {} });
    let item = json!({
        "name": "move it", "role": "step", "rungs": [{ "form": { "act": spec }, "proves": [] }], "after": [],
        "optional": false, "commit_point": true, "planned_ahead": true, "accept_unfenced": null,
        "retry": { "attempts": 1, "backoff_from": 1, "backoff_to": 1 }, "timeout": 1,
    });
    let afterwards = match afterwards {
        true => json!({
            "fence_watch": [{ "target": "db1", "promoted": "db2", "item": 0 }], "commit_window": DAY,
        }),
        false => json!({ "fence_watch": [], "commit_window": 0 }),
    };
    let cause = json!({ "alert": { "occurrences": [], "started": 1, "delivered": 2, "labels": {} } });
    let body = json!({
        "run": run, "playbook": "move", "playbook_digest": Digest::of(b"text"), "text": "text", "service": service,
        "kind": "failover", "mode": "auto", "from": "gra", "to": "sbg", "items": [item], "locks": [],
        "approval": { "expires": 1, "role": "operator" }, "cause": cause, "afterwards": afterwards,
        "limits": { "resume_within": 1, "deadline": 1, "fresh": 1, "look_again": 1 },
        "objective": { "rto": null, "rpo": null }, "epoch": epoch, "owner": "node-1", "fold": 1,
    });
    record("opened", &body)
}

fn intended() -> Record {
    let change = json!({
        "from": 1, "to": 2, "needs": [], "gives": [], "bounds": {}, "undo": "none", "settle": "at_once", "detail": null,
        "now": "here", "after": "there", "warnings": [],
    });
    let call = json!({ "item": 0, "rung": 0, "attempt": 1, "undo": false });
    let spec = json!({ "kind": "command.run", "target": "box1", "with": {} });
    record("intended", &json!({ "call": call, "spec": spec, "change": change }))
}

fn finished(outcome: &str) -> Record {
    record("finished", &json!({ "outcome": outcome, "says": "so", "rto": [], "rpo": null, "by_hand": [] }))
}

fn watch(state: &str) -> Record {
    record("fence_watch", &json!({ "target": "db1", "rung": "none", "state": state, "says": "so" }))
}

fn over() -> Record {
    record("commit_window", &json!({ "item": null, "state": "over", "says": "over" }))
}

fn acknowledged() -> Record {
    record("acknowledged", &json!({ "by": person(), "reason": "seen" }))
}

fn frozen(service: Option<&str>, until: i64) -> Record {
    record("frozen", &json!({ "service": service, "by": person(), "reason": "work", "until": until }))
}

fn own_freeze() -> Record {
    let (service, reason) = (None, "PM5504: an old backup".to_owned());
    Record::Frozen { service, by: Actor::internal(), reason, until: Time(i64::MAX) }
}

fn thawed(service: Option<&str>) -> Record {
    record("thawed", &json!({ "service": service, "by": person(), "reason": "done" }))
}

fn occurs(id: &str, delivery: Position) -> Record {
    let fingerprint = id.split('/').nth(1).unwrap();
    let body = json!({
        "occurrence": id, "fingerprint": fingerprint, "labels": {}, "started": 1, "delivery": delivery,
    });
    record("occurrence_opened", &body)
}

fn ends(id: &str, at: Time) -> Record {
    record("occurrence_closed", &json!({ "occurrence": id, "ended": at, "delivery": null, "says": "over" }))
}

/// A journal that is written day by day.
#[derive(Clone, Debug, Default)]
struct Book {
    at: i64,
    records: Vec<Stamped>,
    seqs: BTreeMap<Stream, u64>,
}

impl Book {
    fn put(&mut self, stream: &str, record: Record) -> Position {
        let stream = Stream::try_from(stream.to_owned()).unwrap();
        let seq = self.seqs.entry(stream.clone()).or_default();
        *seq += 1;
        self.at += 1;
        let position = self.records.len() as u64 + 1;
        self.records.push(Stamped { position, stream, seq: *seq, at: Time(self.at), record });
        position
    }

    fn wait(&mut self, days: i64) -> &mut Book {
        self.at += days * DAY;
        self
    }

    fn clock(&mut self) -> Position {
        self.put("instance", record("clock", &json!({ "says": "tick", "jump": 0 })))
    }

    /// A run that changed something and is over.
    fn run(&mut self, run: &str, service: &str) -> Position {
        let stream = format!("run:{run}");
        let first = self.put(&stream, opened(run, service, 1, false));
        self.put(&stream, intended());
        self.put(&stream, finished("failed"));
        first
    }

    fn terms(&self) -> Terms {
        let cooldowns = ["shop", "blog"].map(|s| (Name::from(s), COOLDOWN)).into_iter().collect();
        Terms { now: Time(self.at), older_than: LEAST_AGE, cooldowns, readers: vec![], frozen: None }
    }

    fn cut(&self, terms: Terms) -> Cut {
        let mut counted = Counted::new(terms).unwrap();
        self.records.iter().for_each(|stamped| counted.apply(stamped).unwrap());
        counted.cut()
    }
}

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

/// Everything that the program itself finds in these records: what a cut must not change.
#[derive(Debug, PartialEq)]
struct Meaning {
    open: BTreeSet<String>,
    freezes: Vec<String>,
    own: Option<String>,
    tripped: bool,
    unseen: Vec<RunId>,
    cooling: Vec<RunId>,
}

fn runs(records: &[Stamped]) -> BTreeMap<RunId, Vec<Stamped>> {
    let mut of: BTreeMap<RunId, Vec<Stamped>> = BTreeMap::new();
    for stamped in records {
        if let Stream::Run(id) = &stamped.stream {
            of.entry(id.clone()).or_default().push(stamped.clone());
        }
    }
    of
}

fn past(run: &Run) -> Past {
    let (run_id, service) = (run.id().clone(), run.spec.service.clone());
    let (automatic, changed) = (run.spec.is_automatic(), run.first_change.is_some());
    Past { run: run_id, service, automatic, changed, opened: run.opened, ended: run.ended }
}

fn meaning(records: &[Stamped], now: Time) -> Option<Meaning> {
    let (mut occurrences, mut standing) = (Occurrences::default(), Standing::default());
    for stamped in records {
        match &stamped.stream {
            Stream::Alerts(source) => occurrences.apply(source, &stamped.record),
            Stream::Instance | Stream::Service(_) => standing.apply(stamped),
            _ => {}
        }
    }
    let folded: Result<Vec<Run>, _> = runs(records).values().map(|records| Run::fold(records)).collect();
    let past: Vec<Past> = folded.ok()?.iter().map(past).collect();
    let of =
        |service: &str| -> Vec<&Past> { past.iter().filter(|p| p.service.as_str() == service).collect() };
    let seen = |service: &str| standing.seen.get(&Name::from(service)).copied().flatten();
    let cooling = |service: &str| {
        let (last, ended) = last_change(&of(service))?;
        (now < ended + COOLDOWN).then(|| last.run.clone())
    };
    Some(Meaning {
        open: occurrences.open().map(|(_, o)| o.id.to_string()).collect(),
        freezes: standing.freezes.iter().filter(|f| f.until > now).map(|f| f.says()).collect(),
        own: left_frozen(records),
        tripped: standing.tripped.is_some(),
        unseen: ["shop", "blog"].into_iter().filter_map(|s| unseen(&of(s), seen(s))).collect(),
        cooling: ["shop", "blog"].into_iter().filter_map(cooling).collect(),
    })
}

/// By the plain words of the decision, looking at all records again for each length of the prefix.
fn may_go(book: &Book, last: usize) -> bool {
    let (gone, left) = book.records.split_at(last);
    let now = Time(book.at);
    let half = runs(gone).keys().any(|id| runs(left).contains_key(id));
    let over =
        |run: &Run| run.finished.is_some() && run.watch_lines().is_empty() && run.window_until().is_none();
    let settled = runs(gone).values().all(|r| Run::fold(r).is_ok_and(|run| over(&run)));
    let named = |records: &[Stamped]| -> BTreeSet<String> {
        let id = |s: &Stamped| match &s.record {
            Record::OccurrenceOpened { occurrence, .. } | Record::OccurrenceClosed { occurrence, .. } => {
                Some(occurrence.to_string())
            }
            _ => None,
        };
        records.iter().filter_map(id).collect()
    };
    let deliveries = left
        .iter()
        .any(|s| matches!(s.record, Record::OccurrenceOpened { delivery, .. } if delivery <= last as u64));
    let old = gone.iter().all(|s| now.since(s.at) >= LEAST_AGE);
    let same = meaning(&book.records, now) == meaning(left, now);
    old && same && settled && !half && !deliveries && named(gone).is_disjoint(&named(left))
}

/// One event of a history; numbers choose among what there is.
fn happen(book: &mut Book, what: u8, which: u8) {
    let service = ["shop", "blog"][usize::from(which % 2)];
    let instance = [None, Some("shop"), Some("blog")][usize::from(which % 3)];
    let open: Vec<(RunId, Run)> =
        runs(&book.records).iter().map(|(id, r)| (id.clone(), Run::fold(r).unwrap())).collect();
    let some = |wanted: &dyn Fn(&Run) -> bool| {
        let fit: Vec<&(RunId, Run)> = open.iter().filter(|(_, run)| wanted(run)).collect();
        fit.get(usize::from(which) % fit.len().max(1)).map(|(id, _)| format!("run:{id}"))
    };
    let alert = format!("am/f{}/", which % 3);
    let said = |kind: &str| {
        let of = |s: &&Stamped| match &s.record {
            Record::OccurrenceOpened { occurrence, .. } | Record::OccurrenceClosed { occurrence, .. } => {
                s.record.kind() == kind && occurrence.as_str().starts_with(&alert)
            }
            _ => false,
        };
        book.records.iter().filter(of).count()
    };
    let (count, closed) = (said("occurrence_opened"), said("occurrence_closed"));
    let put = |book: &mut Book, stream: Option<String>, record: Record| {
        if let Some(stream) = stream {
            book.put(&stream, record);
        }
    };
    match what {
        0 => {
            let id = format!("R{}", open.len());
            book.put(&format!("run:{id}"), opened(&id, service, 1, which >= 128));
        }
        1 => put(book, some(&|r| r.finished.is_none() && r.first_change.is_none()), intended()),
        2 | 3 => {
            let outcome = if which.is_multiple_of(5) { "succeeded" } else { "failed" };
            put(book, some(&|r| r.finished.is_none()), finished(outcome));
        }
        4 => {
            let free = |r: &Run| r.watches.is_empty() && !r.spec.afterwards.fence_watch.is_empty();
            put(book, some(&|r| r.finished.is_none() && free(r)), watch("watching"));
        }
        5 => put(book, some(&|r| !r.watch_lines().is_empty()), watch("closed")),
        6 => put(book, some(&|r| r.window_until().is_some()), over()),
        7 => {
            book.put(&format!("service:{service}"), acknowledged());
        }
        8 | 9 if count == closed => {
            let delivery = book.clock();
            (0..which % 3).for_each(|_| {
                book.clock();
            });
            book.put("alerts:am", occurs(&format!("{alert}{}", count + 1), delivery));
        }
        8..=10 if count > closed => {
            book.put("alerts:am", ends(&format!("{alert}{count}"), Time(book.at)));
        }
        11 => {
            book.put("instance", frozen(instance, book.at + DAY * 40 * i64::from(which % 2)));
        }
        12 if which < 32 => {
            book.put("instance", own_freeze());
        }
        12 | 13 => {
            book.put("instance", thawed(instance));
        }
        14 if which < 64 => {
            book.put("instance", record("breaker_tripped", &json!({ "why": [] })));
        }
        14 => {
            let body = json!({ "by": person(), "reason": "seen", "sick": 1 });
            book.put("instance", record("breaker_reset", &body));
        }
        _ => {
            book.clock();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// The cut is the longest prefix that may go by the plain words: nothing that counts goes, nothing else stays.
    #[test]
    fn the_cut_is_the_longest_that_changes_no_meaning(
        events in prop::collection::vec((0_u8..16, any::<u8>(), 0_i64..12), 1..40), passes in 0_i64..120,
    ) {
        let mut book = Book::default();
        for (what, which, wait) in events {
            happen(&mut book, what, which);
            book.wait(wait);
        }
        book.wait(passes);
        let cut = book.cut(book.terms());
        let last = usize::try_from(cut.before - 1).unwrap();
        let longest = (0..=book.records.len()).rev().find(|last| may_go(&book, *last)).unwrap_or(0);
        prop_assert_eq!(last, longest, "{:?}", cut.held);
    }

    /// What was cut once can be cut again: the next cut of what is left is the one of the whole.
    #[test]
    fn a_second_cut_ends_where_one_alone_would(
        events in prop::collection::vec((0_u8..16, any::<u8>(), 0_i64..12), 1..40), passes in 0_i64..120,
    ) {
        let mut book = Book::default();
        for (what, which, wait) in events {
            happen(&mut book, what, which);
            book.wait(wait);
        }
        let first = book.cut(book.terms());
        book.wait(passes);
        let whole = book.cut(book.terms());
        let mut left = book.clone();
        left.records.retain(|stamped| stamped.position >= first.before);
        let again = left.cut(left.terms());
        prop_assert!(whole.before >= first.before, "time alone makes nothing count again");
        if !left.records.is_empty() {
            prop_assert_eq!(again.before, whole.before);
        }
    }
}
