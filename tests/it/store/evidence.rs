//! What only a note outside the chain shows: a tail cut off, a journal written anew with hashes that fit. And care of the
//! file: backup, check, a check that goes on.

use super::{one, run};
use pointsman::kernel::domain::{Digest, Time};
use pointsman::kernel::journal::{Backend, ChainLink, Entry, chain_hash};
use pointsman::store::{
    CheckpointFiles, CheckpointReport, Checkpoints, Column, Finding, PublicKey, SqliteStore, backup,
    check_database, code, verify, verify_checkpoints, verify_resuming,
};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use std::path::Path;

/// `records` in three streams, signed at every tenth; closed.
async fn journal(dir: &Path, records: i64) -> Vec<Entry> {
    let store = SqliteStore::open(dir).await.unwrap().store;
    let signer = Checkpoints::open(dir, &CheckpointFiles::default()).unwrap();
    for n in 0..records {
        let body = format!("{{\"clock\":{{\"says\":\"number {n}\",\"jump\":0}}}}");
        store
            .append(one(1_000 + n, run(["A", "B", "C"][usize::try_from(n % 3).unwrap()]), None, &body))
            .await
            .unwrap();
        if n % 10 == 9 {
            signer.write(store.head().await.unwrap()).unwrap();
        }
    }
    signer.write(store.head().await.unwrap()).unwrap();
    store.write_head().await.unwrap();
    let all = store.scan(1, 10_000).await.unwrap();
    store.close().await;
    all
}

async fn connect(dir: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(dir.join("pointsman.db")).connect().await.unwrap()
}

/// With the triggers out of the way, as somebody with the file in hand would do it.
async fn tamper(dir: &Path, statements: &[String]) {
    let mut conn = connect(dir).await;
    for name in ["record_is_append_only_update", "record_is_append_only_delete", "record_has_no_gaps"] {
        sqlx::query(AssertSqlSafe(format!("DROP TRIGGER IF EXISTS {name}")))
            .execute(&mut conn)
            .await
            .unwrap();
    }
    for sql in statements {
        let done = sqlx::query(AssertSqlSafe(sql.clone())).execute(&mut conn).await.unwrap();
        assert!(done.rows_affected() > 0, "{sql}");
    }
    conn.close().await.unwrap();
}

/// The note of the head says what the tamperer wants it to say.
fn fake_head(dir: &Path, position: u64, hash: Digest, at: Time) {
    let note = serde_json::json!({ "position": position, "hash": hash, "at": at });
    std::fs::write(dir.join("head"), note.to_string()).unwrap();
}

async fn signed(dir: &Path) -> CheckpointReport {
    verify_checkpoints(dir, None, None).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_tail_cut_off_with_its_note_is_found_by_the_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let all = journal(dir.path(), 37).await;
    let report = signed(dir.path()).await;
    assert_eq!((report.lines, report.signed_to, report.findings.len()), (4, 37, 0));
    tamper(dir.path(), &["DELETE FROM record WHERE position > 35".to_owned()]).await;
    fake_head(dir.path(), 35, all[34].hash, all[34].at);
    let chain = verify(dir.path(), 1..=u64::MAX, |_| {}).await.unwrap();
    assert!(chain.chain_ok(), "the chain alone cannot tell");
    let report = signed(dir.path()).await;
    assert_eq!(report.findings, [Finding::Cut { line: 4, signed: 37, head: 35 }]);
    assert_eq!(report.findings[0].error().code, code::CUT);
    assert_eq!(report.signed_to, 30);
}

#[tokio::test]
async fn a_journal_written_anew_with_hashes_that_fit_is_found_by_the_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let mut all = journal(dir.path(), 37).await;
    all[14].body = b"{\"clock\":{\"says\":\"nothing happened\",\"jump\":0}}".to_vec();
    let mut prev = Digest::ZERO;
    let mut statements = vec![];
    for e in &mut all {
        let (stream, kind) = (e.stream.to_string(), e.kind.clone());
        let (position, seq, at, version) = (e.position, e.seq, e.at, e.version);
        e.hash = chain_hash(&ChainLink {
            prev,
            position,
            stream: stream.as_bytes(),
            seq,
            at,
            kind: kind.as_bytes(),
            version,
            body: &e.body,
        });
        prev = e.hash;
        let (body, hash) = (hex::encode(&e.body), hex::encode(e.hash.0));
        statements.push(format!(
            "UPDATE record SET body = x'{body}', hash = x'{hash}' WHERE position = {position}"
        ));
    }
    tamper(dir.path(), &statements).await;
    fake_head(dir.path(), 37, prev, all[36].at);
    let chain = verify(dir.path(), 1..=u64::MAX, |_| {}).await.unwrap();
    assert!(chain.chain_ok(), "the chain alone cannot tell: {:?}", chain.bad);
    let report = signed(dir.path()).await;
    let lines: Vec<u64> = report
        .findings
        .iter()
        .map(|f| if let Finding::Rewritten { line, .. } = f { *line } else { panic!("{f:?}") })
        .collect();
    assert_eq!(
        (lines, report.signed_to),
        (vec![2, 3, 4], 10),
        "what was signed before the change still holds"
    );
    assert_eq!(report.findings[0].error().code, code::REWRITTEN);
}

#[tokio::test]
async fn rows_deleted_swapped_or_moved_are_named() {
    let swap = |column: &str| {
        vec![
            format!("CREATE TABLE other AS SELECT {column} AS v FROM record WHERE position = 12"),
            format!(
                "UPDATE record SET {column} = (SELECT {column} FROM record WHERE position = 15) WHERE position = 12"
            ),
            format!("UPDATE record SET {column} = (SELECT v FROM other) WHERE position = 15"),
        ]
    };
    let cases = [
        (vec!["DELETE FROM record WHERE position = 20".to_owned()], 20, Some(Column::Position)),
        (swap("body"), 12, None),
        (swap("at"), 12, None),
        (
            vec![
                "UPDATE record SET position = 1000 WHERE position = 12".to_owned(),
                "UPDATE record SET position = 12 WHERE position = 13".to_owned(),
                "UPDATE record SET position = 13 WHERE position = 1000".to_owned(),
            ],
            12,
            None,
        ),
    ];
    for (statements, position, column) in cases {
        let dir = tempfile::tempdir().unwrap();
        journal(dir.path(), 37).await;
        // A table made for the swap changes no row.
        let (make, change): (Vec<String>, Vec<String>) =
            statements.iter().cloned().partition(|sql| sql.starts_with("CREATE"));
        let mut conn = connect(dir.path()).await;
        for sql in make {
            sqlx::query(AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
        }
        conn.close().await.unwrap();
        tamper(dir.path(), &change).await;
        let report = verify(dir.path(), 1..=u64::MAX, |_| {}).await.unwrap();
        let bad = report.bad.unwrap_or_else(|| panic!("{statements:?}"));
        assert_eq!(bad.position, position, "{statements:?}: {bad:?}");
        assert!(column.is_none_or(|column| column == bad.column), "{bad:?}");
    }
}

/// Whoever puts a row between others has to move the others; one with a hash that fits breaks the next one.
#[tokio::test]
async fn rows_that_nobody_wrote_are_named() {
    let room =
        ["position = position + 1000 WHERE position > 20", "position = position - 999 WHERE position > 1000"]
            .map(|change| format!("UPDATE record SET {change}"));
    let copy = |at: u64, hash: &str, of: u64| {
        format!(
            "INSERT INTO record SELECT {at}, 'run:D', 1, at, kind, version, body, {hash} FROM record WHERE position = {of}"
        )
    };
    let cases = [(38, false), (21, false), (21, true)];
    for (at, fits) in cases {
        let dir = tempfile::tempdir().unwrap();
        let all = journal(dir.path(), 37).await;
        let before = &all[usize::try_from(at).unwrap() - 2];
        let hash = chain_hash(&ChainLink {
            prev: before.hash,
            position: at,
            stream: b"run:D",
            seq: 1,
            at: before.at,
            kind: before.kind.as_bytes(),
            version: before.version,
            body: &before.body,
        });
        let hash = if fits { format!("x'{}'", hex::encode(hash.0)) } else { "hash".to_owned() };
        let row = copy(at, &hash, at - 1);
        let statements = if at == 38 { vec![row] } else { [room.to_vec(), vec![row]].concat() };
        tamper(dir.path(), &statements).await;
        let report = verify(dir.path(), 1..=u64::MAX, |_| {}).await.unwrap();
        let bad = report.bad.unwrap_or_else(|| panic!("{statements:?}"));
        assert_eq!(bad.position, at + u64::from(fits), "{statements:?}: {bad:?}");
    }
}

#[tokio::test]
async fn lines_changed_left_out_or_signed_by_another_key_prove_nothing() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 37).await;
    let path = dir.path().join("checkpoints.jsonl");
    let good = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let with = async |text: String| {
        std::fs::write(&path, text).unwrap();
        signed(dir.path()).await
    };
    let left_out = with(format!("{}\n{}\n{}\n", lines[0], lines[2], lines[3])).await;
    assert!(
        matches!(&left_out.findings[..], [Finding::Line { line: 2, says }] if says.contains("follows")),
        "{left_out:?}"
    );
    let moved = with(good.replace("\"position\":20", "\"position\":21")).await;
    assert!(
        matches!(&moved.findings[..], [Finding::Line { line: 2, says }, ..] if says.contains("signature")),
        "{moved:?}"
    );
    // A power cut tears a line; the next start goes on after the last good one, and what was signed still holds.
    std::fs::write(&path, &good[..good.len() - 40]).unwrap();
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    let signer = Checkpoints::open(dir.path(), &CheckpointFiles::default()).unwrap();
    signer.write(store.head().await.unwrap()).unwrap().unwrap();
    assert_eq!(signer.write(store.head().await.unwrap()).unwrap(), None, "one line for one head");
    store.close().await;
    let torn = signed(dir.path()).await;
    assert!(matches!(&torn.findings[..], [Finding::Line { line: 4, .. }]), "{torn:?}");
    assert_eq!(torn.signed_to, 37);
    // Whoever has no key can only sign with another one.
    std::fs::write(&path, &good).unwrap();
    let other = tempfile::tempdir().unwrap();
    journal(other.path(), 3).await;
    let theirs = other.path().join("checkpoint.pub");
    let report = verify_checkpoints(dir.path(), None, Some(&theirs)).await.unwrap().unwrap();
    assert_eq!((report.findings.len(), report.signed_to), (4, 0));
    assert_ne!(PublicKey::read(&theirs).unwrap().id(), report.findings.len().to_string());
    assert!(verify_checkpoints(dir.path(), None, Some(&path)).await.is_err(), "that is no key");
}

#[tokio::test]
async fn the_key_is_private_and_other_programs_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 3).await;
    let mode = std::fs::metadata(dir.path().join("checkpoint.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read(dir.path().join("checkpoint.key")).unwrap();
    let again = Checkpoints::open(dir.path(), &CheckpointFiles::default()).unwrap();
    assert_eq!(std::fs::read(dir.path().join("checkpoint.key")).unwrap(), before, "it is made once");
    assert_eq!(PublicKey::read(&dir.path().join("checkpoint.pub")).unwrap(), again.public());
    std::fs::write(dir.path().join("checkpoint.key"), "no key").unwrap();
    assert_eq!(
        Checkpoints::open(dir.path(), &CheckpointFiles::default()).err().unwrap().code,
        code::CHECKPOINT_FILE
    );
}

#[tokio::test]
async fn a_check_goes_on_where_it_was_and_finds_what_comes_after() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = state.path().join("state");
    journal(dir.path(), 37).await;
    assert_eq!(verify_resuming(dir.path(), &file, |_| {}).await.unwrap().checked, 37);
    let again = verify_resuming(dir.path(), &file, |_| {}).await.unwrap();
    assert!(again.chain_ok() && again.checked == 0, "{again:?}");
    assert!(again.notes.iter().any(|n| n.contains("positions 1 to 37 were checked before")), "{again:?}");
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    store.append(one(5_000, run("A"), None, "{}")).await.unwrap();
    store.close().await;
    assert_eq!(verify_resuming(dir.path(), &file, |_| {}).await.unwrap().checked, 1);
    tamper(dir.path(), &["UPDATE record SET body = x'00' WHERE position = 38".to_owned()]).await;
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap().replace("38", "36")).unwrap();
    let report = verify_resuming(dir.path(), &file, |_| {}).await.unwrap();
    assert_eq!(report.bad.unwrap().position, 38, "a note that does not fit means from the beginning");
    assert!(report.notes.iter().any(|n| n.contains("from the beginning")), "{:?}", report.notes);
    std::fs::write(&file, "{").unwrap();
    assert_eq!(verify_resuming(dir.path(), &file, |_| {}).await.err().unwrap().code, code::RESUME_STATE);
}

#[tokio::test]
async fn a_backup_taken_while_records_arrive_verifies() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let to = to.path().join("copy");
    journal(dir.path(), 37).await;
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    let writing = async {
        for n in 0..200 {
            store.append(one(9_000 + n, run("A"), None, "{}")).await.unwrap();
        }
    };
    let (_, position) = tokio::join!(writing, backup(dir.path(), &to));
    let position = position.unwrap();
    store.close().await;
    assert!(position >= 37);
    let report = verify(&to, 1..=u64::MAX, |_| {}).await.unwrap();
    assert!(report.chain_ok() && report.checked == position, "{report:?}");
    assert!(check_database(&to).await.unwrap().problems.is_empty());
    let opened = SqliteStore::open(&to).await.unwrap();
    opened.store.append(one(99_000, run("A"), None, "{}")).await.unwrap();
    opened.store.close().await;
    let again = backup(dir.path(), &to).await.err().unwrap();
    assert_eq!(again.code, code::BACKUP, "a journal is never written over");
}

#[tokio::test]
async fn a_damaged_page_of_an_index_is_found() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 400).await;
    assert!(check_database(dir.path()).await.unwrap().problems.is_empty());
    let mut conn = connect(dir.path()).await;
    let sql = "SELECT rootpage FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'record'";
    let page: i64 = sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap();
    let size: i64 = sqlx::query_scalar("PRAGMA page_size").fetch_one(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    let path = dir.path().join("pointsman.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let start = usize::try_from((page - 1) * size).unwrap();
    // Cells of the page, not its head: SQLite reads it and finds other entries than the table has.
    let end = start + usize::try_from(size).unwrap();
    bytes[end - 400..end].iter_mut().for_each(|b| *b ^= 0x15);
    std::fs::write(&path, bytes).unwrap();
    let check = check_database(dir.path()).await.unwrap();
    let error = check.error(dir.path()).unwrap();
    assert_eq!(error.code, code::DAMAGED, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_head_is_noted_by_many_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    let mut noting = tokio::task::JoinSet::new();
    for n in 0..200 {
        store.append(one(n, run("A"), None, "{}")).await.unwrap();
        let store = store.clone();
        noting.spawn(async move { store.write_head().await });
    }
    while let Some(noted) = noting.join_next().await {
        noted.unwrap().unwrap();
    }
    let note: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("head")).unwrap()).unwrap();
    assert_eq!(note["position"], 200, "never an older one over a newer one");
    store.close().await;
}
