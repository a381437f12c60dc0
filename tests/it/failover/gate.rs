//! A page that says that users are served once it is opened. A run that wants it in `verify` does not end before: a test that
//! kills Pointsman after a run's last step would otherwise race the few milliseconds that the run still takes.

use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What stands in a playbook for the page's address.
const URL: &str = "GATE";

pub struct Gate {
    url: String,
    open: Arc<AtomicBool>,
    page: JoinHandle<()>,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.page.abort();
    }
}

async fn page(listener: TcpListener, open: Arc<AtomicBool>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let _whatever_is_asked = stream.read(&mut [0_u8; 2048]).await;
        let says = if open.load(Ordering::SeqCst) { "200 OK" } else { "503 Service Unavailable" };
        let answer = format!("HTTP/1.1 {says}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _gone_is_gone = stream.write_all(answer.as_bytes()).await;
    }
}

impl Gate {
    /// It is open.
    pub async fn start() -> Result<Gate> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let open = Arc::new(AtomicBool::new(true));
        Ok(Gate { url, page: tokio::spawn(page(listener, open.clone())), open })
    }

    /// The playbook with the page's address where `GATE` stands.
    pub fn named_in(&self, playbook: &str) -> String {
        playbook.replace(URL, &self.url)
    }

    pub fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
    }

    pub fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}
