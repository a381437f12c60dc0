//! A real PostgreSQL pair: primary in one region, streaming standby in the other, each under its machine's
//! supervisor. Tests ask it for clients, break it (kill, hang, stall the replication) and look at both sides.

mod node;
mod repair;
mod template;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio_postgres::{Client, NoTls};

use crate::net::{self, Port, PortBlock, wait_until};
use crate::proxy::Proxy;
use crate::site::{Site, at};
use crate::tls::{self, Tls};
use node::Node;
pub(crate) use node::program;
pub(crate) use template::{make_with, once};

const READY: Duration = Duration::from_secs(20);

/// Who connects. The passwords are the lab's own and open no other door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The harness itself: superuser over the unix socket, which no fence of the network reaches.
    Admin,
    /// The responder's superuser.
    Pointsman,
    /// The responder without superuser: monitor, signal, promote, reload.
    PointsmanLimited,
    /// The application.
    Shop,
    Replication,
}

impl Role {
    pub fn user(self) -> &'static str {
        match self {
            Role::Admin => "postgres",
            Role::Pointsman => "pointsman",
            Role::PointsmanLimited => "pointsman_ro",
            Role::Shop => "shop",
            Role::Replication => "repl",
        }
    }

    pub fn password(self) -> &'static str {
        match self {
            Role::Admin => "",
            Role::Pointsman => "lab-pointsman",
            Role::PointsmanLimited => "lab-pointsman-ro",
            Role::Shop => "lab-shop",
            Role::Replication => "lab-repl",
        }
    }

    fn database(self) -> &'static str {
        match self {
            Role::Shop => DATABASE,
            _ => "postgres",
        }
    }
}

/// The application's database.
pub const DATABASE: &str = "shop";

/// How the pair is made.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// When the supervisor brings a dead server back; `None`: only when asked to.
    pub restart_after: Option<Duration>,
    /// Real flushes; off, tests are faster and a crash of the process still loses nothing.
    pub fsync: bool,
    /// More lines for `postgresql.conf` of both servers.
    pub conf: Vec<String>,
    /// A new cluster with a system identifier of its own, instead of a copy of the shared template.
    pub own_cluster: bool,
}

impl Default for PostgresOptions {
    fn default() -> PostgresOptions {
        PostgresOptions {
            restart_after: Some(Duration::from_secs(20)),
            fsync: false,
            conf: Vec::new(),
            own_cluster: false,
        }
    }
}

/// The running pair.
#[derive(Debug)]
pub struct Postgres {
    gra: Node,
    sbg: Node,
    /// Between the standby and the primary of gra.
    pub replication: Arc<Proxy>,
    /// Between the responder and the primary of gra; everybody else goes straight.
    pub pointsman: Arc<Proxy>,
    tls: Tls,
    port: u16,
}

impl Postgres {
    pub(crate) async fn start(
        dir: &Path,
        ports: &PortBlock,
        options: &PostgresOptions,
    ) -> anyhow::Result<Postgres> {
        let port = ports.get(Port::Postgres);
        let primary = at(Site::Gra.postgres(), port);
        let middle = Site::Par.postgres();
        let replication = Proxy::start(at(middle, ports.get(Port::ReplicationProxy)), primary).await?;
        let pointsman = Proxy::start(at(middle, ports.get(Port::PointsmanProxy)), primary).await?;
        let tls = tls::make(&dir.join("tls")).await?;
        let data = Node::data_dir(dir, Site::Gra);
        template::copy_to(&data, options.own_cluster).await.context("making the primary's data")?;
        node::configure(&data, &tls, options)?;
        let gra = Node::start(dir, Site::Gra, port, options)?;
        let mut pair = Postgres { sbg: Node::absent(dir, Site::Sbg), gra, replication, pointsman, tls, port };
        pair.wait_ready(Site::Gra).await?;
        let copy = Node::data_dir(dir, Site::Sbg);
        node::base_backup(pair.replication.addr(), &copy).await.context("making the standby's data")?;
        pair.sbg = Node::start(dir, Site::Sbg, port, options)?;
        pair.wait_ready(Site::Sbg).await?;
        pair.wait_streaming(Site::Gra).await?;
        Ok(pair)
    }

    fn node(&self, site: Site) -> &Node {
        match site {
            Site::Gra => &self.gra,
            Site::Sbg => &self.sbg,
            Site::Par => panic!("there is no database in par"),
        }
    }

    fn node_mut(&mut self, site: Site) -> &mut Node {
        match site {
            Site::Gra => &mut self.gra,
            Site::Sbg => &mut self.sbg,
            Site::Par => panic!("there is no database in par"),
        }
    }

    /// The same on both sites, so that an address alone is enough to move an application.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn address(&self, site: Site) -> std::net::SocketAddr {
        at(site.postgres(), self.port)
    }

    /// The file of the CA that signed both servers' certificate.
    pub fn ca_file(&self) -> &Path {
        &self.tls.ca
    }

    pub fn data_dir(&self, site: Site) -> &Path {
        &self.node(site).data
    }

    pub(crate) fn host_dir(&self, site: Site) -> PathBuf {
        self.node(site).host.0.clone()
    }

    /// A connection that is driven by the lab's own runtime. Bounded.
    pub async fn client(&self, site: Site, role: Role) -> anyhow::Result<Client> {
        self.client_to(site, role, role.database()).await
    }

    /// As [`Postgres::client`], to a named database.
    pub async fn client_to(&self, site: Site, role: Role, database: &str) -> anyhow::Result<Client> {
        let mut config = tokio_postgres::Config::new();
        config.port(self.port).user(role.user()).dbname(database).application_name("lab");
        match role {
            Role::Admin => config.host_path(&self.node(site).socket),
            _ => config.host(site.postgres().to_string()).password(role.password()),
        };
        let limit = Duration::from_secs(2);
        config.connect_timeout(limit);
        let connecting = async move {
            let (client, connection) = tokio::time::timeout(limit, config.connect(NoTls)).await??;
            tokio::spawn(connection);
            Ok(client)
        };
        net::on_lab(connecting).await.with_context(|| format!("connecting to pg-{site} as {}", role.user()))
    }

    /// Asks the harness's own connection one thing.
    pub async fn ask(&self, site: Site, sql: &str) -> anyhow::Result<String> {
        let client = self.client(site, Role::Admin).await?;
        let rows = tokio::time::timeout(Duration::from_secs(5), client.simple_query(sql)).await??;
        let row = rows.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        Ok(row.unwrap_or_default().to_owned())
    }

    pub async fn is_in_recovery(&self, site: Site) -> anyhow::Result<bool> {
        Ok(self.ask(site, "select pg_is_in_recovery()").await? == "t")
    }

    /// Waits until the server answers the harness.
    pub async fn wait_ready(&self, site: Site) -> anyhow::Result<()> {
        let what = format!("pg-{site} to answer (log: {})", self.node(site).log.display());
        wait_until(&what, READY, || async { Ok(self.ask(site, "select 1").await? == "1") }).await
    }

    /// Waits until the given primary has a streaming standby.
    pub async fn wait_streaming(&self, primary: Site) -> anyhow::Result<()> {
        let sql = "select count(*) from pg_stat_replication where state = 'streaming'";
        let what = format!("a standby streaming from pg-{primary}");
        wait_until(&what, READY, || async { Ok(self.ask(primary, sql).await? != "0") }).await
    }

    /// How many bytes of the primary's WAL the other side has not yet written down.
    pub async fn lag_bytes(&self, primary: Site) -> anyhow::Result<i64> {
        let end = self.ask(primary, "select pg_current_wal_lsn()").await?;
        let sql = format!("select ('{end}'::pg_lsn - pg_last_wal_receive_lsn())::bigint");
        let lag = self.ask(primary.other(), &sql).await?;
        lag.parse().with_context(|| format!("the standby gave no position: {lag:?}"))
    }

    /// Starts a server that is down, or gives up with its log's place. A masked one does not come.
    pub async fn start_again(&self, site: Site) -> anyhow::Result<()> {
        std::fs::write(self.node(site).host.start_request(), "start\n")?;
        self.wait_ready(site).await
    }

    /// The lines that the supervisor of that machine wrote.
    pub fn supervisor_log(&self, site: Site) -> anyhow::Result<Vec<SupervisorLine>> {
        let text = std::fs::read_to_string(self.node(site).host.supervisor_log())?;
        Ok(text.lines().filter_map(SupervisorLine::parse).collect())
    }

    /// Kills the supervisor (its server dies with it) and starts a new one, as a reboot would.
    pub fn reboot(&mut self, site: Site) -> anyhow::Result<()> {
        self.node_mut(site).supervise_again()
    }
}

/// One line of a supervisor.
#[derive(Clone, Debug, PartialEq)]
pub struct SupervisorLine {
    /// Seconds since the epoch.
    pub at: f64,
    pub text: String,
}

impl SupervisorLine {
    fn parse(line: &str) -> Option<SupervisorLine> {
        let (at, text) = line.split_once(' ')?;
        Some(SupervisorLine { at: at.parse().ok()?, text: text.to_owned() })
    }
}
