//! File transfer through the forced command: only the files on the machine's list, whole, and never half.

use std::io::{Read, Write};
use std::process::ExitCode;

use anyhow::Context;
use lab::host_config::HostDir;
use sha2::{Digest, Sha256};

use crate::disk;
use crate::forced::NOT_ALLOWED;

const ABSENT: u8 = 2;
const MOVED: u8 = 3;
const CUT_OFF: u8 = 4;
const LONGEST: u64 = 1024 * 1024;

/// `digests`, for a write: the SHA-256 of the text that is to be replaced and of the one that replaces it. Without
/// them a connection lost halfway would leave half a file.
pub fn run(
    dir: &HostDir,
    allowed: &[String],
    verb: &str,
    path: &str,
    digests: &[&str],
) -> anyhow::Result<ExitCode> {
    // Clients quote arguments for a shell that is not there.
    let path = path.trim_matches(|c| c == '\'' || c == '"');
    if !allowed.iter().any(|file| file == path) {
        eprintln!("{verb} {path:?}: not allowed here");
        return Ok(ExitCode::from(NOT_ALLOWED));
    }
    let real = dir.root(path);
    if verb == "write-file" {
        let mut content = Vec::new();
        std::io::stdin().take(LONGEST + 1).read_to_end(&mut content).context("reading the new content")?;
        anyhow::ensure!(
            content.len() as u64 <= LONGEST,
            "{path}: longer than {LONGEST} bytes; nothing was changed"
        );
        if let [old, new] = digests {
            if digest(&content) != *new {
                eprintln!("{path}: the new text did not arrive whole; nothing was changed");
                return Ok(ExitCode::from(CUT_OFF));
            }
            match std::fs::read(&real) {
                Ok(present) if digest(&present) == *old => {}
                Ok(_) => {
                    eprintln!("{path}: it is another file by now; nothing was changed");
                    return Ok(ExitCode::from(MOVED));
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(ExitCode::from(ABSENT)),
                Err(e) => return Err(e).with_context(|| format!("reading {path}")),
            }
        }
        disk::replace(&real, &content)?;
        return Ok(ExitCode::SUCCESS);
    }
    match std::fs::read(&real) {
        Ok(content) => {
            std::io::stdout().write_all(&content)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("{path}: no such file");
            Ok(ExitCode::from(ABSENT))
        }
        Err(e) => Err(e).with_context(|| format!("reading {path}")),
    }
}

fn digest(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}
