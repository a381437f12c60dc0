//! One process per data directory. `serve` and `run --local` hold this lock for as long as they live; the kernel
//! frees it when the process dies, however it dies.

use super::{StoreError, code};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

const FILE: &str = "lock";

/// Held until dropped.
#[derive(Debug)]
pub struct DirLock {
    file: File,
}

impl Drop for DirLock {
    /// Closing the file alone would not do: a child that is just being started still shares it for a moment.
    fn drop(&mut self) {
        // Fails only where there is no lock to free.
        let _ = self.file.unlock();
    }
}

impl DirLock {
    /// Makes the directory if it is not there, for our user alone.
    pub fn take(dir: &Path) -> Result<DirLock, StoreError> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|e| StoreError::directory(dir, "create", &e))?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(dir.join(FILE))
            .map_err(|e| StoreError::directory(dir, "lock", &e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(dir, &mut file)),
            Err(TryLockError::Error(e)) => return Err(StoreError::directory(dir, "lock", &e)),
        }
        note_pid(&mut file).map_err(|e| StoreError::directory(dir, "write into", &e))?;
        Ok(DirLock { file })
    }
}

/// The number is for people only; the lock itself is what counts.
fn note_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

fn in_use(dir: &Path, file: &mut File) -> StoreError {
    let mut text = String::new();
    let pid = match file.take(32).read_to_string(&mut text).map(|_| text.trim().parse::<u32>()) {
        Ok(Ok(pid)) => format!("process {pid}"),
        Ok(Err(_)) | Err(_) => "another process (it has not written its number yet)".to_owned(),
    };
    StoreError::new(
        code::IN_USE,
        format!("the data directory {} is in use by {pid}", dir.display()),
        "this process started nothing and changed nothing; the other one goes on",
        "talk to the running server, or stop it and wait until it has ended, or use another directory with --data; \
         never delete the lock file: the lock ends with its process",
    )
}
