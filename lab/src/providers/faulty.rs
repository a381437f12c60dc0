//! A proxy for plain HTTP that can go bad on request, one exchange at a time. It stands before every provider of a
//! test, real or not, so that all of them fail in the same ways; and it counts what changed something.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::net;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// Answers by itself, nothing is passed on.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// It happens, and the connection is cut instead of answering.
    LoseReply,
    /// The bytes are read, nothing happens, and the connection is cut.
    Swallow,
    /// It happens, and the answer is nonsense.
    Garbage,
    /// It happens, and the answer comes too late.
    Late(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Reads,
    Writes,
}

#[derive(Default)]
struct State {
    planted: Vec<(Which, Mishap)>,
    /// Raised when it opens: a straggler of before must not use up what was planted since.
    opened: u32,
    writes: u32,
    reads: u32,
    /// Everything that came in, but for the headers that carry credentials.
    seen: Vec<String>,
}

/// A running proxy; gone when dropped.
pub struct Faulty {
    pub listen: SocketAddr,
    upstream: SocketAddr,
    state: Arc<Mutex<State>>,
    acceptor: Mutex<Option<AbortHandle>>,
    is_write: IsWrite,
    guard: Option<Guard>,
}

/// What the server behind should have said to a request, where it does not know better: status and body.
pub type Guard = Arc<dyn Fn(String, String, String) -> Answered + Send + Sync>;
/// By method and path.
pub type IsWrite = fn(&str, &str) -> bool;
type Answered = Pin<Box<dyn Future<Output = Option<(u16, String)>> + Send>>;

struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().expect("invariant: no panic while holding the lock")
}

impl Faulty {
    /// Before a server on loopback. `is_write` tells by method and path what changes something.
    pub async fn start(upstream: SocketAddr, is_write: IsWrite) -> anyhow::Result<Faulty> {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut proxy = Faulty {
            listen,
            upstream,
            state: Arc::default(),
            acceptor: Mutex::default(),
            is_write,
            guard: None,
        };
        proxy.listen = proxy.open().await?;
        Ok(proxy)
    }

    /// A stricter server: every request is shown to the guard (method, path, body) before it is passed on.
    pub async fn guarded(mut self, guard: Guard) -> anyhow::Result<Faulty> {
        self.close();
        self.guard = Some(guard);
        self.listen.set_port(0);
        self.listen = self.open().await?;
        Ok(self)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// Accepts connections, also again after [`Faulty::close`].
    pub async fn open(&self) -> anyhow::Result<SocketAddr> {
        let (at, upstream, state, is_write) = (self.listen, self.upstream, self.state.clone(), self.is_write);
        let guard = self.guard.clone();
        let listener = net::on_lab(async move { Ok(TcpListener::bind(at).await?) }).await?;
        let at = listener.local_addr()?;
        let opened = {
            let mut state = lock(&self.state);
            state.opened += 1;
            state.opened
        };
        let task = net::runtime().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, guard) = (state.clone(), guard.clone());
                // What goes wrong in one exchange is seen by its client.
                tokio::spawn(
                    async move { exchange(stream, upstream, (&state, opened), (is_write, guard)).await },
                );
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

    /// The next request of this sort goes wrong.
    pub fn plant(&self, which: Which, mishap: Mishap) {
        lock(&self.state).planted.push((which, mishap));
    }

    /// What was planted and has not come to pass is taken away again.
    pub fn calm(&self) {
        lock(&self.state).planted.clear();
    }

    /// How many requests that change something came in.
    pub fn writes(&self) -> u32 {
        lock(&self.state).writes
    }

    pub fn reads(&self) -> u32 {
        lock(&self.state).reads
    }

    /// `METHOD PATH BODY` of all that came in.
    pub fn seen(&self) -> Vec<String> {
        lock(&self.state).seen.clone()
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.close();
    }
}

async fn exchange(
    mut stream: TcpStream,
    upstream: SocketAddr,
    (state, opened): (&Mutex<State>, u32),
    (is_write, guard): (IsWrite, Option<Guard>),
) -> anyhow::Result<()> {
    let request = read(&mut stream).await?;
    let which = if is_write(&request.method, &request.path) { Which::Writes } else { Which::Reads };
    let mishap = {
        let mut state = lock(state);
        match which {
            Which::Writes => state.writes += 1,
            Which::Reads => state.reads += 1,
        }
        let body = String::from_utf8_lossy(&request.body).into_owned();
        state.seen.push(format!("{} {} {body}", request.method, request.path));
        let at = state.planted.iter().position(|(of, _)| *of == which && state.opened == opened);
        at.map(|at| state.planted.remove(at).1)
    };
    let answer = match &mishap {
        Some(Mishap::Answer { status, headers, body }) => {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            (*status, headers, body.clone().into_bytes())
        }
        Some(Mishap::Swallow) => return Ok(()),
        _ => {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            let said = match &guard {
                Some(guard) => guard(request.method.clone(), request.path.clone(), body).await,
                None => None,
            };
            match said {
                Some((status, body)) => (status, vec![], body.into_bytes()),
                None => forward(upstream, request).await?,
            }
        }
    };
    let (status, headers, body) = match mishap {
        Some(Mishap::LoseReply) => return Ok(()),
        Some(Mishap::Garbage) => (200, vec![], b"<html>\xff it is not what you asked for".to_vec()),
        Some(Mishap::Late(by)) => {
            tokio::time::sleep(by).await;
            answer
        }
        _ => answer,
    };
    let mut head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await?;
    Ok(())
}

async fn read(stream: &mut TcpStream) -> anyhow::Result<Request> {
    let mut bytes = vec![];
    let mut buffer = [0; 8192];
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        let got = stream.read(&mut buffer).await?;
        if got == 0 || bytes.len() > 1 << 16 {
            bail!("no request");
        }
        bytes.extend_from_slice(&buffer[..got]);
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, path) =
        (first.next().unwrap_or_default().to_owned(), first.next().context("no path")?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(Ok(0), |(_, value)| value.parse())?;
    let mut body = bytes.split_off(end);
    while body.len() < length {
        let got = stream.read(&mut buffer).await?;
        if got == 0 {
            bail!("a body cut short");
        }
        body.extend_from_slice(&buffer[..got]);
    }
    Ok(Request { method, path, headers, body })
}

type Answer = (u16, Vec<(String, String)>, Vec<u8>);

async fn forward(upstream: SocketAddr, request: Request) -> anyhow::Result<Answer> {
    let url = format!("http://{upstream}{}", request.path);
    let mut call = super::client()?.request(request.method.parse()?, url).body(request.body);
    for (name, value) in request.headers {
        if !["connection", "content-length", "transfer-encoding"].contains(&name.as_str()) {
            call = call.header(name, value);
        }
    }
    let answer = call.send().await?;
    let keep = ["content-type", "date", "retry-after", "x-subject-token"];
    let headers = keep.iter().filter_map(|name| {
        Some(((*name).to_owned(), answer.headers().get(*name)?.to_str().ok()?.to_owned()))
    });
    let (status, headers) = (answer.status().as_u16(), headers.collect());
    Ok((status, headers, answer.bytes().await?.to_vec()))
}
