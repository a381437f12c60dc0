//! An address that swallows everything: connection attempts are neither refused nor answered. Used for
//! machines that are lost, since a refused port proves less time lost than a silent one costs.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::net;

/// Swallows connection attempts until dropped.
#[derive(Debug)]
pub struct Blackhole {
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Blackhole {
    /// Listens without ever accepting and fills the queue, so that the kernel drops every further attempt.
    pub async fn at(addr: SocketAddr) -> anyhow::Result<Blackhole> {
        net::on_lab(async move {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(addr).with_context(|| format!("taking over {addr}"))?;
            let listener = socket.listen(0)?;
            let mut queue = Vec::new();
            for _ in 0..8 {
                match tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(addr)).await {
                    Ok(connected) => queue.push(connected?),
                    Err(_) => {
                        return Ok(Blackhole { _listener: listener, _queue: queue });
                    }
                }
            }
            bail!("the queue of {addr} did not fill: the kernel still answers")
        })
        .await
    }
}
