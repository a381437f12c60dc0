//! Stands before the zone's primary, for a responder that shall lose an answer: everything passes, and when asked to, the
//! first update that comes hangs the server right before its bytes arrive. They have left the responder, and nothing
//! comes back.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::AbortHandle;

use crate::{children, net};

const UPDATE: u8 = 5;
const ANSWER: Duration = Duration::from_secs(10);
const HANGS: Duration = Duration::from_secs(2);

/// A running gate; gone when dropped.
#[derive(Debug)]
pub struct Gate {
    pub addr: SocketAddr,
    /// The process to hang at the next update; 0: none.
    hangs: Arc<AtomicU32>,
    hung: Mutex<Option<u32>>,
    tasks: Vec<AbortHandle>,
}

impl Gate {
    pub async fn start(addr: SocketAddr, server: SocketAddr) -> anyhow::Result<Gate> {
        let hangs = Arc::new(AtomicU32::new(0));
        let armed = hangs.clone();
        let tasks = net::on_lab(async move {
            let tcp = TcpListener::bind(addr).await.context("the gate of the zone, TCP")?;
            let udp = UdpSocket::bind(addr).await.context("the gate of the zone, UDP")?;
            let streams = net::runtime().spawn(accept(tcp, server, armed)).abort_handle();
            let datagrams = net::runtime().spawn(questions(Arc::new(udp), server)).abort_handle();
            Ok(vec![streams, datagrams])
        });
        Ok(Gate { addr, hangs, hung: Mutex::new(None), tasks: tasks.await? })
    }

    /// The next update hangs this process first.
    pub(crate) fn hang_at_the_next_update(&self, pid: u32) {
        *self.hung.lock().expect("invariant: nobody panics while holding this lock") = Some(pid);
        self.hangs.store(pid, Ordering::SeqCst);
    }

    /// Whether that update came.
    pub fn is_hung(&self) -> bool {
        let asked = self.hung.lock().expect("invariant: nobody panics while holding this lock").is_some();
        asked && self.hangs.load(Ordering::SeqCst) == 0
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, hangs: Arc<AtomicU32>) {
    while let Ok((client, _)) = listener.accept().await {
        let hangs = hangs.clone();
        tokio::spawn(async move {
            // The responder sees a lost connection; a test sees what it makes of it.
            let _ = pass(client, server, &hangs).await;
        });
    }
}

async fn pass(mut client: TcpStream, server: SocketAddr, hangs: &AtomicU32) -> anyhow::Result<()> {
    let mut first = vec![0; 16 * 1024];
    let read = client.read(&mut first).await?;
    let mut upstream = TcpStream::connect(server).await?;
    // Two bytes of length, two of the id, then the flags.
    let is_update = first.get(4).is_some_and(|flags| (flags >> 3) & 0xf == UPDATE);
    if is_update && read > 4 {
        let pid = hangs.swap(0, Ordering::SeqCst);
        if pid != 0 {
            children::send(pid, Signal::STOP)?;
            let stopped = || async { Ok(children::is_stopped(pid)) };
            net::wait_until("the zone's primary to hang", HANGS, stopped).await?;
        }
    }
    upstream.write_all(&first[..read]).await?;
    tokio::io::copy_bidirectional(&mut client, &mut upstream).await?;
    Ok(())
}

async fn questions(socket: Arc<UdpSocket>, server: SocketAddr) {
    let mut question = vec![0; 4096];
    while let Ok((size, from)) = socket.recv_from(&mut question).await {
        let (socket, question) = (socket.clone(), question[..size].to_vec());
        tokio::spawn(async move {
            let answered = async {
                let own = UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
                own.connect(server).await?;
                own.send(&question).await?;
                let mut answer = vec![0; 4096];
                let size = own.recv(&mut answer).await?;
                socket.send_to(&answer[..size], from).await
            };
            // No answer is what a hung server gives.
            let _ = tokio::time::timeout(ANSWER, answered).await;
        });
    }
}
