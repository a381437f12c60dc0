//! Breaking and mending: what happens to a database server in an outage, and how an operator brings the old
//! primary back as a standby. Called by tests.

use std::time::Duration;

use anyhow::{Context, ensure};

use super::node::program;
use super::{Postgres, Role};
use crate::children::{Signal, run, send};
use crate::files;
use crate::host_config::HostDir;
use crate::site::Site;

impl Postgres {
    /// The pid of the server's first process.
    pub fn postmaster(&self, site: Site) -> anyhow::Result<u32> {
        self.node(site).postmaster()
    }

    /// Whether any process of that server exists.
    pub fn runs(&self, site: Site) -> bool {
        !self.node(site).processes().is_empty()
    }

    /// SIGKILL to the server's first process; its children notice and die. Returns when all are gone. The
    /// supervisor sees a crash.
    pub fn kill9(&self, site: Site) -> anyhow::Result<()> {
        let node = self.node(site);
        send(node.postmaster()?, Signal::KILL)?;
        node.wait_gone(Duration::from_secs(5))
    }

    /// Hangs the whole server: connections open and nothing answers.
    pub fn sigstop(&self, site: Site) -> anyhow::Result<()> {
        self.node(site).signal_all(Signal::STOP)
    }

    pub fn sigcont(&self, site: Site) -> anyhow::Result<()> {
        self.node(site).signal_all(Signal::CONT)
    }

    /// Hangs only the first process: sessions go on, new connections are never answered.
    pub fn sigstop_postmaster(&self, site: Site) -> anyhow::Result<()> {
        send(self.postmaster(site)?, Signal::STOP)
    }

    /// Takes the mask away and starts nothing: what an operator does before mending the old primary.
    pub fn unmask(&self, site: Site) -> anyhow::Result<()> {
        let mask = HostDir::new(self.host_dir(site)).mask();
        std::fs::remove_file(&mask).with_context(|| format!("removing {}", mask.display()))
    }

    /// Makes the (stopped, unmasked) server of `old` a standby of the other side by `pg_rewind`, and starts
    /// it.
    pub async fn rejoin(&self, old: Site) -> anyhow::Result<()> {
        ensure!(!self.runs(old), "pg-{old} runs: stop it before it is rewound");
        let (node, new) = (self.node(old), old.other());
        self.ask(new, "checkpoint").await?;
        let slot = format!("pg_{old}");
        let exists = format!("select count(*) from pg_replication_slots where slot_name = '{slot}'");
        if self.ask(new, &exists).await? == "0" {
            self.ask(new, &format!("select pg_create_physical_replication_slot('{slot}')")).await?;
        }
        let source = format!(
            "host={} port={} user={} password={} dbname=postgres",
            new.postgres(),
            self.port,
            Role::Pointsman.user(),
            Role::Pointsman.password(),
        );
        let mut words = files::as_postgres()?;
        let data = node.data.display().to_string();
        words.extend([program("pg_rewind"), "-D".into(), data, format!("--source-server={source}")]);
        words.extend(["--no-sync"].map(String::from));
        run(&words.iter().map(String::as_str).collect::<Vec<_>>(), &[]).await.context("rewinding")?;
        let upstream = format!(
            "\nprimary_conninfo = 'host={} port={} user={} password={} application_name={slot}'\n\
             primary_slot_name = '{slot}'\n",
            new.postgres(),
            self.port,
            Role::Replication.user(),
            Role::Replication.password(),
        );
        let auto = node.data.join("postgresql.auto.conf");
        let kept = std::fs::read_to_string(&auto)?;
        let kept = kept.lines().filter(|line| !line.starts_with("primary_") && !line.contains("read_only"));
        std::fs::write(&auto, kept.collect::<Vec<_>>().join("\n") + &upstream)?;
        let signal = node.data.join("standby.signal");
        std::fs::write(&signal, "")?;
        files::give_to_postgres(&signal)?;
        self.start_again(old).await?;
        self.wait_streaming(new).await
    }
}
