//! The ends of a running command's pipes, whether it is a child of ours or a session on another machine: what it is fed,
//! and the end of what it writes. All of it bounded.

use super::port::Tail;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// So much of what a command writes is kept to be shown, in bytes.
pub const TAIL: usize = 4096;

/// Our ends of what a command reads and writes.
pub struct Pipes<In, Out, Err = Out> {
    pub stdin: Option<In>,
    pub stdout: Option<Out>,
    pub stderr: Option<Err>,
}

/// Feeds a command and drains it until `end` comes, at most `within`: its end, the end of its output, and of that the
/// words to show.
pub async fn carry<T>(
    end: impl Future<Output = T>,
    pipes: Pipes<impl AsyncWrite + Unpin, impl AsyncRead + Unpin, impl AsyncRead + Unpin>,
    input: Option<&str>,
    keep: usize,
    within: Duration,
) -> Option<(T, Vec<u8>, Tail)> {
    let Pipes { stdin, stdout, stderr } = pipes;
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
    let mut end = Box::pin(end);
    let ended = async {
        tokio::select! {
            biased;
            end = &mut end => (end, false),
            _ = &mut drains => (end.await, true),
        }
    };
    let (ended, drained) = timeout(within, ended).await.ok()?;
    if !drained {
        // A daemon that it left behind may hold the pipes open for ever.
        let _ = timeout(Duration::from_millis(200), &mut drains).await;
    }
    drop(drains);
    let words = |bytes: &[u8]| {
        let from = bytes.len().saturating_sub(TAIL);
        String::from_utf8_lossy(&bytes[from..]).trim_end().to_owned()
    };
    let tail = Tail { stdout: words(&out.bytes), stderr: words(&err.bytes) };
    Some((ended, out.bytes, tail))
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
