//! Whatever happens to the harness, nothing of it stays.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use lab::net::wait_until;
use lab::{Lab, faults};

/// Every process that has the given text in its command line, its working folder or its environment.
fn processes_of(text: &str) -> BTreeSet<u32> {
    let entries = std::fs::read_dir("/proc").expect("proc").filter_map(|entry| entry.ok());
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let belongs = |pid: &u32| {
        let dir = format!("/proc/{pid}");
        let cmdline = std::fs::read(format!("{dir}/cmdline")).unwrap_or_default();
        let cwd = std::fs::read_link(format!("{dir}/cwd")).unwrap_or_default();
        String::from_utf8_lossy(&cmdline).contains(text) || cwd.to_string_lossy().contains(text)
    };
    pids.filter(|pid| *pid != std::process::id()).filter(belongs).collect()
}

/// The processes below a process, itself excluded.
fn descendants(root: u32) -> BTreeSet<u32> {
    let mut all = BTreeSet::new();
    let mut todo = vec![root];
    while let Some(pid) = todo.pop() {
        let tasks =
            std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().filter_map(|task| task.ok());
        for task in tasks {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            let new =
                children.split_whitespace().filter_map(|pid| pid.parse().ok()).filter(|pid| all.insert(*pid));
            todo.extend(new.collect::<Vec<u32>>());
        }
    }
    all
}

/// The harness that the next test kills; by itself it has nothing to do. Writes its folder's path, then waits to die.
#[tokio::test]
async fn harness_to_be_killed() {
    let Ok(note) = std::env::var("LAB_NOTE") else {
        return;
    };
    let builder = Lab::builder().postgres().apps().hosts().dns().resolver(1).blackbox();
    let lab = builder.start().await.expect("a whole lab");
    let _disk = faults::small_disk(&lab.dir().join("disk"), "1m").await.expect("a disk");
    // A session that is open when the harness dies must go too.
    let _session =
        Command::new("ssh").arg("-F").arg(lab.hosts().ssh_config()).args(["-N", "pg-gra-host"]).spawn();
    tokio::time::sleep(Duration::from_millis(500)).await;
    std::fs::write(&note, lab.dir().display().to_string()).expect("a note");
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn after_sigkill_of_the_harness_no_process_mount_or_folder_is_left() {
    if !faults::root_or_skip("after_sigkill_of_the_harness_no_process_mount_or_folder_is_left") {
        return;
    }
    let notes = tempfile::tempdir().expect("a folder");
    let note = notes.path().join("note");
    let me = std::env::current_exe().expect("our path");
    let mut harness = Command::new(me);
    harness.args(["--exact", "ends::harness_to_be_killed"]).env("LAB_NOTE", &note);
    let mut harness = harness.spawn().expect("a second harness");
    let written = || async { Ok(note.exists()) };
    wait_until("the second harness", Duration::from_secs(40), written).await.expect("a lab");
    let dir = std::fs::read_to_string(&note).expect("a path");
    let below = descendants(harness.id());
    assert!(below.len() > 20, "a whole lab has many processes: {below:?}");
    harness.kill().expect("killed");
    harness.wait().expect("reaped");
    let left = || {
        let alive = |pid: &&u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // An orphan that nobody reaped yet is no process any more.
            stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z"))
        };
        below.iter().filter(alive).copied().chain(processes_of(&dir)).collect::<BTreeSet<u32>>()
    };
    let gone = || async {
        let left = left();
        anyhow::ensure!(left.is_empty(), "still there: {left:?}");
        Ok(true)
    };
    wait_until("every process to be gone", Duration::from_secs(10), gone).await.expect("gone");
    let mounts = std::fs::read_to_string("/proc/mounts").expect("mounts");
    assert!(!mounts.contains(&dir), "a mount was left");
    assert!(!std::path::Path::new(&dir).exists(), "the folder was left");
}
