//! File transfer through the forced command: only the files on the machine's list, whole, and never half.

use std::io::{Read, Write};
use std::process::ExitCode;

use anyhow::Context;
use lab::host_config::HostDir;

use crate::disk;
use crate::forced::NOT_ALLOWED;

const ABSENT: u8 = 2;
const LONGEST: u64 = 1024 * 1024;

pub fn run(dir: &HostDir, allowed: &[String], verb: &str, path: &str) -> anyhow::Result<ExitCode> {
    // Clients quote arguments for a shell that is not there.
    let path = path.trim_matches(|c| c == '\'' || c == '"');
    if !allowed.iter().any(|file| file == path) {
        eprintln!("{verb} {path:?}: not allowed here");
        return Ok(ExitCode::from(NOT_ALLOWED));
    }
    let real = dir.root(path);
    if verb == "write-file" {
        let mut content = Vec::new();
        std::io::stdin()
            .take(LONGEST + 1)
            .read_to_end(&mut content)
            .context("reading the new content")?;
        anyhow::ensure!(
            content.len() as u64 <= LONGEST,
            "{path}: longer than {LONGEST} bytes; nothing was changed"
        );
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
