//! The sign of life: it comes while the journal can be written, and stops when it cannot.

use crate::limits::yard::{Plot, Yard};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Counts requests for the path, and answers.
async fn listener() -> (Arc<AtomicUsize>, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/ping/c0ffee", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; 2048];
            let read = stream.read(&mut bytes).await.unwrap_or(0);
            let right = String::from_utf8_lossy(&bytes[..read]).starts_with("GET /ping/c0ffee ");
            counted.fetch_add(usize::from(right), Ordering::SeqCst);
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        }
    });
    (count, url)
}

#[tokio::test]
async fn life_is_shown_only_while_records_can_be_written() {
    let (count, url) = listener().await;
    let config = format!("[heartbeat]\nurl = {url:?}\nevery = \"1s\"\n");
    let yard = Yard::new(Plot { config: &config, ..Plot::default() }).await;
    let beats = || count.load(Ordering::SeqCst);
    yard.until("beats", 2, 10, async || beats()).await;
    // Somebody else holds the database: nothing can be written.
    let path = yard.data().join("pointsman.db");
    let holder = std::process::Command::new("sqlite3")
        .arg(&path)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let mut holder = holder.unwrap();
    use std::io::{BufRead as _, Write as _};
    let mut pipe = holder.stdin.take().unwrap();
    writeln!(pipe, ".timeout 8000\nBEGIN IMMEDIATE;\nSELECT 'held';").unwrap();
    let mut line = String::new();
    std::io::BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "held");
    // One may be on its way.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = beats();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(beats(), before, "signs of life from one that can write nothing");
    holder.kill().unwrap();
    holder.wait().unwrap();
    yard.until("beats again", before + 2, 20, async || beats()).await;
    assert!(!yard.server.log().contains("c0ffee"), "the address is a credential");
}
