//! The service of a machine as a child process of its supervisor: start, stop within bounds, reap.

use std::fs::OpenOptions;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use lab::children::{Signal, send};
use lab::host_config::{HostConfig, Kind, processes_in};

/// The signals that stop a service, each with its patience; SIGKILL comes after them.
fn stop_signals(kind: &Kind) -> Vec<(Signal, Duration)> {
    match kind {
        // Fast, then immediate shutdown.
        Kind::Database => vec![(Signal::INT, Duration::from_secs(3)), (Signal::QUIT, Duration::from_secs(2))],
        Kind::Cluster => vec![(Signal::TERM, Duration::from_secs(2))],
        Kind::App { .. } => vec![(Signal::TERM, Duration::from_secs(1))],
    }
}

/// Starts the service; it dies with the supervisor.
pub fn start(config: &HostConfig) -> anyhow::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(&config.log);
    let log = log.with_context(|| format!("opening {}", config.log.display()))?;
    // `setpriv` changes the user first (it is part of the command) and then sets the death signal, because a
    // change of user clears it.
    let (program, rest) = config.command.split_first().context("the service has no command")?;
    let mut command = Command::new(program);
    command.args(rest).current_dir(&config.work_dir).stdin(Stdio::null());
    command.stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("starting {:?}", config.command))
}

/// Stops the service with all its processes and reaps it; says which way it went.
pub fn stop(child: &mut Child, config: &HostConfig) -> anyhow::Result<ExitStatus> {
    let status = stop_first(child, &config.kind)?;
    // Children end by themselves once the first process is gone, unless they hang.
    let started = Instant::now();
    while !processes_in(&config.work_dir).is_empty() && started.elapsed() < Duration::from_secs(2) {
        if started.elapsed() > Duration::from_millis(500) {
            for pid in processes_in(&config.work_dir) {
                // Fails only when it has just ended.
                let _ = send(pid, Signal::KILL);
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(status)
}

fn stop_first(child: &mut Child, kind: &Kind) -> anyhow::Result<ExitStatus> {
    for (signal, patience) in stop_signals(kind) {
        // Fails only when it has just ended.
        let _ = send(child.id(), signal);
        if let Some(status) = ends_within(child, patience)? {
            return Ok(status);
        }
    }
    child.kill()?;
    Ok(child.wait()?)
}

/// For the end of the harness: no patience for open transactions.
pub fn stop_now(child: &mut Child, kind: &Kind) -> anyhow::Result<()> {
    if let Kind::Database = kind {
        // Immediate shutdown frees what outlives a process (shared memory).
        let _ = send(child.id(), Signal::QUIT);
        if ends_within(child, Duration::from_secs(2))?.is_some() {
            return Ok(());
        }
    }
    child.kill()?;
    child.wait()?;
    Ok(())
}

fn ends_within(child: &mut Child, limit: Duration) -> anyhow::Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() > limit {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
