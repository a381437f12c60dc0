//! A gate before HAProxy's runtime API that can go bad, one command at a time, in the ways that the proxy for HTTP does.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use super::haproxy::talk;
use super::{Mishap, Which};
use crate::net;

type Planted = Arc<Mutex<Vec<(Which, Mishap)>>>;

/// Gone when dropped.
pub struct LineGate {
    pub listen: SocketAddr,
    upstream: PathBuf,
    planted: Planted,
    acceptor: Mutex<Option<AbortHandle>>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().expect("invariant: no panic while holding the lock")
}

impl LineGate {
    pub async fn start(upstream: PathBuf) -> anyhow::Result<LineGate> {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let (planted, acceptor) = (Planted::default(), Mutex::default());
        let mut gate = LineGate { listen, upstream, planted, acceptor };
        gate.listen = gate.open().await?;
        Ok(gate)
    }

    /// Accepts connections, also again after [`LineGate::close`].
    pub async fn open(&self) -> anyhow::Result<SocketAddr> {
        let (at, upstream, planted) = (self.listen, self.upstream.clone(), self.planted.clone());
        let listener = net::on_lab(async move { Ok(TcpListener::bind(at).await?) }).await?;
        let at = listener.local_addr()?;
        let task = net::runtime().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (upstream, planted) = (upstream.clone(), planted.clone());
                // What goes wrong in one exchange is seen by its client.
                tokio::spawn(async move { exchange(stream, upstream, planted).await });
            }
        });
        *lock(&self.acceptor) = Some(task.abort_handle());
        Ok(at)
    }

    /// Connections are refused.
    pub fn close(&self) {
        if let Some(task) = lock(&self.acceptor).take() {
            task.abort();
        }
    }

    /// The next command of this sort goes wrong.
    pub fn plant(&self, which: Which, mishap: Mishap) {
        lock(&self.planted).push((which, mishap));
    }

    pub fn calm(&self) {
        lock(&self.planted).clear();
    }
}

impl Drop for LineGate {
    fn drop(&mut self) {
        self.close();
    }
}

async fn exchange(mut stream: TcpStream, upstream: PathBuf, planted: Planted) -> anyhow::Result<()> {
    let mut line = String::new();
    BufReader::new(&mut stream).read_line(&mut line).await?;
    let which = if line.starts_with("show") { Which::Reads } else { Which::Writes };
    let mishap = {
        let mut planted = lock(&planted);
        let at = planted.iter().position(|(of, _)| *of == which);
        at.map(|at| planted.remove(at).1)
    };
    let answer = match mishap {
        Some(Mishap::Answer { body, .. }) => body,
        Some(Mishap::Swallow) => return Ok(()),
        Some(Mishap::LoseReply) => return talk(&upstream, &line).await.map(drop),
        Some(Mishap::Garbage) => {
            talk(&upstream, &line).await?;
            "it is not what you asked for\n\n".to_owned()
        }
        Some(Mishap::Late(by)) => {
            let answer = talk(&upstream, &line).await?;
            tokio::time::sleep(by).await;
            answer
        }
        None => talk(&upstream, &line).await?,
    };
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}
