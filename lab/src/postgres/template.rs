//! `initdb` and the roles take longer than everything else, so one cluster is made once per machine and
//! copied. Called when the primary's data is made.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};
use tokio_postgres::NoTls;

use super::node::program;
use super::{DATABASE, Role};
use crate::children::{Child, Signal, Spec, run};
use crate::files;
use crate::net::{self, wait_until};

const INITDB: [&str; 6] = ["-A", "trust", "-U", "postgres", "--no-sync", "-k"];

/// Rights of the limited role; functions belong to each database.
const GRANTS: &str =
    "grant execute on function pg_promote(boolean, integer), pg_reload_conf() to pointsman_ro;
    grant execute on function pg_wal_replay_pause(), pg_wal_replay_resume() to pointsman_ro;";

fn roles() -> String {
    let role = |role: Role, what: &str| {
        format!("create role {} {what} login password '{}';", role.user(), role.password())
    };
    [
        role(Role::Pointsman, "superuser"),
        role(Role::PointsmanLimited, "nosuperuser"),
        "grant pg_monitor, pg_signal_backend to pointsman_ro;".to_owned(),
        role(Role::Replication, "replication"),
        role(Role::Shop, "nosuperuser"),
    ]
    .concat()
}

const TABLES: &str = "set role shop;
    create table orders (id text primary key, site text not null, at timestamptz not null default clock_timestamp());
    create table checker (id text primary key, node text not null, at timestamptz not null default clock_timestamp());";

pub(super) async fn copy_to(data: &Path, own: bool) -> anyhow::Result<()> {
    let host = data.parent().context("a data folder is in a machine's folder")?;
    files::postgres_dir(host, 0o755)?;
    if own {
        return make(data).await;
    }
    let source = shared().await?.display().to_string();
    run(&["cp", "-a", "--reflink=auto", &source, &data.display().to_string()], &[]).await?;
    Ok(())
}

/// The shared cluster, made by whoever comes first. Its name changes with what is in it.
async fn shared() -> anyhow::Result<PathBuf> {
    let content = Sha256::digest([&INITDB.concat(), GRANTS, TABLES, &roles()].concat());
    once(&format!("pg15-{}", &hex::encode(content)[..12]), make).await
}

/// A cluster of that name, made by whoever comes first on this machine.
pub(crate) async fn once(
    name: &str,
    make: impl AsyncFnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let dir = net::cache_dir()?;
    let done = dir.join(name);
    let lock = File::create(dir.join(format!("{name}.lock")))?;
    let locked = move || lock.lock().map(|()| lock);
    let _lock = tokio::task::spawn_blocking(locked).await.context("waiting for the template")??;
    if !done.exists() {
        let half = dir.join(format!("{name}.{}", std::process::id()));
        make(&half).await.context("making the template cluster")?;
        std::fs::rename(&half, &done)?;
    }
    Ok(done)
}

async fn make(data: &Path) -> anyhow::Result<()> {
    make_with(data, fill).await
}

/// A cluster, and what `fill` puts into it over the socket in its folder.
pub(crate) async fn make_with(
    data: &Path,
    fill: impl AsyncFnOnce(&Path, &mut Child) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    files::postgres_dir(data, 0o700)?;
    let folder = data.display().to_string();
    let mut words = files::as_postgres()?;
    words.extend([program("initdb"), "-D".into(), folder.clone()]);
    words.extend(INITDB.map(String::from));
    words.extend(["--locale=C.UTF-8", "-E", "UTF8"].map(String::from));
    run(&words.iter().map(String::as_str).collect::<Vec<_>>(), &[]).await?;
    // The socket lies in the data folder: short enough, and private.
    let mut words = files::as_postgres()?;
    let options = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "unix_socket_permissions=0777", "-k"];
    words.extend([program("postgres"), "-D".into(), folder.clone()]);
    words.extend(options.map(String::from));
    words.push(folder);
    let mut log = data.as_os_str().to_owned();
    log.push(".log");
    let mut server = Child::spawn(Spec::new("template postgres", words, PathBuf::from(&log)))?;
    let filled = fill(data, &mut server).await;
    let _ = server.signal(Signal::INT);
    let stopped = wait_until("the template server to stop", Duration::from_secs(10), || {
        let running = server.is_running();
        async move { Ok(!running) }
    });
    stopped.await?;
    std::fs::remove_file(log)?;
    filled
}

async fn fill(data: &Path, server: &mut Child) -> anyhow::Result<()> {
    let path = data.to_owned();
    let sql = move |database: &'static str, statements: Vec<String>| {
        let path = path.clone();
        net::on_lab(async move {
            let mut config = tokio_postgres::Config::new();
            config.host_path(path).user("postgres").dbname(database);
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(connection);
            for statement in statements {
                client.batch_execute(&statement).await?;
            }
            Ok(())
        })
    };
    for _ in 0..500 {
        server.must_run()?;
        if sql("template1", Vec::new()).await.is_ok() {
            sql("template1", vec![roles(), GRANTS.to_owned()]).await.context("making roles")?;
            let create = format!("create database {DATABASE} owner shop");
            sql("postgres", vec![GRANTS.to_owned(), create]).await.context("making the database")?;
            return sql(DATABASE, vec![TABLES.to_owned()]).await.context("making tables");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!("the template server did not answer within ten seconds")
}
