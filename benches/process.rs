//! Servers under test as processes of their own, and what the kernel says about them. Gone when dropped.

use anyhow::{Context, bail};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The program that `cargo bench` has built beside us, with the same profile.
pub const POINTSMAN: &str = env!("CARGO_BIN_EXE_pointsman");

const START: Duration = Duration::from_secs(10);
const STOP: Duration = Duration::from_secs(30);

pub struct Server {
    pub name: &'static str,
    pub addr: SocketAddr,
    child: Child,
}

impl Server {
    /// Starts it without waiting for it. Its words go to `log`.
    pub fn spawn(
        name: &'static str,
        addr: SocketAddr,
        command: &mut Command,
        log: &Path,
    ) -> anyhow::Result<Server> {
        let out = File::create(log)?;
        let command = command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().with_context(|| format!("starting {name}"))?;
        Ok(Server { name, addr, child })
    }

    pub fn wait_listening(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        while TcpStream::connect(self.addr).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at once: {status}", self.name);
            }
            anyhow::ensure!(started.elapsed() < START, "{} does not listen on {}", self.name, self.addr);
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Until it and its children use no more time: the next peer must not pay for work that this one put off.
    pub fn wait_idle(&self, limit: Duration) -> anyhow::Result<Duration> {
        let (started, mut last, mut since) = (Instant::now(), self.ticks()?, Instant::now());
        while since.elapsed() < Duration::from_millis(150) && started.elapsed() < limit {
            std::thread::sleep(Duration::from_millis(10));
            let now = self.ticks()?;
            if now > last + 1 {
                (last, since) = (now, Instant::now());
            }
        }
        Ok(since - started)
    }

    /// Hundredths of a second on a processor, with those of children that have ended.
    fn ticks(&self) -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields = text.rsplit_once(')').context("/proc has another shape")?.1.split_whitespace();
        fields.skip(11).take(4).map(|field| Ok(field.parse::<u64>()?)).sum()
    }

    /// (resident, highest resident) memory in MiB.
    pub fn memory(&self) -> anyhow::Result<(f64, f64)> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
            kib.map(|kib| kib / 1024.0).with_context(|| format!("/proc has no {name}"))
        };
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// Asks it to leave, and waits.
    pub fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        let started = Instant::now();
        while self.child.try_wait()?.is_none() {
            anyhow::ensure!(started.elapsed() < STOP, "{} does not stop", self.name);
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that was free a moment ago.
pub fn free_addr() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// `pointsman serve` on `data`, with no playbook unless the folder has some.
pub fn serve(data: &Path, playbooks: &Path, addr: SocketAddr) -> Command {
    let mut command = Command::new(POINTSMAN);
    command.arg("serve").arg("--data").arg(data).arg("--playbooks").arg(playbooks);
    command.arg("--listen").arg(addr.to_string());
    command
}

/// A new token of the role `source`.
pub fn source_token(data: &Path) -> anyhow::Result<String> {
    let mut command = Command::new(POINTSMAN);
    command.args(["token", "create", "--role", "source", "--name", "alertmanager", "--data"]).arg(data);
    let out = command.output()?;
    anyhow::ensure!(out.status.success(), "token create: {}", String::from_utf8_lossy(&out.stderr));
    Ok(String::from_utf8(out.stdout)?.trim().to_owned())
}
