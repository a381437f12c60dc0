//! Sentinels: the same rules over the model, and over a real trio that Pointsman reaches by roads that go bad.

use super::fixture::{Fixture, LOCAL, Nature, Trouble};
use super::modelled::{Model, Modelled};
use crate::redis::rig::{config, sentinels, targets};
use crate::remote::Remote;
use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use lab::net::wait_until;
use lab::{Proxy, RedisOptions, RedisPair, Sentinels, Site};
use pointsman::kernel::domain::Fact;
use pointsman::provider::postgres::sampler::Ring;
use pointsman::simulated::redis::{Servers, Trio, World};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One change is several calls, and nobody compares for us.
const NATURE: Nature = Nature { whole: false, compares: false, undo: false, ..LOCAL };

fn planned() -> Vec<Fact> {
    vec![Fact::Planned { service: "sessions".into() }]
}

pub fn modelled() -> Modelled {
    const CONFIG: &str = "[targets.target]\nkind = \"sentinel\"\nmaster = \"shop\"\n\
        sentinels = [\"10.0.1.1\", \"10.0.1.2\", \"10.0.1.3\"]\n\
        [targets.old]\nkind = \"redis\"\nsite = \"gra\"\naddress = \"10.0.0.1\"\n\
        [targets.new]\nkind = \"redis\"\naddress = \"10.0.0.2\"\n";
    let with = json!({ "old": "old", "new": "new" });
    let mut fixture = Modelled::new("sentinel.failover", CONFIG, with, move |switch| {
        let mut pair = World::pair("old", "new");
        pair.trio = Some(Trio::over("old"));
        // Here to let it go is the last change, of which a stale look knows nothing.
        pair.server("old").config_file = false;
        let servers = Arc::new(Servers::new(pair, switch));
        let (of_ports, of_standing, of_hand) = (servers.clone(), servers.clone(), servers);
        let standing = move || {
            let mut world = of_standing.world();
            let held = world.server("old").min_replicas;
            let trio = world.trio();
            json!([trio.leader, trio.epoch, held])
        };
        let by_hand = move || of_hand.by_hand(|world| world.elect("new"));
        Model {
            ports: Box::new(move |ports| ports.redis = of_ports.clone()),
            standing: Box::new(standing),
            by_hand: Some(Box::new(by_hand)),
            samples: Arc::new(Ring::new(1)),
        }
    });
    (fixture.nature, fixture.given) = (NATURE, planned());
    fixture
}

pub struct Real {
    pair: RedisPair,
    trio: Sentinels,
    /// Before each Sentinel.
    roads: Vec<Arc<Proxy>>,
    /// Who leads, and who shall: of the last reset.
    turn: Mutex<[Site; 2]>,
    secrets: tempfile::TempDir,
}

pub async fn start() -> Real {
    let pair =
        RedisPair::start(RedisOptions { straight: true, ..RedisOptions::default() }).await.expect("a pair");
    assert_eq!(pair.ask(Site::Gra, "SET first 1").await.unwrap(), "OK");
    let trio = Sentinels::start(&pair, Duration::from_secs(60)).await.expect("a trio");
    let road = |(n, to): (usize, &std::net::SocketAddr)| {
        let port = pair.spare_port(u16::try_from(n).unwrap());
        Proxy::start(std::net::SocketAddr::from((Site::Par.redis(), port)), *to)
    };
    let roads = join_all(trio.all.iter().enumerate().map(road)).await;
    let roads = roads.into_iter().map(|road| road.unwrap()).collect();
    Real {
        pair,
        trio,
        roads,
        turn: Mutex::new([Site::Gra, Site::Sbg]),
        secrets: tempfile::tempdir().unwrap(),
    }
}

impl Real {
    fn turn(&self) -> [Site; 2] {
        *self.turn.lock().unwrap()
    }
}

impl Fixture for Real {
    fn kind(&self) -> &'static str {
        "sentinel.failover"
    }
    fn nature(&self) -> Nature {
        NATURE
    }
    fn remote(&self) -> Remote {
        let places = [Site::Gra, Site::Sbg].map(|site| (site, self.pair.address(site)));
        let named = [("redis-gra", places[0]), ("redis-sbg", places[1])].map(|(n, (s, a))| (n, s, a));
        let watch: Vec<_> = self.roads.iter().map(|road| road.addr()).collect();
        let text = format!("{}{}", targets(&named, self.secrets.path(), true), sentinels("target", &watch));
        assert!(config(&text).targets.len() == 3);
        Remote::new(&text)
    }
    fn with(&self) -> Value {
        let [old, new] = self.turn();
        json!({ "old": format!("redis-{old}"), "new": format!("redis-{new}") })
    }
    fn given(&self) -> Vec<Fact> {
        planned()
    }
    /// Whoever leads by now moves on to the other.
    fn reset(&self) -> BoxFuture<'_, ()> {
        async {
            let leader = self.trio.settled(&self.pair).await.unwrap();
            let other = if leader == Site::Gra { Site::Sbg } else { Site::Gra };
            *self.turn.lock().unwrap() = [leader, other];
        }
        .boxed()
    }
    fn standing(&self) -> BoxFuture<'_, Value> {
        async {
            let mut all = vec![];
            for site in [Site::Gra, Site::Sbg] {
                all.push(self.pair.info(site, "role").await.unwrap());
                all.push(self.pair.info(site, "master_replid").await.unwrap());
                all.push(self.pair.ask(site, "CONFIG GET min-replicas-*").await.unwrap());
            }
            json!(all)
        }
        .boxed()
    }
    fn by_hand(&self) -> Option<BoxFuture<'_, ()>> {
        Some(
            async {
                let [old, new] = self.turn();
                self.trio.ask(2, "SENTINEL FAILOVER shop").await.unwrap();
                wait_until("somebody's move", Duration::from_secs(15), || async {
                    Ok(self.pair.is_primary(new).await? && self.trio.lead(&self.pair, new).await?)
                })
                .await
                .unwrap();
                // Here nobody waits the ten seconds until the Sentinels do it.
                let at = self.pair.address(new);
                self.pair.ask(old, &format!("REPLICAOF {} {}", at.ip(), at.port())).await.unwrap();
                self.trio.settled(&self.pair).await.unwrap();
            }
            .boxed(),
        )
    }
    fn plant(&self, trouble: Trouble) -> bool {
        match trouble {
            Trouble::Closed => self.roads.iter().for_each(|road| road.cut()),
            Trouble::ReadFails => self.roads.iter().for_each(|road| road.stall()),
            _ => return false,
        }
        true
    }
    fn calm(&self) -> BoxFuture<'_, ()> {
        async {
            for road in &self.roads {
                road.heal().await.unwrap();
            }
        }
        .boxed()
    }
    fn secrets(&self) -> Vec<String> {
        let users = [lab::RedisUser::Pointsman, lab::RedisUser::Shop];
        users.map(|user| user.password().to_owned()).to_vec()
    }
}
