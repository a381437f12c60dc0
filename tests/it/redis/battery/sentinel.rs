//! Whole failovers of a primary that Sentinels run: it is stopped on its machine first, since commands underneath Sentinels fence
//! nothing, and then they are told; or they were first, and are told nothing.

use super::stage::{Plot, SELDOM, Stage, play};
use crate::failover::crashes::{is_call, kill_at};
use crate::failover::scene::now_micros;
use anyhow::{Context as _, Result, ensure};
use lab::net::wait_until;
use lab::pointsman::Record;
use lab::redis::MACHINE;
use lab::{Loss, RedisMachine, Site};
use serde_json::{Value, json};
use std::time::Duration;

const PLAYBOOK: &str = r#"
playbook: sessions-failover
service: sessions
mode: auto
sites:
  gra: { redis: redis-gra }
  sbg: { redis: redis-sbg }
from: gra
to: sbg
triggers:
  - alertmanager: { alertname: SessionsDown, site: gra, severity: critical }
limits: { cooldown: 1h }
guards:
  - name: origin is down, seen from outside
    quorum: { probes: [gra-app], vantages: [local], down: majority }
  - name: destination is healthy
    quorum: { probes: [sbg-redis], vantages: [local], up: majority }
  - name: still firing at the source
    still_firing: {}
steps:
  - name: stop the old primary
    any_of:
      - action: command.run
        with: { target: "${target(from.redis).host}", run: fence, check: fenced, undo: unfence, timeout: 20s }
        proves: { fenced: "${from.redis}", rung: stopped }
    accept_unfenced: { role: incident-lead }
    retry: { attempts: 3, backoff: 1s..2s }
  - name: move the primary
    action: sentinel.failover
    with: { target: watch, old: "${from.redis}", new: "${to.redis}" }
    commit_point: true
    after: [stop the old primary]
    retry: { attempts: 3, backoff: 1s..2s }
verify:
  - action: redis.write_probe
    with: { target: "${to.redis}", as: app }
  - action: http.expect
    with: { url: "GATE", status: 200 }
"#;

/// In no story do they come to elect by themselves; or they do before anybody is told of the outage.
const PATIENT: Duration = Duration::from_secs(60);
const HASTY: Duration = Duration::from_millis(1500);
/// They make an old primary that they hear again a replica some ten seconds later.
const DEMOTED: Duration = Duration::from_secs(25);

fn plot(sentinels: Duration, repeat: Duration) -> Plot {
    Plot { playbook: PLAYBOOK, repeat, sentinels: Some(sentinels) }
}

/// Every Sentinel leads its clients to sbg, by one failover; and how often they were told to.
async fn is_moved_once(stage: &Stage) -> Result<usize> {
    let trio = stage.trio.as_ref().context("there are Sentinels")?;
    let agree = || trio.lead(&stage.pair, Site::Sbg);
    wait_until("every Sentinel to lead to sbg", Duration::from_secs(15), agree).await?;
    for n in 0..trio.all.len() {
        ensure!(trio.epoch(n).await? == 1, "Sentinel {n} knows of {} failovers", trio.epoch(n).await?);
    }
    stage.intents("sentinel.failover").await
}

/// What was acknowledged and is lost came after what the run calls safe, and its words say so.
async fn is_served_as_told(stage: &Stage, end: &Value, since: i64) -> Result<()> {
    let lost = stage.is_served(end).await?;
    let says = end["rpo"]["says"].as_str().context("no word of what is lost")?;
    let served = (stage.taken_at(Site::Sbg)[0].1 - since) / 1000;
    eprintln!("served {served} ms after it was gone; {lost} orders lost: {says}");
    Ok(())
}

/// With a primary that is dead and Sentinels that wait for it still, `SENTINEL FAILOVER` is all that it takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_is_replaced_once_however_often_it_is_told() {
    play(plot(PATIENT, Duration::from_secs(1)), async |stage| {
        // As it does every now and then: started again, it knows its history.
        stage.pair.ask(Site::Gra, "SAVE").await?;
        let killed = now_micros();
        stage.machine.kill9();
        stage.fire().await?;
        let end = stage.succeeded().await?;
        is_served_as_told(stage, &end, killed).await?;
        stage.is_told_again().await?;
        ensure!(is_moved_once(stage).await? == 1, "told to fail over more than once");
        ensure!(!stage.machine.runs(), "the old primary runs");
        comes_back(stage).await
    })
    .await;
}

/// Somebody takes the mask away, and it starts as the primary that it was. It is put down again, sooner than Sentinels make it a
/// replica.
async fn comes_back(stage: &Stage) -> Result<()> {
    let back = now_micros();
    stage.machine.hosts.ssh(MACHINE, "unfence").await?;
    let told = stage.watched("seen_writable").await?;
    ensure!(told.says.contains("PM5501"), "{}", told.says);
    let again =
        |record: &Record| record.kind == "fence_watch" && record.says.contains("fenced again (stopped)");
    let fenced = |records: &[Record]| records.iter().any(again);
    stage.pointsman.wait_for("it to be fenced again", Duration::from_secs(20), fenced).await?;
    ensure!(!stage.machine.runs(), "it is not put down");
    let late: Vec<i64> =
        stage.taken_at(Site::Gra).into_iter().map(|(_, at)| at).filter(|at| *at > back).collect();
    let lasted = late.last().zip(late.first()).map_or(0, |(last, first)| last - first);
    eprintln!("{} writes by two primaries, for {} ms", late.len(), lasted / 1000);
    ensure!(lasted < 8_000_000, "the Sentinels would have been as fast: {lasted} us");
    is_moved_once(stage).await.map(drop)
}

/// It accepts connections and answers nothing, and would go on writing when it wakes.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_primary_is_put_down_before_the_sentinels_are_told() {
    play(plot(PATIENT, SELDOM), async |stage| {
        let stopped = now_micros();
        stage.machine.sigstop();
        stage.fire().await?;
        let end = stage.succeeded().await?;
        is_served_as_told(stage, &end, stopped).await?;
        ensure!(is_moved_once(stage).await? == 1, "told to fail over more than once");
        ensure!(!stage.machine.runs(), "it is only asleep, and would write when it wakes");
        Ok(())
    })
    .await;
}

/// Its users are cut off from it. It is stopped first, and what it had sent by then is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_living_primary_whose_site_is_down_is_stopped_and_then_moved() {
    play(plot(PATIENT, SELDOM), async |stage| {
        let cut = now_micros();
        stage.cut_off();
        stage.fire().await?;
        let end = stage.succeeded().await?;
        is_served_as_told(stage, &end, cut).await?;
        ensure!(is_moved_once(stage).await? == 1, "told to fail over more than once");
        ensure!(!stage.machine.runs(), "it lives beside the new one");
        Ok(())
    })
    .await;
}

/// They elect before anybody is told of the outage. The run puts the old one down, finds the rest done, and orders nothing.
async fn elected_before(harm: fn(&RedisMachine)) {
    play(plot(HASTY, SELDOM), async |stage| {
        let gone = now_micros();
        harm(&stage.machine);
        is_moved_once(stage).await?;
        stage.fire().await?;
        let end = stage.succeeded().await?;
        is_served_as_told(stage, &end, gone).await?;
        ensure!(is_moved_once(stage).await? == 0, "told to do what was done");
        let looks = stage.pointsman.records("observed").await?;
        let found = |record: &Record| record.says.contains("redis-sbg leads by 3 of 3 Sentinels, epoch 1");
        ensure!(looks.iter().any(found), "nothing says that it was done already");
        ensure!(!stage.machine.runs(), "it is not put down");
        // It was put down by this run, whoever promoted the other one.
        let watched = stage.watched("watching").await?;
        ensure!(watched.says.contains("fence: stopped"), "{}", watched.says);
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_that_sentinels_replaced_is_put_down_and_nothing_is_ordered() {
    elected_before(RedisMachine::kill9).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_primary_that_sentinels_replaced_is_put_down_before_it_wakes() {
    elected_before(RedisMachine::sigstop).await;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The intent is on record; whether a Sentinel was told is left to chance.
    Intended,
    /// A Sentinel carries it out, and the call waits for its end.
    Begun,
    /// The end of the call is on record.
    Ended,
}

async fn die_at(stage: &mut Stage, place: Place) -> Result<()> {
    match place {
        Place::Intended => {
            kill_at(&mut stage.pointsman, |record| is_call(record, "intended", "move the primary")).await
        }
        Place::Ended => {
            kill_at(&mut stage.pointsman, |record| is_call(record, "ended", "move the primary")).await
        }
        Place::Begun => {
            let trio = stage.trio.as_ref().context("there are Sentinels")?;
            wait_until("a Sentinel to begin", Duration::from_secs(60), || trio.has_begun()).await?;
            stage.pointsman.kill9();
            Ok(())
        }
    }
}

async fn survives(place: Place) {
    play(plot(PATIENT, SELDOM), async |stage| {
        let killed = now_micros();
        stage.machine.kill9();
        stage.gate.close();
        stage.fire().await?;
        die_at(stage, place).await?;
        stage.gate.open();
        stage.pointsman.start_again().await?;
        let end = stage.succeeded().await?;
        let taken = stage.pointsman.records("taken").await?;
        ensure!(taken.len() == 1, "taken over {} times: was it finished before the kill?", taken.len());
        is_served_as_told(stage, &end, killed).await?;
        let orders = is_moved_once(stage).await?;
        // Only where nobody may have been told it is told again.
        let most = if place == Place::Intended { 2 } else { 1 };
        ensure!((1..=most).contains(&orders), "{orders} intents to move it");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_intent_to_tell_the_sentinels() {
    survives(Place::Intended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_sentinel_fails_over() {
    survives(Place::Begun).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_sentinels_had_moved_it() {
    survives(Place::Ended).await;
}

/// Nobody could fence it, and a person took that upon himself: for the seconds until the Sentinels make it a replica it takes writes
/// that are lost, and that is said at once, before they are.
#[tokio::test(flavor = "multi_thread")]
async fn an_unfenced_primary_that_wakes_is_told_of_and_becomes_a_replica() {
    play(plot(PATIENT, SELDOM), async |stage| {
        stage.machine.hosts.lose(MACHINE, Loss::Refused).await?;
        let stopped = now_micros();
        stage.machine.sigstop();
        stage.fire().await?;
        accept_unfenced(stage).await?;
        let end = stage.ended("partial").await?;
        is_served_as_told(stage, &end, stopped).await?;
        ensure!(is_moved_once(stage).await? == 1, "told to fail over more than once");

        let woken = now_micros();
        stage.machine.sigcont();
        let told = stage.watched("seen_writable").await?;
        ensure!(told.says.contains("PM5501") && told.says.contains("write was taken"), "{}", told.says);
        let told = now_micros();
        let follows = || async { Ok(!stage.pair.is_primary(Site::Gra).await?) };
        wait_until("the Sentinels to make it a replica", DEMOTED, follows).await?;
        stage.watched("seen_as_standby").await?;
        let late: Vec<_> = stage.taken_at(Site::Gra).into_iter().filter(|(_, at)| *at > woken).collect();
        let lost = stage.lost().await?.into_iter().filter(|(_, at)| *at > woken).count();
        let before = late.iter().filter(|(_, at)| *at < told).count();
        eprintln!("{} writes by two primaries, {lost} of them lost, {before} before it was told", late.len());
        ensure!(
            !late.is_empty() && lost == late.len(),
            "{lost} of {} lost: then this story is another",
            late.len()
        );
        let count =
            |records: &[Record], kind: &str| records.iter().filter(|record| record.kind == kind).count();
        let over = |records: &[Record]| count(records, "opened") == count(records, "finished");
        stage.pointsman.wait_for("no run to be left open", Duration::from_secs(20), over).await?;
        is_moved_once(stage).await.map(drop)
    })
    .await;
}

/// As the incident lead does, once it is offered.
async fn accept_unfenced(stage: &Stage) -> Result<()> {
    let run = || async {
        let runs = stage.pointsman.runs().await?;
        let id = runs.first().and_then(|run| run["run"].as_str()).context("no run yet")?.to_owned();
        ensure!(stage.pointsman.run(&id).await?["unfenced_offer"] == json!(["redis-gra"]), "not offered yet");
        Ok(id)
    };
    let offered = || async { Ok(run().await.is_ok()) };
    wait_until("the override to be offered", Duration::from_secs(60), offered).await?;
    let lead = stage.pointsman.client_as("incident-lead", "lead").await?;
    let word =
        json!({ "command": "approve", "accept_unfenced": ["redis-gra"], "reason": "its machine is cut off" });
    lead.decide(&run().await?, &word).await.map(drop)
}
