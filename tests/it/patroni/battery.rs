//! Whole failovers of Patroni: real clusters on machines with sshd and a supervisor, a real Alertmanager, a running Pointsman, and
//! an application that writes in both sites all the time.

mod clusters;
mod crashes;
mod stage;

use crate::failover::crashes::{is_call, kill_at};
use crate::failover::scene::now_micros;
use anyhow::{Result, ensure};
use lab::net::wait_until;
use lab::patroni::host;
use lab::{Patroni, PatroniOptions, Site};
use serde_json::json;
use stage::{Plot, SELDOM, play};
use std::time::Duration;

/// The lost leader's machine is told to stop and mask it, and Patroni to replace it.
const FAILOVER: &str = r#"
playbook: shop-moves
service: shop
mode: auto
sites:
  gra: { db: pg-gra, member: pg-gra }
  sbg: { db: pg-sbg, member: pg-sbg }
from: gra
to: sbg
triggers:
  - alertmanager: { alertname: ShopDown, site: gra, severity: critical }
limits: { cooldown: 1h }
guards:
  - name: origin is down, seen from outside
    quorum: { probes: [gra-app], vantages: [local], down: majority }
  - name: destination is healthy
    quorum: { probes: [sbg-db], vantages: [local], up: majority }
  - name: still firing at the source
    still_firing: {}
steps:
  - name: stop the old leader
    action: command.run
    with: { target: "${target(from.db).host}", run: fence, check: fenced, undo: unfence, timeout: 20s }
    proves: { fenced: "${from.db}", rung: stopped }
    retry: { attempts: 3, backoff: 1s..2s }
  - name: replace the leader
    action: patroni.failover
    with: { target: shop, leader: "${from.member}", candidate: "${to.member}" }
    commit_point: true
    after: [stop the old leader]
    retry: { attempts: 3, backoff: 1s..2s }
verify:
  - action: sql.write_probe
    with: { target: "${to.db}", as: app }
"#;

/// The third place only votes, and the leader's machine is reached.
fn options(more: serde_json::Value) -> PatroniOptions {
    PatroniOptions { witness: vec![Site::Par], hosts: vec![Site::Gra], more, ..PatroniOptions::default() }
}

/// With a synchronous standby nothing that was acknowledged is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_is_replaced_once_however_often_it_is_told_and_across_a_death() {
    let options = options(json!({ "synchronous_mode": true }));
    let plot = Plot { options, playbook: FAILOVER, repeat: Duration::from_secs(1) };
    play(plot, async |stage| {
        let killed = now_micros();
        stage.patroni.kill9(Site::Gra)?;
        stage.fire().await?;
        // Patroni waits for the lock of the dead for longer than most calls last: there Pointsman dies.
        kill_at(&mut stage.pointsman, |record| is_call(record, "intended", "replace the leader")).await?;
        stage.pointsman.start_again().await?;
        stage.succeeded(1).await?;
        let lost = stage.is_served_after(killed).await?;
        eprintln!("served {} ms after the kill", (stage.taken_at(Site::Sbg)[0].1 - killed) / 1000);
        ensure!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        stage.leads(Site::Sbg).await?;
        ensure!(stage.timeline(Site::Sbg).await? == 2, "promoted more than once");
        let delivered = || async { Ok(stage.pointsman.records("delivered").await?.len() >= 4) };
        wait_until("the alert to be told again", Duration::from_secs(20), delivered).await?;
        ensure!(stage.pointsman.records("opened").await?.len() == 1, "more than one run");
        // The call went with Pointsman. Patroni elects by itself once the lock is free; while nobody leads it is told again.
        ensure!(stage.intents("patroni.failover").await?.len() <= 2, "told to replace it over and over");
        let fenced = stage.patroni.hosts().ssh(&host(Site::Gra), "fenced").await?;
        ensure!(fenced.code == Some(0), "the old leader is not masked: {fenced:?}");
        // A person starts it again: Patroni makes it follow, and that ends the watch.
        stage.watched("watching", 1).await?;
        stage.patroni.hosts().ssh(&host(Site::Gra), "unfence").await?;
        stage.watched("seen_as_standby", 1).await?;
        ensure!(stage.pointsman.records("opened").await?.len() == 1, "what follows needs no fence");
        Ok(())
    })
    .await;
}

async fn stands_still(stop: fn(&Patroni) -> Result<()>, takes_writes: bool) {
    let plot = Plot { options: options(json!({})), playbook: FAILOVER, repeat: SELDOM };
    play(plot, async |stage| {
        let stopped = now_micros();
        stop(&stage.patroni)?;
        stage.fire().await?;
        stage.succeeded(1).await?;
        let lost = stage.is_served_after(stopped).await?;
        let served = (stage.taken_at(Site::Sbg)[0].1 - stopped) / 1000;
        eprintln!("served {served} ms after it stood still; lost {lost:?}");
        let later = stage.taken_at(Site::Gra).iter().any(|(_, at)| *at > stopped + 1_000_000);
        ensure!(later == takes_writes, "orders in gra while it stood still: {later}");
        ensure!(!stage.patroni.runs(Site::Gra), "it only sleeps, and would write when it wakes");
        stage.leads(Site::Sbg).await?;
        ensure!(stage.timeline(Site::Sbg).await? == 2, "promoted more than once");
        Ok(())
    })
    .await;
}

/// Its REST API answers nothing, and its PostgreSQL goes on taking writes: once its lock has run out Patroni itself would have two
/// writers. It is stopped before.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_patroni_stands_still_is_stopped_before_another_one_writes() {
    stands_still(|patroni| patroni.sigstop(Site::Gra), true).await;
}

/// It accepts connections and answers nothing, and its Patroni waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_postgresql_stands_still_is_stopped_before_another_one_writes() {
    stands_still(|patroni| patroni.sigstop_postgres(Site::Gra), false).await;
}
