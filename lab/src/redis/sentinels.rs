//! Three Sentinels over a pair: they agree on when its primary is down, and promote the replica themselves.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;

use super::{RedisPair, RedisUser, talk};
use crate::children::{Child, Spec};
use crate::net::{on_lab, wait_until};
use crate::site::{Site, at};

/// The name under which they watch the pair.
pub const MASTER: &str = "shop";
const QUORUM: usize = 2;

#[derive(Debug)]
pub struct Sentinels {
    pub all: Vec<SocketAddr>,
    _children: Vec<Child>,
}

impl Sentinels {
    /// The pair must replicate straight. `down_after`: how long a primary may be silent.
    pub async fn start(pair: &RedisPair, down_after: Duration) -> anyhow::Result<Sentinels> {
        let (mut all, mut children) = (vec![], vec![]);
        let primary = pair.address(Site::Gra);
        for n in 0..3_u16 {
            let address = at(Site::Par.redis(), pair.ports.spare(2 + n));
            let dir = pair.dir().join(format!("sentinel-{n}"));
            std::fs::create_dir(&dir)?;
            let file = dir.join("sentinel.conf");
            let mut text = format!(
                "bind {}\nport {}\ndir {}\nprotected-mode no\n\
                 sentinel monitor {MASTER} {} {} {QUORUM}\n\
                 sentinel down-after-milliseconds {MASTER} {}\n\
                 sentinel failover-timeout {MASTER} 4000\n",
                address.ip(),
                address.port(),
                dir.display(),
                primary.ip(),
                primary.port(),
                down_after.as_millis()
            );
            if !pair.options.open {
                let user = RedisUser::Admin;
                text.push_str(&format!(
                    "sentinel auth-user {MASTER} {}\nsentinel auth-pass {MASTER} {}\n",
                    user.name(),
                    user.password()
                ));
            }
            std::fs::write(&file, text)?;
            let argv = ["redis-sentinel".to_owned(), file.display().to_string()];
            children.push(Child::spawn(Spec::new("sentinel", argv, dir.join("log")))?);
            all.push(address);
        }
        let sentinels = Sentinels { all, _children: children };
        sentinels.wait_ready().await?;
        Ok(sentinels)
    }

    /// Every one knows the two others and the replica.
    async fn wait_ready(&self) -> anyhow::Result<()> {
        for n in 0..self.all.len() {
            wait_until("a Sentinel to know the others and the replica", Duration::from_secs(25), || async {
                let quorum = self.ask(n, &format!("SENTINEL CKQUORUM {MASTER}")).await?;
                let replicas = self.ask(n, &format!("SENTINEL REPLICAS {MASTER}")).await?;
                Ok(quorum.starts_with("OK 3 ") && !replicas.is_empty())
            })
            .await?;
        }
        Ok(())
    }

    pub async fn ask(&self, n: usize, command: &str) -> anyhow::Result<String> {
        let (address, command) = (*self.all.get(n).context("there are three")?, command.to_owned());
        let asked = command.clone();
        let reply = on_lab(async move {
            tokio::time::timeout(Duration::from_secs(2), talk::say(address, None, &asked)).await?
        });
        reply.await?.text().with_context(|| format!("{command} on Sentinel {n}"))
    }
}
