//! One machine of the cluster: Patroni and its PostgreSQL in a process namespace, whose first process is the machine. When
//! that one goes, everything in it goes; PostgreSQL by itself outlives its Patroni, as in the field.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;

use super::{API_PASSWORD, API_USER, PatroniOptions, host, member};
use crate::children::{Child, Signal, Spec, descendants, is_stopped, send};
use crate::files;
use crate::host_config::{HostConfig, HostDir, Kind, processes_in};
use crate::net::wait_until;
use crate::site::Site;

const BIN: &str = "/usr/lib/postgresql/15/bin";
const GONE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Machine {
    pub scope: &'static str,
    pub site: Site,
    pub dir: PathBuf,
    /// Where its supervisor keeps its own, if it has one: then it is fenced over SSH.
    pub unit: Option<HostDir>,
    pub child: Mutex<Option<Child>>,
    pub api: SocketAddr,
    pub postgres: SocketAddr,
}

impl Machine {
    fn file(&self) -> PathBuf {
        self.dir.join("patroni.json")
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Folder and configuration; YAML takes JSON. A standby cluster begins as a copy of what it follows.
    pub fn furnish(
        &self,
        etcd: SocketAddr,
        options: &PatroniOptions,
        follows: Option<SocketAddr>,
    ) -> anyhow::Result<()> {
        files::postgres_dir(&self.dir, 0o755)?;
        let user = |name: &str| json!({ "username": name, "password": "lab" });
        let mut dcs = json!({
            "ttl": options.ttl, "loop_wait": 1, "retry_timeout": 3,
            "postgresql": { "use_pg_rewind": true, "use_slots": true, "parameters": {
                "max_connections": 30, "shared_buffers": "16MB", "fsync": "off", "wal_log_hints": "on" } },
        });
        for (key, value) in options.more.as_object().into_iter().flatten() {
            dcs[key] = value.clone();
        }
        if let Some(at) = follows {
            dcs["standby_cluster"] = json!({ "host": at.ip().to_string(), "port": at.port() });
        }
        let witness = options.witness.contains(&self.site);
        let config = json!({
            "scope": self.scope, "name": member(self.site),
            "restapi": { "listen": self.api.to_string(), "connect_address": self.api.to_string(),
                "authentication": { "username": API_USER, "password": API_PASSWORD } },
            "etcd3": { "hosts": etcd.to_string(), "use_proxies": true },
            "watchdog": { "mode": "off" },
            "tags": { "nofailover": witness, "nosync": witness },
            "bootstrap": { "dcs": dcs,
                "initdb": [{ "encoding": "UTF8" }, { "locale": "C.UTF-8" }, "data-checksums", "no-sync"] },
            "postgresql": {
                "listen": self.postgres.to_string(), "connect_address": self.postgres.to_string(),
                "data_dir": self.data(), "bin_dir": BIN, "pgpass": self.dir.join("pgpass"),
                // Its own way waits for the leader's next checkpoint, which may be minutes away.
                "basebackup": [{ "checkpoint": "fast" }],
                "pg_hba": ["local all all trust", "host all all 127.0.0.0/8 trust",
                    "host replication all 127.0.0.0/8 trust"],
                "authentication": { "superuser": user("postgres"), "replication": user("repl"),
                    "rewind": user("rewind") },
                "parameters": { "unix_socket_directories": self.dir },
            },
        });
        std::fs::write(self.file(), config.to_string())?;
        Ok(())
    }

    pub fn boot(&self, logs: &Path) -> anyhow::Result<()> {
        // Left by a machine that died; its number may be somebody's in the new namespace.
        let left = self.data().join("postmaster.pid");
        if left.exists() {
            std::fs::remove_file(left)?;
        }
        let holder = ["unshare", "--pid", "--mount-proc", "--fork", "--kill-child=KILL", "--", "sh", "-c"];
        let init = "\"$@\" & while :; do sleep 1; done";
        let mut words: Vec<String> = holder.into_iter().chain([init, "machine"]).map(str::to_owned).collect();
        let log = logs.join(format!("{}.log", member(self.site)));
        let patroni =
            files::as_postgres()?.into_iter().chain(["patroni".into(), self.file().display().to_string()]);
        let mut dir = &self.dir;
        match &self.unit {
            None => words.extend(patroni),
            Some(unit) => {
                self.supervise(unit, patroni.collect(), log.clone())?;
                let helper = files::lab_host_binary()?.display().to_string();
                words.extend([helper, "supervise".into(), unit.0.display().to_string()]);
                // The supervisor is no part of what it stops.
                dir = &unit.0;
            }
        }
        let spec = Spec::new(&format!("machine of {}", member(self.site)), words, log).dir(dir);
        *self.child() = Some(Child::spawn(spec)?);
        Ok(())
    }

    fn supervise(&self, unit: &HostDir, command: Vec<String>, log: PathBuf) -> anyhow::Result<()> {
        unit.write_config(&HostConfig {
            name: host(self.site),
            kind: Kind::Cluster,
            command,
            work_dir: self.dir.clone(),
            log,
            restart_after: None,
        })
    }

    /// SIGSTOP to every process of PostgreSQL, and to nothing else.
    pub fn sigstop_postgres(&self) -> anyhow::Result<()> {
        ensure!(!processes_in(&self.data()).is_empty(), "no PostgreSQL runs in {}", self.data().display());
        // Who is forked in between is found by the next round.
        let stands = || {
            let mut left = processes_in(&self.data());
            left.retain(|pid| !is_stopped(*pid));
            for pid in &left {
                // Fails only when it has just ended.
                let _ = send(*pid, Signal::STOP);
            }
            left.is_empty()
        };
        ensure!(
            (0..200).any(|_| stands() || pause()),
            "PostgreSQL of {} does not stand still",
            member(self.site)
        );
        Ok(())
    }

    /// Patroni and PostgreSQL, as its supervisor stops them: alive, or standing still.
    pub fn processes(&self) -> Vec<u32> {
        processes_in(&self.dir)
    }

    /// SIGKILL to both, and not to the machine.
    pub fn kill9(&self) -> anyhow::Result<()> {
        ensure!(self.unit.is_some(), "{} has no supervisor that outlives them", host(self.site));
        for pid in self.processes() {
            // Fails only when it has just ended.
            let _ = send(pid, Signal::KILL);
        }
        Ok(())
    }

    pub async fn lose(&self) -> anyhow::Result<()> {
        let everything = {
            let mut child = self.child();
            let Some(child) = child.as_mut() else { return Ok(()) };
            let everything = descendants(child.pid());
            child.kill9();
            everything
        };
        let what = format!("the machine of {} to be gone", member(self.site));
        wait_until(&what, GONE, || {
            let left = everything.iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists());
            async move { Ok(!left) }
        })
        .await
    }

    /// The process that is Patroni itself, by the interpreter that it runs in; helpers of it come later.
    fn patroni(&self) -> anyhow::Result<u32> {
        let child = self.child();
        let holder = child.as_ref().context("the machine was never started")?.pid();
        let python = |pid: &u32| {
            std::fs::read_link(format!("/proc/{pid}/exe"))
                .is_ok_and(|exe| exe.to_string_lossy().contains("python"))
        };
        descendants(holder).into_iter().filter(python).min().context("no Patroni runs there")
    }

    pub fn kill_patroni(&self) -> anyhow::Result<()> {
        send(self.patroni()?, Signal::KILL)
    }

    pub fn sigstop(&self) -> anyhow::Result<()> {
        let pid = self.patroni()?;
        send(pid, Signal::STOP)?;
        let stands = || (0..200).any(|_| is_stopped(pid) || pause());
        anyhow::ensure!(stands(), "Patroni of {} does not stand still", member(self.site));
        Ok(())
    }

    /// The process that receives the leader's log.
    pub fn receiver(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.child();
        let holder = child.as_ref().context("the machine was never started")?.pid();
        let receives = |pid: &u32| {
            std::fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|words| String::from_utf8_lossy(&words).contains("walreceiver"))
        };
        let found = descendants(holder).into_iter().find(receives);
        send(found.with_context(|| format!("{} receives no log", member(self.site)))?, signal)
    }

    pub fn sigcont(&self) -> anyhow::Result<()> {
        send(self.patroni()?, Signal::CONT)
    }
}

/// A moment; never a yes.
fn pause() -> bool {
    std::thread::sleep(Duration::from_millis(5));
    false
}
