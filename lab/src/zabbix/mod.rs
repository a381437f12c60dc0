//! A real Zabbix: server, database and API, which watches one value and tells of it through our media type, as the page
//! docs/sources/zabbix.md sets it up. Stands for itself, beside the lab.

mod api;
mod database;
mod gate;
mod setup;

pub use api::Api;
pub use gate::Gate;
pub use setup::{Item, Message, Watched};

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::children::{Child, Spec, run};
use crate::files::{self, temp_dir};
use crate::net::{PortBlock, on_lab, wait_until};
use crate::site::{Site, at};

const READY: Duration = Duration::from_secs(60);
/// Where Debian puts the frontend, and where that looks for its configuration.
const FRONTEND: &str = "/usr/share/zabbix";
const FRONTEND_CONFIG: &str = "/etc/zabbix/zabbix.conf.php";

/// Gone when dropped, in this order: first what uses the database, then the database.
#[derive(Debug)]
pub struct Zabbix {
    pub api: Api,
    server: Child,
    _frontend: Child,
    _database: Child,
    ports: PortBlock,
    dir: tempfile::TempDir,
}

impl Zabbix {
    /// The first one on a machine fills a database, which takes a minute.
    pub async fn start() -> anyhow::Result<Zabbix> {
        let (dir, ports) = (temp_dir(false)?, PortBlock::reserve()?);
        let log = |name: &str| dir.path().join(format!("{name}.log"));
        let database = database::start(dir.path(), spare(&ports, DATABASE), log("postgres")).await?;
        let frontend = frontend(dir.path(), &ports, log("frontend")).await?;
        let config = dir.path().join("server.conf");
        std::fs::create_dir(dir.path().join("run"))?;
        std::fs::write(&config, server_config(dir.path(), &ports))?;
        let argv = ["zabbix_server".to_owned(), "-f".into(), "-c".into(), config.display().to_string()];
        let spec = Spec::new("zabbix_server", argv, log("server")).stop_with_term(Duration::from_secs(10));
        let server = Child::spawn(spec)?;
        let api = Api::new(spare(&ports, FRONTEND_PORT));
        let mut zabbix = Zabbix { api, server, _frontend: frontend, _database: database, ports, dir };
        zabbix.ready().await.with_context(|| files::last_lines(zabbix.dir.path()))?;
        Ok(zabbix)
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        wait_until("Zabbix' API", READY, || {
            let api = self.api.clone();
            async move { Ok(api.call("apiinfo.version", json!({})).await.is_ok()) }
        })
        .await?;
        self.api.sign_in().await?;
        let trapper = self.trapper();
        wait_until("Zabbix' server", READY, || async move { Ok(TcpStream::connect(trapper).await.is_ok()) })
            .await?;
        self.server.must_run()
    }

    /// Where its API is, for whoever asks it.
    pub fn url(&self) -> String {
        self.api.url()
    }

    /// A file of whoever needs one, gone with the rest.
    pub fn keep(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let file = self.dir.path().join(name);
        std::fs::write(&file, text)?;
        Ok(file)
    }

    /// A port that nothing of it uses.
    pub fn spare_port(&self) -> u16 {
        self.ports.spare(OTHERS)
    }

    fn trapper(&self) -> SocketAddr {
        spare(&self.ports, TRAPPER)
    }

    /// Tells the server a value, until it knows the item: it reads its configuration every second.
    pub async fn send(&self, watched: &Watched, value: u8) -> anyhow::Result<()> {
        let address = self.trapper();
        let data = [json!({ "host": watched.host, "key": watched.key, "value": value.to_string() })];
        let body = json!({ "request": "sender data", "data": data }).to_string();
        wait_until("Zabbix to take a value", READY, || {
            let body = body.clone();
            async move {
                Ok(told(address, &body).await?["info"].as_str().unwrap_or_default().contains("processed: 1"))
            }
        })
        .await
    }
}

/// What Zabbix calls its protocol: a header, the length, JSON.
async fn told(address: SocketAddr, body: &str) -> anyhow::Result<Value> {
    let body = body.to_owned();
    let answer = on_lab(async move {
        let mut stream = TcpStream::connect(address).await?;
        let length = u32::try_from(body.len()).context("a long message")?;
        let header = [&b"ZBXD\x01"[..], &length.to_le_bytes(), &[0; 4]].concat();
        stream.write_all(&[&header, body.as_bytes()].concat()).await?;
        let mut answer = vec![];
        let mut bounded = stream.take(64 << 10);
        tokio::time::timeout(Duration::from_secs(10), bounded.read_to_end(&mut answer)).await??;
        Ok(answer)
    });
    let answer = answer.await?;
    ensure!(answer.len() > 13 && answer.starts_with(b"ZBXD"), "the trapper answered {answer:?}");
    Ok(serde_json::from_slice(&answer[13..])?)
}

const DATABASE: u16 = 0;
const TRAPPER: u16 = 1;
const FRONTEND_PORT: u16 = 2;
const OTHERS: u16 = 3;

fn spare(ports: &PortBlock, n: u16) -> SocketAddr {
    at(Site::Par.ip(9), ports.spare(n))
}

/// As small as it goes, and awake every second.
fn server_config(dir: &Path, ports: &PortBlock) -> String {
    let (database, trapper, run) = (spare(ports, DATABASE), spare(ports, TRAPPER), dir.join("run"));
    let run = run.display();
    format!(
        "ListenIP={}\nListenPort={}\nLogType=console\nPidFile={run}/server.pid\nSocketDir={run}\n\
         DBHost={}\nDBPort={}\nDBName=zabbix\nDBUser=zabbix\nDBPassword={}\nAllowRoot=1\n\
         StartPollers=1\nStartIPMIPollers=0\nStartHistoryPollers=1\nStartTrappers=1\nStartPingers=0\nStartDiscoverers=0\n\
         StartHTTPPollers=0\nStartPreprocessors=1\nStartAlerters=2\nStartTimers=1\nStartEscalators=1\nStartDBSyncers=1\n\
         StartLLDProcessors=1\nCacheSize=16M\nHistoryCacheSize=4M\nTrendCacheSize=4M\nValueCacheSize=4M\n\
         CacheUpdateFrequency=1\nHousekeepingFrequency=0\nFpingLocation=/bin/true\n",
        trapper.ip(),
        trapper.port(),
        database.ip(),
        database.port(),
        database::PASSWORD,
    )
}

/// The frontend is there for its API. Debian's copy reads its configuration from one place: ours is a copy of that.
async fn frontend(dir: &Path, ports: &PortBlock, log: PathBuf) -> anyhow::Result<Child> {
    let www = dir.join("www");
    let folder = www.display().to_string();
    run(&["cp", "-a", FRONTEND, &folder], &[]).await.context("copying Zabbix' frontend")?;
    let reads = www.join("include/classes/core/CConfigFile.php");
    let code = std::fs::read_to_string(&reads)?;
    ensure!(code.contains(FRONTEND_CONFIG), "{} does not name {FRONTEND_CONFIG}", reads.display());
    let config = dir.join("zabbix.conf.php");
    std::fs::write(&reads, code.replace(FRONTEND_CONFIG, &config.display().to_string()))?;
    let (database, trapper) = (spare(ports, DATABASE), spare(ports, TRAPPER));
    let settings = [
        ("TYPE", "'POSTGRESQL'".to_owned()),
        ("SERVER", format!("'{}'", database.ip())),
        ("PORT", format!("'{}'", database.port())),
        ("DATABASE", "'zabbix'".into()),
        ("USER", "'zabbix'".into()),
        ("PASSWORD", format!("'{}'", database::PASSWORD)),
        ("SCHEMA", "''".into()),
        ("ENCRYPTION", "false".into()),
        ("VERIFY_HOST", "false".into()),
        ("DOUBLE_IEEE754", "true".into()),
    ];
    let empty =
        ["KEY_FILE", "CERT_FILE", "CA_FILE", "CIPHER_LIST", "VAULT_URL", "VAULT_DB_PATH", "VAULT_TOKEN"];
    let all = settings.into_iter().chain(empty.map(|name| (name, "''".to_owned())));
    let lines: String = all.map(|(name, value)| format!("$DB['{name}'] = {value};\n")).collect();
    let (ip, port) = (trapper.ip(), trapper.port());
    let server = format!("$ZBX_SERVER = '{ip}';\n$ZBX_SERVER_PORT = '{port}';\n$ZBX_SERVER_NAME = 'lab';\n");
    std::fs::write(&config, format!("<?php\n{lines}{server}$IMAGE_FORMAT_DEFAULT = IMAGE_FORMAT_PNG;\n"))?;
    let mut argv = vec!["php".to_owned()];
    for setting in [
        "post_max_size=16M",
        "max_execution_time=300",
        "max_input_time=300",
        "memory_limit=256M",
        "date.timezone=UTC",
    ] {
        argv.extend(["-d".to_owned(), setting.to_owned()]);
    }
    argv.extend(["-S".to_owned(), spare(ports, FRONTEND_PORT).to_string(), "-t".into(), folder]);
    Child::spawn(Spec::new("php", argv, log).stop_with_term(Duration::from_secs(2)))
}
