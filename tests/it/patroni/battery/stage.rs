//! What the stories of whole failovers share: clusters of the lab on machines with sshd and a supervisor, a real Alertmanager, a
//! running Pointsman, and an application that writes in both sites all the time.

use crate::failover::gate::Gate;
use crate::failover::scene::now_micros;
use crate::patroni::tables::{self, Side};
use anyhow::{Context as _, Result, ensure};
use lab::net::{Port, wait_until};
use lab::patroni::{SCOPE, STANDBY_SCOPE, member};
use lab::pointsman::Record;
use lab::providers::Faulty;
use lab::{AlertingOptions, Lab, Patroni, PatroniOptions, Pointsman, Site};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What became of a call that nobody heard the end of may be known only when Patroni's patience is over.
const FINISHED: Duration = Duration::from_secs(100);
const LABELS: [(&str, &str); 3] = [("alertname", "ShopDown"), ("site", "gra"), ("severity", "critical")];
/// How long the application may have failed before its page turns red.
const PATIENCE: i64 = 1_000_000;
/// How long a balancer waits for a member to say that it leads.
const ASKED: Duration = Duration::from_millis(700);
pub const SELDOM: Duration = Duration::from_secs(3600);
/// The file of the playbook, and its name.
pub const BOOK: &str = "shop-moves";

/// What differs from one story to the next.
pub struct Plot {
    pub options: PatroniOptions,
    pub playbook: &'static str,
    /// How often Alertmanager says the same again.
    pub repeat: Duration,
}

/// The application, and what it was told: ids of orders that were acknowledged, by site and time.
struct Shop {
    patroni: Arc<Patroni>,
    taken: Mutex<Vec<(Site, String, i64)>>,
    /// Its clients in gra are gone, which is all that its users see.
    cut: AtomicBool,
    /// Nobody orders anything.
    closed: AtomicBool,
}

/// Dropped in this order.
pub struct Stage {
    tasks: Vec<JoinHandle<()>>,
    pub pointsman: Pointsman,
    pub gate: Gate,
    shop: Arc<Shop>,
    /// Between Pointsman and the REST API of the member that is neither moved nor promoted.
    pub road: Faulty,
    pub patroni: Arc<Patroni>,
    pub lab: Lab,
    _secrets: tempfile::TempDir,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Shop {
    /// One order after the other, whoever takes them.
    async fn orders(self: Arc<Shop>, site: Site) {
        for n in 0_u32.. {
            let cut = site == Site::Gra && self.cut.load(Ordering::SeqCst);
            let (id, open) = (format!("{site}-{n}"), !cut && !self.closed.load(Ordering::SeqCst));
            let order = format!("insert into sold values ('{id}')");
            if open && self.patroni.sql_as(site, "shop", &order).await.is_ok() {
                self.taken.lock().unwrap().push((site, id, now_micros()));
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }

    /// While orders are taken in gra, and the member there says to a balancer that it leads.
    async fn is_well(&self) -> bool {
        let last =
            self.taken.lock().unwrap().iter().rev().find(|(site, ..)| *site == Site::Gra).map(|last| last.2);
        let leads = self.patroni.ask(Site::Gra, "GET", "/primary", None);
        let leads = tokio::time::timeout(ASKED, leads).await;
        last.is_some_and(|last| now_micros() - last < PATIENCE)
            && matches!(leads, Ok(Ok(said)) if said.status == 200)
    }

    async fn answer(self: Arc<Shop>, mut stream: TcpStream) {
        let mut asked = [0_u8; 2048];
        let read = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut asked)).await;
        let always = matches!(read, Ok(Ok(length)) if asked[..length].starts_with(b"GET /alive"));
        let says = if always || self.is_well().await { "200 OK" } else { "503 Service Unavailable" };
        let answer = format!("HTTP/1.1 {says}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _gone_is_gone = stream.write_all(answer.as_bytes()).await;
    }

    /// Its page.
    async fn page(self: Arc<Shop>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(self.clone().answer(stream));
        }
    }
}

fn is_write(method: &str, _path: &str) -> bool {
    method != "GET"
}

/// One cluster named `shop`, or two named by their sites.
fn targets(options: &PatroniOptions, patroni: &Patroni, road: (Site, &Faulty), secret: &str) -> String {
    let two = !options.standby.is_empty();
    let (sites, standby) = (&options.sites, &options.standby);
    let side = |scope: &'static str, members: &[Site]| {
        let site = Some(members[0]).filter(|_| two);
        let name = site.map_or("shop", Site::name);
        let side = Side { name, scope, site, members: members.to_vec() };
        let api = |site| match site == road.0 {
            true => road.1.url(),
            false => format!("http://{}", patroni.api(site)),
        };
        let servers = tables::servers(patroni, members, Some(name), &options.hosts);
        format!("{}{servers}", tables::cluster(&side, secret, api))
    };
    let mut text = side(SCOPE, sites);
    if two {
        text.push_str(&side(STANDBY_SCOPE, standby));
    }
    format!("{text}{}", tables::machines(patroni, &options.hosts))
}

fn watching(patroni: &Patroni, page: SocketAddr, alerts: SocketAddr) -> String {
    format!(
        "[probes.gra-app]\nhttp = \"http://{page}/healthz\"\n[probes.sbg-db]\ntcp = \"{}\"\n\
         [vantages.local]\ndomain = \"par\"\ncontrol = \"http://{page}/alive\"\n\
         [sources.alertmanager]\napi = [\"http://{alerts}\"]\n",
        patroni.postgres(Site::Sbg),
    )
}

impl Stage {
    async fn set(plot: Plot) -> Result<Stage> {
        let mut lab = Lab::builder().start().await?;
        let patroni = Arc::new(Patroni::start(plot.options.clone()).await?);
        patroni.sql_as(Site::Gra, "shop", "create table sold (id text primary key)").await?;
        let aside = *plot.options.sites.last().context("a cluster has members")?;
        let road = Faulty::start(patroni.api(aside), is_write).await?;
        let secrets = tempfile::tempdir()?;
        let shop = Arc::new(Shop {
            patroni: patroni.clone(),
            taken: Mutex::default(),
            cut: AtomicBool::default(),
            closed: AtomicBool::default(),
        });
        let listener = TcpListener::bind((Site::Gra.app(0), patroni.spare_port(1))).await?;
        let page = listener.local_addr()?;
        let alerts = SocketAddr::from((Site::Par.ip(9), lab.ports().get(Port::Alertmanager1)));
        let secret = tables::secret(secrets.path());
        let text = targets(&plot.options, &patroni, (aside, &road), &secret);
        let text = format!("site = \"par\"\n{text}{}", watching(&patroni, page, alerts));
        let mut tasks = vec![tokio::spawn(shop.clone().page(listener))];
        tasks.extend([Site::Gra, Site::Sbg].map(|site| tokio::spawn(shop.clone().orders(site))));
        let gate = Gate::start().await?;
        let books = vec![("moves.yaml", gate.named_in(plot.playbook))];
        let pointsman = Pointsman::beside(lab.dir(), lab.spare_port(0), text, books).await?;
        let options = AlertingOptions { repeat_interval: plot.repeat, ..pointsman.alerting() };
        lab.start_alertmanagers(&options).await?;
        let stage = Stage { tasks, pointsman, gate, shop, road, patroni, lab, _secrets: secrets };
        stage.known_to_be_well().await?;
        Ok(stage)
    }

    /// An outage is one only where it was well before.
    pub async fn known_to_be_well(&self) -> Result<()> {
        let body = serde_json::json!({ "playbook": BOOK });
        let known = || async {
            let plan = self.pointsman.post("/api/v1/plans", &body).await?.to_string();
            let up = plan.matches("1 of 1 vantages say up").count();
            ensure!(up >= 2, "{up} probes are up: {plan}");
            Ok(self.shop.is_well().await && self.taken_at(Site::Gra).len() > 30)
        };
        wait_until("every probe to be known to be up", Duration::from_secs(30), known).await
    }

    /// Ids and times of acknowledged orders, oldest first.
    pub fn taken_at(&self, site: Site) -> Vec<(String, i64)> {
        let taken = self.shop.taken.lock().unwrap();
        taken.iter().filter(|(at, ..)| *at == site).map(|(_, id, at)| (id.clone(), *at)).collect()
    }

    /// The application's clients in gra go, or come back.
    pub fn cut_off(&self, gone: bool) {
        self.shop.cut.store(gone, Ordering::SeqCst);
    }

    /// No orders at all, while somebody works on the cluster; or orders again.
    pub fn close(&self, closed: bool) {
        self.shop.closed.store(closed, Ordering::SeqCst);
    }

    /// The alert, once users have noticed; it comes no earlier.
    pub async fn fire(&self) -> Result<SystemTime> {
        let noticed = || async { Ok(!self.shop.is_well().await) };
        wait_until("users to notice", Duration::from_secs(20), noticed).await?;
        let since = SystemTime::now();
        self.lab.alertmanagers()[0].fire(&LABELS, since).await?;
        Ok(since)
    }

    pub async fn resolve(&self, since: SystemTime) -> Result<()> {
        self.lab.alertmanagers()[0].resolve(&LABELS, since).await
    }

    /// The body of the last record of the `n`th run.
    pub async fn succeeded(&self, n: usize) -> Result<Value> {
        let over =
            |records: &[Record]| records.iter().filter(|record| record.kind == "finished").count() >= n;
        self.pointsman.wait_for("the run to finish", FINISHED, over).await?;
        let ends = self.pointsman.records("finished").await?;
        ensure!(ends.len() == n && ends[n - 1].body["outcome"] == "succeeded", "{:?}", ends[n - 1].body);
        Ok(ends[n - 1].body.clone())
    }

    /// Waits for the fence watch to say that of the old leader, so often.
    pub async fn watched(&self, state: &str, times: usize) -> Result<()> {
        let says = |record: &Record| record.kind == "fence_watch" && record.body["state"] == state;
        let asked = |records: &[Record]| records.iter().filter(|record| says(record)).count() >= times;
        let what = format!("the fence watch to say {state}");
        self.pointsman.wait_for(&what, Duration::from_secs(40), asked).await.map(drop)
    }

    pub async fn intents(&self, action: &str) -> Result<Vec<Record>> {
        let journal = self.pointsman.records("intended").await?;
        Ok(journal.into_iter().filter(|record| record.action() == Some(action)).collect())
    }

    /// Which timeline the server writes.
    pub async fn timeline(&self, site: Site) -> Result<u32> {
        let name = self.patroni.sql(site, "select pg_walfile_name(pg_current_wal_lsn())").await?;
        Ok(u32::from_str_radix(name.get(..8).context("no name of a file of the log")?, 16)?)
    }

    /// Orders are taken in sbg after `micros`, and never while gra took any; the journal verifies. Gives the ids that were
    /// acknowledged in gra and are not there.
    pub async fn is_served_after(&self, micros: i64) -> Result<Vec<String>> {
        let since =
            || self.taken_at(Site::Sbg).into_iter().filter(|(_, at)| *at > micros).collect::<Vec<_>>();
        let written = || async { Ok(since().len() > 5) };
        wait_until("orders in sbg", Duration::from_secs(10), written).await?;
        let gra = self.taken_at(Site::Gra);
        let (last, first) = (gra.last().context("orders in gra")?, since()[0].clone());
        ensure!(last.1 < first.1, "two writers: {last:?} in gra, {first:?} in sbg");
        let kept = self.patroni.sql_as(Site::Sbg, "shop", "select string_agg(id, ' ') from sold").await?;
        let kept: BTreeSet<&str> = kept.split(' ').collect();
        let lost = gra.iter().filter(|(id, _)| !kept.contains(id.as_str())).map(|(id, _)| id.clone());
        ensure!(self.pointsman.verify().await?.contains("verified"), "the journal does not verify");
        Ok(lost.collect())
    }

    /// Who leads, as the member aside says.
    pub async fn leads(&self, site: Site) -> Result<()> {
        let leader = self.patroni.leader(Site::Par).await?;
        ensure!(leader == Some(site), "{leader:?} leads, and not {}", member(site));
        Ok(())
    }
}

/// Sets the stage and plays; a failure comes with the journal and the log.
pub async fn play(plot: Plot, test: impl AsyncFnOnce(&mut Stage) -> Result<()>) {
    let mut stage = match Stage::set(plot).await {
        Ok(stage) => stage,
        Err(error) => panic!("the stage cannot be set: {error:#}"),
    };
    if let Err(error) = test(&mut stage).await {
        panic!("{error:#}\n\n{}", stage.pointsman.story().await);
    }
}
