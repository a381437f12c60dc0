//! The pair, its supervisor and the roads between.

use std::time::{Duration, Instant};

use lab::net::wait_until;
use lab::{Lab, PostgresOptions, Role, Site};

fn quick_supervisor() -> PostgresOptions {
    PostgresOptions { restart_after: Some(Duration::from_secs(1)), ..PostgresOptions::default() }
}

async fn order(lab: &Lab, site: Site, id: &str) -> anyhow::Result<u64> {
    let client = lab.postgres().client(site, Role::Shop).await?;
    Ok(client.execute("insert into orders (id, site) values ($1, 'gra')", &[&id]).await?)
}

#[tokio::test]
async fn the_pair_streams_and_only_the_primary_takes_writes() {
    let started = Instant::now();
    let lab = Lab::builder().postgres().start().await.expect("a pair");
    eprintln!("pair ready after {:?}", started.elapsed());
    let pg = lab.postgres();
    assert!(!pg.is_in_recovery(Site::Gra).await.expect("an answer"));
    assert!(pg.is_in_recovery(Site::Sbg).await.expect("an answer"));
    order(&lab, Site::Gra, "one").await.expect("the primary takes the application's write");
    let error = order(&lab, Site::Sbg, "two").await.expect_err("a standby must refuse");
    assert!(format!("{error:?}").contains("read-only"), "{error:?}");
    let there = || async {
        let client = pg.client(Site::Sbg, Role::Shop).await?;
        Ok(client.query_one("select count(*) from orders where id = 'one'", &[]).await?.get::<_, i64>(0) == 1)
    };
    wait_until("the order on the standby", Duration::from_secs(5), there).await.expect("replication");
    let limited = pg.client(Site::Sbg, Role::PointsmanLimited).await.expect("the limited role connects");
    limited.query_one("select pg_promote(false)", &[]).await.expect("the limited role may promote");
}

#[tokio::test]
async fn a_killed_primary_is_brought_back_writable_by_its_supervisor() {
    let lab = Lab::builder().postgres_with(quick_supervisor()).start().await.expect("a pair");
    let pg = lab.postgres();
    let before = pg.postmaster(Site::Gra).expect("a pid");
    pg.kill9(Site::Gra).expect("a kill");
    assert!(!pg.runs(Site::Gra));
    pg.wait_ready(Site::Gra).await.expect("the supervisor starts it again");
    assert_ne!(before, pg.postmaster(Site::Gra).expect("a pid"));
    order(&lab, Site::Gra, "after").await.expect("it is writable again");
    let log = pg.supervisor_log(Site::Gra).expect("a log");
    let ended = log.iter().find(|line| line.text.contains("signal: 9")).expect("the crash is in the log");
    let again = log.iter().rfind(|line| line.text.starts_with("started")).expect("the start is in the log");
    assert!(again.at - ended.at >= 0.9, "{log:?}");
}

#[tokio::test]
async fn a_stalled_road_makes_the_standby_lag_and_a_cut_one_is_healed() {
    let lab = Lab::builder().postgres().start().await.expect("a pair");
    let pg = lab.postgres();
    let behind = |least: i64| async move { Ok(pg.lag_bytes(Site::Gra).await? >= least) };
    let level = || async { Ok(pg.lag_bytes(Site::Gra).await? == 0) };
    wait_until("a level standby", Duration::from_secs(5), level).await.expect("level");
    pg.replication.stall();
    order(&lab, Site::Gra, "stalled").await.expect("the primary does not wait for the standby");
    wait_until("lag", Duration::from_secs(5), || behind(100)).await.expect("the standby falls behind");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(behind(100).await.expect("an answer"), "a stalled standby must stay behind");
    pg.replication.resume();
    wait_until("a level standby again", Duration::from_secs(5), level).await.expect("level");
    pg.replication.cut();
    order(&lab, Site::Gra, "cut").await.expect("a write");
    assert!(tokio::net::TcpStream::connect(pg.replication.addr()).await.is_err(), "a cut road refuses");
    pg.replication.heal().await.expect("healed");
    wait_until("a level standby after the cut", Duration::from_secs(10), level).await.expect("level");
}

#[tokio::test]
async fn the_old_primary_rejoins_as_a_standby_of_the_new_one() {
    let options = PostgresOptions { restart_after: None, ..PostgresOptions::default() };
    let lab = Lab::builder().postgres_with(options).start().await.expect("a pair");
    let pg = lab.postgres();
    pg.replication.stall();
    order(&lab, Site::Gra, "lost").await.expect("a write that the standby never sees");
    pg.kill9(Site::Gra).expect("a kill");
    pg.replication.cut();
    pg.ask(Site::Sbg, "select pg_promote(true, 20)").await.expect("promoted");
    order(&lab, Site::Sbg, "new").await.expect("the new primary takes writes");
    pg.rejoin(Site::Gra).await.expect("rewound and streaming");
    assert!(pg.is_in_recovery(Site::Gra).await.expect("an answer"));
    let client = pg.client(Site::Gra, Role::Shop).await.expect("a client");
    let rows = client.query("select id from orders", &[]).await.expect("rows");
    let ids: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(ids, ["new"]);
}

#[tokio::test]
async fn the_responder_alone_is_cut_off_while_everything_else_goes_on() {
    let lab = Lab::builder().postgres().start().await.expect("a pair");
    let pg = lab.postgres();
    let url = format!(
        "host=127.0.3.5 port={} user=pointsman password={} dbname=postgres connect_timeout=3 sslmode=verify-full sslrootcert={}",
        pg.pointsman.addr().port(),
        Role::Pointsman.password(),
        pg.ca_file().display(),
    );
    let ask = async || {
        let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        lab::children::run(&["psql", "-XAtc", sql, &url], &[]).await
    };
    assert_eq!(ask().await.expect("the CA signed this certificate").trim(), "t");
    pg.pointsman.cut();
    ask().await.expect_err("the road is cut");
    order(&lab, Site::Gra, "meanwhile").await.expect("the application goes on");
    assert_ne!(pg.ask(Site::Gra, "select count(*) from pg_stat_replication").await.expect("an answer"), "0");
    pg.pointsman.heal().await.expect("healed");
    ask().await.expect("the road is back");
}

#[tokio::test]
async fn the_responder_may_rewrite_the_access_rules_and_the_limited_role_may_not() {
    let lab = Lab::builder().postgres().start().await.expect("a pair");
    let pg = lab.postgres();
    let rules = "host all pointsman 127.0.0.0/8 scram-sha-256";
    let path = pg.data_dir(Site::Gra).join("pg_hba.conf");
    let copy = format!("copy (select '{rules}') to '{}'", path.display());
    let limited = pg.client(Site::Gra, Role::PointsmanLimited).await.expect("a client");
    limited.batch_execute(&copy).await.expect_err("files are the superuser's");
    let full = pg.client(Site::Gra, Role::Pointsman).await.expect("a client");
    full.batch_execute(&copy).await.expect("rewritten");
    full.batch_execute("select pg_reload_conf()").await.expect("reloaded");
    let refused = || async { Ok(pg.client(Site::Gra, Role::Shop).await.is_err()) };
    wait_until("the application to be refused", Duration::from_secs(5), refused).await.expect("locked out");
    pg.client(Site::Gra, Role::Pointsman).await.expect("the responder keeps its way in");
}
