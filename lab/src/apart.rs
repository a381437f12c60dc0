//! A network namespace for one program alone, usually the responder: it reaches every address of the lab over one link,
//! and the road to a region can break while everybody else goes on reaching it. Packets of a broken road are lost; nothing
//! is refused. Needs root; what is made here ends with the namespace's only process.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::children::{Child, Spec, run};
use crate::net::{PortBlock, wait_until};
use crate::site::Site;

/// The next hop of a broken road: nobody has this address.
const NOWHERE: &str = "02:00:00:00:00:99";

/// A program's own network.
#[derive(Debug)]
pub struct Apart {
    holder: Child,
    ip: Ipv4Addr,
    gateway: Ipv4Addr,
    nowhere: Ipv4Addr,
}

impl Apart {
    pub async fn start(log: &Path, ports: &PortBlock) -> anyhow::Result<Apart> {
        ensure!(rustix::process::getuid().is_root(), "a network namespace needs root");
        let [gateway, inner, nowhere] = [1, 2, 3].map(|last| ports.link_ip(last));
        let ip = ports.apart_ip();
        let words = ["unshare", "--net", "--", "sleep", "infinity"];
        let holder = Child::spawn(Spec::new("network namespace", words, log.join("apart.log")))?;
        let apart = Apart { holder, ip, gateway, nowhere };
        let ours = std::fs::read_link("/proc/self/ns/net")?;
        let made = || async { Ok(std::fs::read_link(apart.file())? != ours) };
        wait_until("a network namespace", Duration::from_secs(5), made).await?;
        let (link, pid) = (format!("lab{}", ports.index()), apart.holder.pid().to_string());
        ip_words(&["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &pid]).await?;
        ip_words(&["addr", "add", &format!("{gateway}/29"), "dev", &link]).await?;
        ip_words(&["link", "set", &link, "up"]).await?;
        // The lab's addresses are those of a loopback; these switches let them pass over a link.
        std::fs::write(format!("/proc/sys/net/ipv4/conf/{link}/route_localnet"), "1")?;
        let switch = "echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet";
        apart.inside(&["ip", "addr", "add", &format!("{inner}/29"), "dev", "eth0"]).await?;
        apart.inside(&["ip", "addr", "add", &format!("{ip}/32"), "dev", "eth0"]).await?;
        apart.inside(&["ip", "link", "set", "eth0", "up"]).await?;
        apart.inside(&["sh", "-c", switch]).await?;
        apart.inside(&["ip", "neigh", "add", &nowhere.to_string(), "lladdr", NOWHERE, "dev", "eth0"]).await?;
        apart.road("127.0.0.0/8", gateway).await?;
        let back = [&format!("{ip}/32"), "via", &inner.to_string(), "dev", &link, "table", "local"];
        ip_words(&[&["route", "add"], back.as_slice()].concat()).await?;
        Ok(apart)
    }

    /// Where the program listens, and whence it comes.
    pub fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    /// The words to put before a program so that it runs here; they become the program.
    pub fn prefix(&self) -> Vec<String> {
        vec!["nsenter".into(), format!("--net={}", self.file()), "--".into()]
    }

    /// From now on nothing passes between the program and that region, in either direction.
    pub async fn cut(&self, site: Site) -> anyhow::Result<()> {
        self.road(&region(site), self.nowhere).await.with_context(|| format!("cutting off {site}"))
    }

    pub async fn heal(&self, site: Site) -> anyhow::Result<()> {
        self.road(&region(site), self.gateway).await.with_context(|| format!("healing the road to {site}"))
    }

    async fn road(&self, to: &str, via: Ipv4Addr) -> anyhow::Result<()> {
        let (via, from) = (via.to_string(), self.ip.to_string());
        self.inside(&["ip", "route", "replace", to, "via", &via, "dev", "eth0", "src", &from]).await
    }

    fn file(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.pid())
    }

    async fn inside(&self, words: &[&str]) -> anyhow::Result<()> {
        let prefix = self.prefix();
        let prefix = prefix.iter().map(String::as_str);
        run(&prefix.chain(words.iter().copied()).collect::<Vec<_>>(), &[]).await.map(drop)
    }
}

async fn ip_words(words: &[&str]) -> anyhow::Result<()> {
    run(&[&["ip"], words].concat(), &[]).await.map(drop)
}

fn region(site: Site) -> String {
    format!("{}/24", site.ip(0))
}
