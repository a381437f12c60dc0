//! The machine that the primary of a pair runs on: its supervisor, and its SSH with the forced commands that stop and mask
//! it. Needs root.

use std::time::Duration;

use super::{READY, RedisPair};
use crate::children::{self, Child, Signal, Spec};
use crate::files;
use crate::host_config::{HostConfig, HostDir, Kind, processes_in};
use crate::hosts::{Hosts, Machine};
use crate::net::wait_until;
use crate::site::{Site, at};

/// Its name, as SSH knows it.
pub const MACHINE: &str = "redis-gra-host";
const SPARE: u16 = 6;

#[derive(Debug)]
pub struct RedisMachine {
    pub hosts: Hosts,
    work_dir: std::path::PathBuf,
    _supervisor: Child,
}

impl RedisMachine {
    /// Moves the primary of gra onto it; what it holds in memory alone is lost by that. Drop it before the pair.
    pub async fn of(pair: &RedisPair) -> anyhow::Result<RedisMachine> {
        let lab = pair.dir().join("machine");
        std::fs::create_dir_all(lab.join("log"))?;
        let dir = HostDir::new(lab.join(MACHINE));
        let work_dir = pair.node(Site::Gra).dir.clone();
        dir.write_config(&HostConfig {
            name: MACHINE.into(),
            kind: Kind::Database,
            command: vec!["redis-server".into(), pair.file(Site::Gra).display().to_string()],
            work_dir: work_dir.clone(),
            log: work_dir.join("log"),
            restart_after: None,
        })?;
        pair.stop(Site::Gra)?;
        let argv = [files::lab_host_binary()?.into_os_string(), "supervise".into(), dir.0.clone().into()];
        let spec = Spec::new("supervisor of redis-gra", argv, lab.join("log/supervisor.log"));
        let supervisor = Child::spawn(spec.stop_with_term(Duration::from_secs(4)))?;
        let ssh = at(Site::Gra.redis(), pair.ports.spare(SPARE));
        let hosts = Hosts::start(&lab, vec![Machine { name: MACHINE.into(), dir, ssh }]).await?;
        let answers = || async { Ok(pair.ask(Site::Gra, "PING").await? == "PONG") };
        wait_until("redis-gra on its machine", READY, answers).await?;
        pair.wait_streaming(Site::Sbg).await?;
        Ok(RedisMachine { hosts, work_dir, _supervisor: supervisor })
    }

    /// SIGKILL: to the server, never to its supervisor.
    pub fn kill9(&self) {
        self.signal(Signal::KILL);
    }

    /// It keeps its connections and answers nothing.
    pub fn sigstop(&self) {
        self.signal(Signal::STOP);
    }

    /// One that was stopped goes on.
    pub fn sigcont(&self) {
        self.signal(Signal::CONT);
    }

    pub fn runs(&self) -> bool {
        !processes_in(&self.work_dir).is_empty()
    }

    fn signal(&self, signal: Signal) {
        for pid in processes_in(&self.work_dir) {
            // Fails only when it has just ended.
            let _ = children::send(pid, signal);
        }
    }
}
