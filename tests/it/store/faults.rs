//! What a real disk and a real kernel do to the store: killed, full, read-only, failing to sync. Tests that need root
//! or strace say so and stop where these are missing.

use super::helper::{Told, command, lines};
use super::{one, run};
use pointsman::kernel::domain::Role;
use pointsman::kernel::journal::{AppendError, Backend};
use pointsman::store::{HeadState, Holder, SqliteStore, code, create_token, verify};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A mount that goes away with its test.
pub struct Mount(PathBuf);

impl Mount {
    pub fn new(args: &[&str], at: &Path) -> Option<Mount> {
        let done = Command::new("mount").args(args).arg(at).output().ok()?;
        if done.status.success() {
            return Some(Mount(at.to_owned()));
        }
        println!(
            "SKIPPED: mount {args:?}: {} (root is needed)",
            String::from_utf8_lossy(&done.stderr).trim()
        );
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Every acknowledged append is there as it was; no refused one is.
async fn holds(dir: &Path, told: &Told) {
    let opened = SqliteStore::open(dir).await.unwrap();
    let all = opened.store.scan(1, u32::MAX).await.unwrap();
    for (position, (stream, body)) in &told.kept {
        let stored = &all[usize::try_from(*position).unwrap() - 1];
        assert_eq!((stored.stream.to_string(), stored.body.as_slice()), (stream.clone(), body.as_bytes()));
    }
    for body in &told.refused {
        assert!(
            !all.iter().any(|e| e.body == body.as_bytes()),
            "{body} was said to be not kept, and is there"
        );
    }
    opened.store.close().await;
    let report = verify(dir, 1..=u64::MAX, |_| {}).await.unwrap();
    assert!(report.chain_ok(), "{:?}", report.bad);
    assert_eq!(report.checked, all.len() as u64);
}

#[tokio::test]
async fn killed_in_the_middle_of_appends_it_keeps_all_that_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut told = Told::default();
    for kill_after in [1, 40, 150, 333, 700] {
        let mut child = command(&[], dir.path(), 8, 1_000_000).spawn().unwrap();
        let mut seen = 0;
        let before = told.kept.len();
        for line in lines(&mut child) {
            told.line(&line);
            seen += u32::from(line.starts_with("kept"));
            if seen == kill_after {
                child.kill().unwrap();
            }
        }
        assert!(!child.wait().unwrap().success(), "it ended by the kill");
        assert!(told.kept.len() - before >= kill_after as usize);
        holds(dir.path(), &told).await;
    }
    assert_eq!((told.refused.len(), told.doubted.len()), (0, 0));
}

#[tokio::test]
async fn a_second_process_is_refused_and_told_by_whom() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = command(&[], dir.path(), 1, 1_000_000).spawn().unwrap();
    let mut lines = lines(&mut child);
    assert!(lines.any(|line| line == "open"));
    let refused = SqliteStore::open(dir.path()).await.err().unwrap();
    assert_eq!(refused.code, code::IN_USE);
    let text = refused.to_string();
    for wanted in [&format!("process {}", child.id()), "PM2001", "state:", "do:", "pointsman explain"] {
        assert!(text.contains(wanted), "{text}");
    }
    // Beside the running server: a token is made, and the journal is verified.
    create_token(
        dir.path(),
        Holder::Named { name: "eve".into(), role: Role::Viewer },
        None,
        pointsman::kernel::domain::Time(1),
    )
    .await
    .unwrap();
    let report = verify(dir.path(), 1..=u64::MAX, |_| {}).await.unwrap();
    assert!(report.chain_ok(), "{report:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    SqliteStore::open(dir.path()).await.unwrap().store.close().await;
    // Also within one process, and free again after close.
    let first = SqliteStore::open(dir.path()).await.unwrap().store;
    assert_eq!(SqliteStore::open(dir.path()).await.err().unwrap().code, code::IN_USE);
    first.close().await;
    SqliteStore::open(dir.path()).await.unwrap().store.close().await;
}

#[tokio::test]
async fn a_full_disk_refuses_keeps_nothing_by_half_and_recovers_alone() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mount) = Mount::new(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"], dir.path()) else { return };
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    let body = "x".repeat(64 << 10);
    let mut kept = 0;
    let full = loop {
        match store.append(one(1, run("A"), Some(kept), &body)).await {
            Ok(_) => kept += 1,
            Err(e) => break e,
        }
        assert!(kept < 100, "a disk of 1 MiB took {kept} bodies of 64 KiB");
    };
    assert!(matches!(full, AppendError::Full(_)), "{full:?}");
    assert!(kept > 0);
    // Several at once, still full: each is told, none is kept.
    let tries = (0..5).map(|n| store.append(one(1, run(&format!("B{n}")), Some(0), &body)));
    for end in futures_util::future::join_all(tries).await {
        assert!(matches!(end, Err(AppendError::Full(_))), "{end:?}");
    }
    assert_eq!(store.head().await.unwrap().position, kept, "reading goes on");
    let more = Command::new("mount").args(["-o", "remount,size=64m"]).arg(dir.path()).status().unwrap();
    assert!(more.success());
    store.append(one(2, run("A"), Some(kept), &body)).await.unwrap();
    store.write_head().await.unwrap();
    store.close().await;
    let report = verify(dir.path(), 1..=u64::MAX, |_| {}).await.unwrap();
    assert!(report.chain_ok() && report.checked == kept + 1, "{report:?}");
}

#[tokio::test]
async fn a_read_only_directory_refuses_clearly_and_can_still_be_verified() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let store = SqliteStore::open(&data).await.unwrap().store;
    store.append(one(1, run("A"), Some(0), "1")).await.unwrap();
    store.write_head().await.unwrap();
    store.close().await;
    let Some(mount) = Mount::new(&["--bind", data.to_str().unwrap()], &data) else { return };
    let read_only = Command::new("mount").args(["-o", "remount,bind,ro"]).arg(&data).status().unwrap();
    assert!(read_only.success());
    let refused = SqliteStore::open(&data).await.err().unwrap();
    assert_eq!(refused.code, code::DIRECTORY, "{refused}");
    assert!(refused.to_string().contains("Read-only file system"), "{refused}");
    let now = pointsman::kernel::domain::Time(1);
    let refused = create_token(&data, Holder::Named { name: "eve".into(), role: Role::Viewer }, None, now)
        .await
        .err()
        .unwrap();
    assert!([code::TOKEN, code::OPEN].contains(&refused.code), "{refused}");
    let empty = tempfile::tempdir().unwrap();
    let report = verify(&data, 1..=u64::MAX, |_| {}).await.unwrap();
    assert!(report.chain_ok() && report.checked == 1, "{report:?}");
    let nothing = verify(empty.path(), 1..=u64::MAX, |_| {}).await.err().unwrap();
    assert_eq!(nothing.code, code::NO_DATABASE);
    drop(mount);
    let opened = SqliteStore::open(&data).await.unwrap();
    assert!(matches!(opened.head, HeadState::Agrees(noted) if noted.position == 1));
    opened.store.close().await;
}

/// Runs the helper with failing syncs. strace counts them for each thread, and each connection has its own: with
/// `5` the fifth sync of every connection fails. None: no strace, or no right to trace.
fn with_failing_sync(dir: &Path, when: &str, writers: u32, appends: u32) -> Option<Told> {
    let inject = format!("inject=fsync,fdatasync:error=EIO:when={when}");
    let strace = ["strace", "-f", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", &inject];
    let mut child = match command(&strace, dir, writers, appends).spawn() {
        Ok(child) => child,
        Err(e) => {
            println!("SKIPPED: strace: {e}");
            return None;
        }
    };
    let mut told = Told::default();
    let mut opened = false;
    for line in lines(&mut child) {
        opened |= line == "open";
        told.line(&line);
    }
    child.wait().unwrap();
    if !opened {
        println!("SKIPPED: strace could not trace the process");
        return None;
    }
    Some(told)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_is_settled_by_looking_never_by_trying_again() {
    for (when, writers) in [("4", 1), ("5", 4), ("9", 1)] {
        let dir = tempfile::tempdir().unwrap();
        SqliteStore::open(dir.path()).await.unwrap().store.close().await;
        let Some(told) = with_failing_sync(dir.path(), when, writers, 40) else { return };
        let answers = told.kept.len() + told.refused.len() + told.doubted.len();
        assert_eq!(answers, 40 * writers as usize, "everyone was answered");
        println!(
            "sync {when}: {} kept, {:?} refused, {:?} in doubt",
            told.kept.len(),
            told.refused,
            told.doubted
        );
        assert!(told.kept.len() >= 20, "it goes on after a failure");
        holds(dir.path(), &told).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_never_syncs_again_gets_no_acknowledgement() {
    let dir = tempfile::tempdir().unwrap();
    SqliteStore::open(dir.path()).await.unwrap().store.close().await;
    let Some(told) = with_failing_sync(dir.path(), "1+", 1, 30) else { return };
    assert!(told.kept.is_empty(), "{told:?}");
    assert_eq!(told.doubted.len() + told.refused.len(), 30, "{told:?}");
    holds(dir.path(), &told).await;
}

/// A killed writer's WAL, kept alive by a reader, needs one sync for a commit and two for settling a doubt: where the
/// second sync of every connection fails, a commit fails and its doubt cannot be settled.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_settled_is_doubt_and_nothing_is_written_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = command(&[], dir.path(), 1, 1_000_000).spawn().unwrap();
    let mut before = Told::default();
    let mut reader = None;
    for line in lines(&mut child) {
        before.line(&line);
        if reader.is_none() && !before.kept.is_empty() {
            let file = dir.path().join("pointsman.db");
            let mut conn =
                SqliteConnectOptions::new().filename(file).read_only(true).connect().await.unwrap();
            sqlx::query("SELECT count(*) FROM record").fetch_one(&mut conn).await.unwrap();
            reader = Some(conn);
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    let Some(told) = with_failing_sync(dir.path(), "2+", 1, 30) else { return };
    assert_eq!(told.doubted.len(), 1, "{told:?}");
    assert_eq!(told.kept.len() + told.refused.len(), 29, "{told:?}");
    assert!(told.refused.len() > 20, "{told:?}");
    reader.unwrap().close().await.unwrap();
    holds(dir.path(), &before).await;
    holds(dir.path(), &told).await;
}

#[tokio::test]
async fn closed_means_closed() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    let waiting = store.append(one(1, run("A"), Some(0), "1"));
    let (written, ()) = tokio::join!(waiting, store.close());
    assert!(written.is_ok(), "what waited before the close is finished");
    let after = tokio::time::timeout(Duration::from_secs(5), store.append(one(1, run("A"), None, "2"))).await;
    assert!(matches!(after, Ok(Err(AppendError::Unavailable(_)))), "{after:?}");
    let wal = std::fs::metadata(dir.path().join("pointsman.db-wal")).map_or(0, |m| m.len());
    assert_eq!(wal, 0, "after a clean close all is in one file");
}
