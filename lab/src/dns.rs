//! The public zone on two authoritative servers: Knot takes updates (TSIG), BIND follows by NOTIFY and a
//! signed transfer. Tests query each of them and change records by hand here.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::children::{Child, Signal, Spec, run, run_with_input};
use crate::dns_gate::Gate;
use crate::net::{Port, PortBlock, wait_until};
use crate::site::{Site, at};

/// The zone; its apex is the shop's public name.
pub const ZONE: &str = "shop.example.test";
/// A record beside the shop's that still points at the old site after a swap.
pub const SIBLING: &str = "admin.shop.example.test";

/// BIND listens only on addresses that an interface has, and the loopback interface has this one; its place
/// is neither region, like a second provider's.
const BIND_IP: Ipv4Addr = Ipv4Addr::LOCALHOST;

#[derive(Clone, Debug)]
pub struct DnsOptions {
    pub ttl: u32,
    /// The primary tells nobody that the zone has changed, as if each of its NOTIFY were lost.
    pub silent: bool,
}

impl Default for DnsOptions {
    fn default() -> DnsOptions {
        DnsOptions { ttl: 60, silent: false }
    }
}

/// A TSIG key, hmac-sha256.
#[derive(Clone)]
pub struct TsigKey {
    pub name: &'static str,
    /// Base64, as configuration files want it.
    pub secret: String,
}

impl std::fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TsigKey({})", self.name)
    }
}

/// Both authoritative servers.
#[derive(Debug)]
pub struct Dns {
    /// Takes updates.
    pub primary: SocketAddr,
    /// Follows the primary.
    pub secondary: SocketAddr,
    /// Another way to the primary, on which an answer can be lost.
    pub gate: Gate,
    /// The responder's key; the primary takes updates signed with it.
    pub update_key: TsigKey,
    dir: PathBuf,
    log: PathBuf,
    knot: Option<Child>,
    bind: Option<Child>,
}

async fn key(name: &'static str) -> anyhow::Result<TsigKey> {
    let secret = run(&["openssl", "rand", "-base64", "32"], &[]).await?.trim().to_owned();
    Ok(TsigKey { name, secret })
}

impl Dns {
    pub(crate) async fn start(lab: &Path, ports: &PortBlock, options: &DnsOptions) -> anyhow::Result<Dns> {
        let port = ports.get(Port::Dns);
        let dir = lab.join("dns");
        for part in ["knot/run", "knot/db", "bind"] {
            std::fs::create_dir_all(dir.join(part))?;
        }
        let (primary, secondary) = (at(Site::Par.dns(), port), at(BIND_IP, port));
        let update_key = key("pointsman").await?;
        let transfer_key = key("transfer").await?;
        std::fs::write(dir.join(format!("knot/{ZONE}.zone")), zone_file(options.ttl))?;
        std::fs::write(
            dir.join("knot/knot.conf"),
            knot_conf(&dir, primary, secondary, [&update_key, &transfer_key], options.silent),
        )?;
        std::fs::write(
            dir.join("bind/named.conf"),
            named_conf(&dir, primary, secondary, [&update_key, &transfer_key]),
        )?;
        std::fs::write(dir.join("update.key"), key_clause(&update_key))?;
        let log = lab.join("log");
        let gate = Gate::start(at(Site::Par.dns(), ports.get(Port::DnsGate)), primary).await?;
        let mut dns = Dns { primary, secondary, gate, update_key, dir, log, knot: None, bind: None };
        dns.start_primary().await?;
        dns.start_secondary().await?;
        Ok(dns)
    }

    /// Starts the primary, also again after [`Dns::stop_primary`].
    pub async fn start_primary(&mut self) -> anyhow::Result<()> {
        let conf = self.dir.join("knot/knot.conf").display().to_string();
        let argv = ["knotd", "-c", &conf];
        self.knot = Some(Child::spawn(Spec::new("knotd", argv, self.log.join("knot.log")))?);
        self.wait_serving(self.primary, "knot").await
    }

    pub fn stop_primary(&mut self) {
        self.knot = None;
    }

    /// Starts the secondary, also again after [`Dns::stop_secondary`].
    pub async fn start_secondary(&mut self) -> anyhow::Result<()> {
        let conf = self.dir.join("bind/named.conf").display().to_string();
        let argv = ["named", "-g", "-n", "1", "-c", &conf];
        self.bind = Some(Child::spawn(Spec::new("named", argv, self.log.join("bind.log")))?);
        self.wait_serving(self.secondary, "named").await
    }

    pub fn stop_secondary(&mut self) {
        self.bind = None;
    }

    /// Hangs the primary at the moment in which the next update reaches it by the gate: its sender has sent all of it,
    /// and hears nothing.
    pub fn hang_primary_at_the_next_update(&self) -> anyhow::Result<()> {
        let knot = self.knot.as_ref().context("the primary is stopped")?;
        self.gate.hang_at_the_next_update(knot.pid());
        Ok(())
    }

    /// Hangs the secondary: it takes packets and answers nothing.
    pub fn hang_secondary(&mut self) -> anyhow::Result<()> {
        self.bind.as_mut().context("the secondary is stopped")?.signal(Signal::STOP)
    }

    /// Both go on where they were.
    pub fn wake(&mut self) -> anyhow::Result<()> {
        for server in [&mut self.knot, &mut self.bind].into_iter().flatten() {
            server.signal(Signal::CONT)?;
        }
        Ok(())
    }

    async fn wait_serving(&self, server: SocketAddr, name: &str) -> anyhow::Result<()> {
        let what = format!("{name} to serve {ZONE} (log: {})", self.log.display());
        wait_until(&what, Duration::from_secs(10), || async { Ok(self.serial(server).await.is_ok()) }).await
    }

    /// The authoritative values of a name at one server, sorted. An answer without the AA flag is an error.
    pub async fn values(&self, server: SocketAddr, name: &str, kind: &str) -> anyhow::Result<Vec<String>> {
        let mut values = query(server, name, kind, true).await?;
        values.sort();
        Ok(values)
    }

    pub async fn serial(&self, server: SocketAddr) -> anyhow::Result<u32> {
        let soa = self.values(server, ZONE, "SOA").await?;
        let serial = soa.first().and_then(|soa| soa.split(' ').nth(2)).context("no SOA")?;
        serial.parse().context("a serial is a number")
    }

    /// Changes the zone as an operator would: lines of `nsupdate`, signed. The error carries the server's
    /// answer.
    pub async fn nsupdate(&self, lines: &str) -> anyhow::Result<()> {
        let key = self.dir.join("update.key").display().to_string();
        let server = format!("server {} {}", self.primary.ip(), self.primary.port());
        let script = format!("{server}\nzone {ZONE}.\n{lines}\nsend\n");
        run_with_input(&["nsupdate", "-k", &key, "-t", "3"], &[], &script).await?;
        Ok(())
    }
}

/// Asks one server by `kdig`; with `authoritative`, the answer must have the AA flag. No such name: no
/// values.
pub async fn query(
    server: SocketAddr,
    name: &str,
    kind: &str,
    authoritative: bool,
) -> anyhow::Result<Vec<String>> {
    let (ip, port) = (format!("@{}", server.ip()), server.port().to_string());
    let argv = ["kdig", &ip, "-p", &port, "+time=1", "+retry=0", "+noall", "+header", "+answer", name, kind];
    let text = run(&argv, &[]).await?;
    let header = text.lines().find(|line| line.starts_with(";; Flags:")).context("no answer")?;
    if authoritative && !header.split(';').any(|part| part.contains("Flags:") && part.contains(" aa")) {
        bail!("{server} is not authoritative for {name}: {header}");
    }
    if !text.contains("status: NOERROR") && !text.contains("status: NXDOMAIN") {
        bail!("{server} answered with an error: {}", text.lines().next().unwrap_or_default());
    }
    let wanted = format!("{}.", name.trim_end_matches('.'));
    let answers = text.lines().filter(|line| !line.starts_with(';'));
    let records = answers.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours = records.filter(|fields| fields.len() > 4 && fields[0] == wanted && fields[3] == kind);
    Ok(ours.map(|fields| fields[4..].join(" ")).collect())
}

fn zone_file(ttl: u32) -> String {
    let (address, v6) = (Site::Gra.app(0), Site::Gra.ipv6());
    format!(
        "$ORIGIN {ZONE}.\n$TTL {ttl}\n@ IN SOA ns1 ops 1 3600 600 86400 {ttl}\n@ IN NS ns1\n@ IN NS ns2\n\
         ns1 IN A {}\nns2 IN A {}\n@ IN A {address}\n@ IN AAAA {v6}\nadmin IN A {address}\n",
        Site::Par.dns(),
        BIND_IP,
    )
}

fn knot_conf(
    dir: &Path,
    primary: SocketAddr,
    secondary: SocketAddr,
    keys: [&TsigKey; 2],
    silent: bool,
) -> String {
    let notify = if silent { "" } else { "    notify: second\n" };
    let keys_text: String = keys
        .iter()
        .map(|key| {
            format!("  - id: {}\n    algorithm: hmac-sha256\n    secret: \"{}\"\n", key.name, key.secret)
        })
        .collect();
    let knot = dir.join("knot");
    let [update, transfer] = keys.map(|key| key.name);
    format!(
        "server:\n  rundir: \"{k}/run\"\n  listen: {ip}@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 1\nlog:\n  - target: stderr\n    any: info\ndatabase:\n  storage: \"{k}/db\"\n  \
         journal-db-max-size: 16M\n  kasp-db-max-size: 8M\n  timer-db-max-size: 8M\n  catalog-db-max-size: 8M\n\
         key:\n{keys_text}remote:\n  - id: second\n    address: {ip2}@{port2}\n    via: {ip}\n    key: {transfer}\n\
         acl:\n  - id: updates\n    key: {update}\n    address: 127.0.0.0/8\n    action: [update, transfer]\n    \
         update-type: [A, AAAA, CNAME, TXT]\n  - id: transfers\n    key: {transfer}\n    address: 127.0.0.0/8\n    \
         action: transfer\n\
         template:\n  - id: default\n    storage: \"{k}\"\n    file: \"%s.zone\"\n    zonefile-sync: -1\n    \
         journal-content: all\n    zonefile-load: difference-no-serial\n    serial-policy: increment\n\
         zone:\n  - domain: {ZONE}\n{notify}    acl: [updates, transfers]\n",
        k = knot.display(),
        ip = primary.ip(),
        port = primary.port(),
        ip2 = secondary.ip(),
        port2 = secondary.port(),
    )
}

fn key_clause(key: &TsigKey) -> String {
    format!("key \"{}\" {{ algorithm hmac-sha256; secret \"{}\"; }};\n", key.name, key.secret)
}

/// Either key may say that the zone has changed.
fn named_conf(dir: &Path, primary: SocketAddr, secondary: SocketAddr, keys: [&TsigKey; 2]) -> String {
    let bind = dir.join("bind");
    let clauses: String = keys.iter().map(|key| key_clause(key)).collect();
    let [update, transfer] = keys.map(|key| key.name);
    format!(
        "options {{ directory \"{d}\"; listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }}; pid-file none;\n\
         session-keyfile \"{d}/session.key\"; recursion no; allow-transfer {{ none; }}; dnssec-validation no;\n\
         managed-keys-directory \"{d}\"; empty-zones-enable no; transfer-source {ip}; notify no; }};\n\
         controls {{ }};\n{clauses}\
         zone \"{ZONE}\" {{ type secondary; file \"{d}/zone\"; masterfile-format text;\n\
         primaries {{ {pip} port {pport} key \"{transfer}\"; }};\n\
         allow-notify {{ key \"{transfer}\"; key \"{update}\"; }}; }};\n",
        d = bind.display(),
        ip = secondary.ip(),
        port = secondary.port(),
        pip = primary.ip(),
        pport = primary.port(),
    )
}
