//! The machines' SSH: one sshd per machine, one key for the responder, and behind it only the forced command
//! of that machine. Tests lose machines here; the responder uses the ssh configuration file that is written.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::blackhole::Blackhole;
use rustix::process::Signal;

use crate::children::{self, Child, Spec, run, send};
use crate::files;
use crate::host_config::HostDir;
use crate::net::{self, wait_tcp};

/// A machine to reach: its name, its folder, where its sshd listens.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub name: String,
    pub dir: HostDir,
    pub ssh: SocketAddr,
}

/// How a machine's SSH is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Connections are refused.
    Refused,
    /// Nothing answers at all.
    Silent,
    /// Nothing answers at all, and connections that stand go on standing.
    Frozen,
}

/// All machines' SSH.
#[derive(Debug)]
pub struct Hosts {
    dir: PathBuf,
    log: PathBuf,
    /// A process namespace of its own takes a machine's sessions away with its sshd.
    in_namespace: bool,
    sshds: Vec<Sshd>,
}

#[derive(Debug)]
struct Sshd {
    machine: Machine,
    child: Option<Child>,
    hole: Option<Blackhole>,
}

/// What a command over SSH came to.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The namespace's processes let go of the port a moment after their first one died.
async fn let_go(addr: SocketAddr) -> anyhow::Result<()> {
    net::wait_until("the port of a lost sshd", Duration::from_secs(5), || async move {
        Ok(std::net::TcpListener::bind(addr).is_ok())
    })
    .await
}

impl Hosts {
    pub(crate) async fn start(lab: &Path, machines: Vec<Machine>) -> anyhow::Result<Hosts> {
        ensure!(rustix::process::getuid().is_root(), "machines with sshd need root");
        let dir = lab.join("ssh");
        std::fs::create_dir_all(&dir)?;
        std::fs::create_dir_all("/run/sshd").context("making sshd's folder")?;
        let namespace = run(&["unshare", "--pid", "--fork", "true"], &[]).await;
        let key = |name: &str| dir.join(name).display().to_string();
        for name in ["id", "host_key"] {
            run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", &key(name)], &[]).await?;
        }
        write_client_config(&dir, &machines)?;
        let sshds = machines.into_iter().map(|machine| Sshd { machine, child: None, hole: None }).collect();
        let mut hosts = Hosts { dir, log: lab.join("log"), in_namespace: namespace.is_ok(), sshds };
        let names: Vec<String> = hosts.sshds.iter().map(|sshd| sshd.machine.name.clone()).collect();
        for name in &names {
            hosts.write_sshd_config(name)?;
            hosts.spawn(name)?;
        }
        for sshd in &hosts.sshds {
            wait_tcp(&format!("sshd of {}", sshd.machine.name), sshd.machine.ssh, Duration::from_secs(10))
                .await?;
        }
        Ok(hosts)
    }

    fn sshd(&mut self, name: &str) -> &mut Sshd {
        let found = self.sshds.iter_mut().find(|sshd| sshd.machine.name == name);
        found.unwrap_or_else(|| panic!("the lab has no machine {name:?}"))
    }

    fn file(&self, name: &str, kind: &str) -> PathBuf {
        self.dir.join(format!("{name}.{kind}"))
    }

    fn write_sshd_config(&mut self, name: &str) -> anyhow::Result<()> {
        let machine = self.sshd(name).machine.clone();
        let keys = self.file(name, "authorized_keys");
        let helper = files::lab_host_binary()?;
        let public = std::fs::read_to_string(self.dir.join("id.pub"))?;
        let forced = format!("{} forced {}", helper.display(), machine.dir.0.display());
        std::fs::write(&keys, format!("restrict,command=\"{forced}\" {public}"))?;
        // Without PAM a locked root account is refused; with PAM it costs time on every login.
        let shadow = std::fs::read_to_string("/etc/shadow").unwrap_or_default();
        let locked = shadow.lines().any(|line| line.starts_with("root:!"));
        let pam = if locked { "yes" } else { "no" };
        // SHLVL: bash reads ~/.bashrc under sshd at level one; what a machine's owner put there would be timed as ours.
        let config = format!(
            "Port {}\nListenAddress {}\nHostKey {}\nPidFile none\nAuthorizedKeysFile {}\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM {pam}\nStrictModes no\nUseDNS no\n\
             PermitRootLogin forced-commands-only\nAllowUsers root\nMaxSessions 50\nMaxStartups 100\n\
             SetEnv SHLVL=1\n\
             LoginGraceTime 10\nPrintMotd no\nPrintLastLog no\n",
            machine.ssh.port(),
            machine.ssh.ip(),
            self.dir.join("host_key").display(),
            keys.display(),
        );
        std::fs::write(self.file(name, "sshd_config"), config)?;
        Ok(())
    }

    fn spawn(&mut self, name: &str) -> anyhow::Result<()> {
        let config = self.file(name, "sshd_config").display().to_string();
        let sshd = ["/usr/sbin/sshd", "-D", "-e", "-f", &config];
        let namespace: &[&str] = &["unshare", "--pid", "--fork", "--kill-child=KILL", "--"];
        let around = if self.in_namespace { namespace } else { &[] };
        let argv = around.iter().chain(&sshd).map(|word| (*word).to_owned());
        let spec = Spec::new(&format!("sshd of {name}"), argv, self.log.join(format!("sshd-{name}.log")));
        self.sshd(name).child = Some(Child::spawn(spec)?);
        Ok(())
    }

    /// For `ssh -F`: every machine by its name.
    pub fn ssh_config(&self) -> PathBuf {
        self.dir.join("config")
    }

    pub fn known_hosts(&self) -> PathBuf {
        self.dir.join("known_hosts")
    }

    pub fn identity(&self) -> PathBuf {
        self.dir.join("id")
    }

    /// The names of all machines, as in the ssh configuration.
    pub fn names(&self) -> Vec<String> {
        self.sshds.iter().map(|sshd| sshd.machine.name.clone()).collect()
    }

    pub fn address(&self, name: &str) -> SocketAddr {
        let found = self.sshds.iter().find(|sshd| sshd.machine.name == name);
        found.unwrap_or_else(|| panic!("the lab has no machine {name:?}")).machine.ssh
    }

    /// Takes a machine's SSH away, with all its sessions.
    pub async fn lose(&mut self, name: &str, loss: Loss) -> anyhow::Result<()> {
        let sshd = self.sshd(name);
        if loss == Loss::Frozen {
            let sshd = sshd.child.as_ref().context("its sshd is gone already")?;
            return children::descendants(sshd.pid()).into_iter().try_for_each(|pid| send(pid, Signal::STOP));
        }
        sshd.child = None;
        if loss == Loss::Silent && sshd.hole.is_none() {
            let addr = sshd.machine.ssh;
            let_go(addr).await?;
            sshd.hole = Some(Blackhole::at(addr).await?);
        }
        Ok(())
    }

    /// How often somebody has logged in since the lab began.
    pub fn logins(&self, name: &str) -> anyhow::Result<usize> {
        let log = std::fs::read_to_string(self.log.join(format!("sshd-{name}.log")))?;
        Ok(log.lines().filter(|line| line.starts_with("Accepted publickey")).count())
    }

    /// Brings a machine's SSH back.
    pub async fn find_again(&mut self, name: &str) -> anyhow::Result<()> {
        let addr = self.address(name);
        let sshd = self.sshd(name);
        sshd.hole = None;
        if sshd.child.take().is_some() {
            let_go(addr).await?;
        }
        self.spawn(name)?;
        wait_tcp(&format!("sshd of {name}"), addr, Duration::from_secs(10)).await
    }

    /// Runs a command on a machine as the responder would, within fifteen seconds.
    pub async fn ssh(&self, name: &str, command: &str) -> anyhow::Result<Answer> {
        self.ssh_with_input(name, command, b"").await
    }

    /// As [`Hosts::ssh`], with content on stdin.
    pub async fn ssh_with_input(&self, name: &str, command: &str, input: &[u8]) -> anyhow::Result<Answer> {
        use tokio::io::AsyncWriteExt;
        let (config, name) = (self.ssh_config(), name.to_owned());
        let (command, input) = (command.to_owned(), input.to_owned());
        net::on_lab(async move {
            let mut ssh = tokio::process::Command::new("ssh");
            ssh.arg("-F").arg(config).args([&name, &command]).kill_on_drop(true);
            ssh.stdin(std::process::Stdio::piped());
            ssh.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            let mut child = ssh.spawn().context("starting ssh")?;
            if let Some(mut stdin) = child.stdin.take() {
                // A command that reads nothing closes the pipe early.
                let _ = stdin.write_all(&input).await;
            }
            let ended = tokio::time::timeout(Duration::from_secs(15), child.wait_with_output()).await;
            let output = ended.with_context(|| format!("ssh {name} {command:?} took too long"))??;
            Ok(Answer {
                code: output.status.code(),
                stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            })
        })
        .await
    }
}

/// What a client of the machines needs: their keys, and each machine by its name.
fn write_client_config(dir: &Path, machines: &[Machine]) -> anyhow::Result<()> {
    let key = |name: &str| dir.join(name).display().to_string();
    let host_key = std::fs::read_to_string(dir.join("host_key.pub"))?;
    let (mut known, mut config) = (String::new(), String::new());
    for Machine { name, ssh, .. } in machines {
        known += &format!("[{}]:{} {host_key}", ssh.ip(), ssh.port());
        config += &format!("Host {name}\n  HostName {}\n  Port {}\n", ssh.ip(), ssh.port());
    }
    config += &format!(
        "Host *\n  User root\n  IdentityFile {}\n  IdentitiesOnly yes\n  BatchMode yes\n  ConnectTimeout 5\n  \
         StrictHostKeyChecking yes\n  UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n",
        key("id"),
        key("known_hosts"),
    );
    std::fs::write(dir.join("known_hosts"), known)?;
    std::fs::write(dir.join("config"), config)?;
    Ok(())
}
