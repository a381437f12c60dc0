//! The lab as a whole: which parts are wanted, started in the order in which they need each other, and taken
//! away together. Every test and the demo begin here.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, anyhow, ensure};

use crate::alerting::{AlertingOptions, Alertmanager, Prometheus};
use crate::apps::Apps;
use crate::blackbox::Blackbox;
use crate::checker::Checker;
use crate::children::{Child, Spec};
use crate::dns::{Dns, DnsOptions};
use crate::files;
use crate::host_config::HostDir;
use crate::hosts::{Hosts, Machine};
use crate::net::{Port, PortBlock};
use crate::orders::{self, Lost};
use crate::postgres::{Postgres, PostgresOptions};
use crate::resolver::Resolver;
use crate::site::{REGIONS, Site, at};

/// Which parts to start. Nothing is started that was not asked for.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    postgres: Option<PostgresOptions>,
    apps: u8,
    hosts: bool,
    dns: Option<DnsOptions>,
    resolver_max_ttl: Option<u32>,
    blackbox: bool,
    on_disk: bool,
}

impl Builder {
    /// Primary in gra, streaming standby in sbg.
    pub fn postgres(self) -> Builder {
        self.postgres_with(PostgresOptions::default())
    }

    pub fn postgres_with(mut self, options: PostgresOptions) -> Builder {
        self.postgres = Some(options);
        self
    }

    /// One shop in each region; needs the pair.
    pub fn apps(self) -> Builder {
        self.apps_per_site(1)
    }

    pub fn apps_per_site(mut self, n: u8) -> Builder {
        self.apps = n;
        self
    }

    /// SSH on the machines of the database and of the shops that are started.
    pub fn hosts(mut self) -> Builder {
        self.hosts = true;
        self
    }

    /// The zone on two authoritative servers.
    pub fn dns(self) -> Builder {
        self.dns_with(DnsOptions::default())
    }

    pub fn dns_with(mut self, options: DnsOptions) -> Builder {
        self.dns = Some(options);
        self
    }

    /// A recursive resolver whose cache keeps nothing longer than this many seconds; needs the zone.
    pub fn resolver(mut self, max_ttl: u32) -> Builder {
        self.resolver_max_ttl = Some(max_ttl);
        self
    }

    /// Blackbox exporters in par and sbg.
    pub fn blackbox(mut self) -> Builder {
        self.blackbox = true;
        self
    }

    /// Keeps the lab's folder on a disk, where flushes cost what they cost; otherwise it may be in memory.
    pub fn on_disk(mut self) -> Builder {
        self.on_disk = true;
        self
    }

    /// Starts what was asked for. When a part does not come, what it wrote to its log is part of the error,
    /// since the folder goes away.
    pub async fn start(self) -> anyhow::Result<Lab> {
        let dir = files::temp_dir(self.on_disk || self.postgres.as_ref().is_some_and(|pg| pg.fsync))?;
        let logs = dir.path().join("log");
        std::fs::create_dir(&logs)?;
        let janitor = janitor(dir.path())?;
        let ports = PortBlock::reserve()?;
        let parts = self.start_parts(dir.path(), &ports).await;
        let parts = parts.map_err(|e| anyhow!("{e:#}\n{}", files::last_lines(&logs)))?;
        Ok(Lab { alerting: Alerting::default(), parts, ports, dir, _janitor: janitor })
    }

    async fn start_parts(&self, dir: &Path, ports: &PortBlock) -> anyhow::Result<Parts> {
        let (postgres, (dns, resolver, blackboxes)) =
            tokio::try_join!(self.start_postgres(dir, ports), self.start_names(dir, ports),)?;
        let mut parts = Parts { hosts: None, apps: None, postgres, resolver, dns, blackboxes };
        if self.apps > 0 {
            let postgres = parts.postgres.as_ref().context("shops need .postgres()")?;
            let started = Apps::start(dir, ports, postgres, self.apps).await;
            parts.apps = Some(started.context("starting the shops")?);
        }
        if self.hosts {
            let machines = machines(ports, parts.postgres.as_ref(), parts.apps.as_ref());
            let started = Hosts::start(dir, machines).await;
            parts.hosts = Some(started.context("starting the machines' sshd")?);
        }
        Ok(parts)
    }

    async fn start_postgres(&self, dir: &Path, ports: &PortBlock) -> anyhow::Result<Option<Postgres>> {
        let Some(options) = &self.postgres else {
            return Ok(None);
        };
        let started = Postgres::start(dir, ports, options).await;
        started.map(Some).context("starting the PostgreSQL pair")
    }

    /// The zone, the resolver, and the exporters, which look names up as everybody does.
    async fn start_names(
        &self,
        dir: &Path,
        ports: &PortBlock,
    ) -> anyhow::Result<(Option<Dns>, Option<Resolver>, Vec<Blackbox>)> {
        let (dns, resolver) = self.start_dns(dir, ports).await?;
        let blackboxes = self.start_blackboxes(dir, ports, resolver.as_ref()).await?;
        Ok((dns, resolver, blackboxes))
    }

    async fn start_dns(
        &self,
        dir: &Path,
        ports: &PortBlock,
    ) -> anyhow::Result<(Option<Dns>, Option<Resolver>)> {
        let Some(options) = &self.dns else {
            ensure!(self.resolver_max_ttl.is_none(), "a resolver needs .dns()");
            return Ok((None, None));
        };
        let dns = Dns::start(dir, ports, options).await.context("starting the zone's servers")?;
        let Some(max_ttl) = self.resolver_max_ttl else {
            return Ok((Some(dns), None));
        };
        let resolver = Resolver::start(dir, ports, &dns, max_ttl).await.context("starting the resolver")?;
        Ok((Some(dns), Some(resolver)))
    }

    async fn start_blackboxes(
        &self,
        dir: &Path,
        ports: &PortBlock,
        resolver: Option<&Resolver>,
    ) -> anyhow::Result<Vec<Blackbox>> {
        if !self.blackbox {
            return Ok(Vec::new());
        }
        let prefix = resolver.map(Resolver::prefix).unwrap_or_default();
        let start = |site| Blackbox::start(dir, ports, site, prefix.clone());
        let (par, sbg) =
            tokio::try_join!(start(Site::Par), start(Site::Sbg)).context("starting the probes")?;
        Ok(vec![par, sbg])
    }
}

/// What the builder started.
#[derive(Debug)]
struct Parts {
    hosts: Option<Hosts>,
    apps: Option<Apps>,
    postgres: Option<Postgres>,
    resolver: Option<Resolver>,
    dns: Option<Dns>,
    blackboxes: Vec<Blackbox>,
}

/// What is started after the rest, because it must know where to post.
#[derive(Debug, Default)]
struct Alerting {
    prometheus: Option<Prometheus>,
    alertmanagers: Vec<Alertmanager>,
}

/// The machines that exist because something runs on them.
fn machines(ports: &PortBlock, postgres: Option<&Postgres>, apps: Option<&Apps>) -> Vec<Machine> {
    let mut machines = Vec::new();
    if let Some(postgres) = postgres {
        machines.extend(REGIONS.map(|site| Machine {
            name: format!("pg-{site}-host"),
            dir: HostDir::new(postgres.host_dir(site)),
            ssh: at(site.database_host(), ports.get(Port::DatabaseSsh)),
        }));
    }
    for app in apps.map(Apps::all).unwrap_or_default() {
        let ssh = SocketAddr::new(app.addr.ip(), ports.get(Port::AppSsh));
        machines.push(Machine { name: app.host.clone(), dir: app.host_dir().clone(), ssh });
    }
    machines
}

/// Removes the folder when the harness ends in a way that runs no destructor.
fn janitor(dir: &Path) -> anyhow::Result<Child> {
    let argv = [files::lab_host_binary()?.into_os_string(), "janitor".into(), dir.into()];
    Child::spawn(Spec::new("janitor", argv, dir.join("log/janitor.log")).outlives_until_stdin_closes())
}

/// Running servers. Parts are dropped in the order of the fields: what depends on others goes first.
#[derive(Debug)]
pub struct Lab {
    alerting: Alerting,
    parts: Parts,
    ports: PortBlock,
    dir: tempfile::TempDir,
    _janitor: Child,
}

impl Lab {
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The lab's folder; logs are in `log/NAME.log`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn ports(&self) -> &PortBlock {
        &self.ports
    }

    /// The n-th port that nobody in the lab uses.
    pub fn spare_port(&self, n: u16) -> u16 {
        self.ports.spare(n)
    }

    pub fn postgres(&self) -> &Postgres {
        self.parts.postgres.as_ref().expect("this lab was built without .postgres()")
    }

    pub fn postgres_mut(&mut self) -> &mut Postgres {
        self.parts.postgres.as_mut().expect("this lab was built without .postgres()")
    }

    pub fn hosts(&self) -> &Hosts {
        self.parts.hosts.as_ref().expect("this lab was built without .hosts()")
    }

    pub fn hosts_mut(&mut self) -> &mut Hosts {
        self.parts.hosts.as_mut().expect("this lab was built without .hosts()")
    }

    pub fn apps(&self) -> &Apps {
        self.parts.apps.as_ref().expect("this lab was built without .apps()")
    }

    pub fn apps_mut(&mut self) -> &mut Apps {
        self.parts.apps.as_mut().expect("this lab was built without .apps()")
    }

    /// The acknowledged orders that the given server does not have.
    pub async fn lost_orders(&self, server: Site) -> anyhow::Result<Vec<Lost>> {
        orders::lost(self.apps(), self.postgres(), server).await
    }

    pub fn dns(&self) -> &Dns {
        self.parts.dns.as_ref().expect("this lab was built without .dns()")
    }

    pub fn dns_mut(&mut self) -> &mut Dns {
        self.parts.dns.as_mut().expect("this lab was built without .dns()")
    }

    pub fn resolver_mut(&mut self) -> &mut Resolver {
        self.parts.resolver.as_mut().expect("this lab was built without .resolver()")
    }

    pub fn resolver(&self) -> &Resolver {
        self.parts.resolver.as_ref().expect("this lab was built without .resolver()")
    }

    /// The exporter in par or in sbg.
    pub fn blackbox(&self, site: Site) -> &Blackbox {
        let found = self.parts.blackboxes.iter().find(|blackbox| blackbox.site == site);
        found.unwrap_or_else(|| panic!("this lab has no blackbox exporter in {site}"))
    }

    /// Starts one or two Alertmanagers that post to the given webhook; called twice, the second may have other
    /// options.
    pub async fn start_alertmanagers(&mut self, options: &AlertingOptions) -> anyhow::Result<()> {
        let have = self.alerting.alertmanagers.len();
        for n in have..have + options.alertmanagers {
            let started = Alertmanager::start(self.dir.path(), &self.ports, n, options).await;
            self.alerting.alertmanagers.push(started.context("starting Alertmanager")?);
        }
        Ok(())
    }

    pub fn alertmanagers(&self) -> &[Alertmanager] {
        &self.alerting.alertmanagers
    }

    pub fn alertmanagers_mut(&mut self) -> &mut [Alertmanager] {
        &mut self.alerting.alertmanagers
    }

    /// Starts Prometheus over the shops and the Alertmanagers that run by now; returns when all shops were
    /// scraped.
    pub async fn start_prometheus(&mut self) -> anyhow::Result<()> {
        let shops: Vec<_> = self.apps().all().iter().map(|app| (app.site, app.addr)).collect();
        let alertmanagers: Vec<_> = self.alertmanagers().iter().map(|am| am.addr).collect();
        let started = Prometheus::start(self.dir.path(), &self.ports, &shops, &alertmanagers).await;
        self.alerting.prometheus = Some(started.context("starting Prometheus")?);
        Ok(())
    }

    pub fn prometheus(&self) -> &Prometheus {
        self.alerting.prometheus.as_ref().expect("this lab has no Prometheus: call start_prometheus()")
    }

    /// Starts the checker of "never two writers".
    pub fn start_checker(&self) -> Checker {
        Checker::start(self.postgres())
    }
}
