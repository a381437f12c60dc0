//! One bounded child process: its input, the tails of its output, its end. Killed when the caller goes away.

use super::port::Tail;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::{Instant, timeout, timeout_at};

pub const TAIL: usize = 4096;

pub enum Ended {
    NotStarted(String),
    /// Not ended in time; it was killed.
    Late,
    Exit {
        status: ExitStatus,
        stdout: Vec<u8>,
        tail: Tail,
    },
}

/// `keep` is how much of the output is kept, counted from its end.
pub async fn run(mut command: Command, input: Option<&str>, keep: usize, within: Duration) -> Ended {
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(e) => return Ended::NotStarted(e.to_string()),
    };
    let end = Instant::now() + within;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut out = Kept { keep, bytes: vec![] };
    let mut err = Kept { keep: TAIL, bytes: vec![] };
    let feed = async {
        if let (Some(mut pipe), Some(text)) = (stdin, input) {
            // A reader that is not interested closes its end: not our error, its exit code tells.
            let _ = pipe.write_all(text.as_bytes()).await;
            let _ = pipe.shutdown().await;
        }
    };
    // On the heap so that it can be dropped before its buffers are read.
    let mut drains = Box::pin(async { tokio::join!(feed, drain(stdout, &mut out), drain(stderr, &mut err)) });
    let status = {
        let ended = async {
            tokio::select! {
                biased;
                status = child.wait() => (status, false),
                _ = &mut drains => (child.wait().await, true),
            }
        };
        match timeout_at(end, ended).await {
            Ok((Ok(status), drained)) => {
                if !drained {
                    // A daemon that it left behind may hold the pipes open for ever.
                    let _ = timeout(Duration::from_millis(200), &mut drains).await;
                }
                Some(status)
            }
            Ok((Err(_), _)) | Err(_) => None,
        }
    };
    drop(drains);
    let Some(status) = status else {
        let _ = child.start_kill();
        let _ = timeout(Duration::from_secs(1), child.wait()).await;
        return Ended::Late;
    };
    let words = |bytes: &[u8]| {
        let from = bytes.len().saturating_sub(TAIL);
        String::from_utf8_lossy(&bytes[from..]).trim_end().to_owned()
    };
    let tail = Tail { stdout: words(&out.bytes), stderr: words(&err.bytes) };
    Ended::Exit { status, stdout: out.bytes, tail }
}

struct Kept {
    keep: usize,
    bytes: Vec<u8>,
}

async fn drain(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Kept) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        kept.bytes.extend_from_slice(&buffer[..length]);
        if kept.bytes.len() > 2 * kept.keep + buffer.len() {
            let cut = kept.bytes.len() - kept.keep;
            kept.bytes.drain(..cut);
        }
    }
}
