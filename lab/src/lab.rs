//! The lab as a whole: which parts are wanted, started in the order in which they need each other, and taken away
//! together. Every test and the demo begin here.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;

use crate::apps::Apps;
use crate::children::{Child, Spec};
use crate::files;
use crate::host_config::HostDir;
use crate::hosts::{Hosts, Machine};
use crate::net::{Port, PortBlock};
use crate::orders::{self, Lost};
use crate::postgres::{Postgres, PostgresOptions};
use crate::site::{REGIONS, Site, at};

/// Which parts to start. Nothing is started that was not asked for.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    postgres: Option<PostgresOptions>,
    apps: u8,
    hosts: bool,
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

    pub async fn start(self) -> anyhow::Result<Lab> {
        let dir = files::temp_dir()?;
        std::fs::create_dir(dir.path().join("log"))?;
        let janitor = janitor(dir.path())?;
        let ports = PortBlock::reserve()?;
        let mut postgres = None;
        if let Some(options) = &self.postgres {
            let started = Postgres::start(dir.path(), &ports, options).await;
            postgres = Some(started.context("starting the PostgreSQL pair")?);
        }
        let mut apps = None;
        if self.apps > 0 {
            let postgres = postgres.as_ref().context("shops need .postgres()")?;
            let started = Apps::start(dir.path(), &ports, postgres, self.apps).await;
            apps = Some(started.context("starting the shops")?);
        }
        let mut hosts = None;
        if self.hosts {
            let machines = machines(&ports, postgres.as_ref(), apps.as_ref());
            hosts = Some(
                Hosts::start(dir.path(), machines)
                    .await
                    .context("starting the machines' sshd")?,
            );
        }
        Ok(Lab {
            hosts,
            apps,
            postgres,
            ports,
            dir,
            _janitor: janitor,
        })
    }
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
        machines.push(Machine {
            name: app.host.clone(),
            dir: app.host_dir().clone(),
            ssh,
        });
    }
    machines
}

/// Removes the folder when the harness ends in a way that runs no destructor.
fn janitor(dir: &Path) -> anyhow::Result<Child> {
    let argv = [
        files::lab_host_binary()?.into_os_string(),
        "janitor".into(),
        dir.into(),
    ];
    Child::spawn(Spec::new("janitor", argv, dir.join("log/janitor.log")).outlives_until_stdin_closes())
}

/// Running servers. Parts are dropped in the order of the fields: what depends on others goes first.
#[derive(Debug)]
pub struct Lab {
    hosts: Option<Hosts>,
    apps: Option<Apps>,
    postgres: Option<Postgres>,
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
        self.postgres
            .as_ref()
            .expect("this lab was built without .postgres()")
    }

    pub fn postgres_mut(&mut self) -> &mut Postgres {
        self.postgres
            .as_mut()
            .expect("this lab was built without .postgres()")
    }

    pub fn hosts(&self) -> &Hosts {
        self.hosts.as_ref().expect("this lab was built without .hosts()")
    }

    pub fn hosts_mut(&mut self) -> &mut Hosts {
        self.hosts.as_mut().expect("this lab was built without .hosts()")
    }

    pub fn apps(&self) -> &Apps {
        self.apps.as_ref().expect("this lab was built without .apps()")
    }

    pub fn apps_mut(&mut self) -> &mut Apps {
        self.apps.as_mut().expect("this lab was built without .apps()")
    }

    /// The acknowledged orders that the given server does not have.
    pub async fn lost_orders(&self, server: Site) -> anyhow::Result<Vec<Lost>> {
        orders::lost(self.apps(), self.postgres(), server).await
    }
}
