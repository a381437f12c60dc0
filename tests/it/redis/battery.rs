//! Whole failovers of Redis: a real pair whose primary stands on a machine with sshd and a supervisor, a real Alertmanager, a
//! running Pointsman, and an application that writes to both all the time.

use super::rig::targets;
use crate::failover::crashes::{is_call, kill_at};
use crate::failover::scene::now_micros;
use anyhow::{Context as _, Result, ensure};
use lab::net::{Port, wait_until};
use lab::pointsman::Record;
use lab::redis::{MACHINE, Reply};
use lab::{AlertingOptions, Lab, Pointsman, RedisMachine, RedisOptions, RedisPair, RedisUser, Site};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What became of a call that nobody heard the end of may be known only when the call's own time is over, a minute.
const FINISHED: Duration = Duration::from_secs(150);
const LABELS: [(&str, &str); 3] = [("alertname", "SessionsDown"), ("site", "gra"), ("severity", "critical")];
/// How long the application may have failed before its page turns red.
const PATIENCE: i64 = 1_000_000;

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
"#;

/// Writes that were taken, by site and time.
type Taken = Arc<Mutex<Vec<(Site, String, i64)>>>;

/// Dropped in this order.
struct Stage {
    tasks: Vec<JoinHandle<()>>,
    pointsman: Pointsman,
    machine: RedisMachine,
    pair: Arc<RedisPair>,
    taken: Taken,
    lab: Lab,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// The application's client: one order after the other, whoever takes them.
async fn orders(pair: Arc<RedisPair>, site: Site, taken: Taken) {
    for n in 0_u32.. {
        let key = format!("order:{site}-{n}");
        let said = pair.say(site, RedisUser::Shop, &format!("SET {key} 1")).await;
        if said.and_then(Reply::text).is_ok_and(|said| said == "OK") {
            taken.lock().unwrap().push((site, key, now_micros()));
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

/// Its page: 200 while orders of its site are taken.
async fn page(listener: TcpListener, taken: Taken) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut asked = [0_u8; 2048];
        let read = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut asked)).await;
        let always = matches!(read, Ok(Ok(length)) if asked[..length].starts_with(b"GET /alive"));
        let last =
            taken.lock().unwrap().iter().rev().find(|(site, ..)| *site == Site::Gra).map(|last| last.2);
        let well = always || last.is_some_and(|last| now_micros() - last < PATIENCE);
        let says = if well { "200 OK" } else { "503 Service Unavailable" };
        let answer = format!("HTTP/1.1 {says}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _gone_is_gone = stream.write_all(answer.as_bytes()).await;
    }
}

fn config(pair: &RedisPair, machine: &RedisMachine, page: SocketAddr, alerts: SocketAddr) -> String {
    let places = [("redis-gra", Site::Gra), ("redis-sbg", Site::Sbg)];
    let places = places.map(|(name, site)| (name, site, pair.address(site)));
    let on_it = format!("[targets.redis-gra]\nhost = \"{MACHINE}\"\n");
    let servers = targets(&places, pair.dir(), true).replace("[targets.redis-gra]\n", &on_it);
    let hosts = &machine.hosts;
    format!(
        "site = \"par\"\n{servers}\n[targets.{MACHINE}]\nkind = \"host\"\nsite = \"gra\"\nssh = \"root@{}\"\nkey = {:?}\n\
         known_hosts = {:?}\n[probes.gra-app]\nhttp = \"http://{page}/healthz\"\n[probes.sbg-redis]\ntcp = \"{}\"\n\
         [vantages.local]\ndomain = \"par\"\ncontrol = \"http://{page}/alive\"\n\
         [sources.alertmanager]\napi = [\"http://{alerts}\"]\n",
        hosts.address(MACHINE),
        hosts.identity(),
        hosts.known_hosts(),
        pair.address(Site::Sbg),
    )
}

impl Stage {
    async fn set(repeat: Duration) -> Result<Stage> {
        let mut lab = Lab::builder().start().await?;
        let pair = Arc::new(RedisPair::start(RedisOptions::default()).await?);
        let machine = RedisMachine::of(&pair).await?;
        let taken = Taken::default();
        let listener = TcpListener::bind((Site::Gra.app(0), pair.spare_port(1))).await?;
        let (at, alerts) = (
            listener.local_addr()?,
            SocketAddr::from((Site::Par.ip(9), lab.ports().get(Port::Alertmanager1))),
        );
        let mut tasks = vec![tokio::spawn(page(listener, taken.clone()))];
        tasks.extend(
            [Site::Gra, Site::Sbg].map(|site| tokio::spawn(orders(pair.clone(), site, taken.clone()))),
        );
        let text = config(&pair, &machine, at, alerts);
        let books = vec![("sessions.yaml", PLAYBOOK.to_owned())];
        let pointsman = Pointsman::beside(lab.dir(), lab.spare_port(0), text, books).await?;
        let options = AlertingOptions { repeat_interval: repeat, ..pointsman.alerting() };
        lab.start_alertmanagers(&options).await?;
        let stage = Stage { tasks, pointsman, machine, pair, taken, lab };
        // An outage is one only where it was well before, and what a dead primary had can only be known from before.
        let body = serde_json::json!({ "playbook": "sessions-failover" });
        let known = || async {
            let plan = stage.pointsman.post("/api/v1/plans", &body).await?.to_string();
            let up = plan.matches("1 of 1 vantages say up").count();
            Ok(up >= 2 && stage.taken_at(Site::Gra).len() > 50)
        };
        wait_until("every probe to be known to be up", Duration::from_secs(30), known).await?;
        Ok(stage)
    }

    fn taken_at(&self, site: Site) -> Vec<(String, i64)> {
        let taken = self.taken.lock().unwrap();
        taken.iter().filter(|(at, ..)| *at == site).map(|(_, key, at)| (key.clone(), *at)).collect()
    }

    /// Once users have noticed; an alert comes no earlier.
    async fn fire(&self) -> Result<()> {
        let gone = now_micros();
        let noticed = || async {
            Ok(now_micros() - self.taken_at(Site::Gra).last().map_or(gone, |last| last.1) > 2 * PATIENCE)
        };
        wait_until("users to notice", Duration::from_secs(20), noticed).await?;
        self.lab.alertmanagers()[0].fire(&LABELS, SystemTime::now()).await
    }

    async fn succeeded(&self) -> Result<serde_json::Value> {
        let over = |records: &[Record]| records.iter().any(|record| record.kind == "finished");
        self.pointsman.wait_for("the run to finish", FINISHED, over).await?;
        let ends = self.pointsman.records("finished").await?;
        ensure!(ends.len() == 1 && ends[0].body["outcome"] == "succeeded", "{:?}", ends[0].body);
        Ok(ends[0].body.clone())
    }

    /// Users are served in sbg, by it alone, and what is lost was not called safe.
    async fn is_served(&self, end: &serde_json::Value) -> Result<()> {
        let written = || async { Ok(self.taken_at(Site::Sbg).len() > 5) };
        wait_until("orders in sbg", Duration::from_secs(10), written).await?;
        let (gra, sbg) = (self.taken_at(Site::Gra), self.taken_at(Site::Sbg));
        let (last, first) = (gra.last().context("orders in gra")?, sbg.first().context("orders in sbg")?);
        ensure!(last.1 < first.1, "two writers: {last:?} in gra, {first:?} in sbg");
        let safe = end["rpo"]["last_safe"].as_i64().with_context(|| format!("no last safe time in {end}"))?;
        ensure!(last.1 - safe < 10_000_000, "a bound that is far too careful is none: {end}");
        let kept = self.pair.ask(Site::Sbg, "KEYS order:gra-*").await?;
        let kept: std::collections::BTreeSet<&str> = kept.lines().collect();
        let lost: Vec<_> = gra.iter().filter(|(key, _)| !kept.contains(key.as_str())).collect();
        ensure!(lost.iter().all(|(_, at)| *at > safe), "called safe before {safe}, and lost: {lost:?}");
        ensure!(self.pair.info(Site::Sbg, "role").await? == "master", "sbg is no primary");
        ensure!(self.pointsman.verify().await?.contains("verified"), "the journal does not verify");
        Ok(())
    }

    async fn intents(&self, action: &str) -> Result<usize> {
        let journal = self.pointsman.records("intended").await?;
        Ok(journal.iter().filter(|record| record.action() == Some(action)).count())
    }
}

async fn play(repeat: Duration, test: impl AsyncFnOnce(&mut Stage) -> Result<()>) {
    let mut stage = match Stage::set(repeat).await {
        Ok(stage) => stage,
        Err(error) => panic!("the scene cannot be set: {error:#}"),
    };
    if let Err(error) = test(&mut stage).await {
        panic!("{error:#}\n\n{}", stage.pointsman.story().await);
    }
}

const SELDOM: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_is_failed_over_once_however_often_it_is_told() {
    play(Duration::from_secs(1), async |stage| {
        let killed = now_micros();
        stage.machine.kill9();
        stage.fire().await?;
        let end = stage.succeeded().await?;
        stage.is_served(&end).await?;
        let served = stage.taken_at(Site::Sbg)[0].1;
        eprintln!("served {} ms after the kill", (served - killed) / 1000);
        // The same alert again and again, and once more under another time of its beginning.
        stage.lab.alertmanagers()[0].fire(&LABELS, SystemTime::now()).await?;
        let delivered = || async { Ok(stage.pointsman.records("delivered").await?.len() >= 4) };
        wait_until("the alert to be told again", Duration::from_secs(20), delivered).await?;
        ensure!(stage.pointsman.records("opened").await?.len() == 1, "more than one run");
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
    play(SELDOM, async |stage| {
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
    play(SELDOM, async |stage| {
        // The client in gra is gone, which is all that its users see.
        stage.tasks.remove(1).abort();
        stage.fire().await?;
        let end = stage.succeeded().await?;
        ensure!(end["rpo"]["bytes"] == 0, "{end}");
        ensure!(stage.machine.runs(), "it was stopped, not locked");
        let said = stage.pair.say(Site::Gra, RedisUser::Shop, "SET order:late 1").await?;
        ensure!(said.is_error("NOREPLICAS"), "{said:?}");
        stage.is_served(&end).await
    })
    .await;
}

async fn survives(living: bool, at: fn(&Record) -> bool) {
    play(SELDOM, async |stage| {
        match living {
            true => stage.tasks.remove(1).abort(),
            false => stage.machine.kill9(),
        }
        stage.fire().await?;
        kill_at(&mut stage.pointsman, at).await?;
        stage.pointsman.start_again().await?;
        let end = stage.succeeded().await?;
        let taken = stage.pointsman.records("taken").await?;
        ensure!(taken.len() == 1, "taken over {} times: was it finished before the kill?", taken.len());
        // Killed between intent and call it asks once more; the server began one new history.
        ensure!(stage.intents("redis.promote").await? <= 2, "promoted over and over");
        stage.is_served(&end).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_intent_to_fence_a_living_primary() {
    survives(true, |record| is_call(record, "intended", "fence old primary")).await;
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
