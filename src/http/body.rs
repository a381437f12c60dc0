//! Bodies of webhooks, whole or refused. A body that is too large is read on and thrown away, within bounds, before it
//! is refused: most senders see a connection that is closed in the middle of a body as a broken pipe, and never read why.

use axum::body::{Body, Bytes};
use futures_util::StreamExt;
use std::time::Duration;

/// Thrown away at most; beyond it the connection is closed.
const LINGER: usize = 64 << 20;
const LINGER_FOR: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub enum Unread {
    TooLarge,
    /// Its connection or its framing broke.
    Broken(String),
}

/// The body, of at most `max` bytes.
pub async fn read(body: Body, max: usize) -> Result<Bytes, Unread> {
    let broken = |e: axum::Error| Unread::Broken(e.to_string());
    let mut chunks = body.into_data_stream();
    let first = chunks.next().await.transpose().map_err(broken)?.unwrap_or_default();
    let Some(second) = chunks.next().await else {
        // As nearly all of them come: nothing is copied.
        return if first.len() > max { Err(Unread::TooLarge) } else { Ok(first) };
    };
    let mut whole = Vec::with_capacity((2 * first.len()).min(max));
    whole.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        let chunk = chunk.map_err(broken)?;
        if whole.len() + chunk.len() > max {
            drop(whole);
            let rest = async {
                let mut thrown = 0;
                while let Some(Ok(chunk)) = chunks.next().await {
                    thrown += chunk.len();
                    if thrown > LINGER {
                        break;
                    }
                }
            };
            // Whoever sends more slowly than that is cut off.
            let _ = tokio::time::timeout(LINGER_FOR, rest).await;
            return Err(Unread::TooLarge);
        }
        whole.extend_from_slice(&chunk);
        next = chunks.next().await;
    }
    Ok(whole.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    fn body(chunks: &[&'static str]) -> Body {
        let chunks: Vec<Result<Bytes, std::io::Error>> = chunks.iter().map(|c| Ok(Bytes::from(*c))).collect();
        Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test]
    async fn whole_up_to_the_limit_and_refused_beyond_it() {
        for whole in [&[][..], &["abcd"], &["ab", "cd"], &["a", "b", "", "cd"]] {
            assert_eq!(read(body(whole), 4).await.unwrap(), whole.concat().as_bytes());
        }
        for long in [&["abcde"][..], &["abcd", "e"], &["ab", "cde", "f"]] {
            assert!(matches!(read(body(long), 4).await, Err(Unread::TooLarge)));
        }
        let broke = stream::iter([Ok(Bytes::from("ab")), Err(std::io::Error::other("gone"))]);
        assert!(matches!(read(Body::from_stream(broke), 4).await, Err(Unread::Broken(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_stops_sending_is_cut_off() {
        let endless =
            || stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 1 << 20])));
        assert!(matches!(read(Body::from_stream(endless()), 4).await, Err(Unread::TooLarge)));
        let stuck = endless().take(2).chain(stream::pending());
        assert!(matches!(read(Body::from_stream(stuck), 4).await, Err(Unread::TooLarge)));
    }
}
