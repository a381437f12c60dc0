//! Over any history: what is left means what the whole did, and no longer prefix leaves as much.

use super::super::*;
use super::book::*;
use crate::intake::occurrence::Occurrences;
use crate::kernel::domain::{Record, RunId, Stamped, Stream};
use crate::kernel::engine::Run;
use crate::worker::ahead::left_frozen;
use crate::worker::limits::{Past, Standing, last_change, unseen};
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

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
