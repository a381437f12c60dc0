//! Rows beside the journal: samples, probes and tokens.

use super::{one, run};
use pointsman::kernel::domain::{Lsn, Name, Role, Time};
use pointsman::kernel::journal::Backend;
use pointsman::kernel::port::Sample;
use pointsman::store::{Holder, SAMPLES_KEPT, SqliteStore, create_token, verify};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use std::path::Path;
use std::time::Duration;

fn sample(at: i64) -> Sample {
    Sample {
        at: Time(at),
        primary: Some(Lsn(7)),
        standby: None,
        timeline: Some(3),
        lineage: Some("7312".into()),
    }
}

async fn count(dir: &Path, table: &'static str) -> i64 {
    let options = SqliteConnectOptions::new().filename(dir.join("pointsman.db")).read_only(true);
    let mut conn = options.connect().await.unwrap();
    let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    let count = sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    count
}

#[tokio::test]
async fn samples_are_durable_within_two_seconds_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    store.put_sample(&"pg-sbg".into(), sample(1));
    store.put_probe_seen(&"shop".into(), &"local".into(), Time(5));
    tokio::time::sleep(Duration::from_millis(1_900)).await;
    assert_eq!((count(dir.path(), "sample").await, count(dir.path(), "probe_seen").await), (1, 1));
    store.close().await;
}

#[tokio::test]
async fn samples_are_a_ring_and_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (here, other): (Name, Name) = ("pg-sbg".into(), "pg-gra".into());
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    let kept = i64::from(SAMPLES_KEPT);
    for at in 0..kept + 50 {
        store.put_sample(&here, sample(at));
    }
    store.put_sample(&other, sample(3));
    assert_eq!(store.samples(&here).await.unwrap().len(), SAMPLES_KEPT as usize);
    store.put_sample(&here, sample(kept + 50));
    store.close().await;
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    let found = store.samples(&here).await.unwrap();
    let times: Vec<i64> = found.iter().map(|s| s.at.0).collect();
    assert_eq!(times, (51..=kept + 50).collect::<Vec<_>>());
    assert_eq!(found[0], sample(51), "unknown comes back as unknown");
    assert_eq!(store.samples(&other).await.unwrap(), vec![sample(3)]);
    assert_eq!(store.samples(&"nobody".into()).await.unwrap(), vec![]);
    store.close().await;
}

#[tokio::test]
async fn the_last_time_a_probe_was_up_only_rises() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    let (probe, local, far): (Name, Name, Name) = ("shop".into(), "local".into(), "far".into());
    assert_eq!(store.probe_seen(&probe).await.unwrap(), vec![]);
    store.put_probe_seen(&probe, &local, Time(7));
    store.put_probe_seen(&probe, &local, Time(4));
    store.put_probe_seen(&probe, &far, Time(2));
    assert_eq!(store.probe_seen(&probe).await.unwrap(), [(far.clone(), Time(2)), (local.clone(), Time(7))]);
    store.put_probe_seen(&probe, &local, Time(6));
    assert_eq!(store.probe_seen(&probe).await.unwrap(), [(far, Time(2)), (local, Time(7))]);
    store.close().await;
}

#[tokio::test]
async fn a_token_is_shown_once_kept_as_a_hash_and_revocable() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    let (am, eve): (Name, Name) = ("am".into(), "eve".into());
    let first = store.insert_token(Role::Source, &am, Time(1)).await.unwrap();
    let second = store.insert_token(Role::Source, &am, Time(2)).await.unwrap();
    let lead = store.insert_token(Role::IncidentLead, &eve, Time(3)).await.unwrap();
    assert!(first.expose().starts_with("pm_") && first.expose().len() == 46, "256 bits");
    assert_ne!(first, second);
    let who = store.authenticate(lead.expose(), Time(10)).await.unwrap().unwrap();
    assert_eq!((who.holder.role(), who.holder.name().as_str()), (Some(Role::IncidentLead), "eve"));
    // Rotation: both of a source's tokens work until one is revoked.
    let old = store.authenticate(first.expose(), Time(11)).await.unwrap().unwrap();
    assert!(store.authenticate(second.expose(), Time(11)).await.unwrap().is_some());
    assert!(store.revoke_token(old.hash, Time(12)).await.unwrap());
    assert!(!store.revoke_token(old.hash, Time(13)).await.unwrap(), "once");
    assert_eq!(store.authenticate(first.expose(), Time(14)).await.unwrap(), None);
    assert!(store.authenticate(second.expose(), Time(14)).await.unwrap().is_some());
    for wrong in ["", "pm_", "pm_AAAA", &second.expose()[..45], &format!("{} ", second.expose())] {
        assert_eq!(store.authenticate(wrong, Time(15)).await.unwrap(), None, "{wrong:?}");
    }
    store.flush().await.unwrap();
    let listed = store.tokens().await.unwrap();
    let told: Vec<_> = listed.iter().map(|t| (t.holder.name().as_str(), t.last_used, t.revoked)).collect();
    let at = |t| Some(Time(t));
    assert_eq!(told, [("am", at(11), at(12)), ("am", at(14), None), ("eve", at(10), None)]);
    store.close().await;
    let file = std::fs::read(dir.path().join("pointsman.db")).unwrap();
    for secret in [&first, &second, &lead] {
        let text = secret.expose().as_bytes();
        assert!(!file.windows(text.len()).any(|w| w == text), "the token itself is nowhere in the file");
    }
}

#[tokio::test]
async fn a_token_made_beside_the_server_works_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let before =
        create_token(dir.path(), Holder::Named { name: "eve".into(), role: Role::Admin }, None, Time(1))
            .await
            .unwrap();
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    assert!(store.authenticate(before.expose(), Time(2)).await.unwrap().is_some());
    let beside =
        create_token(dir.path(), Holder::Named { name: "am".into(), role: Role::Source }, None, Time(2))
            .await
            .unwrap();
    let found = store.authenticate(beside.expose(), Time(3)).await.unwrap().unwrap();
    assert_eq!((found.holder.role(), found.holder.name().as_str()), (Some(Role::Source), "am"));
    // Revoked beside us: gone within two seconds.
    let options = SqliteConnectOptions::new().filename(dir.path().join("pointsman.db"));
    let mut guest = options.connect().await.unwrap();
    sqlx::query("UPDATE token SET revoked = 1 WHERE role = 'source'").execute(&mut guest).await.unwrap();
    guest.close().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_900)).await;
    assert_eq!(store.authenticate(beside.expose(), Time(3)).await.unwrap(), None);
    assert!(store.authenticate(before.expose(), Time(3)).await.unwrap().is_some());
    // The server's own writing goes on around it.
    store.append(one(1, run("A"), Some(0), "{}")).await.unwrap();
    let again =
        create_token(dir.path(), Holder::Named { name: "am".into(), role: Role::Source }, None, Time(4))
            .await
            .unwrap();
    store.append(one(1, run("A"), Some(1), "{}")).await.unwrap();
    assert!(store.authenticate(again.expose(), Time(5)).await.unwrap().is_some());
    store.close().await;
    assert!(verify(dir.path(), 1..=u64::MAX, |_| {}).await.unwrap().chain_ok());
}

#[tokio::test]
async fn what_lies_in_the_directory_is_for_our_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let store = SqliteStore::open(&data).await.unwrap().store;
    store.append(one(1, run("A"), Some(0), "{}")).await.unwrap();
    store.write_head().await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let files: Vec<_> = std::fs::read_dir(&data).unwrap().map(|f| f.unwrap().path()).collect();
    assert!(files.len() >= 5, "{files:?}");
    assert!(files.iter().all(|f| mode(f) == 0o600), "{files:?}");
    store.close().await;
}
