//! What `audit verify` and the start of the store see when the files were changed behind their back.

use super::{batch, one, part, run, source, with_rows};
use pointsman::kernel::domain::{Delivered, Digest, Record, Stream, Time};
use pointsman::kernel::journal::{Backend, Entry, NewEntry, RawPart, Row};
use pointsman::store::{
    Column, HeadBehind, HeadState, Holder, SqliteStore, VerifyReport, code, create_token, verify,
};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use std::path::Path;

const RAW: &[u8] = b"{\"alerts\":[]}";

fn delivered() -> NewEntry {
    NewEntry::of(&Record::Delivered(Delivered {
        source: "am".into(),
        format: "alertmanager".into(),
        digest: Digest::of(RAW),
        bytes: RAW.len() as u64,
        alerts: 0,
        truncated: 0,
        peer: "127.0.0.1".into(),
        unread: None,
    }))
}

fn clock(says: &str) -> NewEntry {
    NewEntry::of(&Record::Clock { says: says.into(), jump: 0 })
}

fn part_of(stream: Stream, entries: Vec<NewEntry>) -> RawPart {
    RawPart { stream, expect: None, entries, summary: None }
}

/// Nine records in three streams, a raw delivery, and a head file; closed.
async fn journal(dir: &Path) -> Vec<Entry> {
    let store = SqliteStore::open(dir).await.unwrap().store;
    let content = vec![Row::Content { digest: Digest::of(RAW), bytes: RAW.to_vec() }];
    store
        .append(with_rows(batch(10, vec![part_of(source("am"), vec![delivered()])]), content))
        .await
        .unwrap();
    for n in 0..4 {
        let parts = vec![
            part_of(run("A"), vec![clock(&format!("a{n}"))]),
            part_of(Stream::Service("shop".into()), vec![clock("s")]),
        ];
        store.append(batch(20 + n, parts)).await.unwrap();
    }
    store.write_head().await.unwrap();
    let all = store.scan(1, 100).await.unwrap();
    store.close().await;
    assert_eq!(all.len(), 9);
    all
}

async fn connect(dir: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(dir.join("pointsman.db")).connect().await.unwrap()
}

/// False: the database itself refused the change (a unique key, a type).
async fn tamper(dir: &Path, sql: &str) -> bool {
    let mut conn = connect(dir).await;
    for name in ["record_is_append_only_update", "record_is_append_only_delete", "record_has_no_gaps"] {
        sqlx::query(AssertSqlSafe(format!("DROP TRIGGER {name}"))).execute(&mut conn).await.unwrap();
    }
    let changed = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut conn).await;
    conn.close().await.unwrap();
    changed.is_ok_and(|done| done.rows_affected() > 0)
}

async fn verified(dir: &Path) -> VerifyReport {
    verify(dir, 1..=u64::MAX, |_| {}).await.unwrap()
}

fn copy(from: &Path, to: &Path) {
    for file in ["pointsman.db", "pointsman.db-wal", "head"] {
        if from.join(file).exists() {
            std::fs::copy(from.join(file), to.join(file)).unwrap();
        }
    }
}

/// Every way in which one stored column of `e` may flip, with what the report must blame it on.
fn flips(e: &Entry) -> Vec<(Column, String)> {
    let mut flips = vec![];
    let number = |column, name: &str, value: i64, flips: &mut Vec<_>| {
        for bit in [0, 1, 4, 12, 40, 63] {
            flips.push((column, format!("{name} = {}", value ^ (1_i64 << bit))));
        }
    };
    number(Column::Position, "position", e.position.cast_signed(), &mut flips);
    number(Column::Seq, "seq", e.seq.cast_signed(), &mut flips);
    number(Column::At, "at", e.at.0, &mut flips);
    number(Column::Version, "version", i64::from(e.version), &mut flips);
    let bytes = |column, name: &str, value: &[u8], text: bool, flips: &mut Vec<_>| {
        for at in [0, value.len() / 2, value.len() - 1] {
            for bit in [0, 5, 7] {
                let mut value = value.to_vec();
                value[at] ^= 1 << bit;
                let literal = format!("x'{}'", hex::encode(value));
                let cast = if text { format!("CAST({literal} AS TEXT)") } else { literal };
                flips.push((column, format!("{name} = {cast}")));
            }
        }
    };
    bytes(Column::Stream, "stream", e.stream.to_string().as_bytes(), true, &mut flips);
    bytes(Column::Kind, "kind", e.kind.as_bytes(), true, &mut flips);
    bytes(Column::Body, "body", &e.body, false, &mut flips);
    bytes(Column::Hash, "hash", &e.hash.0, false, &mut flips);
    flips
}

#[tokio::test]
async fn a_flip_in_any_column_names_that_record() {
    let clean = tempfile::tempdir().unwrap();
    let all = journal(clean.path()).await;
    let report = verified(clean.path()).await;
    assert!(report.chain_ok() && report.checked == 9, "{report:?}");
    let (mut tried, mut pinned) = (0, 0);
    for e in &all {
        for (column, change) in flips(e) {
            let dir = tempfile::tempdir().unwrap();
            copy(clean.path(), dir.path());
            let sql = format!("UPDATE record SET {change} WHERE position = {}", e.position);
            if !tamper(dir.path(), &sql).await {
                continue;
            }
            tried += 1;
            let report = verified(dir.path()).await;
            assert!(!report.chain_ok(), "{sql}");
            let bad = report.bad.unwrap_or_else(|| panic!("{sql}: only {:?}", report.head_file));
            let named =
                bad.position == e.position || (bad.stream, bad.seq) == (e.stream.to_string(), Some(e.seq));
            assert!(named, "{sql}: names {} and not {}", bad.position, e.position);
            let last_hash = e.position == 9 && column == Column::Hash;
            let honest = bad.column == column || bad.column == Column::Covered;
            // A body that no longer reads is told from other columns; a kind, too, where the body tells it.
            assert!(honest || last_hash || column == Column::Stream, "{sql}: blames {:?}", bad.column);
            pinned += u32::from(bad.column == column);
        }
    }
    assert!(tried > 450, "{tried} of {} flips were possible", all.len() * 60);
    assert!(pinned * 2 > tried, "{pinned} of {tried} were pinned to their column");
}

#[tokio::test]
async fn a_missing_record_is_named_and_so_is_a_missing_delivery() {
    for (sql, position, column) in [
        ("DELETE FROM record WHERE position = 1", 1, Column::Position),
        ("DELETE FROM record WHERE position = 5", 5, Column::Position),
        ("DELETE FROM content", 1, Column::Content),
        ("UPDATE content SET bytes = x'00'", 1, Column::Content),
    ] {
        let dir = tempfile::tempdir().unwrap();
        journal(dir.path()).await;
        assert!(tamper(dir.path(), sql).await);
        let report = verified(dir.path()).await;
        let bad = report.bad.clone().unwrap();
        assert_eq!((bad.position, bad.column), (position, column), "{sql}");
        assert_eq!(bad.error().code, code::BAD_RECORD);
    }
}

#[tokio::test]
async fn a_chain_forged_anew_is_seen_by_the_head_file() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path()).await;
    let forged = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(forged.path()).await.unwrap().store;
    for n in 0..9 {
        store.append(one(n, run("A"), None, "{}")).await.unwrap();
    }
    store.close().await;
    std::fs::copy(forged.path().join("pointsman.db"), dir.path().join("pointsman.db")).unwrap();
    let report = verified(dir.path()).await;
    assert_eq!(report.bad, None, "the forged chain is sound in itself");
    assert!(!report.chain_ok());
    assert!(
        matches!(report.head_file, HeadState::Behind(HeadBehind::Differs { .. })),
        "{:?}",
        report.head_file
    );
    let opened = SqliteStore::open(dir.path()).await.unwrap();
    assert!(matches!(opened.head, HeadState::Behind(HeadBehind::Differs { .. })));
    opened.store.close().await;
}

#[tokio::test]
async fn a_damaged_wal_tail_is_found_through_the_head_file() {
    let live = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(live.path()).await.unwrap().store;
    for n in 0..20 {
        store.append(one(n, run("A"), Some(n.cast_unsigned()), "{}")).await.unwrap();
    }
    store.write_head().await.unwrap();
    // As after a power cut: the files as they lie while the store is open.
    let (whole, torn) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    copy(live.path(), whole.path());
    copy(live.path(), torn.path());
    store.close().await;

    let wal = torn.path().join("pointsman.db-wal");
    let mut bytes = std::fs::read(&wal).unwrap();
    let middle_of_last_frame = bytes.len() - 2_000;
    bytes[middle_of_last_frame] ^= 1;
    std::fs::write(&wal, bytes).unwrap();

    let report = verified(torn.path()).await;
    assert_eq!(report.bad, None, "SQLite drops the tail without a word");
    assert!(!report.chain_ok());
    let HeadState::Behind(behind @ HeadBehind::Lost { .. }) = report.head_file else { panic!("{report:?}") };
    assert_eq!(behind.error().code, code::HEAD_BEHIND);
    let opened = SqliteStore::open(torn.path()).await.unwrap();
    assert_eq!(opened.head, HeadState::Behind(behind.clone()));
    // The note is evidence: it is not overwritten, and a restart sees it again, until a person has accepted.
    opened.store.append(one(99, run("B"), Some(0), "{}")).await.unwrap();
    assert_eq!(opened.store.write_head().await, Err(behind.error()));
    opened.store.close().await;
    let opened = SqliteStore::open(torn.path()).await.unwrap();
    assert!(matches!(opened.head, HeadState::Behind(_)), "{:?}", opened.head);
    opened.store.accept_head().await.unwrap();
    opened.store.write_head().await.unwrap();
    opened.store.close().await;
    assert!(matches!(SqliteStore::open(torn.path()).await.unwrap().head, HeadState::Agrees(_)));

    let opened = SqliteStore::open(whole.path()).await.unwrap();
    assert!(matches!(opened.head, HeadState::Agrees(noted) if noted.position == 20));
    opened.store.close().await;
}

#[tokio::test]
async fn a_head_file_that_cannot_be_read_is_not_taken_for_a_good_one() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(SqliteStore::open(dir.path()).await.unwrap().head, HeadState::NoFile);
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path()).await;
    std::fs::write(dir.path().join("head"), b"{\"position\":").unwrap();
    let opened = SqliteStore::open(dir.path()).await.unwrap();
    assert!(matches!(opened.head, HeadState::Behind(HeadBehind::Unreadable { .. })));
    opened.store.close().await;
    // Gone with everything else: only the note is left.
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path()).await;
    std::fs::remove_file(dir.path().join("pointsman.db")).unwrap();
    let opened = SqliteStore::open(dir.path()).await.unwrap();
    assert!(matches!(opened.head, HeadState::Behind(HeadBehind::Lost { head: 0, .. })), "{:?}", opened.head);
    opened.store.close().await;
}

#[tokio::test]
async fn a_part_of_the_chain_is_verified_on_its_own() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path()).await;
    let mut seen = vec![];
    let report = verify(dir.path(), 4..=7, |p| seen.push((p.at, p.of))).await.unwrap();
    assert!(report.chain_ok(), "{report:?}");
    assert_eq!((report.from, report.to, report.checked), (4, 7, 4));
    assert_eq!(seen.last(), Some(&(7, 7)));
    assert!(tamper(dir.path(), "UPDATE record SET body = x'00' WHERE position = 2").await);
    assert!(
        verify(dir.path(), 4..=9, |_| {}).await.unwrap().chain_ok(),
        "what lies before is taken as true, and noted"
    );
    assert_eq!(verified(dir.path()).await.bad.unwrap().position, 2);
}

#[tokio::test]
async fn the_tables_refuse_to_forget() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path()).await;
    let mut conn = connect(dir.path()).await;
    let replace = "INSERT OR REPLACE INTO record SELECT position, stream, seq, at, kind, version, x'00', hash \
                   FROM record WHERE position = ";
    for sql in [
        "UPDATE record SET body = x'00' WHERE position = 3".to_owned(),
        "DELETE FROM record".to_owned(),
        format!("{replace}3"),
        format!("{replace}9"),
        "INSERT INTO record SELECT 99, stream, 99, at, kind, version, body, hash FROM record WHERE position = 9".into(),
    ] {
        let refused = sqlx::query(AssertSqlSafe(sql.clone())).execute(&mut conn).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{sql}: {refused}");
    }
    conn.close().await.unwrap();
    assert!(verified(dir.path()).await.chain_ok());
}

#[tokio::test]
async fn a_newer_database_is_refused_by_everyone() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path()).await;
    let mut conn = connect(dir.path()).await;
    let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
               VALUES (9999, 'from the future', 1, x'00', 0)";
    sqlx::query(sql).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    let opened = SqliteStore::open(dir.path()).await.err().unwrap();
    assert_eq!(opened.code, code::NEWER, "{opened}");
    assert!(opened.to_string().contains("9999"), "{opened}");
    assert_eq!(verify(dir.path(), 1..=1, |_| {}).await.err().unwrap().code, code::NEWER);
    let admin = Holder::Named { name: "eve".into(), role: pointsman::kernel::domain::Role::Admin };
    let token = create_token(dir.path(), admin, None, Time(1)).await;
    assert_eq!(token.err().unwrap().code, code::NEWER);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pointsman.db");
    std::fs::write(&path, "not a database, but long enough to look like one".repeat(99)).unwrap();
    let before = std::fs::read(&path).unwrap();
    let refused = SqliteStore::open(dir.path()).await.err().unwrap();
    assert_eq!(refused.code, code::OPEN, "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn damage_in_the_file_itself_is_named_or_refused_never_passed_over() {
    let clean = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(clean.path()).await.unwrap().store;
    for n in 0..300_u64 {
        let body = format!("{{\"marker\":\"record-{n:03}\"}}");
        store.append(batch(1, vec![part(run("A"), Some(n), &[&body])])).await.unwrap();
    }
    store.write_head().await.unwrap();
    store.close().await;
    let bytes = std::fs::read(clean.path().join("pointsman.db")).unwrap();
    for n in [0_u64, 17, 150, 299] {
        let marker = format!("record-{n:03}");
        // Also in pages that SQLite has left behind.
        let places: Vec<usize> = (0..bytes.len() - marker.len())
            .filter(|at| bytes[*at..].starts_with(marker.as_bytes()))
            .collect();
        assert!(!places.is_empty());
        let dir = tempfile::tempdir().unwrap();
        copy(clean.path(), dir.path());
        let mut torn = bytes.clone();
        places.iter().for_each(|at| torn[*at] ^= 4);
        std::fs::write(dir.path().join("pointsman.db"), torn).unwrap();
        assert_eq!(verified(dir.path()).await.bad.unwrap().position, n + 1);
    }
    // Whole pages gone: the second half of the file is zeros.
    let dir = tempfile::tempdir().unwrap();
    copy(clean.path(), dir.path());
    let mut torn = bytes.clone();
    torn[bytes.len() / 2..].fill(0);
    std::fs::write(dir.path().join("pointsman.db"), torn).unwrap();
    match verify(dir.path(), 1..=u64::MAX, |_| {}).await {
        Ok(report) => assert!(!report.chain_ok() && report.checked < 300, "{report:?}"),
        Err(error) => assert!([code::UNREADABLE, code::OPEN].contains(&error.code), "{error}"),
    }
}
