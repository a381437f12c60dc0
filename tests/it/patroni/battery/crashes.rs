//! Pointsman is killed in the middle of a switchover, and started again: the leader was moved once, and the run ends.

use super::stage::{Plot, SELDOM, Stage, play};
use crate::failover::crashes::{is_call, kill_after};
use crate::failover::scene::now_micros;
use anyhow::{Result, ensure};
use lab::Site;
use lab::net::wait_until;
use lab::providers::{Mishap, Which};
use serde_json::json;
use std::time::Duration;

/// The leader lives, and its users are cut off from it. After each move it is moved back by hand.
const SWITCHOVER: &str = r#"
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
limits: { cooldown: 1s, per_day: 9 }
guards:
  - name: origin is down, seen from outside
    quorum: { probes: [gra-app], vantages: [local], down: majority }
  - name: destination is healthy
    quorum: { probes: [sbg-db], vantages: [local], up: majority }
  - name: still firing at the source
    still_firing: {}
steps:
  - name: move the leader
    action: patroni.switchover
    with: { target: shop, leader: "${from.member}", candidate: "${to.member}" }
    commit_point: true
    retry: { attempts: 3, backoff: 1s..2s }
verify:
  - action: sql.write_probe
    with: { target: "${to.db}", as: app }
  - action: http.expect
    with: { url: "GATE", status: 200 }
"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The intent is on record; whether the order was given yet is left to chance.
    Intended,
    /// Patroni has done it, and its answer is on its way.
    Done,
    /// The end of the call is on record.
    Ended,
}

/// Waits for that place in the run that begins after `from`, and kills Pointsman there.
async fn die_at(stage: &mut Stage, place: Place, from: u64) -> Result<()> {
    match place {
        Place::Intended => {
            kill_after(&mut stage.pointsman, from, |record| is_call(record, "intended", "move the leader"))
                .await
        }
        Place::Ended => {
            kill_after(&mut stage.pointsman, from, |record| is_call(record, "ended", "move the leader")).await
        }
        Place::Done => {
            let moved = || async { Ok(stage.leads(Site::Sbg).await.is_ok()) };
            wait_until("Patroni to have moved the leader", Duration::from_secs(30), moved).await?;
            stage.pointsman.kill9();
            Ok(())
        }
    }
}

async fn survives(stage: &mut Stage, place: Place, round: usize) -> Result<()> {
    let (before, from) =
        (stage.timeline(Site::Gra).await?, stage.pointsman.journal().await?.len() as u64 + 1);
    let orders = stage.road.writes();
    if place == Place::Done {
        stage.road.plant(Which::Writes, Mishap::Late(Duration::from_secs(60)));
    }
    let cut = now_micros();
    stage.cut_off(true);
    stage.gate.close();
    let since = stage.fire().await?;
    die_at(stage, place, from).await?;
    stage.gate.open();
    stage.pointsman.start_again().await?;
    stage.succeeded(round).await?;
    let lost = stage.is_served_after(cut).await?;
    ensure!(lost.is_empty(), "{place:?}: acknowledged and lost: {lost:?}");
    stage.leads(Site::Sbg).await?;
    ensure!(stage.timeline(Site::Sbg).await? == before + 1, "{place:?}: moved more than once");
    let taken = stage.pointsman.records("taken").await?;
    ensure!(
        taken.len() == round,
        "{place:?}: taken over {} times: was it finished before the kill?",
        taken.len()
    );
    let orders = stage.road.writes() - orders;
    ensure!(orders == 1, "{place:?}: Patroni was told {orders} times");
    eprintln!("{place:?}: over {} ms after the users were cut off", (now_micros() - cut) / 1000);
    stage.resolve(since).await
}

/// As before the outage; a person has seen the automatic run.
async fn back(stage: &Stage) -> Result<()> {
    stage.pointsman.cli(&["ack", "shop", "--reason", "it was meant"]).await?;
    stage.close(true);
    stage.patroni.lead_by(Site::Gra).await?;
    stage.cut_off(false);
    stage.close(false);
    stage.known_to_be_well().await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_place_of_a_switchover_it_is_done_once() {
    let options = super::options(json!({}));
    play(Plot { options, playbook: SWITCHOVER, repeat: SELDOM }, async |stage| {
        for (n, place) in [Place::Intended, Place::Done, Place::Ended].into_iter().enumerate() {
            if n > 0 {
                back(stage).await?;
            }
            survives(stage, place, n + 1).await?;
        }
        Ok(())
    })
    .await;
}
