//! The append-only triggers let through one thing: what a record of the journal has sealed, oldest first. And what is
//! left is checked as what it is: the end of a longer chain.

use super::{
    CheckpointFiles, Checkpoints, Column, Finding, SqliteStore, VerifyReport, verify, verify_checkpoints,
};
use crate::kernel::domain::{Digest, Record, Sealed, Stream, Time};
use crate::kernel::journal::{Backend, Entry, Head, NewEntry, RawBatch, RawPart};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use std::path::Path;

fn shop() -> Stream {
    Stream::Service("shop".into())
}

fn clock(says: &str) -> Record {
    Record::Clock { says: says.into(), jump: 0 }
}

async fn append(store: &SqliteStore, stream: Stream, expect: Option<u64>, record: &Record) {
    let part = RawPart { stream, expect, entries: vec![NewEntry::of(record)], summary: None };
    store.append(RawBatch { at: Time(1), parts: vec![part], epoch: None, rows: vec![] }).await.unwrap();
}

/// Seven records, and an eighth that says that the first three go: with the first of them, all of one stream.
async fn journal(dir: &Path) -> Vec<Entry> {
    let store = SqliteStore::open(dir).await.unwrap().store;
    append(&store, shop(), None, &clock("all that there is of it")).await;
    for n in 0..6 {
        append(&store, Stream::Instance, None, &clock(&n.to_string())).await;
    }
    let hash = store.hash_at(3).await.unwrap().unwrap();
    let streams = [(shop(), 1), (Stream::Instance, 2)].into();
    let origin = store.hash_at(1).await.unwrap();
    let sealed = Sealed { before: 4, hash, origin, streams, ..Sealed::default() };
    append(&store, Stream::Instance, None, &Record::Sealed(Box::new(sealed))).await;
    store.write_head().await.unwrap();
    let all = store.scan(1, 100).await.unwrap();
    store.close().await;
    all
}

async fn connect(dir: &Path, trusted: &'static str) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(dir.join("pointsman.db"));
    options.pragma("trusted_schema", trusted).connect().await.unwrap()
}

async fn run(conn: &mut SqliteConnection, sql: &str) -> Result<u64, String> {
    let done = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(conn).await;
    done.map(|done| done.rows_affected()).map_err(|e| e.to_string())
}

async fn refused(conn: &mut SqliteConnection, sql: &str) {
    let why = run(conn, sql).await.expect_err(sql);
    assert!(why.contains("append-only"), "{sql}: {why}");
}

fn seal(position: u64, before: u64, hash: Digest) -> String {
    format!("INSERT INTO seal VALUES ({position}, {before}, x'{hash}')")
}

async fn checked(dir: &Path) -> VerifyReport {
    verify(dir, 1..=u64::MAX, |_| {}).await.unwrap()
}

#[tokio::test]
async fn only_what_a_record_seals_goes_and_oldest_first() {
    let dir = tempfile::tempdir().unwrap();
    let all = journal(dir.path()).await;
    // As a stranger would open it; the program itself also trusts no functions in triggers.
    for trusted in ["ON", "OFF"] {
        let mut conn = connect(dir.path(), trusted).await;
        refused(&mut conn, "DELETE FROM record WHERE position = 1").await;
        refused(&mut conn, &seal(7, 4, all[2].hash)).await;
        refused(&mut conn, &seal(8, 5, all[3].hash)).await;
        refused(&mut conn, &seal(8, 4, all[3].hash)).await;
        refused(&mut conn, &seal(8, 3, all[1].hash)).await;
    }
    let mut conn = connect(dir.path(), "OFF").await;
    assert_eq!(run(&mut conn, &seal(8, 4, all[2].hash)).await, Ok(1));
    refused(&mut conn, &seal(8, 4, all[2].hash).replace("INSERT", "INSERT OR REPLACE")).await;
    refused(&mut conn, "UPDATE seal SET before = 7").await;
    refused(&mut conn, "DELETE FROM seal").await;
    for which in ["position = 2", "position = 4", "position = 8", "position <= 4", "true"] {
        refused(&mut conn, &format!("DELETE FROM record WHERE {which}")).await;
    }
    refused(&mut conn, "UPDATE record SET at = 1").await;
    let report = checked(dir.path()).await;
    assert!(report.ok() && (report.from, report.checked) == (1, 8), "decided, and all is there: {report:?}");
    assert_eq!(run(&mut conn, "DELETE FROM record WHERE position <= 2").await, Ok(2));
    let report = checked(dir.path()).await;
    assert!(report.ok() && (report.from, report.checked) == (4, 5), "on its way: {report:?}");
    assert_eq!(run(&mut conn, "DELETE FROM record WHERE position = 3").await, Ok(1));
    refused(&mut conn, "DELETE FROM record WHERE position = 4").await;
    let positions = "SELECT position FROM record ORDER BY position";
    let left: Vec<i64> = sqlx::query_scalar(positions).fetch_all(&mut conn).await.unwrap();
    assert_eq!(left, [4, 5, 6, 7, 8]);
}

/// The journal after its cut, closed; and the hash of its first record.
async fn cut(dir: &Path) -> Digest {
    let all = journal(dir).await;
    take_away(dir, all[2].hash).await;
    all[0].hash
}

async fn take_away(dir: &Path, hash: Digest) {
    let mut conn = connect(dir, "OFF").await;
    run(&mut conn, &seal(8, 4, hash)).await.unwrap();
    run(&mut conn, "DELETE FROM record WHERE position < 4").await.unwrap();
    conn.close().await.unwrap();
}

#[tokio::test]
async fn what_is_left_verifies_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let first = cut(dir.path()).await;
    let report = checked(dir.path()).await;
    assert!(report.ok() && (report.from, report.to, report.checked) == (4, 8, 5), "{report:?}");
    assert!(
        report.notes.iter().any(|note| note.contains("before position 4 were sealed away")),
        "{report:?}"
    );
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    assert_eq!(store.origin().await.unwrap(), Some(first), "its name is the old one");
    for (stream, seq) in [(shop(), 1), (Stream::Instance, 7), (Stream::Run("A".into()), 0)] {
        assert_eq!(store.last_seq(&stream).await, Ok(seq), "{stream}");
    }
    append(&store, shop(), Some(1), &clock("a stream that went does not begin again at 1")).await;
    append(&store, Stream::Instance, Some(7), &clock("nor one that did not go")).await;
    append(&store, Stream::Service("blog".into()), Some(0), &clock("a new one does")).await;
    store.close().await;
    let report = checked(dir.path()).await;
    assert!(report.ok() && report.checked == 8, "{report:?}");
    let part = verify(dir.path(), 6..=7, |_| {}).await.unwrap();
    assert!(part.ok() && part.checked == 2, "{part:?}");
}

#[tokio::test]
async fn what_is_changed_behind_a_cut_is_named() {
    let clean = tempfile::tempdir().unwrap();
    cut(clean.path()).await;
    let cases: [(&str, u64, Column); 6] = [
        ("DELETE FROM record WHERE position = 4", 4, Column::Position),
        ("DELETE FROM seal", 1, Column::Position),
        ("UPDATE seal SET before = 5", 8, Column::Body),
        ("UPDATE seal SET hash = zeroblob(32)", 8, Column::Body),
        ("UPDATE record SET at = 2 WHERE position = 6", 6, Column::Covered),
        ("UPDATE record SET kind = 'clock' WHERE position = 8", 8, Column::Kind),
    ];
    for (sql, position, column) in cases {
        let dir = tempfile::tempdir().unwrap();
        for file in ["pointsman.db", "head"] {
            std::fs::copy(clean.path().join(file), dir.path().join(file)).unwrap();
        }
        let mut conn = connect(dir.path(), "OFF").await;
        let triggers = "SELECT name FROM sqlite_schema WHERE type = 'trigger'";
        let triggers: Vec<String> = sqlx::query_scalar(triggers).fetch_all(&mut conn).await.unwrap();
        for name in triggers {
            run(&mut conn, &format!("DROP TRIGGER {name}")).await.unwrap();
        }
        assert_eq!(run(&mut conn, sql).await, Ok(1), "{sql}");
        conn.close().await.unwrap();
        let bad = checked(dir.path()).await.bad.unwrap_or_else(|| panic!("{sql} was not found"));
        assert_eq!((bad.position, bad.column), (position, column), "{sql}: {}", bad.says);
    }
}

#[tokio::test]
async fn a_checkpoint_of_what_went_is_sealed_away_and_the_last_one_binds() {
    for (third, found) in [(None, 0), (Some(Digest::of(b"another journal")), 1)] {
        let dir = tempfile::tempdir().unwrap();
        let all = journal(dir.path()).await;
        let signer = Checkpoints::open(dir.path(), &CheckpointFiles::default()).unwrap();
        for position in [2, 3, 5, 8] {
            let hash = all[position - 1].hash;
            let hash = third.filter(|_| position == 3).unwrap_or(hash);
            signer.write(Head { position: position as u64, hash, at: Time(1) }).unwrap().unwrap();
        }
        take_away(dir.path(), all[2].hash).await;
        let report = verify_checkpoints(dir.path(), None, None).await.unwrap().unwrap();
        assert_eq!((report.lines, report.signed_to), (4, 8), "{report:?}");
        assert_eq!(report.findings.len(), found, "{report:?}");
        let rewritten = |f: &Finding| matches!(f, Finding::Rewritten { line: 2, position: 3, .. });
        assert!(report.findings.iter().all(rewritten), "{report:?}");
    }
}
