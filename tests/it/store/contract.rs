//! What every backend must do, run on the model in memory and on SQLite.

use super::{batch, entry, one, part, run, source, with_rows};
use pointsman::kernel::domain::{Digest, Name, RunId, Stream, Time};
use pointsman::kernel::journal::{
    AppendError, Backend, ChainLink, MemoryBackend, RawBatch, RawPart, Row, Summarised, chain_hash,
};
use pointsman::store::SqliteStore;
use serde_json::json;
use std::sync::Arc;

/// Runs one property on both backends.
macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $name() {
                super::$name(std::sync::Arc::new(super::MemoryBackend::new())).await;
            })*
        }
        mod sqlite {
            $(#[tokio::test] async fn $name() {
                let dir = tempfile::tempdir().unwrap();
                let opened = super::SqliteStore::open(dir.path()).await.unwrap();
                super::$name(opened.store.clone()).await;
                opened.store.close().await;
                let report = pointsman::store::verify(dir.path(), 1..=u64::MAX, |_| {}).await.unwrap();
                assert!(report.chain_ok(), "{:?}", report.bad);
            })*
        }
    };
}

contract!(
    compares_before_it_writes,
    all_streams_or_none,
    locks_exclude_and_are_freed_together,
    epochs_only_rise_and_depose,
    time_never_goes_back,
    positions_and_hashes_make_one_chain,
    reads_from_a_sequence_and_scans_from_a_position,
    the_newest_of_a_stream_by_kind_up_to_a_bound,
    raw_content_comes_back_as_it_was,
    cursors_move_with_their_batch,
    summaries_newest_first_by_prefix,
    concurrent_writers_lose_nothing,
    one_winner_for_one_expectation,
    refusals_do_not_hurt_their_neighbours,
    rows_without_records_are_kept,
);

type B = Arc<dyn Backend>;

async fn stored(b: &B) -> Vec<String> {
    let all = b.scan(1, u32::MAX).await.unwrap();
    all.into_iter()
        .map(|e| format!("{} {} {}", e.stream, e.seq, String::from_utf8(e.body).unwrap()))
        .collect()
}

async fn the_newest_of_a_stream_by_kind_up_to_a_bound(b: B) {
    let kinds = ["held", "joined", "held", "acknowledged", "held"];
    for (n, kind) in kinds.into_iter().enumerate() {
        let mut batch = one(1, Stream::Service("shop".into()), None, &n.to_string());
        batch.parts[0].entries[0].kind = kind;
        b.append(batch).await.unwrap();
        b.append(one(1, run("A"), None, "beside it")).await.unwrap();
    }
    let newest = async |kinds: &[&str], max: u32| {
        let found = b.newest(&Stream::Service("shop".into()), kinds, max).await.unwrap();
        found.into_iter().map(|entry| entry.seq).collect::<Vec<_>>()
    };
    assert_eq!(newest(&[], 3).await, [3, 4, 5]);
    assert_eq!(newest(&[], 9).await, [1, 2, 3, 4, 5]);
    assert_eq!(newest(&["held"], 2).await, [3, 5]);
    assert_eq!(newest(&["held", "joined"], 9).await, [1, 2, 3, 5]);
    assert_eq!(newest(&["acknowledged"], 1).await, [4]);
    assert_eq!(newest(&["thawed"], 9).await, [] as [u64; 0]);
    assert_eq!(newest(&["held"], 0).await, [] as [u64; 0]);
}

async fn compares_before_it_writes(b: B) {
    b.append(one(1, run("A"), Some(0), "1")).await.unwrap();
    let again = b.append(one(2, run("A"), Some(0), "x")).await.unwrap_err();
    assert_eq!(again, AppendError::Moved { stream: "run:A".into() });
    let ahead = b.append(one(2, run("A"), Some(2), "x")).await.unwrap_err();
    assert_eq!(ahead, AppendError::Moved { stream: "run:A".into() });
    let written = b.append(one(2, run("A"), Some(1), "2")).await.unwrap();
    assert_eq!((written[0].seq, written[0].position), (2, 2));
    // Deliveries commute: they expect nothing.
    b.append(one(2, source("am"), None, "d1")).await.unwrap();
    b.append(one(2, source("am"), None, "d2")).await.unwrap();
    assert_eq!(stored(&b).await, ["run:A 1 1", "run:A 2 2", "source:am 1 d1", "source:am 2 d2"]);
}

async fn all_streams_or_none(b: B) {
    b.append(one(1, run("A"), Some(0), "1")).await.unwrap();
    let digest = Digest::of(b"text");
    let parts = vec![part(run("B"), Some(0), &["x", "y"]), part(run("A"), Some(0), &["z"])];
    let rows = vec![
        Row::Lock { key: "service:shop".into(), run: "B".into() },
        Row::RaiseEpoch { service: "shop".into(), to: 1 },
        Row::Cursor { name: "triage".into(), position: 9 },
        Row::Content { digest, bytes: b"text".to_vec() },
    ];
    let refused = b.append(with_rows(batch(2, parts), rows.clone())).await.unwrap_err();
    assert_eq!(refused, AppendError::Moved { stream: "run:A".into() });
    assert_eq!(stored(&b).await, ["run:A 1 1"]);
    assert_eq!(b.epoch(&"shop".into()).await.unwrap(), 0);
    assert_eq!(b.cursor(&"triage".into()).await.unwrap(), 0);
    assert_eq!(b.content(digest).await.unwrap(), None);
    // The lock was not taken either: another run may have it.
    let other = vec![Row::Lock { key: "service:shop".into(), run: "C".into() }];
    b.append(with_rows(one(3, run("C"), Some(0), "c"), other)).await.unwrap();
    let parts = vec![part(run("B"), Some(0), &["x", "y"]), part(run("A"), Some(1), &["z"])];
    let written = b.append(batch(4, parts)).await.unwrap();
    let order: Vec<_> = written.iter().map(|w| (w.position, w.seq)).collect();
    assert_eq!(order, [(3, 1), (4, 2), (5, 2)]);
}

async fn locks_exclude_and_are_freed_together(b: B) {
    let lock = |key: &str, run: &str| Row::Lock { key: key.into(), run: run.into() };
    let take = |run_id: &str, keys: &[&str]| {
        let rows = keys.iter().map(|k| lock(k, run_id)).collect();
        with_rows(one(1, run(run_id), None, "open"), rows)
    };
    b.append(take("A", &["service:shop", "target:pg"])).await.unwrap();
    let refused = b.append(take("B", &["target:dns", "target:pg"])).await.unwrap_err();
    assert_eq!(refused, AppendError::Locked { key: "target:pg".into(), by: "A".into() });
    b.append(take("A", &["target:pg"])).await.unwrap();
    let free = with_rows(one(2, run("A"), None, "end"), vec![Row::Unlock { run: RunId::from("A") }]);
    b.append(free).await.unwrap();
    b.append(take("B", &["target:dns", "target:pg", "service:shop"])).await.unwrap();
    assert_eq!(stored(&b).await.len(), 4);
}

async fn epochs_only_rise_and_depose(b: B) {
    let shop: Name = "shop".into();
    let raise =
        |to| with_rows(one(1, run("A"), None, "t"), vec![Row::RaiseEpoch { service: shop.clone(), to }]);
    b.append(raise(1)).await.unwrap();
    b.append(raise(2)).await.unwrap();
    let back = b.append(raise(1)).await.unwrap_err();
    assert_eq!(back, AppendError::Deposed { service: shop.clone(), current: 2 });
    let late = b.append(raise(2)).await.unwrap_err();
    assert_eq!(late, AppendError::Deposed { service: shop.clone(), current: 2 });
    let as_epoch =
        |epoch| RawBatch { epoch: Some((shop.clone(), epoch)), ..one(2, run("A"), None, "by epoch") };
    let old = b.append(as_epoch(1)).await.unwrap_err();
    assert_eq!(old, AppendError::Deposed { service: shop.clone(), current: 2 });
    b.append(as_epoch(2)).await.unwrap();
    assert_eq!(b.epoch(&shop).await.unwrap(), 2);
    assert_eq!(b.epoch(&"other".into()).await.unwrap(), 0);
}

async fn time_never_goes_back(b: B) {
    let at = |w: Vec<pointsman::kernel::journal::Written>| w.last().unwrap().at;
    assert_eq!(at(b.append(one(100, run("A"), None, "1")).await.unwrap()), Time(100));
    assert_eq!(at(b.append(one(40, run("A"), None, "2")).await.unwrap()), Time(100));
    assert_eq!(at(b.append(one(101, run("B"), None, "3")).await.unwrap()), Time(101));
    assert_eq!(b.head().await.unwrap().at, Time(101));
}

async fn positions_and_hashes_make_one_chain(b: B) {
    for n in 0..5 {
        let parts = vec![part(run("A"), None, &["a", "b"]), part(source("am"), None, &["c"])];
        b.append(batch(n, parts)).await.unwrap();
    }
    let all = b.scan(1, u32::MAX).await.unwrap();
    let mut prev = Digest::ZERO;
    for (i, e) in all.iter().enumerate() {
        assert_eq!(e.position, i as u64 + 1);
        let stream = e.stream.to_string();
        let link = ChainLink {
            prev,
            position: e.position,
            stream: stream.as_bytes(),
            seq: e.seq,
            at: e.at,
            kind: e.kind.as_bytes(),
            version: e.version,
            body: &e.body,
        };
        assert_eq!(e.hash, chain_hash(&link));
        prev = e.hash;
    }
    let head = b.head().await.unwrap();
    assert_eq!((head.position, head.hash), (15, prev));
}

async fn reads_from_a_sequence_and_scans_from_a_position(b: B) {
    assert_eq!(b.head().await.unwrap().position, 0);
    assert_eq!(b.read(&run("A"), 0).await.unwrap(), vec![]);
    for n in 1..=4 {
        let parts = vec![part(run("A"), None, &["a"]), part(run("B"), None, &["b"])];
        b.append(batch(n, parts)).await.unwrap();
    }
    let seqs: Vec<_> = b.read(&run("A"), 3).await.unwrap().into_iter().map(|e| e.seq).collect();
    assert_eq!(seqs, [3, 4]);
    let positions: Vec<_> = b.scan(3, 2).await.unwrap().into_iter().map(|e| e.position).collect();
    assert_eq!(positions, [3, 4]);
    assert_eq!(b.scan(9, 5).await.unwrap(), vec![]);
    assert_eq!(b.scan(u64::MAX, 5).await.unwrap(), vec![]);
    assert_eq!(b.read(&Stream::Instance, 1).await.unwrap(), vec![]);
}

async fn raw_content_comes_back_as_it_was(b: B) {
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let digest = Digest::of(&bytes);
    let content = || vec![Row::Content { digest, bytes: bytes.clone() }];
    b.append(with_rows(one(1, source("am"), None, "d"), content())).await.unwrap();
    b.append(with_rows(one(1, source("am"), None, "same"), content())).await.unwrap();
    assert_eq!(b.content(digest).await.unwrap(), Some(bytes));
    assert_eq!(b.content(Digest::of(b"other")).await.unwrap(), None);
    let odd = RawPart {
        stream: source("am"),
        expect: None,
        entries: vec![entry(vec![0, 159, 146, 150]), entry(vec![])],
        summary: None,
    };
    b.append(batch(1, vec![odd])).await.unwrap();
    let all = b.read(&source("am"), 3).await.unwrap();
    assert_eq!((all[0].body.as_slice(), all[1].body.as_slice()), (&[0, 159, 146, 150][..], &[][..]));
}

async fn cursors_move_with_their_batch(b: B) {
    let to = |position| vec![Row::Cursor { name: "triage".into(), position }];
    b.append(with_rows(one(1, run("A"), None, "1"), to(7))).await.unwrap();
    assert_eq!(b.cursor(&"triage".into()).await.unwrap(), 7);
    b.append(with_rows(one(1, run("A"), None, "2"), to(5))).await.unwrap();
    assert_eq!(b.cursor(&"triage".into()).await.unwrap(), 5);
    assert_eq!(b.cursor(&"outbox".into()).await.unwrap(), 0);
}

async fn summaries_newest_first_by_prefix(b: B) {
    let put = async |at: i64, stream: Stream, state: &str| {
        let mut part = part(stream, None, &["x"]);
        part.summary = Some(json!({ "state": state }));
        b.append(batch(at, vec![part])).await.unwrap();
    };
    put(1, run("A"), "old").await;
    put(2, run("B"), "b").await;
    put(3, source("run"), "not a run").await;
    put(4, run("A"), "new").await;
    let all = b.summaries("run:", 10).await.unwrap();
    let row = |name: &str, state: &str, first: i64, last: i64| Summarised {
        stream: run(name),
        value: json!({ "state": state }),
        first: Some(Time(first)),
        last: Some(Time(last)),
    };
    assert_eq!(all, vec![row("A", "new", 1, 4), row("B", "b", 2, 2)], "with the times of their records");
    assert_eq!(b.summaries("run:", 1).await.unwrap().len(), 1);
    assert_eq!(b.summaries("service:", 10).await.unwrap(), vec![]);
    assert_eq!(b.summaries("", 10).await.unwrap().len(), 3);
}

async fn concurrent_writers_lose_nothing(b: B) {
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..40 {
        let b = b.clone();
        tasks.spawn(async move {
            for n in 0..10_u64 {
                let own = one(1, run(&format!("W{writer}")), Some(n), &format!("{writer}-{n}"));
                let written = b.append(own).await.unwrap();
                assert_eq!(written[0].seq, n + 1);
                b.append(one(1, source("am"), None, "d")).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let all = b.scan(1, u32::MAX).await.unwrap();
    assert_eq!(all.len(), 800);
    assert!(all.iter().enumerate().all(|(i, e)| e.position == i as u64 + 1));
    let seqs: Vec<_> = b.read(&source("am"), 1).await.unwrap().iter().map(|e| e.seq).collect();
    assert_eq!(seqs, (1..=400).collect::<Vec<_>>());
}

async fn one_winner_for_one_expectation(b: B) {
    for round in 0..20_u64 {
        let tries = (0..8).map(|n| b.append(one(1, run("A"), Some(round), &n.to_string())));
        let ends = futures_util::future::join_all(tries).await;
        assert_eq!(ends.iter().filter(|e| e.is_ok()).count(), 1);
        let moved = AppendError::Moved { stream: "run:A".into() };
        assert!(ends.iter().filter_map(|e| e.as_ref().err()).all(|e| *e == moved));
    }
    assert_eq!(b.read(&run("A"), 1).await.unwrap().len(), 20);
}

async fn refusals_do_not_hurt_their_neighbours(b: B) {
    b.append(with_rows(
        one(1, run("A"), None, "1"),
        vec![Row::Lock { key: "target:pg".into(), run: "A".into() }],
    ))
    .await
    .unwrap();
    // Handed over in one go, so that SQLite takes them as one group.
    let good = |n: u32| one(2, run(&format!("G{n}")), Some(0), "good");
    let locked = with_rows(
        one(2, run("B"), Some(0), "bad"),
        vec![Row::Lock { key: "target:pg".into(), run: "B".into() }],
    );
    let deposed = RawBatch { epoch: Some(("shop".into(), 3)), ..one(2, run("C"), Some(0), "bad") };
    let tries = vec![good(1), locked, good(2), one(2, run("A"), Some(0), "bad"), deposed, good(3)];
    let ends = futures_util::future::join_all(tries.into_iter().map(|t| b.append(t))).await;
    let kept: Vec<bool> = ends.iter().map(Result::is_ok).collect();
    assert_eq!(kept, [true, false, true, false, false, true]);
    assert!(matches!(ends[1], Err(AppendError::Locked { .. })));
    assert!(matches!(ends[3], Err(AppendError::Moved { .. })));
    assert!(matches!(ends[4], Err(AppendError::Deposed { .. })));
    assert_eq!(stored(&b).await, ["run:A 1 1", "run:G1 1 good", "run:G2 1 good", "run:G3 1 good"]);
}

async fn rows_without_records_are_kept(b: B) {
    assert_eq!(b.append(batch(1, vec![])).await.unwrap(), vec![]);
    let rows = vec![Row::Cursor { name: "outbox".into(), position: 3 }];
    assert_eq!(b.append(with_rows(batch(1, vec![]), rows)).await.unwrap(), vec![]);
    assert_eq!(b.cursor(&"outbox".into()).await.unwrap(), 3);
    assert_eq!(b.head().await.unwrap().position, 0);
}
