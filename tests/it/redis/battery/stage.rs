//! What the stories of whole failovers share: a real pair whose primary stands on a machine with sshd and a supervisor, Sentinels
//! over it where a story has them, a real Alertmanager, a running Pointsman, and an application that writes to both all the time.

use crate::failover::gate::Gate;
use crate::failover::scene::now_micros;
use crate::redis::rig::{sentinels, targets};
use anyhow::{Context as _, Result, ensure};
use lab::net::{Port, wait_until};
use lab::pointsman::Record;
use lab::redis::{MACHINE, Reply};
use lab::{
    AlertingOptions, Lab, Pointsman, RedisMachine, RedisOptions, RedisPair, RedisUser, Sentinels, Site,
};
use serde_json::Value;
use std::collections::BTreeSet;
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
pub const SELDOM: Duration = Duration::from_secs(3600);
/// How many orders a site has taken when it serves.
const SERVES: usize = 5;

/// What differs from one story to the next.
pub struct Plot {
    pub playbook: &'static str,
    /// How often Alertmanager says the same again.
    pub repeat: Duration,
    /// For how long Sentinels let a primary be silent; none: nobody but Pointsman is there.
    pub sentinels: Option<Duration>,
}

/// Writes that were taken, by site and time.
type Taken = Arc<Mutex<Vec<(Site, String, i64)>>>;

/// Dropped in this order.
pub struct Stage {
    /// The application's page, its clients in gra and in sbg.
    tasks: Vec<JoinHandle<()>>,
    pub pointsman: Pointsman,
    pub gate: Gate,
    pub trio: Option<Sentinels>,
    pub machine: RedisMachine,
    pub pair: Arc<RedisPair>,
    taken: Taken,
    pub lab: Lab,
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

fn config(
    (pair, machine, trio): (&RedisPair, &RedisMachine, Option<&Sentinels>),
    page: SocketAddr,
    alerts: SocketAddr,
) -> String {
    let places = [("redis-gra", Site::Gra), ("redis-sbg", Site::Sbg)];
    let places = places.map(|(name, site)| (name, site, pair.address(site)));
    let on_it = format!("[targets.redis-gra]\nhost = \"{MACHINE}\"\n");
    let servers = targets(&places, pair.dir(), true).replace("[targets.redis-gra]\n", &on_it);
    let watch = trio.map_or(String::new(), |trio| sentinels("watch", &trio.all));
    let hosts = &machine.hosts;
    format!(
        "site = \"par\"\n{servers}{watch}\n[targets.{MACHINE}]\nkind = \"host\"\nsite = \"gra\"\nssh = \"root@{}\"\nkey = {:?}\n\
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
    async fn set(plot: &Plot) -> Result<Stage> {
        let mut lab = Lab::builder().start().await?;
        let straight = plot.sentinels.is_some();
        let pair = Arc::new(RedisPair::start(RedisOptions { straight, ..RedisOptions::default() }).await?);
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
        let trio = match plot.sentinels {
            Some(down_after) => Some(Sentinels::start(&pair, down_after).await?),
            None => None,
        };
        let text = config((&pair, &machine, trio.as_ref()), at, alerts);
        let gate = Gate::start().await?;
        let books = vec![("sessions.yaml", gate.named_in(plot.playbook))];
        let pointsman = Pointsman::beside(lab.dir(), lab.spare_port(0), text, books).await?;
        let options = AlertingOptions { repeat_interval: plot.repeat, ..pointsman.alerting() };
        lab.start_alertmanagers(&options).await?;
        let stage = Stage { tasks, pointsman, gate, trio, machine, pair, taken, lab };
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

    /// The client in gra is gone, which is all that its users see.
    pub fn cut_off(&mut self) {
        self.tasks.remove(1).abort();
    }

    /// Keys and times of acknowledged orders, oldest first.
    pub fn taken_at(&self, site: Site) -> Vec<(String, i64)> {
        let taken = self.taken.lock().unwrap();
        taken.iter().filter(|(at, ..)| *at == site).map(|(_, key, at)| (key.clone(), *at)).collect()
    }

    /// Once users have noticed; an alert comes no earlier.
    pub async fn fire(&self) -> Result<()> {
        let gone = now_micros();
        let noticed = || async {
            Ok(now_micros() - self.taken_at(Site::Gra).last().map_or(gone, |last| last.1) > 2 * PATIENCE)
        };
        wait_until("users to notice", Duration::from_secs(20), noticed).await?;
        self.lab.alertmanagers()[0].fire(&LABELS, SystemTime::now()).await
    }

    /// The same alert again and again, and once more under another time of its beginning: that is one run.
    pub async fn is_told_again(&self) -> Result<()> {
        self.lab.alertmanagers()[0].fire(&LABELS, SystemTime::now()).await?;
        let delivered = || async { Ok(self.pointsman.records("delivered").await?.len() >= 4) };
        wait_until("the alert to be told again", Duration::from_secs(20), delivered).await?;
        ensure!(self.pointsman.records("opened").await?.len() == 1, "more than one run");
        Ok(())
    }

    /// The body of the last record of the one run.
    pub async fn succeeded(&self) -> Result<Value> {
        self.ended("succeeded").await
    }

    pub async fn ended(&self, outcome: &str) -> Result<Value> {
        let over = |records: &[Record]| records.iter().any(|record| record.kind == "finished");
        self.pointsman.wait_for("the run to finish", FINISHED, over).await?;
        let ends = self.pointsman.records("finished").await?;
        ensure!(ends.len() == 1 && ends[0].body["outcome"] == outcome, "{:?}", ends[0].body);
        Ok(ends[0].body.clone())
    }

    /// Waits for the fence watch to say that of the old primary.
    pub async fn watched(&self, state: &str) -> Result<Record> {
        let says = |record: &&Record| record.kind == "fence_watch" && record.body["state"] == state;
        let said = |records: &[Record]| records.iter().find(says).is_some();
        let what = format!("the fence watch to say {state}");
        let records = self.pointsman.wait_for(&what, Duration::from_secs(40), said).await?;
        records.into_iter().find(|record| says(&record)).context("it was just said")
    }

    /// Users are served in sbg, by it alone, and what is lost was not called safe. Gives how much that is.
    pub async fn is_served(&self, end: &Value) -> Result<usize> {
        let written = || async { Ok(self.taken_at(Site::Sbg).len() > SERVES) };
        wait_until("orders in sbg", Duration::from_secs(10), written).await?;
        let (gra, sbg) = (self.taken_at(Site::Gra), self.taken_at(Site::Sbg));
        let (last, first) = (gra.last().context("orders in gra")?, sbg.first().context("orders in sbg")?);
        ensure!(last.1 < first.1, "two writers: {last:?} in gra, {first:?} in sbg");
        let safe = end["rpo"]["last_safe"].as_i64().with_context(|| format!("no last safe time in {end}"))?;
        ensure!(last.1 - safe < 10_000_000, "a bound that is far too careful is none: {end}");
        let lost = self.lost().await?;
        ensure!(lost.iter().all(|(_, at)| *at > safe), "called safe before {safe}, and lost: {lost:?}");
        ensure!(self.pair.info(Site::Sbg, "role").await? == "master", "sbg is no primary");
        ensure!(self.pointsman.verify().await?.contains("verified"), "the journal does not verify");
        Ok(lost.len())
    }

    /// What was acknowledged in gra, and sbg does not have.
    pub async fn lost(&self) -> Result<Vec<(String, i64)>> {
        let gra = self.taken_at(Site::Gra);
        let kept = self.pair.ask(Site::Sbg, "KEYS order:gra-*").await?;
        let kept: BTreeSet<&str> = kept.lines().collect();
        Ok(gra.into_iter().filter(|(key, _)| !kept.contains(key.as_str())).collect())
    }

    pub async fn intents(&self, action: &str) -> Result<usize> {
        let journal = self.pointsman.records("intended").await?;
        Ok(journal.iter().filter(|record| record.action() == Some(action)).count())
    }
}

/// Sets the stage and plays; a failure comes with the journal and the log.
pub async fn play(plot: Plot, test: impl AsyncFnOnce(&mut Stage) -> Result<()>) {
    let mut stage = match Stage::set(&plot).await {
        Ok(stage) => stage,
        Err(error) => panic!("the stage cannot be set: {error:#}"),
    };
    let ended = test(&mut stage).await;
    stage.machine.sigcont();
    if let Err(error) = ended {
        panic!("{error:#}\n\n{}", stage.pointsman.story().await);
    }
}
