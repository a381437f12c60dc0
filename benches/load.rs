//! A closed loop of keep-alive connections that post one prepared request again and again, or a numbered one. One thread, so that it
//! takes the same share of the machine from every peer.

use crate::figures::Figures;
use anyhow::{Context, bail, ensure};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Longest wait for one answer; beyond it the round is void.
const ANSWER: Duration = Duration::from_secs(20);

/// In a body: replaced by a number that no other request has.
pub const NUMBER: &str = "#000000000000000";

pub struct Post {
    pub addr: SocketAddr,
    bytes: Vec<u8>,
    /// Where the number goes, in a body that has one.
    number: Option<usize>,
    sent: AtomicU64,
}

impl Post {
    pub fn new(addr: SocketAddr, path: &str, token: Option<&str>, body: &[u8]) -> Post {
        let token = token.map(|t| format!("Authorization: Bearer {t}\r\n")).unwrap_or_default();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {addr}\r\nUser-Agent: Alertmanager/0.25.0\r\n{token}\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let bytes = [head.as_bytes(), body].concat();
        let number = bytes.windows(NUMBER.len()).position(|w| w == NUMBER.as_bytes());
        Post { addr, bytes, number, sent: AtomicU64::new(0) }
    }

    /// Makes `bytes`, a copy of ours, the next request.
    fn next(&self, bytes: &mut [u8]) {
        if let Some(at) = self.number {
            let number = format!("#{:015}", self.sent.fetch_add(1, Ordering::Relaxed));
            bytes[at..at + NUMBER.len()].copy_from_slice(number.as_bytes());
        }
    }
}

pub struct Measured {
    /// Answered with 200 in the measured window, each second.
    pub rate: f64,
    /// Milliseconds from the first byte sent to the last received.
    pub latency: Figures,
    /// All answers with 200, also those of the warm-up.
    pub accepted: u64,
}

/// Any answer but 200 ends it with an error: a peer that refuses is not fast.
pub fn measure(
    post: Arc<Post>,
    connections: u32,
    warm: Duration,
    during: Duration,
) -> anyhow::Result<Measured> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let from = Instant::now() + warm;
        let mut loops = JoinSet::new();
        for _ in 0..connections {
            loops.spawn(connection(post.clone(), from, from + during));
        }
        let (mut latency, mut accepted) = (vec![], 0);
        while let Some(ended) = loops.join_next().await {
            let (times, count) = ended??;
            latency.extend(times);
            accepted += count;
        }
        let rate = latency.len() as f64 / during.as_secs_f64();
        Ok(Measured { rate, latency: latency.into_iter().collect(), accepted })
    })
}

async fn connection(post: Arc<Post>, from: Instant, until: Instant) -> anyhow::Result<(Vec<f64>, u64)> {
    let mut stream = TcpStream::connect(post.addr).await?;
    stream.set_nodelay(true)?;
    let (mut times, mut accepted, mut buffer) = (vec![], 0, Vec::with_capacity(4096));
    let mut bytes = post.bytes.clone();
    while Instant::now() < until {
        post.next(&mut bytes);
        let before = Instant::now();
        stream.write_all(&bytes).await?;
        tokio::time::timeout(ANSWER, answer(&mut stream, &mut buffer))
            .await
            .context("no answer in time")??;
        let after = Instant::now();
        accepted += 1;
        if after >= from && after < until {
            times.push((after - before).as_secs_f64() * 1e3);
        }
    }
    Ok((times, accepted))
}

/// Reads one whole answer, so that the connection can be used again.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<()> {
    buffer.clear();
    loop {
        let got = stream.read_buf(buffer).await?;
        ensure!(got > 0, "the connection was closed in the middle of an answer");
        let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end])?;
        if !head.starts_with("HTTP/1.1 200") {
            bail!("answered with {}", String::from_utf8_lossy(buffer));
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
        });
        if buffer.len() >= end + 4 + length.context("an answer without a length")?? {
            return Ok(());
        }
    }
}
