//! The site of the cluster that leads is lost, and the cluster that follows it comes to lead.

use super::stage::{Plot, SELDOM, play};
use crate::failover::scene::now_micros;
use anyhow::{Context as _, ensure};
use lab::net::wait_until;
use lab::{PatroniOptions, Site};
use std::time::Duration;

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
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_cluster_leads_when_the_site_of_the_other_one_is_killed() {
    let (sites, standby, hosts) = (vec![Site::Gra], vec![Site::Sbg], vec![Site::Gra]);
    let options = PatroniOptions { sites, standby, hosts, ..PatroniOptions::default() };
    play(Plot { options, playbook: LOST, repeat: SELDOM }, async |stage| {
        let killed = now_micros();
        stage.patroni.lose(Site::Gra).await?;
        stage.fire().await?;
        let end = stage.succeeded(1).await?;
        let lost = stage.is_served_after(killed).await?;
        eprintln!(
            "served {} ms after the kill; lost {lost:?}; {end}",
            (stage.taken_at(Site::Sbg)[0].1 - killed) / 1000
        );
        let intents = stage.intents("patroni.promote_standby_cluster").await?;
        ensure!(intents.len() == 1, "promoted {} times", intents.len());
        // What is lost was in flight when the site went: the plan has said so, in bytes and in words.
        let change = &intents[0].body["change"];
        ensure!(change["bounds"]["data_loss_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{change}");
        let warned = change["warnings"].as_array().context("no warnings")?;
        ensure!(
            warned.iter().any(|text| text.as_str().is_some_and(|text| text.starts_with("data at risk"))),
            "{change}"
        );
        ensure!(lost.len() < 50, "that is more than was in flight: {lost:?}");
        ensure!(stage.timeline(Site::Sbg).await? == 2, "promoted more than once");
        // The machine comes back, and its supervisor leaves the old cluster where it is.
        stage.patroni.start_again(Site::Gra).await?;
        let refused = || async { Ok(stage.patroni.supervisor_log(Site::Gra)?.contains("refused: masked")) };
        wait_until("the supervisor to refuse it", Duration::from_secs(10), refused).await?;
        ensure!(!stage.patroni.runs(Site::Gra), "it runs, and would elect a leader beside the new one");
        Ok(())
    })
    .await;
}
