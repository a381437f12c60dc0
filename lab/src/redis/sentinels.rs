//! Three Sentinels over a pair: they agree on when its primary is down, and promote the replica themselves.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context;

use super::{RedisPair, RedisUser, guarded, talk};
use crate::children::{Child, Signal, Spec};
use crate::net::{on_lab, wait_until};
use crate::site::{Site, at};

/// The name under which they watch the pair.
pub const MASTER: &str = "shop";
const QUORUM: usize = 2;
/// The first of the ports on which guarded ones speak with the harness alone.
const DOORS: u16 = 12;

#[derive(Debug)]
pub struct Sentinels {
    pub all: Vec<SocketAddr>,
    /// Where the harness asks.
    doors: Vec<SocketAddr>,
    password: Option<&'static str>,
    children: Vec<Mutex<Child>>,
}

impl Sentinels {
    /// The pair must replicate straight. `down_after`: how long a primary may be silent.
    pub async fn start(pair: &RedisPair, down_after: Duration) -> anyhow::Result<Sentinels> {
        let (mut all, mut doors, mut children) = (vec![], vec![], vec![]);
        let primary = pair.place(Site::Gra);
        for n in 0..3_u16 {
            let address = at(Site::Par.redis(), pair.ports.spare(2 + n));
            let dir = pair.dir().join(format!("sentinel-{n}"));
            std::fs::create_dir(&dir)?;
            let file = dir.join("sentinel.conf");
            let replica = pair.place(Site::Sbg);
            let door = if pair.guarded.is_some() {
                at(Site::Par.redis(), pair.ports.spare(DOORS + n))
            } else {
                address
            };
            let mut text = format!(
                "bind {0}\nsentinel announce-ip {0}\nport {1}\ndir {2}\nprotected-mode no\n\
                 sentinel monitor {MASTER} {3} {4} {QUORUM}\n\
                 sentinel known-replica {MASTER} {6} {7}\n\
                 sentinel down-after-milliseconds {MASTER} {5}\n\
                 sentinel failover-timeout {MASTER} 4000\n",
                address.ip(),
                door.port(),
                dir.display(),
                primary.ip(),
                primary.port(),
                down_after.as_millis(),
                replica.ip(),
                replica.port()
            );
            if !pair.options.open {
                let user = RedisUser::Admin;
                text.push_str(&format!(
                    "sentinel auth-user {MASTER} {}\nsentinel auth-pass {MASTER} {}\n",
                    user.name(),
                    user.password()
                ));
            }
            if let Some(guarded) = &pair.guarded {
                text.push_str(&guarded.settings(address.port()));
                text.push_str(&guarded::sentinel_logins());
            }
            std::fs::write(&file, text)?;
            let argv = ["redis-sentinel".to_owned(), file.display().to_string()];
            children.push(Mutex::new(Child::spawn(Spec::new("sentinel", argv, dir.join("log")))?));
            all.push(address);
            doors.push(door);
        }
        let password = pair.guarded.is_some().then(|| RedisUser::Admin.password());
        let sentinels = Sentinels { all, doors, password, children };
        sentinels.wait_ready().await?;
        Ok(sentinels)
    }

    /// Every one knows the two others and the replica.
    async fn wait_ready(&self) -> anyhow::Result<()> {
        for n in 0..self.all.len() {
            wait_until("a Sentinel to know the others and the replica", Duration::from_secs(25), || async {
                let quorum = self.ask(n, &format!("SENTINEL CKQUORUM {MASTER}")).await?;
                let replicas = self.ask(n, &format!("SENTINEL REPLICAS {MASTER}")).await?;
                // Without an id it has not told what it is yet.
                let told = !replicas.contains("disconnected") && !replicas.contains("runid\n\n");
                Ok(quorum.starts_with("OK 3 ") && !replicas.is_empty() && told)
            })
            .await?;
        }
        Ok(())
    }

    /// Every one has the server of this site as the primary, and none carries a failover out.
    pub async fn lead(&self, pair: &RedisPair, site: Site) -> anyhow::Result<bool> {
        let at = pair.place(site);
        for n in 0..self.all.len() {
            let said = self.ask(n, &format!("SENTINEL MASTER {MASTER}")).await?;
            let value =
                |key: &str| said.split_once(&format!("\n{key}\n")).and_then(|(_, rest)| rest.lines().next());
            let (ip, port) = (at.ip().to_string(), at.port().to_string());
            let here = value("ip") == Some(ip.as_str()) && value("port") == Some(port.as_str());
            if !here || said.contains("failover_in_progress") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How many failovers there were, as this one knows.
    pub async fn epoch(&self, n: usize) -> anyhow::Result<u64> {
        let said = self.ask(n, &format!("SENTINEL MASTER {MASTER}")).await?;
        let (_, rest) = said.split_once("\nconfig-epoch\n").context("it tells no epoch")?;
        Ok(rest.lines().next().unwrap_or_default().parse()?)
    }

    /// One of them carries a failover out, or knows of one.
    pub async fn has_begun(&self) -> anyhow::Result<bool> {
        for n in 0..self.all.len() {
            let said = self.ask(n, &format!("SENTINEL MASTER {MASTER}")).await?;
            if said.contains("failover_in_progress") || self.epoch(n).await? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Who leads, once all agree and the other follows with everything.
    pub async fn settled(&self, pair: &RedisPair) -> anyhow::Result<Site> {
        let found = Mutex::new(Site::Gra);
        let other = |site| if site == Site::Gra { Site::Sbg } else { Site::Gra };
        wait_until("the Sentinels to have settled", Duration::from_secs(25), || async {
            for site in [Site::Gra, Site::Sbg] {
                let follows =
                    pair.info(other(site), "master_link_status").await.is_ok_and(|link| link == "up");
                if pair.is_primary(site).await? && follows && self.lead(pair, site).await? {
                    let known = self.ask(0, &format!("SENTINEL REPLICAS {MASTER}")).await?;
                    *found.lock().expect("invariant: no panic while the lock is held") = site;
                    return Ok(!known.contains("disconnected") && !known.contains("runid\n\n"));
                }
            }
            Ok(false)
        })
        .await?;
        Ok(found.into_inner().expect("invariant: no panic while the lock is held"))
    }

    /// It keeps its connections and answers nothing, until [`Sentinels::sigcont`].
    pub fn sigstop(&self, n: usize) -> anyhow::Result<()> {
        self.signal(n, Signal::STOP)
    }

    pub fn sigcont(&self, n: usize) -> anyhow::Result<()> {
        self.signal(n, Signal::CONT)
    }

    fn signal(&self, n: usize, signal: Signal) -> anyhow::Result<()> {
        let child = self.children.get(n).context("there are three")?;
        child.lock().expect("invariant: no panic while the lock is held").signal(signal)
    }

    pub async fn ask(&self, n: usize, command: &str) -> anyhow::Result<String> {
        let (address, command) = (*self.doors.get(n).context("there are three")?, command.to_owned());
        let login = self.password.map(|password| ("default", password));
        let asked = command.clone();
        let reply = on_lab(async move {
            tokio::time::timeout(Duration::from_secs(2), talk::say(address, login, &asked)).await?
        });
        reply.await?.text().with_context(|| format!("{command} on Sentinel {n}"))
    }
}
