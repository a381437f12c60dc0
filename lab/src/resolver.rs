//! A recursive resolver that knows only the lab, and a way to run one program with it as *the* resolver of
//! its machine. Used to see the public name as users do, caches included.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::ensure;

use crate::children::{Child, Signal, Spec};
use crate::dns::{Dns, ZONE, query};
use crate::net::{PortBlock, wait_until};
use crate::site::at;

/// A running resolver on port 53 of an address of its own.
#[derive(Debug)]
pub struct Resolver {
    pub ip: Ipv4Addr,
    resolv_conf: PathBuf,
    unbound: Child,
}

impl Resolver {
    pub(crate) async fn start(
        lab: &Path,
        ports: &PortBlock,
        dns: &Dns,
        max_ttl: u32,
    ) -> anyhow::Result<Resolver> {
        ensure!(rustix::process::getuid().is_root(), "a resolver on port 53 needs root");
        let ip = ports.resolver_ip();
        let dir = lab.join("resolver");
        std::fs::create_dir_all(&dir)?;
        let conf = dir.join("unbound.conf");
        std::fs::write(&conf, unbound_conf(&dir, ip, dns, max_ttl))?;
        let argv = ["unbound".into(), "-d".into(), "-c".into(), conf.into_os_string()];
        let unbound = Child::spawn(Spec::new("unbound", argv, lab.join("log/unbound.log")))?;
        let resolv_conf = dir.join("resolv.conf");
        std::fs::write(&resolv_conf, format!("nameserver {ip}\noptions timeout:1 attempts:2\n"))?;
        let resolver = Resolver { ip, resolv_conf, unbound };
        let what = format!("the resolver to find {ZONE}");
        let found = || async { Ok(!resolver.lookup(ZONE, "A").await?.is_empty()) };
        wait_until(&what, Duration::from_secs(10), found).await?;
        Ok(resolver)
    }

    pub fn addr(&self) -> SocketAddr {
        at(self.ip, 53)
    }

    /// What a user of this resolver gets now.
    pub async fn lookup(&self, name: &str, kind: &str) -> anyhow::Result<Vec<String>> {
        query(self.addr(), name, kind, false).await
    }

    /// Hangs it: it takes questions and answers nothing, until [`Resolver::wake`].
    pub fn hang(&mut self) -> anyhow::Result<()> {
        self.unbound.signal(Signal::STOP)
    }

    pub fn wake(&mut self) -> anyhow::Result<()> {
        self.unbound.signal(Signal::CONT)
    }

    /// The words to put before a program so that it runs with this resolver as its `/etc/resolv.conf`. They
    /// become the program: it keeps the pid, stays the direct child, and dies with the thread that spawned
    /// it.
    pub fn prefix(&self) -> Vec<String> {
        let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
        let words =
            ["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--mount", "--propagation", "private", "--"];
        let mut words: Vec<String> = words.map(str::to_owned).to_vec();
        words.extend(["sh".into(), "-c".into(), script.into(), self.resolv_conf.display().to_string()]);
        words
    }
}

/// Everything but the zone is refused: nothing leaves the machine.
fn unbound_conf(dir: &Path, ip: Ipv4Addr, dns: &Dns, max_ttl: u32) -> String {
    let [first, second] =
        [dns.primary, dns.secondary].map(|server| format!("{}@{}", server.ip(), server.port()));
    format!(
        "server:\n  interface: {ip}@53\n  port: 53\n  do-ip6: no\n  do-daemonize: no\n  username: \"\"\n  chroot: \"\"\n  \
         directory: \"{}\"\n  pidfile: \"\"\n  logfile: \"\"\n  use-syslog: no\n  module-config: \"iterator\"\n  \
         do-not-query-localhost: no\n  access-control: 127.0.0.0/8 allow\n  cache-max-ttl: {max_ttl}\n  \
         cache-max-negative-ttl: 1\n  infra-host-ttl: 1\n  num-threads: 1\n  local-zone: \".\" refuse\n  \
         local-zone: \"{ZONE}.\" transparent\nremote-control:\n  control-enable: no\n\
         stub-zone:\n  name: \"{ZONE}.\"\n  stub-addr: {first}\n  stub-addr: {second}\n",
        dir.display(),
    )
}
