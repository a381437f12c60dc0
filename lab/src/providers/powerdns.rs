//! A real PowerDNS with its HTTP API and SQLite, on ports and in a folder of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::ZONE;
use crate::children::{Child, Spec, run_with_input};
use crate::files::temp_dir;
use crate::net::{PortBlock, on_lab, wait_until};
use crate::site::at;

const SCHEMA: &str = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";

#[derive(Debug)]
pub struct PowerDns {
    /// Answers questions.
    pub dns: SocketAddr,
    /// The API's address.
    pub http: SocketAddr,
    pub key: String,
    _child: Child,
    _ports: PortBlock,
    _dir: tempfile::TempDir,
}

impl PowerDns {
    /// Starts with [`ZONE`] and nothing in it but what a zone must have.
    pub async fn start() -> anyhow::Result<PowerDns> {
        let (dir, ports) = (temp_dir(false)?, PortBlock::reserve()?);
        let (dns, web) = (at(Ipv4Addr::LOCALHOST, ports.spare(0)), at(Ipv4Addr::LOCALHOST, ports.spare(1)));
        let schema = std::fs::read_to_string(SCHEMA).with_context(|| format!("reading {SCHEMA}"))?;
        let database = dir.path().join("zones.db").display().to_string();
        run_with_input(&["sqlite3", &database], &[], &schema).await?;
        let key = format!("key-{}-{}", std::process::id(), ports.spare(0));
        std::fs::write(dir.path().join("pdns.conf"), conf(&database, dns, web, &key))?;
        let folder = format!("--config-dir={}", dir.path().display());
        let child = Child::spawn(Spec::new("pdns_server", ["pdns_server", &folder], dir.path().join("log")))?;
        let server = PowerDns { dns, http: web, key, _child: child, _ports: ports, _dir: dir };
        wait_until("PowerDNS to answer", Duration::from_secs(10), || async {
            Ok(server.api("GET", "", None).await.is_ok())
        })
        .await?;
        let zone =
            json!({ "name": format!("{ZONE}."), "kind": "Native", "nameservers": [format!("ns1.{ZONE}.")] });
        server.api("POST", "/zones", Some(zone)).await?;
        Ok(server)
    }

    /// The API's base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// A call of the harness itself; an answer that is no success is an error.
    pub async fn api(&self, method: &str, rest: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let url = format!("{}/api/v1/servers/localhost{rest}", self.url());
        let mut call = super::client()?.request(method.parse()?, &url).header("x-api-key", &self.key);
        if let Some(body) = body {
            call = call.json(&body);
        }
        on_lab(async move {
            let answer = call.send().await?;
            let (status, text) = (answer.status(), answer.text().await?);
            ensure!(status.is_success(), "{url}: {status}: {text}");
            Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
        })
        .await
    }

    /// Puts one set, or takes it away when there are no values.
    pub async fn put(&self, name: &str, kind: &str, ttl: u32, values: &[String]) -> anyhow::Result<()> {
        let records: Vec<Value> = values.iter().map(|v| json!({ "content": v, "disabled": false })).collect();
        let change = if values.is_empty() { "DELETE" } else { "REPLACE" };
        let set = json!({ "name": name, "type": kind, "ttl": ttl, "changetype": change, "records": records });
        self.api("PATCH", &format!("/zones/{ZONE}."), Some(json!({ "rrsets": [set] }))).await?;
        Ok(())
    }

    /// All sets but those that a zone must have, as the API tells them.
    pub async fn sets(&self) -> anyhow::Result<Vec<Value>> {
        let zone = self.api("GET", &format!("/zones/{ZONE}."), None).await?;
        let mut sets: Vec<Value> = zone["rrsets"].as_array().cloned().unwrap_or_default();
        sets.retain(|set| set["type"] != "SOA" && set["type"] != "NS");
        sets.sort_by_key(|set| format!("{} {}", set["name"], set["type"]));
        Ok(sets)
    }
}

fn conf(database: &str, dns: SocketAddr, web: SocketAddr, key: &str) -> String {
    let folder = database.trim_end_matches("/zones.db");
    format!(
        "launch=gsqlite3\ngsqlite3-database={database}\nlocal-address={}\nlocal-port={}\nsocket-dir={folder}\n\
         api=yes\napi-key={key}\nwebserver=yes\nwebserver-address={}\nwebserver-port={}\n\
         webserver-allow-from=127.0.0.1\ncache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\n\
         zone-cache-refresh-interval=0\nguardian=no\ndaemon=no\nsecurity-poll-suffix=\nreceiver-threads=1\n\
         distributor-threads=1\n",
        dns.ip(),
        dns.port(),
        web.ip(),
        web.port(),
    )
}
