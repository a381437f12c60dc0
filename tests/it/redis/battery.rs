//! Whole failovers of Redis: a real pair whose primary stands on a machine with sshd and a supervisor, a real Alertmanager, a
//! running Pointsman, and an application that writes to both all the time. `sentinel` has those that go through Sentinels.

mod sentinel;
mod stage;

use crate::failover::crashes::{is_call, kill_at};
use crate::failover::scene::now_micros;
use anyhow::ensure;
use lab::pointsman::Record;
use lab::redis::MACHINE;
use lab::{RedisUser, Site};
use stage::{Plot, SELDOM, play};
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
  - name: fence old primary
    any_of:
      - action: redis.fence
        with: { target: "${from.redis}", min_rung: lockout }
      - action: command.run
        with: { target: "${target(from.redis).host}", run: fence, check: fenced, undo: unfence, timeout: 20s }
        proves: { fenced: "${from.redis}", rung: stopped }
    retry: { attempts: 3, backoff: 1s..2s }
  - name: promote replica
    action: redis.promote
    with: { target: "${to.redis}", old: "${from.redis}" }
    commit_point: true
    after: [fence old primary]
    retry: { attempts: 3, backoff: 1s..2s }
verify:
  - action: redis.write_probe
    with: { target: "${to.redis}", as: app }
  - action: http.expect
    with: { url: "GATE", status: 200 }
"#;

fn plot(repeat: Duration) -> Plot {
    Plot { playbook: PLAYBOOK, repeat, sentinels: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_is_failed_over_once_however_often_it_is_told() {
    play(plot(Duration::from_secs(1)), async |stage| {
        let killed = now_micros();
        stage.machine.kill9();
        stage.fire().await?;
        let end = stage.succeeded().await?;
        stage.is_served(&end).await?;
        let served = stage.taken_at(Site::Sbg)[0].1;
        eprintln!("served {} ms after the kill", (served - killed) / 1000);
        stage.is_told_again().await?;
        ensure!(stage.intents("redis.promote").await? == 1, "told to promote more than once");
        ensure!(!stage.machine.runs(), "the old primary runs");
        ensure!(stage.machine.hosts.ssh(MACHINE, "fenced").await?.code == Some(0), "it is not masked");
        Ok(())
    })
    .await;
}

/// It keeps its connections, accepts new ones, and answers nothing: the fence by commands proves nothing, and the next way
/// stops it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_primary_is_put_down_before_another_one_writes() {
    play(plot(SELDOM), async |stage| {
        stage.machine.sigstop();
        stage.fire().await?;
        let end = stage.succeeded().await?;
        stage.is_served(&end).await?;
        ensure!(!stage.machine.runs(), "it is only asleep, and would write when it wakes");
        Ok(())
    })
    .await;
}

/// The application is cut off and the primary lives: fenced by commands, drained, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_living_primary_is_fenced_and_drained_without_loss() {
    play(plot(SELDOM), async |stage| {
        stage.cut_off();
        stage.fire().await?;
        let end = stage.succeeded().await?;
        ensure!(end["rpo"]["bytes"] == 0, "{end}");
        ensure!(stage.machine.runs(), "it was stopped, not locked");
        let said = stage.pair.say(Site::Gra, RedisUser::Shop, "SET order:late 1").await?;
        ensure!(said.is_error("NOREPLICAS"), "{said:?}");
        stage.is_served(&end).await.map(drop)
    })
    .await;
}

/// Nothing of the order took effect. The same is ordered again, and the machine is not told, though that is the next way.
#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_intent_to_fence_a_living_primary() {
    play(plot(SELDOM), async |stage| {
        stage.cut_off();
        // The fence begins by writing the file. Nobody writes into this pipe, so that the server hangs when it opens it.
        let (file, pipe) = (stage.pair.file(Site::Gra), stage.pair.dir().join("pipe"));
        let whole = std::fs::read(&file)?;
        ensure!(std::process::Command::new("mkfifo").arg(&pipe).status()?.success(), "no pipe");
        std::fs::remove_file(&file)?;
        std::fs::hard_link(&pipe, &file)?;
        stage.fire().await?;
        kill_at(&mut stage.pointsman, |record| is_call(record, "intended", "fence old primary")).await?;
        std::fs::remove_file(&file)?;
        std::fs::write(&file, &whole)?;
        drop(std::fs::OpenOptions::new().read(true).write(true).open(&pipe)?);
        stage.pointsman.start_again().await?;
        let end = stage.succeeded().await?;
        ensure!(end["rpo"]["bytes"] == 0, "{end}");
        ensure!(stage.pointsman.records("taken").await?.len() == 1, "taken over more than once");
        ensure!(stage.intents("redis.fence").await? == 2, "not the same order again");
        ensure!(stage.intents("command.run").await? == 0, "it went on by the next way");
        ensure!(stage.machine.runs(), "it was stopped, not locked");
        let said = stage.pair.say(Site::Gra, RedisUser::Shop, "SET order:late 1").await?;
        ensure!(said.is_error("NOREPLICAS"), "{said:?}");
        stage.is_served(&end).await.map(drop)
    })
    .await;
}

async fn survives(living: bool, at: fn(&Record) -> bool) {
    play(plot(SELDOM), async |stage| {
        match living {
            true => stage.cut_off(),
            false => stage.machine.kill9(),
        }
        stage.gate.close();
        stage.fire().await?;
        kill_at(&mut stage.pointsman, at).await?;
        stage.gate.open();
        stage.pointsman.start_again().await?;
        let end = stage.succeeded().await?;
        let taken = stage.pointsman.records("taken").await?;
        ensure!(taken.len() == 1, "taken over {} times: was it finished before the kill?", taken.len());
        // Killed between intent and call it asks once more; the server began one new history.
        ensure!(stage.intents("redis.promote").await? <= 2, "promoted over and over");
        stage.is_served(&end).await.map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_fence_ended() {
    survives(false, |record| is_call(record, "ended", "fence old primary")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_intent_to_promote() {
    survives(false, |record| is_call(record, "intended", "promote replica")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_promotion_ended() {
    survives(true, |record| is_call(record, "ended", "promote replica")).await;
}
