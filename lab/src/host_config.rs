//! What a machine of the lab is told about itself: written by the harness, read by `lab-host`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// One machine with one service on it. Its folder is its disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostConfig {
    pub name: String,
    pub kind: Kind,
    /// The service's command line; runs in `work_dir`.
    pub command: Vec<String>,
    /// Every process whose working folder this is, or one in it, belongs to the service.
    pub work_dir: PathBuf,
    pub log: PathBuf,
    /// How long after its death the supervisor starts the service again; `None`: only when asked to.
    pub restart_after: Option<Duration>,
}

/// Which service the machine runs, and so which commands it takes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Kind {
    Database,
    /// Patroni with its PostgreSQL. Told to end, it ends both, and gives its lock away.
    Cluster,
    App {
        listen: SocketAddr,
        /// The env file as the machine's users name it, such as `/etc/shop/env`.
        env: String,
    },
}

/// The files in a machine's folder. All of them are small and written whole.
#[derive(Clone, Debug)]
pub struct HostDir(pub PathBuf);

impl HostDir {
    pub fn new(path: impl Into<PathBuf>) -> HostDir {
        HostDir(path.into())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn config(&self) -> PathBuf {
        self.file("host.json")
    }

    /// Exists while the service must not run; survives everything but `unfence`.
    pub fn mask(&self) -> PathBuf {
        self.file("masked")
    }

    /// Held while the mask is written, and while the supervisor looks at it and starts the service: without
    /// it a service could appear after its absence was proven.
    pub fn lock(&self) -> PathBuf {
        self.file("unit.lock")
    }

    /// Asks the supervisor to start the service now.
    pub fn start_request(&self) -> PathBuf {
        self.file("start-request")
    }

    /// Asks the supervisor to restart the service; holds a word that comes back in `restarted`.
    pub fn restart_request(&self) -> PathBuf {
        self.file("restart-request")
    }

    pub fn restarted(&self) -> PathBuf {
        self.file("restarted")
    }

    pub fn supervisor_log(&self) -> PathBuf {
        self.file("supervisor.log")
    }

    /// A path of the machine, such as `/etc/shop/env`, on the disk of the harness.
    pub fn root(&self, path: &str) -> PathBuf {
        self.file("root").join(path.trim_start_matches('/'))
    }

    pub fn read_config(&self) -> anyhow::Result<HostConfig> {
        let path = self.config();
        let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("understanding {}", path.display()))
    }

    pub fn write_config(&self, config: &HostConfig) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.0)?;
        std::fs::write(self.config(), serde_json::to_vec_pretty(config)?)?;
        Ok(())
    }
}

/// The processes (not zombies) whose working folder is this one or in it: all of a PostgreSQL's, whoever their
/// parent is.
pub fn processes_in(work_dir: &Path) -> Vec<u32> {
    let Ok(wanted) = work_dir.canonicalize() else {
        return Vec::new();
    };
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(&wanted))
    })
    .collect()
}
