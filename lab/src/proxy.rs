//! A TCP proxy that can go bad on request: it stands between the standby and the primary, and between the
//! responder and the primary, so that one road can be cut while the others stay open.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::net;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Bytes flow.
    Forward,
    /// Connections stay and new ones are accepted, but not one byte is passed on.
    Stall,
    /// Connections are reset; new ones are refused.
    Cut,
}

/// A running proxy; gone when dropped.
#[derive(Debug)]
pub struct Proxy {
    listen: SocketAddr,
    upstream: SocketAddr,
    mode: watch::Sender<Mode>,
    acceptor: Mutex<Option<AbortHandle>>,
}

impl Proxy {
    pub async fn start(listen: SocketAddr, upstream: SocketAddr) -> anyhow::Result<Arc<Proxy>> {
        let mode = watch::Sender::new(Mode::Forward);
        let proxy = Arc::new(Proxy { listen, upstream, mode, acceptor: Mutex::new(None) });
        proxy.listen_again().await?;
        Ok(proxy)
    }

    pub fn addr(&self) -> SocketAddr {
        self.listen
    }

    /// Stops forwarding; connections stay open. What was read before stays in the proxy and flows on
    /// `resume`.
    pub fn stall(&self) {
        self.mode.send_replace(Mode::Stall);
    }

    pub fn resume(&self) {
        self.mode.send_replace(Mode::Forward);
    }

    /// Resets every connection, throws away what was held, refuses new connections.
    pub fn cut(&self) {
        self.stop_listening();
        self.mode.send_replace(Mode::Cut);
    }

    /// Takes new connections again after `cut`; also ends a stall.
    pub async fn heal(&self) -> anyhow::Result<()> {
        self.mode.send_replace(Mode::Forward);
        if self.acceptor().is_none() {
            self.listen_again().await?;
        }
        Ok(())
    }

    fn acceptor(&self) -> std::sync::MutexGuard<'_, Option<AbortHandle>> {
        self.acceptor.lock().expect("invariant: nobody panics while holding this lock")
    }

    fn stop_listening(&self) {
        if let Some(task) = self.acceptor().take() {
            task.abort();
        }
    }

    async fn listen_again(&self) -> anyhow::Result<()> {
        let (listen, upstream) = (self.listen, self.upstream);
        let mode = self.mode.subscribe();
        let listener = net::on_lab(async move {
            let bind = || async move { TcpListener::bind(listen).await };
            // The listener of before is closed by its task's end, which may take a moment.
            for _ in 0..50 {
                if let Ok(listener) = bind().await {
                    return Ok(listener);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            bind().await.with_context(|| format!("listening on {listen} for the proxy"))
        });
        let listener = listener.await?;
        let task = net::runtime().spawn(accept(listener, upstream, mode));
        *self.acceptor() = Some(task.abort_handle());
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, mode: watch::Receiver<Mode>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(connect(client, upstream, mode.clone()));
    }
}

async fn connect(client: TcpStream, upstream: SocketAddr, mut mode: watch::Receiver<Mode>) {
    let _ = client.set_zero_linger();
    // A stalled road does not even reach the other side.
    let open = mode.wait_for(|mode| *mode != Mode::Stall).await.is_ok_and(|mode| *mode == Mode::Forward);
    if !open {
        return;
    }
    let Ok(server) = TcpStream::connect(upstream).await else {
        return;
    };
    let _ = server.set_zero_linger();
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let there = pump(from_client, to_server, mode.clone());
    let back = pump(from_server, to_client, mode.clone());
    let cut = async { mode.wait_for(|mode| *mode == Mode::Cut).await.is_ok() };
    // Both halves are dropped together: with no lingering that is a reset, as from a road that broke.
    tokio::select! {
        _ = async { tokio::join!(there, back) } => {}
        _ = cut => {}
    }
}

/// Copies one direction; every chunk waits until the road is open.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>) {
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut chunk).await;
        if mode.wait_for(|mode| *mode == Mode::Forward).await.is_err() {
            return;
        }
        match read {
            Ok(n) if n > 0 => {
                if to.write_all(&chunk[..n]).await.is_err() {
                    return;
                }
            }
            Ok(_) | Err(_) => {
                let _ = to.shutdown().await;
                return;
            }
        }
    }
}
