//! The shop's way into its database: one connection, short time-outs, reconnect on any error, and a log of
//! every order that the database acknowledged. Used by the application only.

use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use tokio_postgres::{Client, Config, NoTls};

const CONNECT: Duration = Duration::from_millis(500);
const STATEMENT: Duration = Duration::from_secs(1);

/// The env file as read at start.
pub struct Settings {
    pub host: String,
    config: Config,
}

impl Settings {
    pub fn parse(text: &str) -> anyhow::Result<Settings> {
        let get = |key: &str| {
            let mut lines = text.lines().filter_map(|line| line.trim().split_once('='));
            let found = lines.rfind(|(k, _)| k.trim() == key);
            found
                .map(|(_, v)| v.trim().trim_matches('"').to_owned())
                .with_context(|| format!("{key} is not set"))
        };
        let host = get("DATABASE_HOST")?;
        let mut config = Config::new();
        config.host(&host).port(get("DATABASE_PORT")?.parse().context("DATABASE_PORT")?);
        config.dbname(get("DATABASE_NAME")?).user(get("DATABASE_USER")?).password(get("DATABASE_PASSWORD")?);
        config.application_name("shop").connect_timeout(CONNECT);
        if let Ok(ip) = host.parse::<Ipv4Addr>() {
            config.hostaddr(ip.into());
        }
        Ok(Settings { host, config })
    }
}

pub struct Orders {
    site: String,
    settings: Settings,
    client: tokio::sync::Mutex<Option<Client>>,
    log: Mutex<File>,
    start: u128,
    seen: Mutex<Seen>,
}

/// What the health pages tell.
#[derive(Clone, Copy)]
pub struct Seen {
    pub tried: u64,
    pub written: u64,
    pub last: Option<Instant>,
}

pub fn unix_micros() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros())
}

impl Orders {
    pub fn open(site: &str, settings: Settings, log: &Path) -> anyhow::Result<Orders> {
        let log = File::options().create(true).append(true).open(log);
        let log = Mutex::new(log.context("opening the log of orders")?);
        let seen = Mutex::new(Seen { tried: 0, written: 0, last: None });
        let client = tokio::sync::Mutex::new(None);
        Ok(Orders { site: site.to_owned(), settings, client, log, start: unix_micros(), seen })
    }

    pub fn site(&self) -> &str {
        &self.site
    }

    pub fn database_host(&self) -> &str {
        &self.settings.host
    }

    pub fn seen(&self) -> Seen {
        *self.seen.lock().expect("invariant: nobody panics while holding this lock")
    }

    /// Writes one order; its id is unique over all processes and places. Not acknowledged in time is an
    /// error, even though the database may have it.
    pub async fn write(&self) -> anyhow::Result<String> {
        let mut slot = self.client.lock().await;
        let n = {
            let mut seen = self.seen.lock().expect("invariant: nobody panics while holding this lock");
            seen.tried += 1;
            seen.tried
        };
        let id = format!("{}-{:x}-{}-{n}", self.site, self.start, std::process::id());
        let client = match slot.take() {
            Some(client) => client,
            None => self.connect().await?,
        };
        let sql = "insert into orders (id, site) values ($1, $2)";
        let insert = async { client.execute(sql, &[&id, &self.site]).await };
        tokio::time::timeout(STATEMENT, insert).await.context("no acknowledgement in time")??;
        *slot = Some(client);
        self.acknowledged(&id)?;
        Ok(id)
    }

    fn acknowledged(&self, id: &str) -> anyhow::Result<()> {
        let line = format!("{id},{},{}\n", unix_micros(), self.site);
        let mut log = self.log.lock().expect("invariant: nobody panics while holding this lock");
        log.write_all(line.as_bytes())?;
        let mut seen = self.seen.lock().expect("invariant: nobody panics while holding this lock");
        seen.written += 1;
        seen.last = Some(Instant::now());
        Ok(())
    }

    async fn connect(&self) -> anyhow::Result<Client> {
        let connect = self.settings.config.connect(NoTls);
        let connected = tokio::time::timeout(STATEMENT, connect).await.context("no connection in time")?;
        let (client, connection) = connected?;
        // Ends with the client, or with the connection's error, which the next statement tells.
        tokio::spawn(connection);
        Ok(client)
    }
}
