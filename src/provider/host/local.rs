//! This machine: commands from the configured table, files replaced whole. Blocking file work runs beside the loop.

use super::child::{self, Ended};
use super::port::{FileRead, FileWritten, Host, MAX_FILE, Ran};
use crate::kernel::domain::Digest;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

pub async fn run(host: &Host, name: &str, within: Duration) -> Ran {
    let Some((program, arguments)) =
        host.target.commands.get(&name.into()).and_then(|argv| argv.split_first())
    else {
        let says = format!("host {} has no command {name:?}", host.name);
        return Ran::NotStarted { layer: "configuration", says };
    };
    let mut command = Command::new(program);
    // Our environment may hold credentials: a command gets none of it but what finds programs.
    command.args(arguments).env_clear();
    for name in ["PATH", "HOME", "LANG"] {
        if let Some(value) = crate::config::env(name) {
            command.env(name, value);
        }
    }
    match child::run(command, within).await {
        Ended::NotStarted(says) => Ran::NotStarted { layer: "local", says: format!("{program}: {says}") },
        Ended::Late => Ran::Unknown { says: format!("no end within {within:?}; it was killed") },
        Ended::Exit { status, tail } => match status.code() {
            Some(code) => Ran::Exit { code, tail },
            None => Ran::Unknown { says: format!("it died: {status}") },
        },
    }
}

pub fn read(path: &str) -> FileRead {
    match read_regular(Path::new(path)) {
        Ok(text) => FileRead::Text(text),
        Err(e) if e.kind() == io::ErrorKind::NotFound => FileRead::Missing,
        Err(e) => FileRead::Unusable { says: format!("{path}: {e}") },
    }
}

fn read_regular(path: &Path) -> io::Result<String> {
    // Asked before opening: opening a pipe would wait for its writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let file = File::open(path)?;
    let mut bytes = vec![];
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_FILE {
        return Err(io::Error::other(format!("it is larger than {MAX_FILE} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8 text"))
}

/// Replaces the file behind `path` (a link stays a link) by a new one that was flushed before it got the name.
pub fn write(path: &str, expected: Digest, text: &str) -> FileWritten {
    let real = match fs::canonicalize(path) {
        Ok(real) => real,
        Err(e) => return FileWritten::Refused { retry: false, says: format!("{path}: {e}") },
    };
    let temporary = match prepare(&real, text) {
        Ok(temporary) => temporary,
        Err(e) => return FileWritten::Refused { retry: false, says: format!("beside {path}: {e}") },
    };
    let written = replace(&real, &temporary, expected);
    if !matches!(written, FileWritten::Done { .. } | FileWritten::Unknown { .. }) {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn prepare(real: &Path, text: &str) -> io::Result<PathBuf> {
    let old = fs::metadata(real)?;
    let name = real.file_name().ok_or_else(|| io::Error::other("it has no name"))?.to_string_lossy();
    let (mut file, temporary) = temporary_beside(real, &name)?;
    let made = (|| {
        file.write_all(text.as_bytes())?;
        fchown(&file, Some(old.uid()), Some(old.gid()))?;
        // After the owner: a change of owner clears set-user-id bits.
        file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))?;
        file.sync_all()
    })();
    if let Err(e) = made {
        let _ = fs::remove_file(&temporary);
        return Err(e);
    }
    Ok(temporary)
}

/// A new file of ours in the same folder; what a killed process left behind is stepped over.
fn temporary_beside(real: &Path, name: &str) -> io::Result<(File, PathBuf)> {
    let mut last = io::Error::other("no try was made");
    for number in 0..100 {
        let path = real.with_file_name(format!(".{name}.pointsman-{}-{number}.tmp", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => last = e,
            Err(e) => return Err(e),
        }
    }
    Err(last)
}

fn replace(real: &Path, temporary: &Path, expected: Digest) -> FileWritten {
    // The last look; between it and the rename lie microseconds, and the journal says so.
    match read_regular(real) {
        Ok(text) if Digest::of(text.as_bytes()) == expected => {}
        Ok(_) => return FileWritten::Moved { says: "its text is not what was read before".into() },
        Err(e) => return FileWritten::Moved { says: e.to_string() },
    }
    if let Err(e) = fs::rename(temporary, real) {
        return FileWritten::Refused { retry: false, says: format!("cannot take its name: {e}") };
    }
    let flushed =
        real.parent().map_or(Ok(()), |folder| File::open(folder).and_then(|folder| folder.sync_all()));
    match flushed {
        Ok(()) => FileWritten::Done { window: "compared right before the rename" },
        Err(e) => FileWritten::Unknown { says: format!("renamed, but its folder could not be flushed: {e}") },
    }
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
