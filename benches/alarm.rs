//! From the body on the wire to the first call to a remote, with no hold: how long, and how many commits in between.
//!
//! Real: the server, its journal on the disk, HTTP, a playbook in mode auto. The remote is the alert's own source,
//! asked whether it still fires: it stamps the time and says yes.

use crate::disk;
use crate::figures::Figures;
use crate::process::{Server, free_addr, serve, source_token};
use anyhow::{Context, ensure};
use axum::extract::{Query, State};
use axum::{Json, Router, routing::get};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const ROUNDS: usize = 40;
const CALLED: Duration = Duration::from_secs(10);

const PLAYBOOK: &str = r#"
playbook: alarm-ROUND
service: alarm-ROUND
owner: bench
kind: other
mode: auto
sites: { gra: { host: here }, sbg: { host: here } }
from: sbg
to: gra
triggers:
  - alertmanager: { alertname: AlarmROUND }
limits: { cooldown: 1h }
guards:
  - name: still firing
    still_firing: {}
steps:
  - name: move
    action: command.run
    with: { target: here, run: move, check: moved, irreversible: true }
verify:
  - action: http.expect
    with: { url: "http://SOURCE/", status: 200 }
"#;

pub fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    println!("\nfrom the alarm to the first call: {ROUNDS} alerts, one at a time");
    runtime.block_on(rounds(dir.path()))
}

async fn rounds(dir: &Path) -> anyhow::Result<()> {
    let (called, mut calls) = mpsc::unbounded_channel();
    let source = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let (at, moved) = (source.local_addr()?, dir.join("moved"));
    let pages =
        Router::new().route("/", get(|| async {})).route("/api/v2/alerts", get(alerts)).with_state(called);
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(axum::serve(source, pages).into_future());
    let (mut server, token) = pointsman(dir, at, &moved)?;
    server.wait_listening()?;
    let http = reqwest::Client::new();
    let (mut first, mut flush) = (Figures::default(), Figures::default());
    for round in 0..ROUNDS {
        flush.add(disk::flushes(dir, Duration::from_millis(50))?.median());
        let _ = std::fs::remove_file(&moved);
        let url = format!("http://{}/hooks/alertmanager", server.addr);
        let post = http.post(url).bearer_auth(&token).json(&body(round));
        // Calls for an earlier alert do not count for this one.
        while calls.try_recv().is_ok() {}
        let sent = Instant::now();
        let (answer, call) = tokio::join!(post.send(), tokio::time::timeout(CALLED, calls.recv()));
        answer?.error_for_status()?;
        let call: Instant = call.context("nobody asked the source")?.context("the source is gone")?;
        first.add((call - sent).as_secs_f64() * 1e3);
        finished(dir, round + 1).await?;
    }
    server.stop()?;
    report(dir, &first, &flush).await
}

fn pointsman(dir: &Path, source: SocketAddr, moved: &Path) -> anyhow::Result<(Server, String)> {
    let (data, playbooks, addr) = (dir.join("data"), dir.join("playbooks"), free_addr()?);
    std::fs::create_dir_all(&data)?;
    std::fs::create_dir_all(&playbooks)?;
    for round in 0..ROUNDS {
        let text = PLAYBOOK.replace("ROUND", &round.to_string()).replace("SOURCE", &source.to_string());
        std::fs::write(playbooks.join(format!("{round:03}.yaml")), text)?;
    }
    let config = dir.join("pointsman.toml");
    let text = format!(
        "site = \"gra\"\n[targets.here]\nkind = \"host\"\nsite = \"gra\"\nlocal = true\n\
         commands = {{ move = [\"touch\", {moved:?}], moved = [\"test\", \"-e\", {moved:?}] }}\n\
         [sources.alertmanager]\napi = [\"http://{source}\"]\n\
         [limits.storm]\nconcurrent = 100\nper_hour = 1000\nsick_share = \"100%\"\n\
         [limits]\nchanges_per_hour = 1000\n"
    );
    std::fs::write(&config, text)?;
    let token = source_token(&data)?;
    let mut command = serve(&data, &playbooks, addr);
    command.arg("--config").arg(&config);
    Ok((Server::spawn("pointsman", addr, &mut command, &dir.join("pointsman.log"))?, token))
}

fn body(round: usize) -> Value {
    json!({ "version": "4", "status": "firing", "receiver": "pointsman", "alerts": [{
        "status": "firing", "labels": { "alertname": format!("Alarm{round}") }, "annotations": {},
        "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z" }] })
}

/// Says of every alert that it fires, and when it was asked.
async fn alerts(
    State(called): State<mpsc::UnboundedSender<Instant>>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Json<Value> {
    let _ = called.send(Instant::now());
    let named = |(key, value): &(String, String)| {
        let name = value.strip_prefix("alertname=").filter(|_| key == "filter")?;
        Some(name.trim_matches('"').to_owned())
    };
    let name = asked.iter().find_map(named);
    Json(json!([{ "labels": { "alertname": name }, "status": { "state": "active" } }]))
}

async fn journal(dir: &Path) -> anyhow::Result<SqliteConnection> {
    let file = dir.join("data/pointsman.db");
    Ok(sqlx::sqlite::SqliteConnectOptions::new().filename(file).read_only(true).connect().await?)
}

/// Until so many runs have ended: the next alert meets a server at rest.
async fn finished(dir: &Path, wanted: usize) -> anyhow::Result<()> {
    let (mut conn, started) = (journal(dir).await?, Instant::now());
    loop {
        let sql = "SELECT count(*) FROM record WHERE kind = 'finished'";
        let ended: i64 = sqlx::query_scalar(sql).fetch_one(&mut conn).await?;
        if usize::try_from(ended)? >= wanted {
            return Ok(conn.close().await?);
        }
        ensure!(started.elapsed() < CALLED, "run {wanted} does not end; the last of {ended} did");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Commits are told apart by their time: a batch has one, and no two batches here share a microsecond.
async fn report(dir: &Path, first: &Figures, flush: &Figures) -> anyhow::Result<()> {
    let mut conn = journal(dir).await?;
    // From each delivery to what ends the search: the first look is begun when the run is open.
    let sql = "SELECT count(DISTINCT r.at) FROM record d JOIN record r ON r.position >= d.position \
               AND r.position <= (SELECT min(position) FROM record WHERE kind = ?1 AND position > d.position) \
               WHERE d.kind = 'delivered' GROUP BY d.position";
    let mut commits = vec![];
    for kind in ["opened", "intended"] {
        let counts: Vec<i64> = sqlx::query_scalar(sql).bind(kind).fetch_all(&mut conn).await?;
        ensure!(counts.len() == ROUNDS, "{} of {ROUNDS} alerts came to {kind}", counts.len());
        commits.push(counts.into_iter().map(|count| count as f64).collect::<Figures>());
    }
    let sql = "SELECT (i.at - d.at) / 1000.0 FROM record d JOIN record i ON i.position = \
               (SELECT min(position) FROM record WHERE kind = 'intended' AND position > d.position) \
               WHERE d.kind = 'delivered'";
    let change: Vec<f64> = sqlx::query_scalar(sql).fetch_all(&mut conn).await?;
    conn.close().await?;
    println!("append 4 KiB + fdatasync               {flush:.3} ms");
    println!("body sent to first remote call         {first:.2} ms, p95 {:.2} ms", first.quantile(0.95));
    println!("commits before it                      {:.0}   (goal at most 4)", commits[0]);
    println!("kept to first change permitted         {:.2} ms", change.into_iter().collect::<Figures>());
    println!("commits up to that permit              {:.0}", commits[1]);
    ensure!(commits[0].quantile(1.0) <= 4.0, "more than four commits before the first call");
    Ok(())
}
