//! The forced SSH command of a machine: the whole of what the responder may do there, word for word.
//! Exit codes: 0 done or true, 1 not so, 2 no such file, 3 another file than
//! expected, 4 the input was cut off, 77 not allowed.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use lab::host_config::{HostConfig, HostDir, Kind, processes_in};
use sha2::{Digest, Sha256};

use crate::{disk, forced_files};

pub const NOT_ALLOWED: u8 = 77;
const PATIENCE: Duration = Duration::from_secs(10);

pub fn run(dir: &HostDir) -> anyhow::Result<ExitCode> {
    let asked = std::env::var("SSH_ORIGINAL_COMMAND").unwrap_or_default();
    let words: Vec<&str> = asked.split_whitespace().collect();
    let config = dir.read_config()?;
    match (&config.kind, words.as_slice()) {
        (_, ["status"]) => say(&status(dir, &config)),
        (Kind::Database | Kind::Cluster, ["fence"]) => fence(dir, &config),
        (Kind::Database | Kind::Cluster, ["fenced"]) => fenced(dir, &config),
        (Kind::Database | Kind::Cluster, ["unfence"]) => unfence(dir),
        (Kind::App { .. }, ["restart-shop"]) => restart(dir, &config),
        (Kind::App { listen, env }, ["shop-is-current"]) => is_current(dir, *listen, env),
        (Kind::App { env, .. }, [verb @ ("read-file" | "write-file"), path, digests @ ..]) => {
            forced_files::run(dir, std::slice::from_ref(env), verb, path, digests)
        }
        _ => {
            eprintln!("{}: not allowed here: {asked:?}", config.name);
            Ok(ExitCode::from(NOT_ALLOWED))
        }
    }
}

fn say(words: &str) -> anyhow::Result<ExitCode> {
    println!("{words}");
    Ok(ExitCode::SUCCESS)
}

fn status(dir: &HostDir, config: &HostConfig) -> String {
    let masked = if dir.mask().exists() { "masked" } else { "not masked" };
    match processes_in(&config.work_dir).len() {
        0 => format!("{}: stopped, {masked}", config.name),
        n => format!("{}: running ({n} processes), {masked}", config.name),
    }
}

/// Masks, then waits until the supervisor has stopped the service. Doing it again changes nothing.
fn fence(dir: &HostDir, config: &HostConfig) -> anyhow::Result<ExitCode> {
    {
        let lock = File::create(dir.lock())?;
        lock.lock()?;
        if !dir.mask().exists() {
            disk::replace(&dir.mask(), b"masked by fence\n")?;
        }
        // Also when it was there already: its writer may have died before the flush.
        disk::sync_dir(&dir.0)?;
    }
    let started = Instant::now();
    while !processes_in(&config.work_dir).is_empty() {
        if started.elapsed() > PATIENCE {
            eprintln!(
                "{}: masked, but it still runs after {PATIENCE:?}: {}",
                config.name,
                status(dir, config)
            );
            return Ok(ExitCode::FAILURE);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    say("stopped and masked")
}

fn fenced(dir: &HostDir, config: &HostConfig) -> anyhow::Result<ExitCode> {
    // Under the lock no start is under way: what is not there now cannot appear while the mask stands.
    let lock = File::create(dir.lock())?;
    lock.lock()?;
    if dir.mask().exists() && processes_in(&config.work_dir).is_empty() {
        return say("stopped and masked");
    }
    println!("not fenced: {}", status(dir, config));
    Ok(ExitCode::FAILURE)
}

/// Removes the mask and asks for a start, as an undo must.
fn unfence(dir: &HostDir) -> anyhow::Result<ExitCode> {
    match std::fs::remove_file(dir.mask()) {
        Ok(()) => disk::replace(&dir.start_request(), b"unfence\n")?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e).context("removing the mask"),
    }
    disk::sync_dir(&dir.0)?;
    say("not masked")
}

/// Restarts the application and waits until the new process answers.
fn restart(dir: &HostDir, config: &HostConfig) -> anyhow::Result<ExitCode> {
    let Kind::App { listen, .. } = &config.kind else { bail!("this machine has no application") };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let word = format!("{now}-{}", std::process::id());
    disk::replace(&dir.restart_request(), word.as_bytes())?;
    let started = Instant::now();
    loop {
        let restarted = std::fs::read_to_string(dir.restarted()).is_ok_and(|seen| seen == word);
        if restarted && livez(*listen).is_ok() {
            return say("restarted");
        }
        if started.elapsed() > PATIENCE {
            bail!("the application did not come back within {PATIENCE:?}: {}", status(dir, config));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether the *running* process read the file as it is now: the process itself says what it read.
fn is_current(dir: &HostDir, listen: SocketAddr, env: &str) -> anyhow::Result<ExitCode> {
    let content = std::fs::read(dir.root(env)).with_context(|| format!("reading {env}"))?;
    let wanted = hex::encode(Sha256::digest(content));
    let answer = livez(listen)?;
    let runs_with = answer["env_sha256"].as_str().context("the application does not say what it read")?;
    if runs_with == wanted {
        return say("current");
    }
    println!(
        "not current: runs with {}, the file is {}",
        &runs_with[..12.min(runs_with.len())],
        &wanted[..12]
    );
    Ok(ExitCode::FAILURE)
}

fn livez(listen: SocketAddr) -> anyhow::Result<serde_json::Value> {
    let limit = Some(Duration::from_secs(1));
    let mut stream =
        TcpStream::connect_timeout(&listen, Duration::from_secs(1)).context("the application is down")?;
    stream.set_read_timeout(limit)?;
    stream.set_write_timeout(limit)?;
    stream.write_all(b"GET /livez HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer).context("the application does not answer")?;
    let (_, body) = answer.split_once("\r\n\r\n").context("not an HTTP answer")?;
    serde_json::from_str(body).context("not a JSON answer")
}
