//! SQLite against the model in memory: the same random appends, handed to SQLite in groups, give the same answers and
//! leave the same journal.

use super::{entry, run, source};
use pointsman::kernel::domain::{Digest, Name, RunId, Stream, Time};
use pointsman::kernel::journal::{Backend, MemoryBackend, RawBatch, RawPart, Row};
use pointsman::store::{SqliteStore, verify};
use proptest::prelude::*;
use serde_json::json;

fn stream() -> impl Strategy<Value = Stream> {
    prop_oneof![
        Just(run("A")),
        Just(run("B")),
        Just(source("am")),
        Just(Stream::Instance),
        Just(Stream::Service("shop".into())),
    ]
}

fn part() -> impl Strategy<Value = RawPart> {
    let bodies = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..4);
    (stream(), proptest::option::weighted(0.7, 0_u64..4), bodies, proptest::option::of(0..9)).prop_map(
        |(stream, expect, bodies, summary)| RawPart {
            stream,
            expect,
            entries: bodies.into_iter().map(entry).collect(),
            summary: summary.map(|n| json!({ "n": n })),
        },
    )
}

fn row() -> impl Strategy<Value = Row> {
    let name = prop_oneof![Just(Name::from("shop")), Just(Name::from("mail"))];
    let key = prop_oneof![Just("service:shop".to_owned()), Just("target:pg".to_owned())];
    let id = prop_oneof![Just(RunId::from("A")), Just(RunId::from("B"))];
    prop_oneof![
        (key, id.clone()).prop_map(|(key, run)| Row::Lock { key, run }),
        id.prop_map(|run| Row::Unlock { run }),
        (name.clone(), 1_u64..4).prop_map(|(service, to)| Row::RaiseEpoch { service, to }),
        (name, any::<u64>()).prop_map(|(name, position)| Row::Cursor { name, position }),
        proptest::collection::vec(any::<u8>(), 0..9)
            .prop_map(|bytes| Row::Content { digest: Digest::of(&bytes), bytes }),
    ]
}

fn append() -> impl Strategy<Value = RawBatch> {
    let epoch = proptest::option::weighted(0.2, (Just(Name::from("shop")), 0_u64..3));
    let parts = proptest::collection::vec(part(), 0..3);
    (-5_i64..50, parts, epoch, proptest::collection::vec(row(), 0..3))
        .prop_map(|(at, parts, epoch, rows)| RawBatch { at: Time(at), parts, epoch, rows })
}

async fn compare(groups: Vec<Vec<RawBatch>>) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    let model = MemoryBackend::new();
    for group in &groups {
        let wanted: Vec<_> = group.iter().map(|batch| model.append_now(batch)).collect();
        let got = futures_util::future::join_all(group.iter().map(|b| store.append(b.clone()))).await;
        assert_eq!(got, wanted);
    }
    assert_eq!(store.scan(1, u32::MAX).await.unwrap(), model.entries());
    assert_eq!(store.head().await.unwrap(), model.head().await.unwrap());
    assert_eq!(store.summaries("", 99).await.unwrap(), model.summaries("", 99).await.unwrap());
    assert_eq!(store.summaries("run:", 1).await.unwrap(), model.summaries("run:", 1).await.unwrap());
    for name in ["shop", "mail"].map(Name::from) {
        assert_eq!(store.epoch(&name).await.unwrap(), model.epoch(&name).await.unwrap());
        assert_eq!(store.cursor(&name).await.unwrap(), model.cursor(&name).await.unwrap());
    }
    for row in groups.iter().flatten().flat_map(|b| &b.rows) {
        if let Row::Content { digest, .. } = row {
            assert_eq!(store.content(*digest).await.unwrap(), model.content(*digest).await.unwrap());
        }
    }
    // What the writer knows by heart is what the tables say.
    store.close().await;
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    for group in &groups {
        for batch in group {
            assert_eq!(store.append(batch.clone()).await, model.append_now(batch));
        }
    }
    assert_eq!(store.scan(1, u32::MAX).await.unwrap(), model.entries());
    store.close().await;
    let report = verify(dir.path(), 1..=u64::MAX, |_| {}).await.unwrap();
    assert!(report.chain_ok(), "{report:?}");
    assert_eq!(report.checked, model.entries().len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_same_answers_and_the_same_journal(
        groups in proptest::collection::vec(proptest::collection::vec(append(), 1..8), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(compare(groups));
    }
}
