//! A real Patroni cluster over one etcd: a member in each place, each in a process namespace of its own, so that a whole
//! machine can die at once, or Patroni alone with its PostgreSQL going on. Stands for itself, beside the lab.

mod machine;
mod talk;

pub use talk::Said;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::children::{Child, Signal, Spec};
use crate::files;
use crate::host_config::HostDir;
use crate::hosts::{self, Hosts};
use crate::net::{PortBlock, wait_http, wait_until};
use crate::proxy::Proxy;
use crate::site::{Site, at};
use machine::Machine;

const READY: Duration = Duration::from_secs(60);
/// The cluster's name, as Patroni has it.
pub const SCOPE: &str = "shop";
/// That of the cluster that follows it.
pub const STANDBY_SCOPE: &str = "shop-standby";
/// Who may write over its REST API. The password is the lab's own and opens no other door.
pub const API_USER: &str = "pointsman";
pub const API_PASSWORD: &str = "lab-patroni-api";

/// The responder's own role, and the application with its database.
const USERS: [&str; 3] =
    ["create role pointsman superuser login", "create role shop login", "create database shop owner shop"];

/// How the cluster is made.
#[derive(Clone, Debug)]
pub struct PatroniOptions {
    /// Places with a member; the first is the first leader.
    pub sites: Vec<Site>,
    /// Places with a member of a second cluster, which follows the first leader's place.
    pub standby: Vec<Site>,
    /// Places whose member never comes to lead; it has a vote, and tells what it sees.
    pub witness: Vec<Site>,
    /// Places whose machine is reached over SSH, and stops and masks Patroni with its PostgreSQL when it is told to.
    pub hosts: Vec<Site>,
    /// How long a leader's lock outlives it, in seconds. Patroni takes nothing below 20.
    pub ttl: u64,
    /// Of the dynamic configuration, beside what makes the lab fast.
    pub more: Value,
}

impl Default for PatroniOptions {
    fn default() -> PatroniOptions {
        let sites = vec![Site::Gra, Site::Sbg, Site::Par];
        PatroniOptions { sites, standby: vec![], witness: vec![], hosts: vec![], ttl: 20, more: json!({}) }
    }
}

#[derive(Debug)]
pub struct Patroni {
    machines: Vec<Machine>,
    /// Of the second cluster.
    standby: Vec<Machine>,
    hosts: Option<Hosts>,
    /// Between each Patroni and etcd.
    road: Arc<Proxy>,
    /// The last to go: members tell it that they leave.
    _etcd: Child,
    ports: PortBlock,
    dir: tempfile::TempDir,
}

/// A member's own name.
pub fn member(site: Site) -> String {
    format!("pg-{site}")
}

/// That of the machine that it runs on, as SSH knows it.
pub fn host(site: Site) -> String {
    format!("{}-host", member(site))
}

impl Patroni {
    /// Every member runs and follows.
    pub async fn start(options: PatroniOptions) -> anyhow::Result<Patroni> {
        ensure!(rustix::process::getuid().is_root(), "a process namespace needs root");
        let (dir, ports) = (files::temp_dir(false)?, PortBlock::reserve()?);
        let (etcd, store) = etcd(dir.path(), &ports).await?;
        let road = Proxy::start(at(Site::Par.patroni(), ports.spare(4)), store).await?;
        let machine = |scope: &'static str, site: &Site| Machine {
            scope,
            site: *site,
            dir: dir.path().join(site.name()),
            unit: options.hosts.contains(site).then(|| HostDir::new(dir.path().join(host(*site)))),
            child: Mutex::new(None),
            api: at(site.patroni(), ports.spare(0)),
            postgres: at(site.patroni(), ports.spare(1)),
        };
        let machines: Vec<Machine> = options.sites.iter().map(|site| machine(SCOPE, site)).collect();
        let standby: Vec<Machine> = options.standby.iter().map(|site| machine(STANDBY_SCOPE, site)).collect();
        std::fs::create_dir(dir.path().join("log"))?;
        let reached = |machine: &Machine| {
            let ssh = at(machine.site.patroni(), ports.spare(5));
            Some(hosts::Machine { name: host(machine.site), dir: machine.unit.clone()?, ssh })
        };
        let reached: Vec<_> = machines.iter().chain(&standby).filter_map(reached).collect();
        let hosts = match reached.is_empty() {
            true => None,
            false => Some(Hosts::start(dir.path(), reached).await?),
        };
        let patroni = Patroni { machines, standby, hosts, road, _etcd: etcd, ports, dir };
        let begun = patroni.begin(&options).await;
        begun.with_context(|| files::last_lines(&patroni.logs()))?;
        Ok(patroni)
    }

    async fn begin(&self, options: &PatroniOptions) -> anyhow::Result<()> {
        files::give_to_postgres(&self.logs())?;
        for machine in &self.machines {
            machine.furnish(self.road.addr(), options, None)?;
        }
        let (first, others) = self.machines.split_first().context("a cluster has members")?;
        for machine in &self.standby {
            machine.furnish(self.road.addr(), options, Some(first.postgres))?;
        }
        first.boot(&self.logs())?;
        wait_http("the first leader", &format!("http://{}/leader", first.api), READY).await?;
        others.iter().try_for_each(|machine| machine.boot(&self.logs()))?;
        for text in USERS {
            self.sql(first.site, text).await?;
        }
        self.wait_whole().await?;
        for machine in &self.standby {
            machine.boot(&self.logs())?;
            let leads = format!("http://{}/standby-leader", machine.api);
            wait_http("the standby cluster", &leads, READY).await?;
        }
        Ok(())
    }

    fn logs(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn machine(&self, site: Site) -> &Machine {
        self.machines
            .iter()
            .chain(&self.standby)
            .find(|machine| machine.site == site)
            .expect("invariant: asked for by its options")
    }

    pub fn sites(&self) -> impl Iterator<Item = Site> {
        self.machines.iter().map(|machine| machine.site)
    }

    pub fn api(&self, site: Site) -> SocketAddr {
        self.machine(site).api
    }

    pub fn postgres(&self, site: Site) -> SocketAddr {
        self.machine(site).postgres
    }

    /// Between the members and etcd, for all of them.
    pub fn road_to_etcd(&self) -> &Proxy {
        &self.road
    }

    /// The n-th port that nobody of the cluster uses.
    pub fn spare_port(&self, n: u16) -> u16 {
        self.ports.spare(8 + n)
    }

    /// The whole machine: its Patroni and its PostgreSQL, at once.
    pub async fn lose(&self, site: Site) -> anyhow::Result<()> {
        self.machine(site).lose().await
    }

    /// The machines that are reached over SSH.
    pub fn hosts(&self) -> &Hosts {
        self.hosts.as_ref().expect("invariant: asked for by its options")
    }

    /// SIGKILL to Patroni and its PostgreSQL, and not to the machine with its supervisor.
    pub fn kill9(&self, site: Site) -> anyhow::Result<()> {
        self.machine(site).kill9()
    }

    /// What the supervisor of a machine did, in its own words.
    pub fn supervisor_log(&self, site: Site) -> anyhow::Result<String> {
        let unit = self.machine(site).unit.as_ref().context("it has no supervisor")?;
        Ok(std::fs::read_to_string(unit.supervisor_log())?)
    }

    /// Patroni or its PostgreSQL is there, be it that it stands still.
    pub fn runs(&self, site: Site) -> bool {
        !self.machine(site).processes().is_empty()
    }

    /// Patroni alone, by SIGKILL; its PostgreSQL goes on.
    pub fn kill_patroni(&self, site: Site) -> anyhow::Result<()> {
        self.machine(site).kill_patroni()
    }

    /// Its REST API keeps its port and answers nothing, until [`Patroni::sigcont`]; its PostgreSQL goes on.
    pub fn sigstop(&self, site: Site) -> anyhow::Result<()> {
        self.machine(site).sigstop()
    }

    /// Its PostgreSQL accepts connections and answers nothing, while its Patroni goes on; until it is ended.
    pub fn sigstop_postgres(&self, site: Site) -> anyhow::Result<()> {
        self.machine(site).sigstop_postgres()
    }

    pub fn sigcont(&self, site: Site) -> anyhow::Result<()> {
        self.machine(site).sigcont()
    }

    /// The log of its leader reaches it no more, until [`Patroni::resume_replication`]: a leader that ends waits for it.
    pub fn stall_replication(&self, site: Site) -> anyhow::Result<()> {
        self.machine(site).receiver(Signal::STOP)
    }

    pub fn resume_replication(&self, site: Site) -> anyhow::Result<()> {
        self.machine(site).receiver(Signal::CONT)
    }

    /// Starts a machine that was lost, with the data that it had.
    pub async fn start_again(&self, site: Site) -> anyhow::Result<()> {
        let machine = self.machine(site);
        machine.lose().await?;
        machine.boot(&self.logs())
    }

    /// One question or command to one member's REST API, as whoever may write.
    pub async fn ask(
        &self,
        site: Site,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Said> {
        talk::say(self.api(site), method, path, body).await
    }

    /// `/cluster`, as one member tells it.
    pub async fn cluster(&self, site: Site) -> anyhow::Result<Value> {
        let said = self.ask(site, "GET", "/cluster", None).await?;
        Ok(serde_json::from_str(&said.text)?)
    }

    /// Who holds the lock, as one member tells it.
    pub async fn leader(&self, site: Site) -> anyhow::Result<Option<Site>> {
        let cluster = self.cluster(site).await?;
        let rows = cluster["members"].as_array().context("no members")?;
        let leads = |row: &&Value| row["role"].as_str().is_some_and(|role| role.ends_with("leader"));
        let name = rows.iter().find(leads).and_then(|row| row["name"].as_str());
        Ok(self.sites().find(|site| Some(member(*site).as_str()) == name))
    }

    /// Everybody that was asked for is a member, runs, and has the leader's timeline.
    pub async fn wait_whole(&self) -> anyhow::Result<()> {
        let (first, all) = (self.machines[0].site, self.machines.len());
        wait_until("every member to run and follow", READY, || async move {
            let cluster = self.cluster(first).await?;
            let rows = cluster["members"].as_array().cloned().unwrap_or_default();
            let leads = rows.iter().find(|row| row["role"] == "leader").context("no leader")?;
            let fine = |row: &&Value| {
                ["running", "streaming"].contains(&row["state"].as_str().unwrap_or_default())
                    && row["timeline"] == leads["timeline"]
                    && (row["role"] == "leader" || row["lag"] == 0)
            };
            let leader = self.leader(first).await?.context("no leader")?;
            let streams = self.sql(leader, "select count(*) from pg_stat_replication").await?;
            let mut alike = true;
            for site in self.sites() {
                let own = self.ask(site, "GET", "/patroni", None).await?;
                let own: Value = serde_json::from_str(&own.text)?;
                alike &= own["timeline"] == leads["timeline"];
            }
            Ok(alike && rows.iter().filter(fine).count() == all && streams == (all - 1).to_string())
        })
        .await
    }

    /// Whoever it is that leads, `to` leads afterwards, and all follow.
    pub async fn lead_by(&self, to: Site) -> anyhow::Result<()> {
        self.wait_whole().await?;
        let leader = self.leader(to).await?.context("no leader")?;
        if leader != to {
            let body = json!({ "leader": member(leader), "candidate": member(to) });
            let said = self.ask(to, "POST", "/switchover", Some(body)).await?;
            ensure!(said.status == 200, "switching over by hand: {said:?}");
        }
        self.wait_whole().await
    }

    /// Changes the cluster's own configuration and waits until every member that answers knows of the pause.
    pub async fn pause(&self, by: Site, on: bool) -> anyhow::Result<()> {
        let body = json!({ "pause": if on { json!(true) } else { Value::Null } });
        let said = self.ask(by, "PATCH", "/config", Some(body)).await?;
        ensure!(said.status == 200, "{said:?}");
        wait_until("the pause to be known", Duration::from_secs(10), || async move {
            let said = self.ask(by, "GET", "/patroni", None).await?;
            let told: Value = serde_json::from_str(&said.text)?;
            Ok((told["pause"] == json!(true)) == on)
        })
        .await
    }

    /// The first column of the first row, or the count of rows; as the superuser.
    pub async fn sql(&self, site: Site, text: &str) -> anyhow::Result<String> {
        self.sql_as(site, "postgres", text).await
    }

    pub async fn sql_as(&self, site: Site, user: &str, text: &str) -> anyhow::Result<String> {
        talk::sql(self.postgres(site), user, text).await
    }
}

async fn etcd(dir: &Path, ports: &PortBlock) -> anyhow::Result<(Child, SocketAddr)> {
    let (clients, peers) = (at(Site::Par.patroni(), ports.spare(2)), at(Site::Par.patroni(), ports.spare(3)));
    let (clients_url, peers_url) = (format!("http://{clients}"), format!("http://{peers}"));
    let data = dir.join("etcd");
    let words = [
        "etcd".into(),
        "--name=e1".into(),
        format!("--data-dir={}", data.display()),
        format!("--listen-client-urls={clients_url}"),
        format!("--advertise-client-urls={clients_url}"),
        format!("--listen-peer-urls={peers_url}"),
        format!("--initial-advertise-peer-urls={peers_url}"),
        format!("--initial-cluster=e1={peers_url}"),
        "--enable-v2=false".to_owned(),
    ];
    let spec = Spec::new("etcd", words, dir.join("etcd.log"));
    let child = Child::spawn(spec)?;
    wait_http("etcd", &format!("{clients_url}/health"), READY).await?;
    Ok((child, clients))
}

impl Machine {
    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().expect("invariant: no panic while holding the lock")
    }
}
