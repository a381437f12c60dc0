//! The append-only triggers let through one thing: what a record of the journal has sealed, oldest first.

use super::SqliteStore;
use crate::kernel::domain::{Digest, Record, Sealed, Stream, Time};
use crate::kernel::journal::{Backend, Entry, NewEntry, RawBatch, RawPart};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};
use std::path::Path;

async fn append(store: &SqliteStore, record: &Record) {
    let entries = vec![NewEntry::of(record)];
    let part = RawPart { stream: Stream::Instance, expect: None, entries, summary: None };
    store.append(RawBatch { at: Time(1), parts: vec![part], epoch: None, rows: vec![] }).await.unwrap();
}

/// Seven records, and an eighth that says that the first three go.
async fn journal(dir: &Path) -> Vec<Entry> {
    let store = SqliteStore::open(dir).await.unwrap().store;
    for n in 0..7 {
        append(&store, &Record::Clock { says: n.to_string(), jump: 0 }).await;
    }
    let hash = store.hash_at(3).await.unwrap().unwrap();
    append(&store, &Record::Sealed(Box::new(Sealed { before: 4, hash, ..Sealed::default() }))).await;
    let all = store.scan(1, 100).await.unwrap();
    store.close().await;
    all
}

async fn try_(conn: &mut SqliteConnection, sql: &str) -> Result<u64, String> {
    let done = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(conn).await;
    done.map(|done| done.rows_affected()).map_err(|e| e.to_string())
}

async fn refused(conn: &mut SqliteConnection, sql: &str) {
    let why = try_(conn, sql).await.expect_err(sql);
    assert!(why.contains("append-only"), "{sql}: {why}");
}

fn seal(position: u64, before: u64, hash: Digest) -> String {
    format!("INSERT INTO seal VALUES ({position}, {before}, x'{hash}')")
}

#[tokio::test]
async fn only_what_a_record_seals_goes_and_oldest_first() {
    let dir = tempfile::tempdir().unwrap();
    let all = journal(dir.path()).await;
    // As a stranger would open it; the program itself also trusts no functions in triggers.
    for trusted in ["ON", "OFF"] {
        let options = SqliteConnectOptions::new().filename(dir.path().join("pointsman.db"));
        let mut conn = options.pragma("trusted_schema", trusted).connect().await.unwrap();
        refused(&mut conn, "DELETE FROM record WHERE position = 1").await;
        refused(&mut conn, &seal(7, 4, all[2].hash)).await;
        refused(&mut conn, &seal(8, 5, all[3].hash)).await;
        refused(&mut conn, &seal(8, 4, all[3].hash)).await;
        refused(&mut conn, &seal(8, 3, all[1].hash)).await;
    }
    let options = SqliteConnectOptions::new().filename(dir.path().join("pointsman.db"));
    let mut conn = options.pragma("trusted_schema", "OFF").connect().await.unwrap();
    assert_eq!(try_(&mut conn, &seal(8, 4, all[2].hash)).await, Ok(1));
    refused(&mut conn, &seal(8, 4, all[2].hash).replace("INSERT", "INSERT OR REPLACE")).await;
    refused(&mut conn, "UPDATE seal SET before = 7").await;
    refused(&mut conn, "DELETE FROM seal").await;
    for which in ["position = 2", "position = 4", "position = 8", "position <= 4", "true"] {
        refused(&mut conn, &format!("DELETE FROM record WHERE {which}")).await;
    }
    refused(&mut conn, "UPDATE record SET at = 1").await;
    assert_eq!(try_(&mut conn, "DELETE FROM record WHERE position <= 2").await, Ok(2));
    assert_eq!(try_(&mut conn, "DELETE FROM record WHERE position = 3").await, Ok(1));
    refused(&mut conn, "DELETE FROM record WHERE position = 4").await;
    let left: Vec<i64> = sqlx::query_scalar("SELECT position FROM record ORDER BY position")
        .fetch_all(&mut conn)
        .await
        .unwrap();
    assert_eq!(left, [4, 5, 6, 7, 8]);
}
