//! The steps of a cut in a process of its own, which kills itself after one of them, or is killed wherever it is.

use super::book::{now, terms};
use crate::store::helper::{another_test, lines};
use pointsman::config::env;
use pointsman::store::{CheckpointFiles, Checkpoints, Opened, SqliteStore};
use pointsman::worker::{Cutter, Unhurried, count};
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

const DIR: &str = "POINTSMAN_TEST_CUT";
const STEP: &str = "POINTSMAN_TEST_CUT_STEP";
const NAME: &str = "retention::steps::cuts_in_a_process_of_its_own";

/// After which it dies.
pub const STEPS: [&str; 7] = ["decided", "head", "signed", "some", "all_but_one", "contents", "gone"];

pub async fn cutter(dir: &Path) -> Cutter {
    let Opened { store, .. } = SqliteStore::open(dir).await.unwrap();
    let checkpoints = Arc::new(Checkpoints::open(dir, &CheckpointFiles::default()).unwrap());
    Cutter { store, checkpoints }
}

fn command(dir: &Path, step: &str) -> Command {
    let mut command = another_test(&[], NAME);
    command.env(DIR, dir).env(STEP, step);
    command
}

/// Ends by SIGKILL, right after this step.
pub fn killed_after(dir: &Path, step: &str) {
    let ended = command(dir, step).status().unwrap();
    assert_eq!(ended.signal(), Some(9), "{step}: {ended}");
}

/// How long it takes once it has begun, when nobody kills it.
pub fn undisturbed(dir: &Path) -> Duration {
    let mut child: Child = command(dir, "").spawn().unwrap();
    let mut said = lines(&mut child);
    assert!(said.any(|line| line == "begun"), "it has not begun");
    let since = tokio::time::Instant::now();
    // It has something to say at its end.
    said.for_each(drop);
    assert!(child.wait().unwrap().success());
    since.elapsed()
}

/// Killed that long after it has begun, or done by then.
pub fn killed_within(dir: &Path, after: Duration) -> bool {
    let mut child: Child = command(dir, "").spawn().unwrap();
    let begun = lines(&mut child).find(|line| line == "begun");
    assert!(begun.is_some(), "it has not begun");
    std::thread::sleep(after);
    let running = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    child.wait().unwrap();
    running
}

#[test]
fn cuts_in_a_process_of_its_own() {
    let Some(dir) = env(DIR).map(PathBuf::from) else { return };
    let step = env(STEP).unwrap_or_default();
    tokio::runtime::Runtime::new().unwrap().block_on(cut(&dir, &step));
}

async fn cut(dir: &Path, until: &str) {
    let cutter = cutter(dir).await;
    let cut = count(&cutter.store, terms(), &Unhurried).await.unwrap();
    let mut out = std::io::stdout();
    writeln!(out, "\nbegun").unwrap();
    out.flush().unwrap();
    let decided = cutter.decide(&cut, None, now(), &Unhurried).await.unwrap().unwrap();
    if until.is_empty() {
        cutter.finish(&Unhurried).await.unwrap();
        cutter.store.close().await;
        return;
    }
    let after = |step: &str| {
        if step == until {
            let me = std::process::id().to_string();
            Command::new("kill").args(["-9", &me]).status().unwrap();
            std::thread::sleep(Duration::from_secs(20));
        }
    };
    after("decided");
    cutter.store.write_head().await.unwrap();
    after("head");
    cutter.sign(&decided).await.unwrap();
    after("signed");
    let before = decided.sealed.before;
    cutter.store.take_away(&decided, before / 2).await.unwrap();
    after("some");
    cutter.take_away(&decided, before - 1, &Unhurried).await.unwrap();
    after("all_but_one");
    cutter.store.take_contents(before).await.unwrap();
    after("contents");
    cutter.take_away(&decided, before, &Unhurried).await.unwrap();
    after("gone");
}
