//! Patroni: the same rules over the model, and over a real cluster whose members Pointsman reaches by roads that go bad.

use super::fixture::{Fixture, LOCAL, Nature, Trouble};
use super::modelled::{Model, Modelled};
use super::roads::Roads;
use crate::patroni::tables::{self, Side};
use crate::remote::Remote;
use futures_util::future::{BoxFuture, FutureExt as _};
use lab::patroni::{API_PASSWORD, SCOPE, member};
use lab::{Patroni, PatroniOptions, Site};
use pointsman::kernel::domain::Fact;
use pointsman::provider::patroni::Source;
use pointsman::provider::postgres::sampler::Ring;
use pointsman::simulated::patroni::{Cluster, Pair, World};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// Patroni compares the leader's name and nothing else.
pub const NATURE: Nature = Nature { compares: false, undo: false, ..LOCAL };

pub fn planned() -> Vec<Fact> {
    vec![Fact::Planned { service: "shop".into() }]
}

pub fn modelled(kind: &'static str) -> Modelled {
    const CONFIG: &str = "[targets.target]\nkind = \"patroni\"\nscope = \"shop\"\n\
        members = { a = \"https://10.0.0.1:8008\", b = \"https://10.0.0.2:8008\", c = \"https://10.0.0.3:8008\" }\n\
        [targets.pg-a]\nkind = \"postgres\"\naddress = \"10.0.0.1\"\nuser = \"pm\"\npatroni = \"target\"\nmember = \"a\"\n";
    let with = json!({ "leader": "a", "candidate": "b" });
    let mut fixture = Modelled::new(kind, CONFIG, with, move |switch| {
        let mut world = World::cluster("shop", &["a", "b", "c"]);
        if kind == "patroni.failover" {
            world.lose("a");
        }
        let cluster = Arc::new(Cluster::new(world, switch));
        let (of_ports, of_standing, of_hand) = (cluster.clone(), cluster.clone(), cluster);
        let standing = move || {
            let world = of_standing.world();
            json!([world.leader, world.moved])
        };
        let by_hand = move || of_hand.by_hand(|world| world.lead(&"c".into()));
        Model {
            ports: Box::new(move |ports| ports.patroni = of_ports.clone()),
            standing: Box::new(standing),
            by_hand: Some(Box::new(by_hand)),
            samples: Arc::new(Ring::new(1)),
        }
    });
    (fixture.nature, fixture.given) = (NATURE, planned());
    fixture
}

/// Two clusters: `target` changes sides, `other` stands on the other one.
pub fn sides(kind: &'static str) -> Modelled {
    const CONFIG: &str = "[targets.target]\nkind = \"patroni\"\nscope = \"shop\"\nmembers = { a = \"https://10.0.0.1:8008\" }\n\
        [targets.other]\nkind = \"patroni\"\nscope = \"west\"\nmembers = { c = \"https://10.1.0.1:8008\" }\n\
        [targets.pg-c]\nkind = \"postgres\"\naddress = \"10.1.0.1\"\nuser = \"pm\"\npatroni = \"other\"\nmember = \"c\"\n";
    let promotes = kind == "patroni.promote_standby_cluster";
    let with = match promotes {
        true => json!({ "primary": "other", "demoted": true }),
        false => json!({ "standby": "other", "host": "10.1.0.1" }),
    };
    let mut fixture = Modelled::new(kind, CONFIG, with, move |switch| {
        let mut target = World::cluster("shop", &["a"]);
        if promotes {
            target.follow(Some(&Source { host: "10.1.0.1".into(), port: 5432, slot: None }));
        }
        let other = World::standby("west", &["c"], "10.0.0.1");
        let [target, other] = [target, other].map(|world| Arc::new(Cluster::new(world, switch.clone())));
        let pair = Arc::new(Pair::new([("target", target.clone()), ("other", other.clone())]));
        let (of_standing, of_hand) = (target.clone(), target);
        let standing = move || {
            let side = |cluster: &Cluster| {
                let world = cluster.world();
                let writers: Vec<_> =
                    world.members.iter().filter(|(_, m)| m.primary).map(|(n, _)| n).collect();
                json!([world.follows, world.leader, writers, world.ttl])
            };
            json!([side(&of_standing), side(&other)])
        };
        Model {
            ports: Box::new(move |ports| ports.patroni = pair.clone()),
            standing: Box::new(standing),
            by_hand: Some(Box::new(move || of_hand.by_hand(|world| world.ttl += 1))),
            samples: Arc::new(Ring::new(1)),
        }
    });
    (fixture.nature, fixture.given) = (Nature { undo: !promotes, ..NATURE }, planned());
    fixture
}

pub struct Real {
    patroni: Patroni,
    roads: Roads,
    /// Who leads, who shall, and who is beside them: of the last reset.
    turn: Mutex<[Site; 3]>,
    secrets: tempfile::TempDir,
}

pub async fn start() -> Real {
    let patroni = Patroni::start(PatroniOptions::default()).await.expect("a cluster");
    let roads = Roads::before(&patroni, patroni.sites()).await;
    let turn = Mutex::new([Site::Gra, Site::Sbg, Site::Par]);
    Real { patroni, roads, turn, secrets: tempfile::tempdir().unwrap() }
}

impl Real {
    fn config(&self) -> String {
        let side = Side { name: "target", scope: SCOPE, site: None, members: self.patroni.sites().collect() };
        tables::cluster(&side, &tables::secret(self.secrets.path()), |site| self.roads.to(site))
    }

    fn turn(&self) -> [Site; 3] {
        *self.turn.lock().unwrap()
    }
}

impl Fixture for Real {
    fn kind(&self) -> &'static str {
        "patroni.switchover"
    }
    fn nature(&self) -> Nature {
        NATURE
    }
    fn remote(&self) -> Remote {
        Remote::new(&self.config())
    }
    fn with(&self) -> Value {
        let [leader, candidate, _] = self.turn();
        json!({ "leader": member(leader), "candidate": member(candidate) })
    }
    fn given(&self) -> Vec<Fact> {
        planned()
    }
    /// Whoever leads by now moves on to the next.
    fn reset(&self) -> BoxFuture<'_, ()> {
        async {
            self.patroni.wait_whole().await.unwrap();
            let leader = self.patroni.leader(Site::Par).await.unwrap().expect("a leader");
            let rest: Vec<Site> = self.patroni.sites().filter(|site| *site != leader).collect();
            *self.turn.lock().unwrap() = [leader, rest[0], rest[1]];
        }
        .boxed()
    }
    fn standing(&self) -> BoxFuture<'_, Value> {
        async {
            let leader = self.patroni.leader(Site::Par).await.unwrap().expect("a leader");
            let walls =
                self.patroni.sql(leader, "select left(pg_walfile_name(pg_current_wal_lsn()), 8)").await;
            json!([member(leader), walls.unwrap()])
        }
        .boxed()
    }
    fn by_hand(&self) -> Option<BoxFuture<'_, ()>> {
        Some(async { self.patroni.lead_by(self.turn()[2]).await.unwrap() }.boxed())
    }
    fn plant(&self, trouble: Trouble) -> bool {
        let lie = format!("Successfully switched over to \"{}\"", member(self.turn()[1]));
        self.roads.plant(trouble, lie)
    }
    fn calm(&self) -> BoxFuture<'_, ()> {
        self.roads.calm().boxed()
    }
    fn secrets(&self) -> Vec<String> {
        vec![API_PASSWORD.to_owned()]
    }
}
