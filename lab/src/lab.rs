//! The lab as a whole: which parts are wanted, started in the order in which they need each other, and taken away
//! together. Every test and the demo begin here.

use std::path::Path;

use anyhow::Context;

use crate::children::{Child, Spec};
use crate::files;
use crate::net::PortBlock;
use crate::postgres::{Postgres, PostgresOptions};

/// Which parts to start. Nothing is started that was not asked for.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    postgres: Option<PostgresOptions>,
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
        Ok(Lab {
            postgres,
            ports,
            dir,
            _janitor: janitor,
        })
    }
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
}
