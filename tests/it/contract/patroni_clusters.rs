//! The two actions that change the sides of Patroni clusters, over two real clusters. What one of them has done is where the
//! other begins, so that nothing is ever set back: the two clusters take turns.

use super::fixture::{Fixture, Nature, Trouble};
use super::patroni::{NATURE, planned};
use super::roads::Roads;
use crate::patroni::tables::{self, Side};
use crate::remote::{Remote, is_nothing};
use futures_util::future::{BoxFuture, FutureExt as _};
use lab::net::wait_until;
use lab::patroni::{API_PASSWORD, SCOPE, STANDBY_SCOPE};
use lab::{Patroni, PatroniOptions, Site};
use pointsman::kernel::domain::{Fact, StepPlan};
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::Duration;

const READY: Duration = Duration::from_secs(30);
const PLACES: [Site; 2] = [Site::Gra, Site::Sbg];

pub struct Clusters {
    kind: &'static str,
    patroni: Patroni,
    roads: Roads,
    /// The cluster that changes sides, and the other one: of the last reset.
    turn: Mutex<[Site; 2]>,
    secrets: tempfile::TempDir,
}

pub async fn start(kind: &'static str) -> Clusters {
    let options =
        PatroniOptions { sites: vec![Site::Gra], standby: vec![Site::Sbg], ..PatroniOptions::default() };
    let patroni = Patroni::start(options).await.expect("two clusters");
    let roads = Roads::before(&patroni, PLACES).await;
    Clusters { kind, patroni, roads, turn: Mutex::new(PLACES), secrets: tempfile::tempdir().unwrap() }
}

impl Clusters {
    fn promotes(&self) -> bool {
        self.kind == "patroni.promote_standby_cluster"
    }

    fn turn(&self) -> [Site; 2] {
        *self.turn.lock().unwrap()
    }

    fn source(&self, site: Site) -> Value {
        let at = self.patroni.postgres(site);
        json!({ "host": at.ip().to_string(), "port": at.port() })
    }

    async fn configuration(&self, site: Site) -> Value {
        let said = self.patroni.ask(site, "GET", "/config", None).await.unwrap();
        serde_json::from_str(&said.text).unwrap()
    }

    async fn configure(&self, site: Site, change: Value) {
        let said = self.patroni.ask(site, "PATCH", "/config", Some(change)).await.unwrap();
        assert_eq!(said.status, 200, "{said:?}");
    }

    /// Takes writes, by its own word.
    async fn leads(&self, site: Site) -> bool {
        self.patroni.sql(site, "select pg_is_in_recovery()").await.is_ok_and(|said| said == "f")
    }

    /// The one that leads, if one does.
    async fn leader(&self) -> Option<Site> {
        let told = [self.configuration(Site::Gra).await, self.configuration(Site::Sbg).await];
        let leads = |told: &Value| told["standby_cluster"].as_object().is_none_or(serde_json::Map::is_empty);
        let leads: Vec<Site> =
            PLACES.into_iter().zip(&told).filter(|(_, told)| leads(told)).map(|(s, _)| s).collect();
        assert!(leads.len() < 2, "two clusters lead");
        let leader = *leads.first()?;
        wait_until("it to take writes", READY, || async { Ok(self.leads(leader).await) }).await.unwrap();
        Some(leader)
    }

    async fn is_ready(&self) -> anyhow::Result<bool> {
        let bound = self.remote().bind(self.kind, "target", self.with());
        let plan = self.remote().plan_given(&bound, &planned()).await;
        anyhow::ensure!(matches!(plan, StepPlan::Change(_)), "{plan:?}");
        if self.promotes() {
            // It is planned before the other one is demoted, and carried out after that.
            let follows = self.source(self.turn()[0]);
            let with = json!({ "standby": "target", "host": follows["host"], "port": follows["port"] });
            let bound = self.remote().bind("patroni.demote_cluster", "other", with);
            let demoted = self.remote().plan_given(&bound, &planned()).await;
            anyhow::ensure!(is_nothing(&demoted), "{demoted:?}");
        }
        Ok(true)
    }
}

impl Fixture for Clusters {
    fn kind(&self) -> &'static str {
        self.kind
    }
    fn nature(&self) -> Nature {
        Nature { undo: !self.promotes(), ..NATURE }
    }
    fn remote(&self) -> Remote {
        let secret = tables::secret(self.secrets.path());
        let one = |(name, site): (&str, Site)| {
            let scope = if site == Site::Gra { SCOPE } else { STANDBY_SCOPE };
            let side = Side { name, scope, site: Some(site), members: vec![site] };
            let servers = tables::servers(&self.patroni, &side.members, Some(name), &[]);
            format!("{}{servers}", tables::cluster(&side, &secret, |site| self.roads.to(site)))
        };
        let [target, other] = self.turn();
        Remote::new(&[("target", target), ("other", other)].map(one).concat())
    }
    fn with(&self) -> Value {
        let other = self.source(self.turn()[1]);
        match self.promotes() {
            true => json!({ "primary": "other", "demoted": true }),
            false => json!({ "standby": "other", "host": other["host"], "port": other["port"] }),
        }
    }
    fn given(&self) -> Vec<Fact> {
        planned()
    }
    /// A leader is demoted by hand before a promotion; after a demotion the other one is promoted by hand.
    fn reset(&self) -> BoxFuture<'_, ()> {
        async {
            let [target, other] = self.turn();
            let turn = match (self.promotes(), self.leader().await) {
                (true, None) => [target, other],
                (true, Some(leader)) => {
                    let follows = leader.other();
                    self.configure(leader, json!({ "standby_cluster": self.source(follows) })).await;
                    [follows, leader]
                }
                (false, Some(leader)) => [leader, leader.other()],
                (false, None) => {
                    self.configure(other, json!({ "standby_cluster": null })).await;
                    [other, target]
                }
            };
            *self.turn.lock().unwrap() = turn;
            wait_until("the clusters to be as the action needs them", READY, || self.is_ready())
                .await
                .unwrap();
        }
        .boxed()
    }
    /// Of a promotion also the timeline, which each one begins. A demotion that is taken back begins one, too.
    fn standing(&self) -> BoxFuture<'_, Value> {
        async {
            let mut all = vec![];
            for site in PLACES {
                let told = self.configuration(site).await;
                let leads = self.leads(site).await;
                all.push(json!([site.name(), told["standby_cluster"], told["ttl"], leads]));
                if leads && self.promotes() {
                    let wall = "select left(pg_walfile_name(pg_current_wal_lsn()), 8)";
                    all.push(json!(self.patroni.sql(site, wall).await.unwrap()));
                }
            }
            json!(all)
        }
        .boxed()
    }
    /// Any other key of the configuration; nobody but us compares it.
    fn by_hand(&self) -> Option<BoxFuture<'_, ()>> {
        Some(
            async {
                let target = self.turn()[0];
                let ttl = self.configuration(target).await["ttl"].as_u64().unwrap();
                self.configure(target, json!({ "ttl": ttl + 1 })).await;
            }
            .boxed(),
        )
    }
    fn plant(&self, trouble: Trouble) -> bool {
        let follows = if self.promotes() { Value::Null } else { self.source(self.turn()[1]) };
        self.roads.plant(trouble, json!({ "ttl": 20, "standby_cluster": follows }).to_string())
    }
    fn calm(&self) -> BoxFuture<'_, ()> {
        self.roads.calm().boxed()
    }
    fn secrets(&self) -> Vec<String> {
        vec![API_PASSWORD.to_owned()]
    }
}
