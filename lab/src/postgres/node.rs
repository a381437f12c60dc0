//! One PostgreSQL on its machine: folders, configuration, and the supervisor that runs it. Used by the pair.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::{PostgresOptions, Role};
use crate::children::{self, Child, Signal, Spec};
use crate::files;
use crate::host_config::{HostConfig, HostDir, Kind, processes_in};
use crate::site::Site;
use crate::tls::Tls;

/// Debian's place of the server programs.
const BIN: &str = "/usr/lib/postgresql/15/bin";

pub(crate) fn program(name: &str) -> String {
    format!("{BIN}/{name}")
}

#[derive(Debug)]
pub(super) struct Node {
    site: Site,
    pub host: HostDir,
    pub data: PathBuf,
    pub socket: PathBuf,
    pub log: PathBuf,
    supervisor_log: PathBuf,
    supervisor: Option<Child>,
}

impl Node {
    pub fn host_dir(lab: &Path, site: Site) -> PathBuf {
        lab.join("hosts").join(format!("pg-{site}-host"))
    }

    pub fn data_dir(lab: &Path, site: Site) -> PathBuf {
        Node::host_dir(lab, site).join("data")
    }

    /// A node whose data is there (or will be), without a running server.
    pub fn absent(lab: &Path, site: Site) -> Node {
        let host = Node::host_dir(lab, site);
        let log = |name: String| lab.join("log").join(name);
        Node {
            site,
            data: host.join("data"),
            socket: host.join("run"),
            host: HostDir::new(host),
            log: log(format!("pg-{site}.log")),
            supervisor_log: log(format!("pg-{site}-supervisor.log")),
            supervisor: None,
        }
    }

    pub fn start(lab: &Path, site: Site, port: u16, options: &PostgresOptions) -> anyhow::Result<Node> {
        let mut node = Node::absent(lab, site);
        files::postgres_dir(&node.socket, 0o755)?;
        let config = HostConfig {
            name: format!("pg-{site}-host"),
            kind: Kind::Database,
            command: node.command(port)?,
            work_dir: node.data.clone(),
            log: node.log.clone(),
            restart_after: options.restart_after,
        };
        node.host.write_config(&config)?;
        node.supervise_again()?;
        Ok(node)
    }

    /// What makes this server itself is on its command line: `ALTER SYSTEM`, a base backup and `pg_rewind`
    /// copy configuration files from one server to the other.
    fn command(&self, port: u16) -> anyhow::Result<Vec<String>> {
        let mut words = files::as_postgres()?;
        words.extend([program("postgres"), "-D".into(), self.data.display().to_string()]);
        let own = [
            format!("port={port}"),
            format!("listen_addresses={}", self.site.postgres()),
            format!("unix_socket_directories={}", self.socket.display()),
            format!("cluster_name=pg-{}", self.site),
        ];
        words.extend(own.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));
        Ok(words)
    }

    /// Starts the supervisor; one that runs is killed, and its server dies with it.
    pub fn supervise_again(&mut self) -> anyhow::Result<()> {
        if let Some(mut old) = self.supervisor.take() {
            old.kill9();
            self.wait_gone(Duration::from_secs(5))?;
        }
        let argv =
            [files::lab_host_binary()?.into_os_string(), "supervise".into(), self.host.0.clone().into()];
        let spec = Spec::new(&format!("supervisor of pg-{}", self.site), argv, self.supervisor_log.clone());
        self.supervisor = Some(Child::spawn(spec.stop_with_term(Duration::from_secs(4)))?);
        Ok(())
    }

    /// The first line of `postmaster.pid`: the server's own word, checked against what runs in its folder.
    pub fn postmaster(&self) -> anyhow::Result<u32> {
        let path = self.data.join("postmaster.pid");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let pid =
            text.lines().next().and_then(|line| line.parse().ok()).context("postmaster.pid is unreadable")?;
        if !self.processes().contains(&pid) {
            bail!("pg-{} does not run: process {pid} of its pid file is gone", self.site);
        }
        Ok(pid)
    }

    /// Every process of this server.
    pub fn processes(&self) -> Vec<u32> {
        processes_in(&self.data)
    }

    pub fn signal_all(&self, signal: Signal) -> anyhow::Result<()> {
        for pid in self.processes() {
            // A backend may end between the look and the signal.
            let _ = children::send(pid, signal);
        }
        Ok(())
    }

    /// Blocks, within the limit, until no process of the server is left.
    pub fn wait_gone(&self, limit: Duration) -> anyhow::Result<()> {
        let started = std::time::Instant::now();
        while !self.processes().is_empty() {
            if started.elapsed() > limit {
                bail!("pg-{}: processes {:?} are still there after {limit:?}", self.site, self.processes());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Node {
    /// A server that a test left hung could not be stopped in order, and its children would stay for ever.
    fn drop(&mut self) {
        let _ = self.signal_all(Signal::CONT);
    }
}

/// Settings of both servers. They travel with the base backup.
pub(super) fn configure(data: &Path, tls: &Tls, options: &PostgresOptions) -> anyhow::Result<()> {
    let onoff = if options.fsync { "on" } else { "off" };
    let conf = format!(
        "\n# the lab\nwal_level = replica\nmax_wal_senders = 10\nmax_replication_slots = 10\nhot_standby = on\n\
         wal_keep_size = 64MB\nmax_wal_size = 256MB\nmax_connections = 60\nshared_buffers = 16MB\nfsync = {onoff}\n\
         wal_retrieve_retry_interval = 500ms\npassword_encryption = 'scram-sha-256'\n\
         dynamic_shared_memory_type = mmap\nlog_line_prefix = '%m [%p] %u@%d '\n\
         ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\n{}\n",
        tls.cert.display(),
        tls.key.display(),
        options.conf.join("\n"),
    );
    let mut file = OpenOptions::new().append(true).open(data.join("postgresql.conf"))?;
    file.write_all(conf.as_bytes())?;
    let hba = "local all postgres trust\nhost replication repl 127.0.0.0/8 scram-sha-256\n\
               host all all 127.0.0.0/8 scram-sha-256\n";
    std::fs::write(data.join("pg_hba.conf"), hba)?;
    Ok(())
}

/// Copies the primary through the replication proxy, with a slot, as a standby of it.
pub(super) async fn base_backup(primary: SocketAddr, data: &Path) -> anyhow::Result<()> {
    files::postgres_dir(data.parent().context("a data folder is in a machine's folder")?, 0o755)?;
    let from = format!(
        "host={} port={} user={} password={} application_name=pg_sbg",
        primary.ip(),
        primary.port(),
        Role::Replication.user(),
        Role::Replication.password(),
    );
    let mut words = files::as_postgres()?;
    words.extend([program("pg_basebackup"), "-D".into(), data.display().to_string(), "-d".into(), from]);
    words.extend(["-R", "-X", "stream", "-C", "-S", "pg_sbg", "-c", "fast", "--no-sync"].map(String::from));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    children::run(&words, &[]).await?;
    Ok(())
}
