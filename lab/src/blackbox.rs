//! Blackbox exporters: probes from places other than the responder's own. One in par, one in sbg.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::children::{Child, Spec};
use crate::net::{Port, PortBlock, http, wait_http};
use crate::site::{Site, at};

/// One exporter.
#[derive(Debug)]
pub struct Blackbox {
    pub site: Site,
    pub addr: SocketAddr,
    _child: Child,
}

/// Modules: `http_2xx` (give `hostname=` to probe an address under a name), `http_any` (whatever the status),
/// `tcp_connect`.
const CONFIG: &str = "modules:
  http_2xx: {prober: http, timeout: 2s, http: {preferred_ip_protocol: ip4, follow_redirects: false}}
  http_any:
    prober: http
    timeout: 2s
    http: {preferred_ip_protocol: ip4, valid_status_codes: [200, 204, 301, 302, 400, 401, 403, 404, 500, 502, 503, 504]}
  tcp_connect: {prober: tcp, timeout: 2s, tcp: {preferred_ip_protocol: ip4}}
";

impl Blackbox {
    /// `prefix`: words before the program, such as those that give it another resolver.
    pub(crate) async fn start(
        lab: &Path,
        ports: &PortBlock,
        site: Site,
        prefix: Vec<String>,
    ) -> anyhow::Result<Blackbox> {
        let addr = at(site.blackbox(), ports.get(Port::Blackbox));
        let config = lab.join("blackbox.yml");
        std::fs::write(&config, CONFIG)?;
        let own = [
            "prometheus-blackbox-exporter".to_owned(),
            format!("--config.file={}", config.display()),
            format!("--web.listen-address={addr}"),
        ];
        let argv: Vec<String> = prefix.into_iter().chain(own).collect();
        let child = Child::spawn(Spec::new("blackbox", argv, lab.join(format!("log/blackbox-{site}.log"))))?;
        wait_http("the blackbox exporter", &format!("http://{addr}/-/healthy"), Duration::from_secs(15))
            .await?;
        Ok(Blackbox { site, addr, _child: child })
    }

    /// Where a vantage asks.
    pub fn probe_url(&self) -> String {
        format!("http://{}/probe", self.addr)
    }

    /// One probe's verdict.
    pub async fn probe(&self, module: &str, target: &str, hostname: Option<&str>) -> anyhow::Result<bool> {
        let mut query = vec![("module", module), ("target", target)];
        query.extend(hostname.map(|name| ("hostname", name)));
        let text =
            http()?.get(self.probe_url()).query(&query).send().await?.error_for_status()?.text().await?;
        let line = text.lines().find(|line| line.starts_with("probe_success"));
        Ok(line.context("no verdict")? == "probe_success 1")
    }
}
