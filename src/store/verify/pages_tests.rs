//! What the pages give held against what SQLite gives: on sound files, on damaged ones, and where the WAL knows better.

use super::chain::{Chain, walk};
use super::pages::Layout;
use super::{Base, Column, verify};
use crate::kernel::domain::{Digest, Position, Record, Stream, Time};
use crate::kernel::journal::{Backend as _, Entry, NewEntry, RawBatch, RawPart};
use crate::store::SqliteStore;
use rusqlite::Connection;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

/// What a page of 4,096 bytes holds of one record.
const LOCAL: usize = 4_061;

async fn append(store: &SqliteStore, numbers: std::ops::Range<usize>) {
    let parts = numbers.map(|n| {
        let stream = match n % 3 {
            0 => Stream::Instance,
            _ => Stream::Service(format!("shop-{}", n % 7).into()),
        };
        // Of every length, up to more than two pages.
        let record = Record::Clock { says: "x".repeat(n * 37 % 400 + n % 29 / 27 * 8_000), jump: 0 };
        RawPart { stream, expect: None, entries: vec![NewEntry::of(&record)], summary: None }
    });
    let batch = RawBatch { at: Time(1), parts: parts.collect(), epoch: None, rows: vec![] };
    store.append(batch).await.unwrap();
}

/// Closed.
async fn journal(dir: &Path, records: usize) -> Vec<Entry> {
    let store = SqliteStore::open(dir).await.unwrap().store;
    for from in (0..records).step_by(200) {
        append(&store, from..records.min(from + 200)).await;
    }
    let all = store.scan(1, u32::MAX).await.unwrap();
    store.close().await;
    all
}

fn walked(dir: &Path, layout: Option<&Layout>, last: usize) -> Option<Chain> {
    walk(dir, layout, Arc::new(Base::default()), 1, last as Position).ok()
}

#[tokio::test]
async fn every_record_that_lies_in_one_page_is_read_as_it_was_written() {
    for records in [1, 10, 400, 12_000] {
        let dir = tempfile::tempdir().unwrap();
        let all = journal(dir.path(), records).await;
        let layout = Layout::of(dir.path()).unwrap();
        let mut pages = layout.pages().unwrap();
        let leaves = pages.leaves(1, Position::MAX).ok().unwrap();
        assert_eq!(leaves.len() > 1_000, records > 10_000, "of {records} some are three levels deep");
        let mut read = 0;
        let mut missing: Vec<Position> = (1..=records as Position).collect();
        for leaf in &leaves {
            for row in pages.records(leaf).ok().unwrap() {
                let e = &all[usize::try_from(row.position).unwrap() - 1];
                assert_eq!(
                    (row.position, row.seq, row.at, row.version),
                    (e.position, e.seq, e.at, e.version)
                );
                assert_eq!((row.stream, row.kind), (e.stream.to_string().as_bytes(), e.kind.as_bytes()));
                assert_eq!((row.body, row.hash), (e.body.as_slice(), &e.hash.0));
                missing.retain(|position| *position != row.position);
                read += 1;
            }
        }
        let long = all.iter().filter(|e| e.body.len() > LOCAL - 100).map(|e| e.position);
        assert_eq!(missing, long.collect::<Vec<_>>());
        assert_eq!(read + missing.len(), records, "nothing twice");
        // A part of it needs no other leaves, and what the pages do not have SQLite has.
        let part = pages.leaves(5, 9).ok().unwrap().len();
        assert!(part <= 5, "{part} leaves for five records");
        let chain = walked(dir.path(), Some(&layout), records).unwrap();
        assert_eq!((chain.checked, chain.bad), (records as u64, None));
    }
}

/// How both readers judge a file that is damaged for a while.
#[derive(Default)]
struct Judged {
    bad: u32,
    /// Both found it bad, each at another place: where the tree leads astray, it matters where one began to look.
    elsewhere: u32,
    untouched: u32,
}

impl Judged {
    fn judge(&mut self, dir: &Path, all: &[Entry], damage: &str) {
        let rows = walked(dir, None, all.len());
        let pages = walked(dir, Layout::of(dir).as_ref(), all.len());
        let (Some(rows), Some(pages)) = (&rows, &pages) else {
            assert!(rows.is_none() && pages.is_none(), "{damage}: only one of them could read");
            return;
        };
        let right = usize::try_from(pages.checked).unwrap();
        let hash_is = |hash: Digest| pages.hash() == hash;
        assert!(right == 0 || hash_is(all[right - 1].hash), "{damage}: what is right is what was written");
        assert_eq!(rows.bad.is_some(), pages.bad.is_some(), "{damage}: {:?}, {:?}", rows.bad, pages.bad);
        match (rows.checked, &rows.bad) == (pages.checked, &pages.bad) {
            true if rows.bad.is_some() => self.bad += 1,
            true => self.untouched += 1,
            false => self.elsewhere += 1,
        }
    }
}

fn random(n: u32) -> impl FnMut() -> u64 {
    let mut state = Digest::of(&n.to_be_bytes());
    move || {
        state = Digest::of(&state.0);
        u64::from_be_bytes(state.0[..8].try_into().unwrap())
    }
}

/// SQLite repairs whatever the pages get wrong, so nothing else would show that they prove nothing: here it has nothing to give.
#[tokio::test]
async fn records_that_lie_in_one_page_each_are_proven_without_sqlite() {
    let (dir, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // The next one is the first that is longer than a page.
    let all = journal(dir.path(), 27).await;
    assert!(all.iter().all(|e| e.body.len() < LOCAL - 100));
    journal(empty.path(), 0).await;
    let layout = Layout::of(dir.path()).unwrap();
    let chain = walked(empty.path(), Some(&layout), all.len()).unwrap();
    assert_eq!((chain.checked, chain.bad), (all.len() as u64, None));
    assert!(walked(empty.path(), None, all.len()).unwrap().bad.is_some(), "SQLite has none of them");
}

#[tokio::test]
async fn of_a_flipped_bit_both_say_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let all = journal(dir.path(), 900).await;
    let file = std::fs::File::options().read(true).write(true).open(dir.path().join("pointsman.db")).unwrap();
    let length = file.metadata().unwrap().len();
    let mut judged = Judged::default();
    for n in 0..600 {
        let mut random = random(n);
        let at = random() % length;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1 << (random() % 8)], at).unwrap();
        judged.judge(dir.path(), &all, &format!("a bit at {at}"));
        file.write_all_at(&byte, at).unwrap();
    }
    let Judged { bad, elsewhere, untouched } = judged;
    println!("{bad} bad records, {elsewhere} named elsewhere, {untouched} flips that hurt no record");
    assert!(bad > 300 && untouched > 50 && elsewhere < 10, "{bad} {elsewhere} {untouched}");
}

#[tokio::test]
async fn of_pages_full_of_something_else_both_say_the_same() {
    const PAGE: usize = 4_096;
    let dir = tempfile::tempdir().unwrap();
    let all = journal(dir.path(), 900).await;
    let file = std::fs::File::options().read(true).write(true).open(dir.path().join("pointsman.db")).unwrap();
    let pages = file.metadata().unwrap().len() / PAGE as u64;
    let read = |page: u64| {
        let mut bytes = vec![0; PAGE];
        file.read_exact_at(&mut bytes, page * PAGE as u64).unwrap();
        bytes
    };
    let mut judged = Judged::default();
    for n in 0..300 {
        let mut random = random(n);
        let (page, other) = (random() % pages, random() % pages);
        let was = read(page);
        let now: Vec<u8> = match n % 3 {
            0 => std::iter::repeat_with(&mut random).flat_map(u64::to_be_bytes).take(PAGE).collect(),
            // What a table of that kind begins with, and noise behind it.
            1 => was[..8].iter().copied().chain(read(other).into_iter().skip(8)).collect(),
            _ => read(other),
        };
        file.write_all_at(&now, page * PAGE as u64).unwrap();
        judged.judge(dir.path(), &all, &format!("page {page}, {n}"));
        file.write_all_at(&was, page * PAGE as u64).unwrap();
    }
    let Judged { bad, elsewhere, untouched } = judged;
    println!("{bad} bad records, {elsewhere} named elsewhere, {untouched} pages that hurt no record");
    assert!(bad > 100, "{bad} {elsewhere} {untouched}");
}

/// The bytes are as they were written, and so is the chain; but no question for that text finds it any more.
#[tokio::test]
async fn a_column_of_another_type_is_not_as_it_was_written() {
    let columns = [("stream", "BLOB"), ("kind", "BLOB"), ("body", "TEXT"), ("hash", "TEXT")]
        .into_iter()
        .zip([Column::Stream, Column::Kind, Column::Body, Column::Hash]);
    for ((name, of), column) in columns {
        let dir = tempfile::tempdir().unwrap();
        let all = journal(dir.path(), 40).await;
        let change = |sql: &str| {
            let conn = Connection::open(dir.path().join("pointsman.db")).unwrap();
            conn.execute_batch(sql).unwrap();
        };
        change(
            "DROP TRIGGER record_is_append_only_update; PRAGMA writable_schema = ON; \
             UPDATE sqlite_schema SET sql = replace(replace(sql, ') STRICT', ')'), 'length(hash) = 32', '1') \
             WHERE name = 'record';",
        );
        change(&format!("UPDATE record SET {name} = CAST({name} AS {of}) WHERE position = 20"));
        let layout = Layout::of(dir.path()).unwrap();
        for layout in [None, Some(&layout)] {
            let walked = walked(dir.path(), layout, all.len()).unwrap();
            let bad = walked.bad.unwrap();
            assert_eq!((bad.position, bad.column, walked.checked), (20, column, 19), "{bad:?}");
        }
    }
}

/// The page in the file is as it was written, and everybody who asks SQLite gets another record.
#[tokio::test]
async fn what_was_changed_in_the_wal_alone_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let all = journal(dir.path(), 900).await;
    let conn = Connection::open(dir.path().join("pointsman.db")).unwrap();
    conn.execute_batch(
        "PRAGMA wal_autocheckpoint = 0; DROP TRIGGER record_is_append_only_update; \
         UPDATE record SET body = CAST('{}' AS BLOB) WHERE position = 300;",
    )
    .unwrap();
    let report = verify(dir.path(), 1..=Position::MAX, |_| {}).await.unwrap();
    let bad = report.bad.unwrap();
    assert_eq!((bad.position, report.checked), (300, 299), "{bad:?}");
    let layout = Layout::of(dir.path()).unwrap();
    let by_pages = walked(dir.path(), Some(&layout), all.len()).unwrap();
    assert_eq!(by_pages.bad.unwrap().position, 300);
    drop(conn);
}

#[tokio::test]
async fn a_wal_of_another_page_size_leaves_everything_to_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let all = journal(dir.path(), 400).await;
    let mut header = [0; 32];
    header[..4].copy_from_slice(&0x377f_0682_u32.to_be_bytes());
    for (size, is_read) in [(4_096_u32, true), (1_024, false)] {
        header[8..12].copy_from_slice(&size.to_be_bytes());
        std::fs::write(dir.path().join("pointsman.db-wal"), header).unwrap();
        assert_eq!(Layout::of(dir.path()).is_some(), is_read, "{size}");
        let report = verify(dir.path(), 1..=Position::MAX, |_| {}).await.unwrap();
        assert!(report.chain_ok() && report.checked == all.len() as u64, "{size}: {report:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_writer_that_moves_its_wal_into_the_file_nothing_is_called_bad() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    let written = std::sync::atomic::AtomicBool::new(false);
    let writing = async {
        for from in (0..12_000).step_by(40) {
            append(&store, from..from + 40).await;
            if from % 400 == 0 {
                let path = dir.path().join("pointsman.db");
                let moved = tokio::task::spawn_blocking(move || {
                    let conn = Connection::open(path).unwrap();
                    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
                });
                moved.await.unwrap();
            }
        }
        written.store(true, std::sync::atomic::Ordering::SeqCst);
    };
    let reading = async {
        let (mut reports, mut last) = (0, 0);
        while !written.load(std::sync::atomic::Ordering::SeqCst) {
            let report = verify(dir.path(), 2..=Position::MAX, |_| {}).await.unwrap();
            assert!(report.chain_ok(), "{report:?}");
            assert!(report.to >= last);
            (reports, last) = (reports + 1, report.to);
        }
        reports
    };
    let ((), reports) = futures_util::future::join(writing, reading).await;
    assert!(reports > 5, "{reports} times meanwhile");
    let report = verify(dir.path(), 1..=Position::MAX, |_| {}).await.unwrap();
    assert!(report.chain_ok() && report.checked == 12_000, "{report:?}");
    store.close().await;
}
