//! A real HAProxy with a backend of two servers, its runtime API on a unix socket and on TCP, and a master process that
//! reloads it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::children::{Child, Signal, Spec};
use crate::files::temp_dir;
use crate::net::{PortBlock, on_lab, wait_until};
use crate::site::at;

#[derive(Debug)]
pub struct Haproxy {
    pub unix: PathBuf,
    /// A socket that shows everything and changes nothing of a server's state.
    pub operator: PathBuf,
    pub tcp: SocketAddr,
    /// Where clients come in.
    pub front: SocketAddr,
    child: Mutex<Child>,
    _ports: PortBlock,
    _dir: tempfile::TempDir,
}

impl Haproxy {
    /// Backend `app` with the servers `eu` and `us`, both of weight 100; without checks.
    pub async fn start(servers: [SocketAddr; 2]) -> anyhow::Result<Haproxy> {
        let (dir, ports) = (temp_dir(false)?, PortBlock::reserve()?);
        let (front, tcp) = (at(Ipv4Addr::LOCALHOST, ports.spare(0)), at(Ipv4Addr::LOCALHOST, ports.spare(1)));
        let [unix, operator, file] =
            ["admin.sock", "operator.sock", "haproxy.cfg"].map(|name| dir.path().join(name));
        let [eu, us] = servers;
        let text = format!(
            "global\n  stats socket {} mode 600 level admin\n  stats socket {} mode 600 level operator\n  \
             stats socket ipv4@{tcp} level admin\n  stats timeout 30s\n\
             defaults\n  mode tcp\n  timeout connect 500ms\n  timeout client 60s\n  timeout server 60s\n\
             frontend fe\n  bind {front}\n  default_backend app\n\
             backend app\n  server eu {eu} weight 100\n  server us {us} weight 100\n",
            unix.display(),
            operator.display()
        );
        std::fs::write(&file, text)?;
        let argv = ["haproxy".to_owned(), "-W".into(), "-db".into(), "-f".into(), file.display().to_string()];
        let spec = Spec::new("haproxy", argv, dir.path().join("log")).stop_with_term(Duration::from_secs(3));
        let child = Mutex::new(Child::spawn(spec)?);
        let haproxy = Haproxy { unix, operator, tcp, front, child, _ports: ports, _dir: dir };
        haproxy.wait().await?;
        Ok(haproxy)
    }

    async fn wait(&self) -> anyhow::Result<()> {
        wait_until("HAProxy to answer", Duration::from_secs(10), || async {
            Ok(self.say("show info").await?.contains("Uptime"))
        })
        .await
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().expect("invariant: no panic while holding the lock")
    }

    /// A command of the harness itself.
    pub async fn say(&self, command: &str) -> anyhow::Result<String> {
        let (unix, line) = (self.unix.clone(), format!("{command}\n"));
        on_lab(async move { talk(&unix, &line).await }).await
    }

    /// As `systemctl reload haproxy`: a new process with the configuration, the old one ends.
    pub async fn reload(&self) -> anyhow::Result<()> {
        let pid = |info: String| info.lines().find(|line| line.starts_with("Pid:")).map(str::to_owned);
        let before = pid(self.say("show info").await?).context("HAProxy says no pid")?;
        self.child().signal(Signal::USR2)?;
        wait_until("HAProxy to be reloaded", Duration::from_secs(10), || async {
            Ok(pid(self.say("show info").await?).is_some_and(|now| now != before))
        })
        .await
    }

    /// Forced state and weight of each server.
    pub async fn servers(&self) -> anyhow::Result<Vec<(String, String, String)>> {
        let text = self.say("show servers state app").await?;
        let row = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let word = |at: usize| words.get(at).copied().unwrap_or_default().to_owned();
            (word(3), word(6), word(7))
        };
        let rows: Vec<_> = text.lines().skip(2).filter(|line| !line.is_empty()).map(row).collect();
        ensure!(rows.len() == 2, "two servers expected: {text}");
        Ok(rows)
    }

    /// As it was configured.
    pub async fn reset(&self) -> anyhow::Result<()> {
        for server in ["eu", "us"] {
            self.say(&format!("set server app/{server} weight 100")).await?;
            self.say(&format!("set server app/{server} state ready")).await?;
        }
        Ok(())
    }
}

/// One line, and the answer until the end.
pub(super) async fn talk(unix: &std::path::Path, line: &str) -> anyhow::Result<String> {
    let mut stream = UnixStream::connect(unix).await?;
    stream.write_all(line.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
