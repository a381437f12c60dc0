//! Retention by age over real files (decision 0021): what goes, what stays, death at every step, and a journal that verifies
//! before, between and afterwards.

mod book;
mod server;
mod steps;

use book::{Past, now, terms, with_a_past};
use pointsman::kernel::domain::{Digest, RunId, Stream};
use pointsman::kernel::journal::Backend as _;
use pointsman::store::{
    SqliteStore, VerifyReport, backup, check_database, compact, verify, verify_checkpoints, verify_resuming,
};
use pointsman::worker::{CutError, Unhurried, count};
use std::path::Path;
use steps::{STEPS, cutter, killed_after, killed_within, undisturbed};

async fn sound(dir: &Path, when: &str) -> VerifyReport {
    let report = verify(dir, 1..=u64::MAX, |_| {}).await.unwrap();
    assert!(report.ok(), "{when}: {report:?}");
    let signed = verify_checkpoints(dir, None, None).await.unwrap().unwrap();
    assert_eq!(signed.findings, [], "{when}");
    assert_eq!(check_database(dir).await.unwrap().problems, Vec::<String>::new(), "{when}");
    report
}

/// All that a cut must leave, whatever happened on the way.
async fn complete(dir: &Path, past: &Past, when: &str) {
    let report = sound(dir, when).await;
    assert_eq!(report.from, past.before, "{when}");
    assert!(report.cached >= 5, "{when}: runs, alerts, epochs and cursors were compared: {report:?}");
    let store = SqliteStore::open(dir).await.unwrap().store;
    let decided = store.decided().await.unwrap().unwrap();
    assert_eq!((decided.sealed.before, decided.position), (past.before, past.head + 1), "{when}");
    let runs = store.summaries("run:", 100).await.unwrap();
    assert_eq!(runs.len(), 1, "{when}: {runs:?}");
    assert_eq!(store.last_seq(&Stream::Source("silent".into())).await, Ok(1), "{when}");
    assert_eq!(store.epoch(&"blog".into()).await, Ok(9), "{when}");
    assert_eq!(store.read(&Stream::Run(RunId::from("OLD0")), 1).await.unwrap().len(), 0, "{when}");
    let told = store.read(&Stream::Playbook("move".into()), 1).await.unwrap();
    assert_eq!(told.len(), 1, "{when}: which form is in force is told again");
    let text = Digest::of(b"text of a playbook that nobody changed since");
    assert!(store.content(text).await.unwrap().is_some(), "{when}: and its text stays");
    let gone = Digest::of(b"{\"alerts\":\"f 1\"}");
    assert_eq!(store.content(gone).await, Ok(None), "{when}: a delivery that nothing names went");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_old_goes_and_the_rest_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let past = with_a_past(dir.path(), 5).await;
    assert_eq!(sound(dir.path(), "at first").await.checked, past.head);
    let noted = dir.path().join("noted");
    let resumed = verify_resuming(dir.path(), &noted, |_| {}).await.unwrap();
    assert!(resumed.ok() && resumed.checked == past.head);

    let all = cutter(dir.path()).await;
    let cut = count(&all.store, terms(), &Unhurried).await.unwrap();
    assert_eq!((cut.first, cut.before, cut.held.len()), (1, past.before, 0), "{cut:?}");
    all.decide(&cut, None, now(), &Unhurried).await.unwrap().unwrap();
    let again = all.decide(&cut, None, now(), &Unhurried).await;
    assert!(matches!(again, Err(CutError::Stopped(_))), "one is not finished");
    assert_eq!(all.finish(&Unhurried).await.unwrap(), past.before - 1);
    assert_eq!(all.finish(&Unhurried).await.unwrap(), 0, "twice is once");
    all.store.close().await;
    complete(dir.path(), &past, "afterwards").await;

    // The check that was noted ended at a record that is still there.
    let resumed = verify_resuming(dir.path(), &noted, |_| {}).await.unwrap();
    assert!(resumed.ok() && resumed.from == past.head + 1, "{resumed:?}");
    compact(dir.path()).await.unwrap();
    complete(dir.path(), &past, "after a VACUUM").await;
    let copy = dir.path().join("copy");
    backup(dir.path(), &copy).await.unwrap();
    assert!(verify(&copy, 1..=u64::MAX, |_| {}).await.unwrap().ok(), "and a backup of it");

    // Nothing more is old: nothing is decided.
    let all = cutter(dir.path()).await;
    let cut = count(&all.store, terms(), &Unhurried).await.unwrap();
    assert_eq!((cut.goes(), all.decide(&cut, None, now(), &Unhurried).await.unwrap()), (0, None));
    all.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_stopped_at_a_record_that_went_checks_all_that_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let past = with_a_past(dir.path(), 3).await;
    let hashes: Vec<Digest> = {
        let store = SqliteStore::open(dir.path()).await.unwrap().store;
        let all = store.scan(1, 1_000).await.unwrap();
        store.close().await;
        all.iter().map(|entry| entry.hash).collect()
    };
    steps_in_one_go(dir.path()).await;
    for (position, from) in [(past.before - 1, past.before), (3, past.before), (past.before, past.before + 1)]
    {
        let noted = dir.path().join("noted");
        let hash = hashes[usize::try_from(position - 1).unwrap()];
        let claims = serde_json::json!({ "epochs": {}, "unread": {} });
        let state = serde_json::json!({ "position": position, "hash": hash, "claims": claims });
        std::fs::write(&noted, state.to_string()).unwrap();
        let report = verify_resuming(dir.path(), &noted, |_| {}).await.unwrap();
        assert!(report.ok() && report.from == from, "{position}: {report:?}");
        let sealed = report.notes.iter().any(|note| note.contains("was sealed away since"));
        assert_eq!(sealed, position == 3, "{position}: {report:?}");
    }
}

async fn steps_in_one_go(dir: &Path) {
    let all = cutter(dir).await;
    let cut = count(&all.store, terms(), &Unhurried).await.unwrap();
    all.decide(&cut, None, now(), &Unhurried).await.unwrap().unwrap();
    all.finish(&Unhurried).await.unwrap();
    all.store.close().await;
}

/// The journal is sound right after each death, and what was decided is finished by whoever comes next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_each_step_the_next_one_goes_on() {
    for step in STEPS {
        let dir = tempfile::tempdir().unwrap();
        let past = with_a_past(dir.path(), 5).await;
        let path = dir.path().to_owned();
        tokio::task::spawn_blocking(move || killed_after(&path, step)).await.unwrap();
        let report = sound(dir.path(), &format!("killed after {step}")).await;
        assert!(report.checked >= past.head + 2 - past.before, "{step}: {report:?}");
        let next = cutter(dir.path()).await;
        let pending = next.pending().await.unwrap().is_some();
        assert_eq!(pending, step != "gone", "{step}");
        // Somebody writes before it goes on.
        next.finish(&Unhurried).await.unwrap();
        next.store.close().await;
        complete(dir.path(), &past, &format!("killed after {step}, then finished")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_anywhere_nothing_is_half() {
    let clean = tempfile::tempdir().unwrap();
    let past = with_a_past(clean.path(), 300).await;
    let copy = || {
        let dir = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(clean.path()).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
        }
        dir
    };
    let dir = copy();
    let path = dir.path().to_owned();
    let whole = tokio::task::spawn_blocking(move || undisturbed(&path)).await.unwrap();
    let mut killed = 0;
    for eighth in 0..8 {
        let dir = copy();
        let path = dir.path().to_owned();
        let after = whole * eighth / 8;
        killed += u32::from(tokio::task::spawn_blocking(move || killed_within(&path, after)).await.unwrap());
        let when = format!("killed after {after:?}");
        sound(dir.path(), &when).await;
        let next = cutter(dir.path()).await;
        next.finish(&Unhurried).await.unwrap();
        let cut = count(&next.store, terms(), &Unhurried).await.unwrap();
        if next.decide(&cut, None, now(), &Unhurried).await.unwrap().is_some() {
            next.finish(&Unhurried).await.unwrap();
        }
        next.store.close().await;
        complete(dir.path(), &past, &when).await;
    }
    assert!(killed >= 3, "it was over too soon: {killed}, of {whole:?}");
}

/// Records that come while others go: none is lost, and none waits for long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_go_on_while_records_go() {
    let dir = tempfile::tempdir().unwrap();
    let past = with_a_past(dir.path(), 300).await;
    let all = cutter(dir.path()).await;
    let cut = count(&all.store, terms(), &Unhurried).await.unwrap();
    all.decide(&cut, None, now(), &Unhurried).await.unwrap().unwrap();
    let store = all.store.clone();
    let writing = tokio::spawn(async move {
        let mut positions = vec![];
        for n in 0..200 {
            let batch = crate::store::one(1, crate::store::run(&format!("W{}", n % 3)), None, "{}");
            positions.push(store.append(batch).await.unwrap()[0].position);
        }
        positions
    });
    assert_eq!(all.finish(&Unhurried).await.unwrap(), past.before - 1);
    let positions = writing.await.unwrap();
    assert!(positions.is_sorted() && positions.len() == 200);
    let report = verify(dir.path(), 1..=u64::MAX, |_| {}).await.unwrap();
    assert!(report.chain_ok(), "{report:?}");
    all.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_unsigned_nor_from_a_journal_behind_its_head() {
    let dir = tempfile::tempdir().unwrap();
    with_a_past(dir.path(), 3).await;
    let all = cutter(dir.path()).await;
    let cut = count(&all.store, terms(), &Unhurried).await.unwrap();
    all.decide(&cut, None, now(), &Unhurried).await.unwrap().unwrap();
    std::fs::remove_file(dir.path().join("checkpoints.jsonl")).unwrap();
    std::fs::create_dir(dir.path().join("checkpoints.jsonl")).unwrap();
    assert!(all.finish(&Unhurried).await.is_err());
    assert_eq!(all.store.first_position().await, Ok(1), "nothing has gone");
    all.store.close().await;

    let dir = tempfile::tempdir().unwrap();
    let past = with_a_past(dir.path(), 3).await;
    let note = serde_json::json!({ "position": past.head + 7, "hash": Digest::ZERO, "at": 1 });
    std::fs::write(dir.path().join("head"), note.to_string()).unwrap();
    let all = cutter(dir.path()).await;
    let cut = count(&all.store, terms(), &Unhurried).await.unwrap();
    all.decide(&cut, None, now(), &Unhurried).await.unwrap().unwrap();
    assert!(all.finish(&Unhurried).await.is_err(), "the note is the only trace of what was lost");
    assert_eq!(all.store.first_position().await, Ok(1));
    all.store.close().await;
}
