//! One `ssh` child process for each call, not a multiplexed session: a session's master process outlives this process
//! when it is killed and hides a dead connection behind a live socket. Nor is it faster for one call (measured on
//! loopback, busy machine: 0.63 s for a plain call; 0.63 to 1.08 s for master, check, command and exit).
//! The client's own debug log, kept apart from the command's output, tells "never started" from "lost".

use super::child::{self, Ended};
use super::port::{Host, Ran, Tail};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::process::Command;

pub enum Called {
    Exit { code: i32, stdout: Vec<u8>, tail: Tail },
    NotStarted { layer: &'static str, says: String },
    Unknown { says: String },
}

impl From<Called> for Ran {
    fn from(called: Called) -> Ran {
        match called {
            Called::Exit { code, tail, .. } => Ran::Exit { code, tail },
            Called::NotStarted { layer, says } => Ran::NotStarted { layer, says },
            Called::Unknown { says } => Ran::Unknown { says },
        }
    }
}

/// `keep`: how much of the output to keep.
pub async fn call(host: &Host, line: &str, input: Option<&str>, keep: usize, within: Duration) -> Called {
    let log = match Log::create() {
        Ok(log) => log,
        Err(e) => {
            let says = format!("no temporary file for ssh's log: {e}");
            return Called::NotStarted { layer: "local", says };
        }
    };
    let command = match command(host, line, &log.path, within) {
        Ok(command) => command,
        Err(says) => return Called::NotStarted { layer: "configuration", says },
    };
    match child::run(command, input, keep, within).await {
        Ended::NotStarted(says) => Called::NotStarted { layer: "local", says: format!("ssh: {says}") },
        Ended::Late => late(&log.read(), within),
        Ended::Exit { status, stdout, tail } => judge(status, stdout, tail, &log.read()),
    }
}

fn command(host: &Host, line: &str, log: &Path, within: Duration) -> Result<Command, String> {
    let target = &host.target;
    let address = target.ssh.as_deref().ok_or("neither `ssh` nor `local` is set")?;
    let (destination, port) = split_port(address);
    let mut command = Command::new("ssh");
    command.env_clear();
    for name in ["PATH", "HOME", "SSH_AUTH_SOCK"] {
        if let Some(value) = crate::config::env(name) {
            command.env(name, value);
        }
    }
    command.arg("-v").arg("-E").arg(log).arg("-T");
    if let Some(config) = &target.ssh_config {
        command.arg("-F").arg(config);
    }
    if let Some(key) = &target.key {
        command.arg("-i").arg(key).args(["-o", "IdentitiesOnly=yes"]);
    }
    if let Some(known) = &target.known_hosts {
        // ssh takes a list here: quoted, a path with a blank stays one.
        command.arg("-o").arg(format!("UserKnownHostsFile=\"{}\"", known.display()));
    }
    if let Some(port) = port {
        command.args(["-p", port]);
    }
    let connect = within.as_secs().clamp(1, 3);
    command.arg("-o").arg(format!("ConnectTimeout={connect}"));
    for option in [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "ConnectionAttempts=1",
        "ServerAliveInterval=2",
        "ServerAliveCountMax=3",
        "ControlMaster=no",
        "ControlPath=none",
        "ForwardAgent=no",
        "ForwardX11=no",
        "ClearAllForwardings=yes",
        "PermitLocalCommand=no",
    ] {
        command.args(["-o", option]);
    }
    command.arg("--").arg(destination).arg(line);
    Ok(command)
}

/// `user@host:port`, `user@[v6]:port`, `user@host`; a bare IPv6 address keeps its colons.
fn split_port(address: &str) -> (&str, Option<&str>) {
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match address.rsplit_once(':') {
        Some((head, port)) if is_port(port) && (!head.contains(':') || head.ends_with(']')) => {
            (head, Some(port))
        }
        _ => (address, None),
    }
}

const SENT: &str = "debug1: Sending command: ";
const ENDED: &str = "rtype exit-status";

fn judge(status: ExitStatus, stdout: Vec<u8>, tail: Tail, log: &str) -> Called {
    let sent = log.lines().any(|line| line.starts_with(SENT));
    let ended = log.lines().any(|line| line.starts_with("debug1: ") && line.contains(ENDED));
    match status.code() {
        Some(code) if ended => Called::Exit { code, stdout, tail },
        _ if sent => Called::Unknown { says: format!("the connection was lost: {}", reason(log)) },
        _ => Called::NotStarted { layer: layer(log), says: reason(log) },
    }
}

fn late(log: &str, within: Duration) -> Called {
    if log.lines().any(|line| line.starts_with(SENT)) {
        Called::Unknown { says: format!("no end within {within:?}; ssh was stopped, the command may go on") }
    } else {
        Called::NotStarted { layer: layer(log), says: format!("no connection within {within:?}") }
    }
}

/// What ssh itself says, without its debug lines.
fn reason(log: &str) -> String {
    let words: Vec<&str> = log
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("debug") && !line.starts_with("OpenSSH_"))
        .filter(|line| !line.starts_with("Authenticated to") && !line.starts_with("Transferred:"))
        .filter(|line| !line.starts_with("Bytes per second"))
        .collect();
    let from = words.len().saturating_sub(3);
    if words.is_empty() { "ssh gave no reason".to_owned() } else { words[from..].join("; ") }
}

fn layer(log: &str) -> &'static str {
    let has = |text: &str| log.contains(text);
    if has("Could not resolve hostname") {
        "dns"
    } else if has("Host key verification failed") || has("No matching host key") {
        "host key"
    } else if has("Permission denied") || has("Too many authentication failures") {
        "auth"
    } else if !has("Connection established.") {
        "tcp"
    } else {
        "ssh"
    }
}

/// The client's log file: new, readable by us alone, gone afterwards.
struct Log {
    path: PathBuf,
}

impl Log {
    fn create() -> std::io::Result<Log> {
        use std::os::unix::fs::OpenOptionsExt as _;
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        for _ in 0..100 {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!("pointsman-ssh-{}-{number}.log", std::process::id());
            let path = std::env::temp_dir().join(name);
            let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            match made {
                Ok(_) => return Ok(Log { path }),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(e),
            }
        }
        Err(std::io::Error::other("a hundred old logs are in the way"))
    }

    fn read(&self) -> String {
        std::fs::read(&self.path)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;

    #[test]
    fn an_exit_code_of_255_is_the_commands_own_only_when_its_end_was_told() {
        let end = |log: &str| judge(ExitStatus::from_raw(255 << 8), vec![], Tail::default(), log);
        let sent = "debug1: Connection established.\r\ndebug1: Sending command: fence\r\n";
        let told = format!("{sent}debug1: client_input_channel_req: channel 0 rtype exit-status reply 0\r\n");
        assert!(matches!(end(&told), Called::Exit { code: 255, .. }));
        assert!(matches!(end(sent), Called::Unknown { .. }));
        let refused = "debug1: Connecting to h\r\nssh: connect to host h port 22: Connection refused\r\n";
        assert!(
            matches!(end(refused), Called::NotStarted { layer: "tcp", says } if says.contains("refused"))
        );
    }

    #[test]
    fn logs_are_each_their_own_readable_by_us_alone_and_do_not_stay() {
        use std::os::unix::fs::MetadataExt as _;
        let (one, other) = (Log::create().unwrap(), Log::create().unwrap());
        assert_ne!(one.path, other.path);
        assert_eq!(std::fs::metadata(&one.path).unwrap().mode() & 0o777, 0o600);
        let path = one.path.clone();
        drop(one);
        assert!(!path.exists() && other.path.exists());
    }

    #[test]
    fn ports_and_ipv6() {
        assert_eq!(split_port("fence@10.0.0.1:22"), ("fence@10.0.0.1", Some("22")));
        assert_eq!(split_port("fence@::1"), ("fence@::1", None));
        assert_eq!(split_port("gra-db"), ("gra-db", None));
    }
}
