//! The supervisor of a machine: keeps its service running, unless it is masked. It is what brings an old
//! primary back at the worst moment, so it must be real.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::process::{Child, ExitCode};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use lab::host_config::{HostConfig, HostDir};
use tokio::signal::unix::{SignalKind, signal};

use crate::{disk, unit};

const TICK: Duration = Duration::from_millis(20);

/// Runs until told to end (SIGTERM: from the harness, or because the harness died).
pub fn run(dir: HostDir) -> anyhow::Result<ExitCode> {
    let config = dir.read_config()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut end = signal(SignalKind::terminate())?;
        let mut supervisor = Supervisor { dir, config, child: None, start_at: Some(Instant::now()) };
        loop {
            supervisor.tick()?;
            tokio::select! {
                _ = end.recv() => break,
                () = tokio::time::sleep(TICK) => {}
            }
        }
        let Supervisor { child, config, .. } = &mut supervisor;
        child.as_mut().map_or(Ok(()), |child| unit::stop_now(child, &config.kind))
    })?;
    Ok(ExitCode::SUCCESS)
}

struct Supervisor {
    dir: HostDir,
    config: HostConfig,
    child: Option<Child>,
    /// When to (try to) start the service next.
    start_at: Option<Instant>,
}

impl Supervisor {
    fn tick(&mut self) -> anyhow::Result<()> {
        self.reap()?;
        if self.child.is_some() && self.dir.mask().exists() {
            self.stop("masked")?;
            self.plan_restart();
        }
        if let Ok(word) = std::fs::read(self.dir.restart_request()) {
            std::fs::remove_file(self.dir.restart_request())?;
            self.stop("restart asked for")?;
            self.start()?;
            if self.child.is_some() {
                disk::replace(&self.dir.restarted(), &word)?;
            }
        }
        if self.dir.start_request().exists() {
            std::fs::remove_file(self.dir.start_request())?;
            // It may have ended since the look above; planned after this request, its restart would be the one that counts.
            self.reap()?;
            self.start_at = Some(Instant::now());
        }
        if self.child.is_none() && self.start_at.is_some_and(|at| Instant::now() >= at) {
            self.start()?;
        }
        Ok(())
    }

    fn reap(&mut self) -> anyhow::Result<()> {
        let Some(child) = &mut self.child else {
            return Ok(());
        };
        if let Some(status) = child.try_wait()? {
            self.child = None;
            self.plan_restart();
            let next = self
                .config
                .restart_after
                .map_or("only when asked".to_owned(), |after| format!("in {after:?}"));
            self.log(&format!("service ended: {status}; start again {next}"))?;
        }
        Ok(())
    }

    fn plan_restart(&mut self) {
        self.start_at = self.config.restart_after.map(|after| Instant::now() + after);
    }

    fn stop(&mut self, why: &str) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            let status = unit::stop(&mut child, &self.config)?;
            self.log(&format!("stopped ({why}): {status}"))?;
        }
        Ok(())
    }

    /// Starts the service, or is refused by the mask. The lock makes "look, then start" one act.
    fn start(&mut self) -> anyhow::Result<()> {
        let lock = File::create(self.dir.lock()).context("opening the unit's lock")?;
        lock.lock()?;
        if self.dir.mask().exists() {
            self.plan_restart();
            return self.log("refused: masked");
        }
        self.start_at = None;
        let child = unit::start(&self.config)?;
        self.log(&format!("started: process {}", child.id()))?;
        self.child = Some(child);
        Ok(())
    }

    /// One line: seconds since the epoch, then words.
    fn log(&self, words: &str) -> anyhow::Result<()> {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
        let mut file = OpenOptions::new().create(true).append(true).open(self.dir.supervisor_log())?;
        writeln!(file, "{}.{:06} {words}", at.as_secs(), at.subsec_micros())?;
        Ok(())
    }
}
