//! A real Redis pair: primary in gra, replica in sbg, each with its own file and users, and a proxy between them that a
//! test can stall or cut. Stands for itself, beside the lab; [`Sentinels`] can be set over it.

mod guarded;
mod machine;
mod sentinels;
mod talk;

pub use machine::{MACHINE, RedisMachine};
pub use sentinels::Sentinels;
pub use talk::Reply;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::children::{Child, Signal, Spec};
use crate::files::temp_dir;
use crate::net::{PortBlock, on_lab, wait_until};
use crate::proxy::Proxy;
use crate::site::{Site, at};
use guarded::Guarded;

const READY: Duration = Duration::from_secs(10);
/// The spare port on which guarded servers speak TLS.
const TLS: u16 = 5;

/// Who connects. The passwords are the lab's own and open no other door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisUser {
    /// The harness itself.
    Admin,
    /// The responder, with the rights that its pages name and no more.
    Pointsman,
    /// The application: every key, and no setting.
    Shop,
    Replication,
}

impl RedisUser {
    pub fn name(self) -> &'static str {
        match self {
            RedisUser::Admin => "lab",
            RedisUser::Pointsman => "pointsman",
            RedisUser::Shop => "shop",
            RedisUser::Replication => "repl",
        }
    }

    pub fn password(self) -> &'static str {
        match self {
            RedisUser::Admin => "lab-redis-admin",
            RedisUser::Pointsman => "lab-redis-pointsman",
            RedisUser::Shop => "lab-redis-shop",
            RedisUser::Replication => "lab-redis-repl",
        }
    }

    fn rights(self) -> &'static str {
        match self {
            RedisUser::Admin => "~* &* +@all",
            RedisUser::Pointsman => {
                "+info +config|get +config|set +config|rewrite +pubsub|numsub +replicaof +failover"
            }
            RedisUser::Shop => "~* +@all -@admin -@dangerous",
            RedisUser::Replication => "+psync +replconf +ping",
        }
    }
}

const USERS: [RedisUser; 4] =
    [RedisUser::Admin, RedisUser::Pointsman, RedisUser::Shop, RedisUser::Replication];

/// How the pair is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct RedisOptions {
    /// No users, no passwords, and no file: as many run it.
    pub open: bool,
    /// Keys and history outlive an orderly stop.
    pub persistent: bool,
    /// Sentinels follow the addresses that they are told, so that replication then goes straight.
    pub straight: bool,
    /// TLS on every road but the harness's own, and Sentinels with a password and users. It replicates straight.
    pub guarded: bool,
}

#[derive(Debug)]
struct Node {
    dir: PathBuf,
    child: Mutex<Option<Child>>,
}

#[derive(Debug)]
pub struct RedisPair {
    gra: Node,
    sbg: Node,
    /// Between the replica and the primary of gra.
    pub replication: Arc<Proxy>,
    port: u16,
    options: RedisOptions,
    guarded: Option<Guarded>,
    ports: PortBlock,
    dir: tempfile::TempDir,
}

impl RedisPair {
    pub async fn start(options: RedisOptions) -> anyhow::Result<RedisPair> {
        let (dir, ports) = (temp_dir(false)?, PortBlock::reserve()?);
        let port = ports.spare(0);
        let primary = at(Site::Gra.redis(), port);
        let replication = Proxy::start(at(Site::Par.redis(), ports.spare(1)), primary).await?;
        let node = |site: Site| Node { dir: dir.path().join(site.name()), child: Mutex::new(None) };
        let (gra, sbg) = (node(Site::Gra), node(Site::Sbg));
        let guarded = match options.guarded {
            true => Some(Guarded::new(&dir.path().join("tls"), ports.spare(TLS)).await?),
            false => None,
        };
        let pair = RedisPair { gra, sbg, replication, port, options, guarded, ports, dir };
        for site in [Site::Gra, Site::Sbg] {
            std::fs::create_dir(&pair.node(site).dir)?;
            std::fs::write(pair.file(site), pair.config(site))?;
            pair.start_again(site).await?;
        }
        pair.wait_streaming(Site::Sbg).await?;
        Ok(pair)
    }

    fn node(&self, site: Site) -> &Node {
        match site {
            Site::Gra => &self.gra,
            Site::Sbg => &self.sbg,
            Site::Par => panic!("there is no Redis in par"),
        }
    }

    fn child(&self, site: Site) -> MutexGuard<'_, Option<Child>> {
        self.node(site).child.lock().expect("invariant: no panic while holding the lock")
    }

    pub fn address(&self, site: Site) -> SocketAddr {
        at(site.redis(), self.port)
    }

    /// Where replicas, Sentinels and the responder reach it: by TLS where the pair is guarded.
    pub fn place(&self, site: Site) -> SocketAddr {
        at(site.redis(), self.guarded.as_ref().map_or(self.port, |guarded| guarded.port))
    }

    /// The authority to trust in a guarded pair.
    pub fn ca(&self) -> Option<&Path> {
        self.guarded.as_ref().map(|guarded| guarded.tls.ca.as_path())
    }

    /// The n-th port that nobody beside the pair and its Sentinels uses.
    pub fn spare_port(&self, n: u16) -> u16 {
        self.ports.spare(8 + n)
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The server's own file, which it rewrites when it is told to.
    pub fn file(&self, site: Site) -> PathBuf {
        self.node(site).dir.join("redis.conf")
    }

    fn config(&self, site: Site) -> String {
        let save = if self.options.persistent { "save 3600 1" } else { "save \"\"" };
        let mut text = format!(
            "bind {0}\nreplica-announce-ip {0}\nport {1}\ndir {2}\nprotected-mode no\nappendonly no\n{save}\nrepl-diskless-sync-delay 0\n\
             repl-timeout 60\n",
            site.redis(),
            self.port,
            self.node(site).dir.display()
        );
        if site == Site::Sbg {
            let straight = self.options.straight || self.options.guarded;
            let primary = if straight { self.place(Site::Gra) } else { self.replication.addr() };
            text.push_str(&format!("replicaof {} {}\n", primary.ip(), primary.port()));
        }
        if let Some(guarded) = &self.guarded {
            text.push_str(&guarded.settings(guarded.port));
        }
        if !self.options.open {
            let repl = RedisUser::Replication;
            text.push_str(&format!(
                "masteruser {}\nmasterauth {}\nuser default off\n",
                repl.name(),
                repl.password()
            ));
            for user in USERS {
                text.push_str(&format!("user {} on >{} {}\n", user.name(), user.password(), user.rights()));
            }
        }
        text
    }

    /// Starts a server that is down, as its file, or in an open pair its first settings, say.
    pub async fn start_again(&self, site: Site) -> anyhow::Result<()> {
        let log = self.node(site).dir.join("log");
        let mut argv = vec!["redis-server".to_owned()];
        if self.options.open {
            let lines = self.config(site);
            argv.extend(lines.lines().flat_map(|line| {
                let (key, value) = line.split_once(' ').unwrap_or((line, ""));
                let values = if key == "replicaof" { value.split(' ').collect() } else { vec![value] };
                std::iter::once(format!("--{key}"))
                    .chain(values.into_iter().map(|value| value.replace("\"\"", "")))
                    .collect::<Vec<_>>()
            }));
        } else {
            argv.push(self.file(site).display().to_string());
        }
        let spec = Spec::new("redis", argv, log.clone()).stop_with_term(Duration::from_secs(3));
        *self.child(site) = Some(Child::spawn(spec)?);
        let what = format!("redis-{site} to answer (log: {})", log.display());
        wait_until(&what, READY, || async { Ok(self.ask(site, "PING").await? == "PONG") }).await
    }

    /// SIGKILL.
    pub fn kill9(&self, site: Site) -> anyhow::Result<()> {
        self.child(site).as_mut().context("it was never started")?.kill9();
        Ok(())
    }

    /// An orderly stop, which saves where the pair is persistent.
    pub fn stop(&self, site: Site) -> anyhow::Result<()> {
        self.child(site).as_mut().context("it was never started")?.stop();
        Ok(())
    }

    /// It keeps its connections and answers nothing, until [`RedisPair::sigcont`].
    pub fn sigstop(&self, site: Site) -> anyhow::Result<()> {
        self.child(site).as_mut().context("it was never started")?.signal(Signal::STOP)
    }

    pub fn sigcont(&self, site: Site) -> anyhow::Result<()> {
        self.child(site).as_mut().context("it was never started")?.signal(Signal::CONT)
    }

    /// One command of the harness on a connection of its own. The server's error is an error here.
    pub async fn ask(&self, site: Site, command: &str) -> anyhow::Result<String> {
        let reply = self.say(site, RedisUser::Admin, command).await?;
        reply.text().with_context(|| format!("{command} on redis-{site}"))
    }

    /// One command as somebody; bounded.
    pub async fn say(&self, site: Site, user: RedisUser, command: &str) -> anyhow::Result<Reply> {
        let login = (!self.options.open).then(|| (user.name(), user.password()));
        let (address, command) = (self.address(site), command.to_owned());
        on_lab(async move {
            let talk = talk::say(address, login, &command);
            tokio::time::timeout(Duration::from_secs(2), talk).await?
        })
        .await
    }

    /// One line of INFO.
    pub async fn info(&self, site: Site, key: &str) -> anyhow::Result<String> {
        let text = self.ask(site, "INFO").await?;
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        Ok(value.with_context(|| format!("INFO has no {key}"))?.to_owned())
    }

    pub async fn is_primary(&self, site: Site) -> anyhow::Result<bool> {
        Ok(self.info(site, "role").await? == "master")
    }

    /// Waits until the replica has a whole copy and its link stands.
    pub async fn wait_streaming(&self, replica: Site) -> anyhow::Result<()> {
        wait_until(&format!("redis-{replica} to follow"), READY, || async {
            Ok(self.info(replica, "master_link_status").await? == "up")
        })
        .await
    }

    /// Waits until both have the same offset, and the primary knows of its replica that it is there: it learns that up to a
    /// second later.
    pub async fn wait_alike(&self) -> anyhow::Result<()> {
        wait_until("both to have the same offset", READY, || async {
            let told = self.ask(Site::Gra, "INFO REPLICATION").await?;
            let listed =
                told.lines().any(|line| line.starts_with("slave0:") && line.contains("state=online"));
            let primary = self.info(Site::Gra, "master_repl_offset").await?;
            Ok(listed && self.info(Site::Sbg, "slave_repl_offset").await? == primary)
        })
        .await
    }

    /// As at the beginning, with one key and nothing in the files but what the harness put there.
    pub async fn reset(&self) -> anyhow::Result<()> {
        self.replication.heal().await?;
        for site in [Site::Gra, Site::Sbg] {
            self.stop(site)?;
            let node = self.node(site);
            let dump = node.dir.join("dump.rdb");
            if dump.exists() {
                std::fs::remove_file(dump)?;
            }
            std::fs::write(self.file(site), self.config(site))?;
            self.start_again(site).await?;
        }
        ensure!(self.ask(Site::Gra, "SET first 1").await? == "OK", "the primary takes no write");
        self.wait_streaming(Site::Sbg).await?;
        self.wait_alike().await
    }
}
