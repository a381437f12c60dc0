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

/// How long output may take to arrive after the command's end. A daemon that it left behind may hold the pipes open for
/// ever; what is asked for in full is waited for.
const WORDS_LATE: Duration = Duration::from_millis(200);
const ALL_LATE: Duration = Duration::from_secs(2);

/// Feeds a command and drains it until `end` comes, at most `within`: its end, the last `keep` bytes of its output where
/// that came to its end, and the words to show.
pub async fn carry<T>(
    end: impl Future<Output = T>,
    pipes: Pipes<impl AsyncWrite + Unpin, impl AsyncRead + Unpin, impl AsyncRead + Unpin>,
    input: Option<&str>,
    keep: usize,
    within: Duration,
) -> Option<(T, Option<Vec<u8>>, Tail)> {
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
    let (ended, mut whole) = timeout(within, ended).await.ok()?;
    if !whole {
        let late = if keep > TAIL { ALL_LATE } else { WORDS_LATE };
        whole = timeout(late, &mut drains).await.is_ok();
    }
    drop(drains);
    let words = |bytes: &[u8]| {
        let from = bytes.len().saturating_sub(TAIL);
        String::from_utf8_lossy(&bytes[from..]).trim_end().to_owned()
    };
    let tail = Tail { stdout: words(&out.bytes), stderr: words(&err.bytes) };
    Some((ended, whole.then_some(out.bytes), tail))
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{DuplexStream, duplex, empty};

    async fn late(text: &'static [u8], after: Duration, keep: usize) -> Option<Vec<u8>> {
        let (mut theirs, ours) = duplex(64);
        let write = async move {
            tokio::time::sleep(after).await;
            let _ = theirs.write_all(text).await;
            drop(theirs);
        };
        let pipes = Pipes { stdin: None::<DuplexStream>, stdout: Some(ours), stderr: Some(empty()) };
        let carried = carry(async { 0 }, pipes, None, keep, Duration::from_secs(9));
        tokio::join!(write, carried).1.expect("it ended in time").1
    }

    /// Its end came first, as from a machine or a master that is slow: what is missing is never taken for the whole.
    #[tokio::test(start_paused = true)]
    async fn output_that_comes_after_the_end_is_waited_for_and_never_cut_short() {
        let (text, keep) = (b"DATABASE_HOST=1", TAIL + 1);
        assert_eq!(late(text, Duration::from_millis(1_500), keep).await.as_deref(), Some(&text[..]));
        assert_eq!(late(text, Duration::from_secs(60), keep).await, None);
        assert_eq!(late(text, Duration::from_millis(100), TAIL).await.as_deref(), Some(&text[..]));
        assert_eq!(late(text, Duration::from_secs(1), TAIL).await, None);
    }
}
