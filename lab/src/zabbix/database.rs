//! Zabbix' database: its tables and what it ships with are loaded once per machine, and copied.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::children::{Child, Spec, run, run_within};
use crate::files;
use crate::net::wait_until;
use crate::postgres::{make_with, once, program};

/// The lab's own; opens no other door.
pub(super) const PASSWORD: &str = "lab-zabbix";
/// Of Debian's package, in this order.
const SQL: &str = "/usr/share/zabbix-server-pgsql";
const PARTS: [&str; 3] = ["schema", "images", "data"];
const LOADED: Duration = Duration::from_secs(480);

pub(super) async fn start(dir: &Path, address: SocketAddr, log: PathBuf) -> anyhow::Result<Child> {
    let data = dir.join("database");
    let template = template().await?.display().to_string();
    run(&["cp", "-a", "--reflink=auto", &template, &data.display().to_string()], &[]).await?;
    let mut words = files::as_postgres()?;
    words.extend([program("postgres"), "-D".into(), data.display().to_string()]);
    let (ip, port) = (address.ip(), address.port());
    let own = [
        format!("listen_addresses={ip}"),
        format!("port={port}"),
        format!("unix_socket_directories={}", data.display()),
        "fsync=off".into(),
        "shared_buffers=64MB".into(),
    ];
    words.extend(own.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));
    let database = Child::spawn(Spec::new("Zabbix' postgres", words, log))?;
    let ready = format!("-h {ip} -p {port}");
    wait_until("Zabbix' database", Duration::from_secs(20), || {
        let words: Vec<String> =
            ["pg_isready", "-q"].into_iter().chain(ready.split(' ')).map(str::to_owned).collect();
        async move { Ok(run(&words.iter().map(String::as_str).collect::<Vec<_>>(), &[]).await.is_ok()) }
    })
    .await?;
    Ok(database)
}

/// Another version of the package is another template.
async fn template() -> anyhow::Result<PathBuf> {
    let mut size = 0;
    for part in PARTS {
        let file = format!("{SQL}/{part}.sql.gz");
        size += std::fs::metadata(&file).with_context(|| format!("{file}: scripts/install"))?.len();
    }
    once(&format!("zabbix-pg15-{size}"), async |data: &Path| make_with(data, fill).await).await
}

async fn fill(data: &Path, server: &mut Child) -> anyhow::Result<()> {
    let host = data.display().to_string();
    let psql = |database: &str| format!("psql -qX -v ON_ERROR_STOP=1 -h {host} -U postgres {database}");
    wait_until("the template server", Duration::from_secs(20), || {
        let ready = server.must_run();
        let host = host.clone();
        async move {
            ready?;
            Ok(run(&["pg_isready", "-q", "-h", &host], &[]).await.is_ok())
        }
    })
    .await?;
    let role = format!("create role zabbix login password '{PASSWORD}'");
    let script = format!(
        "set -eu; {} -c \"{role}\" -c 'create database zabbix owner zabbix'; cd {SQL}; \
         {{ echo 'set role zabbix;'; zcat {}; }} | {} >/dev/null",
        psql("postgres"),
        PARTS.map(|part| format!("{part}.sql.gz")).join(" "),
        psql("zabbix"),
    );
    run_within(LOADED, &["bash", "-o", "pipefail", "-c", &script], &[], "").await.map(drop)
}
