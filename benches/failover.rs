//! A whole failover on real servers, beside a shell script that asks, changes and proves the same, and beside the same
//! remote calls made in the same order by hand.
//!
//! Each measurement has a lab of its own on the disk, with `fsync = on`; the clock starts when users have noticed that
//! the primary is gone. Needs root, and the lab's helper beside us: `cargo build --release -p lab`.

pub mod by_hand;

use crate::disk;
use crate::figures::Figures;
use anyhow::{Context, ensure};
use lab::net::wait_until;
use lab::pointsman::{Options, Record};
use lab::{Lab, Pointsman, PostgresOptions, Role, Site};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const ENDS: Duration = Duration::from_secs(90);
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/failover.sh");

pub fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("\nfailover on the lab: {ROUNDS} interleaved rounds, a new lab for each");
    runtime.block_on(rounds())
}

async fn rounds() -> anyhow::Result<()> {
    let (mut ours, mut commits) = (Figures::default(), Figures::default());
    let (mut script, mut flush) = (Figures::default(), Figures::default());
    let (mut hand, mut allowed) = (Figures::default(), Figures::default());
    for round in 0..ROUNDS {
        for turn in 0..3 {
            let lab = lab().await?;
            match (round + turn) % 3 {
                0 => {
                    flush.add(disk::flushes(lab.dir(), Duration::from_millis(300))?.median());
                    let (seconds, count, phases) = by_pointsman(&lab).await?;
                    println!("round {round}: pointsman {seconds:.3} s, {count} commits; {phases}");
                    ours.add(seconds);
                    commits.add(count as f64);
                }
                1 => {
                    let seconds = by_script(&lab).await?;
                    println!("round {round}: script {seconds:.3} s");
                    script.add(seconds);
                }
                _ => {
                    let seconds = by_hand(&lab).await?;
                    println!("round {round}: by hand {seconds:.3} s");
                    hand.add(seconds);
                }
            }
        }
        allowed.add(1.10 * hand.last() + commits.last() * flush.last() / 1e3);
    }
    println!("append 4 KiB + fdatasync  {flush:.3} ms");
    println!("pointsman                 {ours:.3} s, {commits:.0} commits");
    println!("failover.sh               {script:.3} s");
    println!("by hand                   {hand:.3} s");
    println!("pointsman / failover.sh   {:.2}   (goal at most 0.5)", ours.over(&script));
    println!(
        "pointsman / allowed       {:.2}   (1.10 x by hand + commits x flush; goal at most 1)",
        ours.over(&allowed)
    );
    Ok(())
}

async fn lab() -> anyhow::Result<Lab> {
    let postgres = PostgresOptions { restart_after: None, fsync: true, ..PostgresOptions::default() };
    let lab = Lab::builder().postgres_with(postgres).apps().hosts().dns().resolver(1).blackbox().on_disk();
    let lab = lab.start().await?;
    disk::must_be_a_disk(lab.dir())?;
    Ok(lab)
}

/// Until the application's own health page says so: no alert comes earlier.
async fn kill_primary(lab: &Lab) -> anyhow::Result<()> {
    lab.postgres().kill9(Site::Gra)?;
    let noticed = || async { Ok(lab.apps().at(Site::Gra).healthz(false).await? == 503) };
    wait_until("the shop's health page to turn red", Duration::from_secs(15), noticed).await
}

/// From the delivery that is kept to the record of the end; how many commits that took; and its
/// parts in the words of the record.
async fn by_pointsman(lab: &Lab) -> anyhow::Result<(f64, usize, String)> {
    let pointsman = Pointsman::start(lab, &Options::default()).await?;
    pointsman.wait_probes_known(Duration::from_secs(60)).await?;
    let token = pointsman.token("source", "bench").await?;
    kill_primary(lab).await?;
    let url = format!("{}/hooks/alertmanager", pointsman.url());
    let post = reqwest::Client::new().post(url).bearer_auth(token).json(&alert());
    post.send().await?.error_for_status()?;
    let journal =
        pointsman.wait_for("the end of the run", ENDS, |all| all.iter().any(|r| r.kind == "finished"));
    let journal = journal.await?;
    let of = |kind: &str| journal.iter().find(|r| r.kind == kind).with_context(|| format!("no {kind}"));
    let (first, last) = (of("delivered")?, of("finished")?);
    ensure!(
        last.body["outcome"] == "succeeded",
        "it ended otherwise: {}\n{}",
        last.body,
        pointsman.story().await
    );
    let between = journal.iter().filter(|r| (first.position..=last.position).contains(&r.position));
    let commits: BTreeSet<i64> = between.map(|r| r.at).collect();
    let phases = format!("{}{}", last.body["rto"], longest(&journal, first.position));
    Ok(((last.at - first.at) as f64 / 1e6, commits.len(), phases))
}

/// The six longest waits between two records, and what ended them.
fn longest(journal: &[Record], from: u64) -> String {
    let after: Vec<&Record> = journal.iter().filter(|r| r.position >= from).collect();
    let mut waits: Vec<(i64, &Record)> =
        after.windows(2).map(|two| (two[1].at - two[0].at, two[1])).collect();
    waits.sort_by_key(|(wait, _)| std::cmp::Reverse(*wait));
    let line = |(wait, record): &(i64, &Record)| {
        format!("\n  {:>5} ms before {} {}: {}", wait / 1_000, record.position, record.kind, record.says)
    };
    waits.iter().take(6).map(line).collect()
}

fn alert() -> Value {
    json!({ "version": "4", "status": "firing", "receiver": "pointsman", "alerts": [{
        "status": "firing", "labels": { "alertname": "SiteDown", "site": "gra", "severity": "critical" },
        "annotations": {}, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z" }] })
}

/// A process of its own, with the configuration and the environment that Pointsman would have.
async fn by_hand(lab: &Lab) -> anyhow::Result<f64> {
    let mut pointsman = Pointsman::start(lab, &Options::default()).await?;
    pointsman.stop();
    let program = std::env::current_exe()?;
    let mut argv = lab.resolver().prefix();
    argv.extend([program.display().to_string(), by_hand::BY_HAND.to_owned()]);
    argv.extend([pointsman.config_file(), pointsman.playbook_file()].map(|file| file.display().to_string()));
    let mut command = tokio::process::Command::new(&argv[0]);
    command.args(&argv[1..]).envs(pointsman.environment().iter().cloned()).kill_on_drop(true);
    kill_primary(lab).await?;
    let out = tokio::time::timeout(ENDS, command.output()).await.context("it does not end")??;
    ensure!(out.status.success(), "{}: {}", out.status, String::from_utf8_lossy(&out.stderr));
    let role = lab.postgres().ask(Site::Sbg, "select pg_is_in_recovery()").await?;
    ensure!(role == "f", "it did not promote: {role}");
    Ok(String::from_utf8(out.stdout)?.trim().parse()?)
}

async fn by_script(lab: &Lab) -> anyhow::Result<f64> {
    let (dns, postgres, apps) = (lab.dns(), lab.postgres(), lab.apps());
    let mut argv = lab.resolver().prefix();
    argv.push(SCRIPT.to_owned());
    let app = |site: Site| site.app(0).to_string();
    let mut command = Command::new(&argv[0]);
    command.args(&argv[1..]).env("SSH_CONFIG", lab.hosts().ssh_config());
    command.env("ZONE", lab::dns::ZONE).env("APP_PORT", apps.port().to_string());
    command
        .env("APP_GRA", app(Site::Gra))
        .env("APP_SBG", app(Site::Sbg))
        .env("APP_HOST", &apps.at(Site::Sbg).host);
    command.env("ADDRESS6", Site::Sbg.ipv6()).env("UPDATE_KEY", lab.dir().join("dns/update.key"));
    command.env("NS1", dns.primary.to_string()).env("NS2", dns.secondary.to_string());
    command.env("PG_GRA", postgres.address(Site::Gra).to_string());
    command.env("PG_SBG", postgres.address(Site::Sbg).to_string());
    command.env("PG_CA", postgres.ca_file()).env("DATABASE", lab::postgres::DATABASE);
    command.env("PG_PASSWORD", Role::Pointsman.password()).env("SHOP_PASSWORD", Role::Shop.password());
    command
        .env("BB_PAR", lab.blackbox(Site::Par).probe_url())
        .env("BB_SBG", lab.blackbox(Site::Sbg).probe_url());
    kill_primary(lab).await?;
    let started = Instant::now();
    let ended = tokio::process::Command::from(command).output();
    let out = tokio::time::timeout(ENDS, ended).await.context("the script does not end")??;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(out.status.success(), "{}: {}", out.status, String::from_utf8_lossy(&out.stderr));
    let role = postgres.ask(Site::Sbg, "select pg_is_in_recovery()").await?;
    ensure!(role == "f", "the script did not promote: {role}");
    Ok(seconds)
}
