//! The blocks of bits at the size that they really have; the unit tests hold small ones against a walk over all records.

use pointsman::audit::{Index, Page, parse};
use pointsman::kernel::domain::{Actor, Position, Record, Stream, Time, Via};
use pointsman::kernel::journal::{Batch, Journal};
use pointsman::store::SqliteStore;
use std::time::Duration;

const RECORDS: u64 = 50_000;
/// The few where two frequent values meet: in each of the three blocks that are complete, and behind them.
const MET: [u64; 5] = [1_001, 17_001, 30_001, 49_151, 49_999];

fn record(n: u64) -> (Stream, Record) {
    let name = if n.is_multiple_of(2) || MET.contains(&n) { "ana" } else { "bo" };
    let by = Actor { name: name.into(), roles: vec![], via: Via::Cli, person: true, groups: vec![] };
    let reason = format!("power is back in hall {}", n % 7);
    match n.is_multiple_of(2) {
        true => (Stream::Service("shop".into()), Record::Acknowledged { by, reason }),
        false => (Stream::Instance, Record::Thawed { service: None, by: Some(by), reason }),
    }
}

#[tokio::test]
async fn frequent_values_that_seldom_meet_are_found_in_every_block() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    let journal = Journal::new(store.clone());
    for first in (0..RECORDS).step_by(500) {
        let parts = (first..first + 500).map(record);
        let batch = Batch::new(Time(1_795_000_000_000_000 + i64::try_from(first).unwrap()));
        journal
            .append(parts.fold(batch, |batch, (stream, one)| batch.part(stream, None, vec![one])))
            .await
            .unwrap();
    }
    let index = Index::open(store.clone()).await.unwrap();
    index.catch_up(RECORDS, Duration::from_secs(300)).await.unwrap();
    let met = MET.map(|n| n + 1);
    for (question, wanted) in [
        ("action:thawed actor:ana", &met[..]),
        ("actor:ana -action:acknowledged", &met),
        ("action:thaw* -actor:bo via:*", &met),
        ("action:thawed actor:ana power", &met),
        ("action:thawed service:shop", &[]),
    ] {
        let filter = parse(question).unwrap();
        let (mut back, mut before) = (vec![], Position::MAX);
        loop {
            let found = index.search(&filter, Page::Before(before), 2, Time(0)).await.unwrap();
            back.extend(found.positions().rev());
            let Some(next) = found.rest else { break };
            before = next;
        }
        back.reverse();
        let (mut forth, mut from) = (vec![], 1);
        loop {
            let found = index.search(&filter, Page::From(from), 2, Time(0)).await.unwrap();
            forth.extend(found.positions());
            let Some(next) = found.rest else { break };
            from = next;
        }
        assert_eq!((back.as_slice(), forth.as_slice()), (wanted, wanted), "{question}");
    }
    index.close().await;
    store.close().await;
}
