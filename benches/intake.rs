//! Durable intake beside two peers that store nothing: what keeping a delivery costs, in ratios of the same round.

mod peers;

pub use peers::{NOOP, serve_noop};

use crate::disk;
use crate::figures::Figures;
use crate::load::{Measured, measure};
use crate::process::POINTSMAN;
use peers::Peer;
use sqlx::{ConnectOptions, Connection};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const ROUNDS: usize = 7;
const WARM: Duration = Duration::from_millis(200);
const WINDOW: Duration = Duration::from_millis(1_000);
/// For the work that a peer has put off behind its answer.
const IDLE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy)]
struct Load {
    connections: u32,
    /// No body comes twice.
    differing: bool,
}

const LOADS: [Load; 3] = [
    Load { connections: 16, differing: false },
    Load { connections: 64, differing: false },
    Load { connections: 64, differing: true },
];

/// All figures of one peer under one load.
#[derive(Default)]
struct Row {
    rate: Figures,
    p50: Figures,
    p99: Figures,
    /// Seconds of work after the last answer.
    behind: Figures,
}

pub fn run() -> anyhow::Result<()> {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let disk = disk::must_be_a_disk(dir.path())?;
    let fixture =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/alertmanager-0.25/single-001.body.json");
    let body = std::fs::read(fixture)?;
    println!(
        "\ndurable intake: {ROUNDS} interleaved rounds, body of {} bytes, journal on {disk}",
        body.len()
    );
    let peers = peers::start(dir.path(), &body)?;
    let mut stored = 0;
    for load in LOADS {
        stored += at(load, &peers, dir.path())?;
    }
    for peer in &peers {
        let (now, most) = peer.server.memory()?;
        println!("{:<12} resident {now:.1} MiB, at most {most:.1} MiB", peer.server.name);
    }
    drop(peers.into_iter().map(|peer| peer.server.stop()).collect::<Result<Vec<_>, _>>()?);
    kept(&dir.path().join("data"), stored)
}

/// One load, all rounds. Gives how many deliveries Pointsman has answered with 200.
fn at(load: Load, peers: &[Peer], dir: &Path) -> anyhow::Result<u64> {
    let mut rows: Vec<Row> = peers.iter().map(|_| Row::default()).collect();
    let (mut flush, mut accepted) = (Figures::default(), 0);
    for round in 0..ROUNDS {
        flush.add(disk::flushes(dir, Duration::from_millis(300))?.median());
        // Every second round the other way round, so that nobody always comes after the same neighbour.
        let mut order: Vec<usize> = (0..peers.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for i in order {
            let Peer { server, same, differing } = &peers[i];
            let post = if load.differing { differing } else { same };
            let Measured { rate, latency, accepted: count } =
                measure(post.clone(), load.connections, WARM, WINDOW)?;
            accepted += if server.name == peers::OURS { count } else { 0 };
            rows[i].rate.add(rate);
            rows[i].p50.add(latency.median());
            rows[i].p99.add(latency.quantile(0.99));
            rows[i].behind.add(server.wait_idle(IDLE)?.as_secs_f64());
        }
    }
    print(load, peers, &rows, &flush);
    Ok(accepted)
}

fn print(load: Load, peers: &[Peer], rows: &[Row], flush: &Figures) {
    let Load { connections, differing } = load;
    let bodies = if differing { "bodies that all differ" } else { "the same body each time" };
    println!("\n{connections} connections, {bodies}; append 4 KiB + fdatasync {flush:.3} ms");
    for (peer, row) in peers.iter().zip(rows) {
        println!(
            "{:<12} {:.0}/s   p50 {:.2} ms   p99 {:.2} ms   busy afterwards {:.2} s",
            peer.server.name, row.rate, row.p50, row.p99, row.behind
        );
    }
    let row = |name: &str| peers.iter().zip(rows).find(|(p, _)| p.server.name == name).map(|(_, row)| row);
    if let (Some(ours), Some(noop), Some(webhook)) = (row(peers::OURS), row(NOOP), row(peers::WEBHOOK)) {
        println!("pointsman / no-op    {:.2}   (goal 0.40 at 64)", ours.rate.over(&noop.rate));
        println!("pointsman / webhook  {:.2}   (goal 2, aim 3)", ours.rate.over(&webhook.rate));
        let limit = f64::from(connections) / (flush.median() / 1e3);
        let share = ours.rate.median() / limit;
        println!("connections / flush  {:.0}/s; pointsman reaches {share:.2} of it", limit);
    }
}

/// What was answered with 200 is in the journal, and the journal verifies.
fn kept(data: &Path, answered: u64) -> anyhow::Result<()> {
    let out = Command::new(POINTSMAN).args(["audit", "verify", "--data"]).arg(data).output()?;
    let says = String::from_utf8_lossy(&out.stdout).into_owned();
    anyhow::ensure!(out.status.success(), "the journal does not verify: {says}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stored: i64 = runtime.block_on(async {
        let options =
            sqlx::sqlite::SqliteConnectOptions::new().filename(data.join("pointsman.db")).read_only(true);
        let mut conn = options.connect().await?;
        let sql = "SELECT count(*) FROM record WHERE kind = 'delivered'";
        let count = sqlx::query_scalar(sql).fetch_one(&mut conn).await?;
        conn.close().await?;
        Ok::<_, sqlx::Error>(count)
    })?;
    anyhow::ensure!(
        u64::try_from(stored)? == answered,
        "{answered} were answered with 200, {stored} are kept"
    );
    println!("{answered} deliveries were answered with 200 and are in the journal; {}", says.trim());
    Ok(())
}
