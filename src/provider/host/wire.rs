//! Real machines: over SSH with a forced command on the other side, or this one.
//!
//! The other side's command must know `read-file PATH` (exit 2: there is none) and `write-file PATH OLD NEW`: the
//! new text on its standard input, both texts' SHA-256 in the command, the file replaced as a whole with its mode and
//! owner. It does nothing and exits with 2 when there is no file, 3 when the file is not OLD, 4 when the input is not
//! NEW (cut off on the way), 77 when it is not allowed.

use super::connection::Connections;
use super::port::{FileRead, FileWritten, Host, MAX_FILE, Port, Ran};
use super::ssh::{self, Called};
use super::{local, pipes};
use crate::kernel::domain::{Digest, Span};
use futures_util::future::{BoxFuture, FutureExt as _};
use std::time::Duration;
use tokio::time::timeout;

/// No such file, said by the forced command.
const MISSING: i32 = 2;
/// The file is not the one that was read.
const MOVED: i32 = 3;
/// The input did not arrive whole.
const CUT_OFF: i32 = 4;
/// Not allowed, said by the forced command before it does anything.
const NOT_ALLOWED: i32 = 77;

#[derive(Debug, Default)]
pub struct Wire {
    connections: Connections,
}

impl Port for Wire {
    fn run<'a>(&'a self, host: &'a Host, command: &'a str, within: Span) -> BoxFuture<'a, Ran> {
        let within = within.as_duration();
        async move {
            if host.target.local {
                local::run(host, command, within).await
            } else {
                ssh::call(&self.connections, host, command, None, pipes::TAIL, within).await.into()
            }
        }
        .boxed()
    }

    fn read_file<'a>(&'a self, host: &'a Host, path: &'a str, within: Span) -> BoxFuture<'a, FileRead> {
        read_file(&self.connections, host, path, within.as_duration()).boxed()
    }

    fn write_file<'a>(
        &'a self,
        host: &'a Host,
        path: &'a str,
        expected: Digest,
        text: &'a str,
        within: Span,
    ) -> BoxFuture<'a, FileWritten> {
        write_file(&self.connections, host, path, expected, text, within.as_duration()).boxed()
    }
}

async fn read_file(connections: &Connections, host: &Host, path: &str, within: Duration) -> FileRead {
    if host.target.local {
        let owned = path.to_owned();
        let read = tokio::task::spawn_blocking(move || local::read(&owned));
        return match timeout(within, read).await {
            Ok(Ok(read)) => read,
            Ok(Err(e)) => FileRead::Unusable { says: e.to_string() },
            Err(_) => FileRead::Unreachable { layer: "disk", says: format!("not read within {within:?}") },
        };
    }
    match ssh::call(connections, host, &format!("read-file {path}"), None, MAX_FILE + 1, within).await {
        Called::Exit { code: 0, stdout: None, .. } => {
            FileRead::Unreachable { layer: "ssh", says: format!("the end of {path} did not arrive") }
        }
        Called::Exit { code: 0, stdout: Some(stdout), .. } if stdout.len() > MAX_FILE => {
            FileRead::Unusable { says: format!("{path} is larger than {MAX_FILE} bytes") }
        }
        Called::Exit { code: 0, stdout: Some(stdout), .. } => match String::from_utf8(stdout) {
            Ok(text) => FileRead::Text(text),
            Err(_) => FileRead::Unusable { says: format!("{path} is not UTF-8 text") },
        },
        Called::Exit { code: MISSING, .. } => FileRead::Missing,
        Called::Exit { code, tail, .. } => {
            FileRead::Unusable { says: format!("exit {code}: {}", tail.stderr) }
        }
        Called::NotStarted { layer, says } => FileRead::Unreachable { layer, says },
        Called::Unknown { says } => FileRead::Unreachable { layer: "ssh", says },
    }
}

async fn write_file(
    connections: &Connections,
    host: &Host,
    path: &str,
    expected: Digest,
    text: &str,
    within: Duration,
) -> FileWritten {
    if host.target.local {
        let (path, text) = (path.to_owned(), text.to_owned());
        let write = tokio::task::spawn_blocking(move || local::write(&path, expected, &text));
        return match timeout(within, write).await {
            Ok(Ok(written)) => written,
            Ok(Err(e)) => FileWritten::Unknown { says: e.to_string() },
            Err(_) => FileWritten::Unknown { says: format!("not written within {within:?}") },
        };
    }
    // Both digests travel with the command: the machine itself compares the old text right before it replaces it,
    // and does nothing with an input that was cut off on the way.
    let line = format!("write-file {path} {expected} {}", Digest::of(text.as_bytes()));
    match ssh::call(connections, host, &line, Some(text), pipes::TAIL, within).await {
        Called::Exit { code: 0, .. } => {
            FileWritten::Done { window: "compared by the machine right before the rename" }
        }
        Called::Exit { code: MISSING, .. } => FileWritten::Moved { says: "it is gone".into() },
        Called::Exit { code: MOVED, .. } => {
            FileWritten::Moved { says: "its text is not what was read before".into() }
        }
        Called::Exit { code: code @ (CUT_OFF | NOT_ALLOWED), tail, .. } => {
            FileWritten::Refused { retry: code == CUT_OFF, says: format!("exit {code}: {}", tail.stderr) }
        }
        Called::Exit { code, tail, .. } => {
            FileWritten::Unknown { says: format!("exit {code}: {}", tail.stderr) }
        }
        Called::NotStarted { layer, says } => {
            FileWritten::Refused { retry: true, says: format!("{layer}: {says}") }
        }
        Called::Unknown { says } => FileWritten::Unknown { says },
    }
}
