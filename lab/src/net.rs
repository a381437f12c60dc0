//! Ports, waiting and the lab's own runtime. Called by every part that listens somewhere or waits for a
//! server.
//!
//! A lab reserves a block of ports under a file lock, below the kernel's ephemeral range: several labs in one
//! process or in many processes never meet, and an outgoing connection cannot take a port in between.

use std::fs::{File, OpenOptions, TryLockError};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

const FIRST_PORT: u16 = 15_000;
const PORTS_PER_BLOCK: u16 = 32;
const BLOCKS: u16 = 190;

/// What each port of a block is for. Sites share port numbers: their addresses differ.
#[derive(Clone, Copy, Debug)]
pub enum Port {
    Postgres = 0,
    ReplicationProxy = 1,
    PointsmanProxy = 2,
    Dns = 3,
    App = 4,
    DatabaseSsh = 5,
    AppSsh = 6,
    Blackbox = 7,
    Prometheus = 8,
    Alertmanager1 = 9,
    Alertmanager2 = 10,
    DnsGate = 11,
}

/// Ports from here on in a block belong to the test itself (see [`PortBlock::spare`]).
const FIRST_SPARE: u16 = 16;

/// The reserved ports of one lab; free again when dropped.
#[derive(Debug)]
pub struct PortBlock {
    index: u16,
    _lock: File,
}

impl PortBlock {
    pub fn reserve() -> anyhow::Result<PortBlock> {
        let dir = cache_dir()?.join("ports");
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        for index in 0..BLOCKS {
            let path = dir.join(format!("block-{index}"));
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
            let file = file.with_context(|| format!("opening {}", path.display()))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(e)) => return Err(e).context("locking a block of ports"),
            }
            let block = PortBlock { index, _lock: file };
            if (0..PORTS_PER_BLOCK).all(|n| is_free(block.base() + n)) {
                return Ok(block);
            }
        }
        bail!("no block of {PORTS_PER_BLOCK} free ports between {FIRST_PORT} and 32767: {BLOCKS} were tried");
    }

    fn base(&self) -> u16 {
        FIRST_PORT + self.index * PORTS_PER_BLOCK
    }

    pub fn get(&self, port: Port) -> u16 {
        self.base() + port as u16
    }

    /// The n-th port that the lab itself never uses: for the responder under test, receivers and the like.
    pub fn spare(&self, n: u16) -> u16 {
        assert!(n < PORTS_PER_BLOCK - FIRST_SPARE, "a lab has {} spare ports", PORTS_PER_BLOCK - FIRST_SPARE);
        self.base() + FIRST_SPARE + n
    }

    /// Which block it is; no other lab has the same at the same time.
    pub(crate) fn index(&self) -> u16 {
        self.index
    }

    /// An address on the link to a namespace of this lab.
    pub(crate) fn link_ip(&self, last: u8) -> Ipv4Addr {
        let index = u8::try_from(self.index).expect("invariant: there are fewer than 200 blocks");
        Ipv4Addr::new(10, 231, index, last)
    }

    /// The address of what runs there; of the loopback's range, as everything in the lab.
    pub(crate) fn apart_ip(&self) -> Ipv4Addr {
        let index = u8::try_from(self.index).expect("invariant: there are fewer than 200 blocks");
        Ipv4Addr::new(127, 4, index, 2)
    }

    /// An address of the third place that no other lab uses: a resolver must listen on port 53.
    pub fn resolver_ip(&self) -> Ipv4Addr {
        let last = u8::try_from(54 + self.index).expect("invariant: there are fewer than 200 blocks");
        crate::Site::Par.ip(last)
    }
}

fn is_free(port: u16) -> bool {
    let any = Ipv4Addr::UNSPECIFIED;
    TcpListener::bind((any, port)).is_ok() && UdpSocket::bind((any, port)).is_ok()
}

/// Where locks and templates live that several runs share.
pub(crate) fn cache_dir() -> anyhow::Result<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    let dir = std::env::temp_dir().join(format!("lab-cache-{uid}"));
    std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    Ok(dir)
}

/// The runtime of proxies, checkers and harness clients. It is the process's own, so that a test whose
/// runtime has one thread, is blocked, or has its clock paused does not stop the traffic of the lab.
pub(crate) fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).thread_name("lab-net").enable_all();
        builder.build().expect("invariant: a process can start two threads")
    })
}

/// Runs a future on the lab's runtime and gives its result.
pub(crate) async fn on_lab<T: Send + 'static>(
    work: impl Future<Output = anyhow::Result<T>> + Send + 'static,
) -> anyhow::Result<T> {
    runtime().spawn(work).await.context("a task of the lab ended badly")?
}

/// Asks until the answer is yes; the error says for what and how long, and the last thing heard.
pub async fn wait_until<F, Fut>(what: &str, limit: Duration, mut ask: F) -> anyhow::Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = anyhow::Result<bool>>,
{
    let started = Instant::now();
    loop {
        let heard = match ask().await {
            Ok(true) => return Ok(()),
            Ok(false) => "the answer was no".to_owned(),
            Err(e) => format!("{e:#}"),
        };
        if started.elapsed() > limit {
            bail!("waited {limit:?} for: {what}; at last {heard}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One HTTP client for readiness questions and small posts; only ever used with plain http on loopback.
pub(crate) fn http() -> anyhow::Result<reqwest::Client> {
    // Installing twice is an error that means "already there".
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build();
    client.context("building the HTTP client")
}

/// Waits for `GET url` to answer 2xx.
pub(crate) async fn wait_http(what: &str, url: &str, limit: Duration) -> anyhow::Result<()> {
    let client = http()?;
    wait_until(what, limit, || {
        let get = client.get(url).send();
        async move { Ok(get.await?.status().is_success()) }
    })
    .await
}

/// Waits until something accepts TCP there.
pub(crate) async fn wait_tcp(what: &str, addr: std::net::SocketAddr, limit: Duration) -> anyhow::Result<()> {
    wait_until(what, limit, || async move {
        let _stream = tokio::net::TcpStream::connect(addr).await?;
        Ok(true)
    })
    .await
}
