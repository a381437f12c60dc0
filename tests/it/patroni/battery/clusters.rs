//! The site of the cluster that leads is lost, and the cluster that follows it comes to lead.

use super::stage::{Plot, SELDOM, Stage, play};
use crate::failover::crashes::{is_call, kill_at};
use crate::failover::scene::now_micros;
use anyhow::{Context as _, Result, ensure};
use lab::net::wait_until;
use lab::patroni::host;
use lab::pointsman::Record;
use lab::{PatroniOptions, Site};
use serde_json::Value;
use std::time::Duration;

/// A cluster that came back is seen, and stopped, within this; in microseconds.
const DETECTED: i64 = 10_000_000;

/// Every member of the old cluster is stopped and masked; how much of its log the other one lacks is known by samples.
const LOST: &str = r#"
playbook: shop-moves
service: shop
mode: auto
sites:
  gra: { db: pg-gra, cluster: gra }
  sbg: { db: pg-sbg, cluster: sbg }
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
  - name: replica is fresh
    postgres.lag: { target: "${to.db}", max_bytes: 16MiB, max_seconds: 10, max_sample_age: 30s }
  - name: still firing at the source
    still_firing: {}
steps:
  - name: stop every member
    for_each: { db: [pg-gra] }
    action: command.run
    with: { target: "${target(db).host}", run: fence, check: fenced, undo: unfence, timeout: 20s }
    proves: { fenced: "${db}", rung: stopped }
    retry: { attempts: 3, backoff: 1s..2s }
  - name: promote the standby cluster
    action: patroni.promote_standby_cluster
    with: { target: "${to.cluster}", primary: "${from.cluster}" }
    commit_point: true
    after: [stop every member]
    retry: { attempts: 3, backoff: 1s..2s }
verify:
  - action: sql.write_probe
    with: { target: "${to.db}", as: app }
  - action: http.expect
    with: { url: "GATE", status: 200 }
"#;

/// The site dies, and Pointsman in each of these places of the one run.
async fn survives(deaths: &[fn(&Record) -> bool]) {
    let (sites, standby, hosts) = (vec![Site::Gra], vec![Site::Sbg], vec![Site::Gra]);
    let options = PatroniOptions { sites, standby, hosts, ..PatroniOptions::default() };
    play(Plot { options, playbook: LOST, repeat: SELDOM }, async |stage| {
        let killed = now_micros();
        stage.patroni.lose(Site::Gra).await?;
        stage.gate.close();
        stage.fire().await?;
        for at in deaths {
            kill_at(&mut stage.pointsman, *at).await?;
            stage.pointsman.start_again().await?;
        }
        stage.gate.open();
        let end = stage.succeeded(1).await?;
        ensure!(
            end["rpo"]["bytes"].is_u64() && end["rpo"]["says"].is_string(),
            "what is lost is not told: {end}"
        );
        let taken = stage.pointsman.records("taken").await?.len();
        ensure!(taken == deaths.len(), "taken over {taken} times: was it finished before the kill?");
        let lost = stage.is_served_after(killed).await?;
        let served = (stage.taken_at(Site::Sbg)[0].1 - killed) / 1000;
        eprintln!("served {served} ms after the kill; lost {lost:?}");
        loss_was_told(stage, &lost, deaths.len()).await?;
        ensure!(stage.timeline(Site::Sbg).await? == 2, "promoted more than once");
        stays_away(stage).await?;
        comes_back(stage).await
    })
    .await;
}

/// What is lost was in flight when the site went: the plan has said so, in bytes and in words.
async fn loss_was_told(stage: &Stage, lost: &[String], deaths: usize) -> Result<()> {
    let intents = stage.intents("patroni.promote_standby_cluster").await?;
    // Killed between intent and call it is asked for once more; there is one new timeline.
    ensure!((1..=1 + deaths).contains(&intents.len()), "{} intents to promote", intents.len());
    let change = &intents[0].body["change"];
    ensure!(change["bounds"]["data_loss_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{change}");
    let warned = change["warnings"].as_array().context("no warnings")?;
    let told = |text: &Value| text.as_str().is_some_and(|text| text.starts_with("data at risk"));
    ensure!(warned.iter().any(told), "{change}");
    ensure!(lost.len() < 50, "that is more than was in flight: {lost:?}");
    Ok(())
}

/// The machine comes back, and its supervisor leaves the old cluster where it is.
async fn stays_away(stage: &Stage) -> Result<()> {
    stage.patroni.start_again(Site::Gra).await?;
    let refused = || async { Ok(stage.patroni.supervisor_log(Site::Gra)?.contains("refused: masked")) };
    wait_until("the supervisor to refuse it", Duration::from_secs(10), refused).await?;
    ensure!(!stage.patroni.runs(Site::Gra), "it runs, and would elect a leader beside the new one");
    Ok(())
}

/// Somebody takes the mask away. The old cluster elects its leader again, on a timeline of the number that the new one began:
/// it is seen, and stopped by the fence that its playbook has for it.
async fn comes_back(stage: &Stage) -> Result<()> {
    let before = stage.taken_at(Site::Gra).len();
    stage.patroni.hosts().ssh(&host(Site::Gra), "unfence").await?;
    stage.watched("seen_writable", 1).await?;
    stage.watched("watching", 2).await?;
    let told = stage.pointsman.records("fence_watch").await?;
    let last = told.last().context("the watch says nothing")?;
    ensure!(last.says.contains("fenced again (stopped) by run"), "{}", last.says);
    ensure!(!stage.patroni.runs(Site::Gra), "it runs beside the new leader");
    let both: Vec<i64> = stage.taken_at(Site::Gra)[before..].iter().map(|(_, at)| *at).collect();
    if let (Some(first), Some(last)) = (both.first(), both.last()) {
        eprintln!("both took orders for {} ms", (last - first) / 1000);
        ensure!(last - first < DETECTED, "both took orders for {} ms", (last - first) / 1000);
    }
    ensure!(stage.timeline(Site::Sbg).await? == 2, "the new leader was touched");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_cluster_leads_when_the_site_of_the_other_one_is_killed() {
    survives(&[]).await;
}

/// Nobody there tells any more how much of the log the other one lacks: the samples of before count, also for the next process.
#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_fence_and_again_at_the_intent_to_promote() {
    survives(&[
        |record| is_call(record, "ended", "stop every member"),
        |record| is_call(record, "intended", "promote the standby cluster"),
    ])
    .await;
}
