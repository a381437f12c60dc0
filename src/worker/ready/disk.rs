//! Whether there is room for the journal: a step is recorded before it is done, so a full disk stops a failover in the
//! middle. Asked for by `look`, for every playbook alike.

use super::board::Found;
use crate::kernel::domain::{Finding, Grade};
use crate::units::show_bytes;
use crate::worker::App;
use rustix::fs::{StatVfsMountFlags, statvfs};
use std::path::Path;
use std::time::Duration;

/// Whatever else fills the disk goes on filling it: people should have days.
const LITTLE: u64 = 1 << 30;
/// Many nights' runs, and a copy of a usual journal while it is made smaller.
const TOO_LITTLE: u64 = 256 << 20;
/// SQLite's write-ahead log, the head file and the index are made anew now and then.
const FEW_FILES: u64 = 64;
/// A network file system that is away answers never.
const ASK: Duration = Duration::from_secs(5);

/// What the file system says of itself.
#[derive(Clone, Copy, Debug)]
struct Room {
    /// For programs that are not root: the rest is kept back on purpose.
    free: u64,
    whole: u64,
    /// Files that can still be made; none: it does not count them.
    files: Option<u64>,
    read_only: bool,
}

pub(super) async fn look(app: &App) -> Found {
    let dir = app.store.dir().to_owned();
    let asked = tokio::task::spawn_blocking(move || room(&dir));
    let finding = match tokio::time::timeout(ASK, asked).await {
        Ok(Ok(Ok(room))) => judged(app.store.dir(), room),
        Ok(Ok(Err(error))) => unknown(app.store.dir(), &error.to_string()),
        Ok(Err(error)) => unknown(app.store.dir(), &error.to_string()),
        Err(_) => unknown(app.store.dir(), &format!("no answer within {} s", ASK.as_secs())),
    };
    Found { about: "the data directory".into(), target: String::new(), at: app.world.now(), finding }
}

fn room(dir: &Path) -> std::io::Result<Room> {
    let says = statvfs(dir)?;
    Ok(Room {
        free: says.f_bavail.saturating_mul(says.f_frsize),
        whole: says.f_blocks.saturating_mul(says.f_frsize),
        files: (says.f_files > 0).then_some(says.f_favail),
        read_only: says.f_flag.contains(StatVfsMountFlags::RDONLY),
    })
}

fn judged(dir: &Path, room: Room) -> Finding {
    let dir = dir.display();
    let finding = |grade, says: String, fix| Finding::of(grade, "PM5810", says, fix);
    let bytes = format!("{} of {} free at {dir}", show_bytes(room.free), show_bytes(room.whole));
    if room.read_only {
        let says = format!("the file system of {dir} is only readable: nothing can be recorded");
        return finding(Grade::Bad, says, "see the kernel's log; mount it writable again");
    }
    if let Some(files) = room.files.filter(|files| *files < FEW_FILES) {
        let says = format!("only {files} files can still be made at {dir}");
        return finding(Grade::Bad, says, "delete files that other programs left on that file system");
    }
    match room.free {
        free if free < TOO_LITTLE => {
            let says = format!("{bytes}, at least {} are wanted", show_bytes(TOO_LITTLE));
            finding(Grade::Bad, says, "make room on that file system; `pointsman explain PM5810`")
        }
        free if free < LITTLE => {
            let says = format!("{bytes}, below {}", show_bytes(LITTLE));
            finding(Grade::Warn, says, "make room on that file system, before it fills")
        }
        _ => Finding::ok(format!("room for the journal: {bytes}")),
    }
}

fn unknown(dir: &Path, why: &str) -> Finding {
    let says = format!("how much room is left at {} is not known: {why}", dir.display());
    Finding::of(Grade::Unknown, "PM5810", says, "see that the file system of the data directory answers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_is_told_and_too_little_is_not_ready() {
        let well = Room { free: 20 << 30, whole: 250 << 30, files: Some(1_000_000), read_only: false };
        let cases = [
            (well, Grade::Ok),
            (Room { free: LITTLE, ..well }, Grade::Ok),
            (Room { free: LITTLE - 1, ..well }, Grade::Warn),
            (Room { free: TOO_LITTLE, ..well }, Grade::Warn),
            (Room { free: TOO_LITTLE - 1, ..well }, Grade::Bad),
            (Room { free: 0, ..well }, Grade::Bad),
            (Room { files: None, ..well }, Grade::Ok),
            (Room { files: Some(FEW_FILES), ..well }, Grade::Ok),
            (Room { files: Some(FEW_FILES - 1), ..well }, Grade::Bad),
            (Room { read_only: true, ..well }, Grade::Bad),
        ];
        for (room, grade) in cases {
            let finding = judged(Path::new("/data"), room);
            assert_eq!(finding.grade, grade, "{room:?}: {}", finding.says);
            assert!(finding.says.contains("/data"), "{}", finding.says);
            assert_eq!(finding.code.is_empty() && finding.fix.is_empty(), grade == Grade::Ok, "{finding:?}");
        }
        assert!(unknown(Path::new("/data"), "it is gone").grade.stops());
    }

    #[test]
    fn a_real_directory_is_asked_and_one_that_is_gone_is_not_known() {
        let dir = tempfile::tempdir().unwrap();
        let seen = room(dir.path()).unwrap();
        assert!(seen.whole > 0 && seen.free <= seen.whole && !seen.read_only, "{seen:?}");
        // Nobody has ever been able to write there.
        assert!(room(Path::new("/sys")).is_ok_and(|seen| seen.free == 0), "a file system without room");
        assert!(room(&dir.path().join("gone")).is_err());
    }
}
