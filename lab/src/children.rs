//! Child processes that cannot outlive the harness. Every part of the lab starts its servers through here.
//!
//! The kernel's parent-death signal is tied to the *thread* that spawned, so one thread that lives as long as
//! the process does all the spawning; and it is cleared by a change of user, so `setpriv` sets it after that
//! change and then becomes the server (the pid stays ours). On a normal end, and on panic, `Drop` stops and
//! reaps.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

/// How to start a child.
pub struct Spec {
    name: String,
    argv: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    log: PathBuf,
    death_signal: &'static str,
    stop: Vec<(Signal, Duration)>,
    piped_stdin: bool,
    dies_with_harness: bool,
}

impl Spec {
    pub fn new<A: Into<OsString>>(name: &str, argv: impl IntoIterator<Item = A>, log: PathBuf) -> Spec {
        Spec {
            name: name.to_owned(),
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            dir: None,
            log,
            death_signal: "KILL",
            stop: Vec::new(),
            piped_stdin: false,
            dies_with_harness: true,
        }
    }

    pub fn env(mut self, key: &str, value: impl Into<OsString>) -> Spec {
        self.env.push((key.into(), value.into()));
        self
    }

    /// The working folder; else the harness's own.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Spec {
        self.dir = Some(dir.into());
        self
    }

    /// A polite signal and how long to wait for it to work, before SIGKILL. The same signal comes when the
    /// harness dies, so only for children that are known to obey it.
    pub fn stop_with_term(mut self, grace: Duration) -> Spec {
        self.stop.push((Signal::TERM, grace));
        self.death_signal = "TERM";
        self
    }

    /// Keeps a pipe to the child's stdin open as long as the harness lives; the child is not killed with the
    /// harness.
    pub(crate) fn outlives_until_stdin_closes(mut self) -> Spec {
        self.piped_stdin = true;
        self.dies_with_harness = false;
        self
    }

    fn command(&self) -> anyhow::Result<Command> {
        let mut argv = self.argv.iter();
        let mut command = if self.dies_with_harness {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", self.death_signal, "--"]);
            command
        } else {
            Command::new(argv.next().context("a child needs a program")?)
        };
        command.args(argv);
        command.envs(self.env.iter().cloned());
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        // Ctrl-C at a terminal is for the harness; it (or its end) tells the children.
        command.process_group(0);
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("opening the log {}", self.log.display()))?;
        command.stdout(log.try_clone()?).stderr(log);
        command.stdin(if self.piped_stdin { Stdio::piped() } else { Stdio::null() });
        Ok(command)
    }
}

/// A running child; stopped and reaped when dropped.
#[derive(Debug)]
pub struct Child {
    name: String,
    inner: std::process::Child,
    ended: Option<ExitStatus>,
    stop: Vec<(Signal, Duration)>,
}

impl Child {
    pub fn spawn(spec: Spec) -> anyhow::Result<Child> {
        let inner = spawn_on_the_one_thread(spec.command()?);
        let inner = inner.with_context(|| format!("starting {}: {:?}", spec.name, spec.argv))?;
        Ok(Child { name: spec.name, inner, ended: None, stop: spec.stop })
    }

    pub fn pid(&self) -> u32 {
        self.inner.id()
    }

    /// Whether it still runs; reaps it if not.
    pub fn is_running(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.inner.try_wait().ok().flatten();
        }
        self.ended.is_none()
    }

    /// The error of a server that ended while we waited for it, with the place of its log.
    pub fn must_run(&mut self) -> anyhow::Result<()> {
        if self.is_running() {
            return Ok(());
        }
        bail!("{} ended already ({:?}): read its log", self.name, self.ended)
    }

    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.must_run()?;
        send(self.pid(), signal).with_context(|| format!("signalling {}", self.name))
    }

    /// Asks politely where that was configured, then kills; returns when the process is reaped.
    pub fn stop(&mut self) {
        for (signal, grace) in self.stop.clone() {
            if self.signal(signal).is_err() || self.ends_within(grace) {
                break;
            }
        }
        self.kill9();
    }

    pub fn kill9(&mut self) {
        if self.is_running() {
            // Fails only when it has just ended; the wait below tells.
            let _ = self.inner.kill();
            self.ended = self.inner.wait().ok();
        }
    }

    fn ends_within(&mut self, limit: Duration) -> bool {
        let started = Instant::now();
        while started.elapsed() < limit {
            if !self.is_running() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        !self.is_running()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.inner.stdin.take());
        self.stop();
    }
}

/// Sends a signal to a process known by its pid (a pid file's, not a guess).
pub fn send(pid: u32, signal: Signal) -> anyhow::Result<()> {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).context("not a process id")?;
    kill_process(raw, signal).with_context(|| format!("signal {signal:?} to process {pid}"))
}

/// Whether every thread of it stands still: a signal reaches them one after the other.
pub fn is_stopped(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let stands = |stat: String| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" T"));
    let mut states = tasks.map(|task| std::fs::read_to_string(task.path().join("stat")).is_ok_and(stands));
    let first = states.next();
    first == Some(true) && states.all(|stands| stands)
}

/// The processes below one, itself not among them; none that end meanwhile.
pub fn descendants(of: u32) -> Vec<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in brackets, may hold anything; after it come the state and the parent.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let folders = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = folders.filter_map(|folder| folder.file_name().to_str()?.parse().ok());
    let all: Vec<(u32, u32)> = pids.filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut found = vec![of];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(all.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

type Job = (Command, mpsc::Sender<std::io::Result<std::process::Child>>);

fn spawn_on_the_one_thread(command: Command) -> anyhow::Result<std::process::Child> {
    static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (to_thread, jobs) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new().name("lab-spawner".into());
        let started = thread.spawn(move || {
            for (mut command, reply) in jobs {
                // A receiver that went away drops the answer: the child is then killed by nobody but the
                // kernel.
                let _ = reply.send(command.spawn());
            }
        });
        started.expect("invariant: a process can start a thread");
        to_thread
    });
    let (reply, answer) = mpsc::channel();
    spawner.send((command, reply)).context("the spawning thread is gone")?;
    Ok(answer.recv().context("the spawning thread is gone")??)
}

/// Runs a short command to its end and gives its stdout; the error carries its stderr.
pub async fn run(argv: &[&str], env: &[(&str, &str)]) -> anyhow::Result<String> {
    run_with_input(argv, env, "").await
}

/// As [`run`], with text on stdin.
pub async fn run_with_input(argv: &[&str], env: &[(&str, &str)], input: &str) -> anyhow::Result<String> {
    run_within(Duration::from_secs(30), argv, env, input).await
}

/// As [`run_with_input`], for what takes longer.
pub async fn run_within(
    limit: Duration,
    argv: &[&str],
    env: &[(&str, &str)],
    input: &str,
) -> anyhow::Result<String> {
    let owned: Vec<String> = argv.iter().map(|s| (*s).to_owned()).collect();
    let env: Vec<(String, String)> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let input = input.to_owned();
    let what = argv.join(" ");
    let output = crate::net::on_lab(async move {
        use tokio::io::AsyncWriteExt;
        let mut command = tokio::process::Command::new(&owned[0]);
        command.args(&owned[1..]).envs(env).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {}", owned[0]))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that does not read its input closes the pipe early.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        let output = tokio::time::timeout(limit, child.wait_with_output()).await;
        Ok(output.with_context(|| format!("no end within {limit:?}"))??)
    });
    let output = output.await.with_context(|| format!("running {what}"))?;
    if !output.status.success() {
        bail!("{what}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
