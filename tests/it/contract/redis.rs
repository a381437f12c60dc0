//! Redis: the same rules over the model, and over a real pair that Pointsman reaches by a road that can be cut.

use super::fixture::{Fixture, LOCAL, Nature, Trouble};
use super::modelled::{Model, Modelled};
use crate::redis::rig::{config, targets};
use crate::remote::Remote;
use futures_util::future::{BoxFuture, FutureExt as _};
use lab::{Proxy, RedisOptions, RedisPair, Site};
use pointsman::config::Config;
use pointsman::kernel::domain::*;
use pointsman::provider::postgres::sampler::Ring;
use pointsman::provider::redis::{Endpoint, Place, Wire, sampler};
use pointsman::provider::{Ports, ProviderRegistry};
use pointsman::simulated::redis::{Servers, World};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// No server of Redis compares for us; one change is several calls.
const NATURE: Nature = Nature { whole: false, compares: false, ..LOCAL };

fn stopped() -> Fact {
    Fact::Fenced { target: "old".into(), rung: FenceRung::Stopped, position: None }
}

fn with(kind: &str) -> Value {
    match kind {
        "redis.fence" => json!({ "min_rung": "lockout", "witness": "old" }),
        "redis.promote" => json!({ "old": "old", "replicas": [] }),
        "redis.failover" => json!({ "old": "old", "timeout": "2s" }),
        "redis.replicate" => json!({ "primary": "old" }),
        _ => json!({ "as": "app" }),
    }
}

fn nature(kind: &str) -> Nature {
    match kind {
        "redis.fence" | "redis.replicate" => NATURE,
        "redis.promote" | "redis.failover" => Nature { undo: false, ..NATURE },
        _ => Nature { undo: false, ..LOCAL },
    }
}

fn given(kind: &str) -> Vec<Fact> {
    match kind {
        "redis.fence" => vec![Fact::Down { site: "gra".into() }],
        "redis.promote" => vec![stopped()],
        "redis.failover" => vec![Fact::Planned { service: "sessions".into() }],
        _ => vec![],
    }
}

fn take(
    ring: &Ring,
    config: &Config,
    port: &dyn pointsman::provider::redis::Port,
) -> impl Future<Output = ()> {
    let [old, new] = ["old", "target"].map(|name| Endpoint::of(config, &name.into()).unwrap());
    async move {
        let taken = sampler::sample(port, &old, &new, crate::remote::now(), Span::secs(2)).await;
        ring.push(&"target".into(), taken);
    }
}

/// Where the target is the replica: it is to be promoted, or follows the old one by a road and shall go straight.
fn is_replica(kind: &str) -> bool {
    ["redis.promote", "redis.replicate", "redis.failover"].contains(&kind)
}

/// In the model the target is the primary, but for these.
pub fn modelled(kind: &'static str) -> Modelled {
    const CONFIG: &str = "[targets.target]\nkind = \"redis\"\nsite = \"gra\"\naddress = \"10.0.0.1\"\n\
        app_role = { user = \"shop\" }\n[targets.old]\nkind = \"redis\"\naddress = \"10.0.0.2\"\n";
    let (parsed, problems) = pointsman::config::parse(CONFIG, "test.toml");
    let parsed = parsed.unwrap_or_else(|| panic!("{problems:?}"));
    let (promotes, follows) = (kind == "redis.promote", kind == "redis.replicate");
    let hands_over = kind == "redis.failover";
    let mut fixture = Modelled::new(kind, CONFIG, with(kind), move |switch| {
        let mut pair = match is_replica(kind) {
            true => World::pair("old", "target"),
            false => World::pair("target", "old"),
        };
        pair.server("old").place.host = "10.0.0.2".into();
        pair.server("target").place.host = "10.0.0.1".into();
        if hands_over {
            // The call itself is the last change, of which a stale look knows nothing.
            pair.servers.values_mut().for_each(|server| server.config_file = false);
        }
        if follows {
            let road = Place { host: "10.0.9.9".into(), port: 6379 };
            pair.roads.insert(road.clone(), "old".into());
            pair.server("target").road = Some(road);
            // Here, too, the call itself is the last change.
            pair.server("target").config_file = false;
        }
        let servers = Arc::new(Servers::new(pair, switch));
        let samples = Arc::new(Ring::new(10));
        if promotes {
            take(&samples, &parsed, servers.as_ref()).now_or_never().unwrap();
            // Without a file the promotion itself is the last change, of which a stale look knows nothing.
            servers.by_hand(|world| {
                world.stop_and_mask("old");
                world.server("target").config_file = false;
            });
        }
        let (of_ports, of_standing, of_hand) = (servers.clone(), servers.clone(), servers);
        let standing = move || {
            let mut world = of_standing.world();
            let server = world.server("target");
            let seen = json!([server.promoted, server.min_replicas, server.markers.len()]);
            json!([seen, world.told(&"target".into())])
        };
        let by_hand = move || {
            of_hand.by_hand(|world| match follows {
                true => {
                    (world.server("target").follows, world.server("target").replid) = (None, "theirs".into())
                }
                false if hands_over => world.server("target").other_data(),
                false => world.server("target").min_replicas.to_write = 2,
            });
        };
        Model {
            ports: Box::new(move |ports| ports.redis = of_ports.clone()),
            standing: Box::new(standing),
            by_hand: (kind == "redis.fence" || follows || hands_over)
                .then(|| Box::new(by_hand) as Box<dyn Fn() + Send + Sync>),
            samples,
        }
    });
    (fixture.nature, fixture.given) = (nature(kind), given(kind));
    fixture
}

pub struct Pair {
    kind: &'static str,
    pair: RedisPair,
    /// Between Pointsman and the target.
    road: Arc<Proxy>,
    config: Arc<Config>,
    samples: Mutex<Arc<Ring>>,
    secrets: tempfile::TempDir,
}

pub async fn start(kind: &'static str) -> Pair {
    // Who is handed over to is named by its own address.
    let straight = kind == "redis.failover";
    let pair = RedisPair::start(RedisOptions { straight, ..RedisOptions::default() }).await.expect("a pair");
    let secrets = tempfile::tempdir().unwrap();
    let (target, old) = if is_replica(kind) { (Site::Sbg, Site::Gra) } else { (Site::Gra, Site::Sbg) };
    let listen = std::net::SocketAddr::from((Site::Par.redis(), pair.spare_port(0)));
    let road = Proxy::start(listen, pair.address(target)).await.unwrap();
    let through = if straight { pair.address(target) } else { road.addr() };
    let places = [("target", target, through), ("old", old, pair.address(old))];
    let config = Arc::new(config(&targets(&places, secrets.path(), true)));
    Pair { kind, pair, road, config, samples: Mutex::new(Arc::new(Ring::new(10))), secrets }
}

impl Pair {
    fn target(&self) -> Site {
        if is_replica(self.kind) { Site::Sbg } else { Site::Gra }
    }
}

impl Fixture for Pair {
    fn kind(&self) -> &'static str {
        self.kind
    }
    fn nature(&self) -> Nature {
        nature(self.kind)
    }
    fn remote(&self) -> Remote {
        let registry =
            ProviderRegistry { config: self.config.clone(), ports: Ports::real(self.config.clone()) };
        Remote::of(registry, self.samples.lock().unwrap().clone())
    }
    fn with(&self) -> Value {
        with(self.kind)
    }
    fn given(&self) -> Vec<Fact> {
        given(self.kind)
    }
    fn reset(&self) -> BoxFuture<'_, ()> {
        async {
            if self.kind == "redis.replicate" {
                let road = self.pair.replication.addr();
                let follow = format!("REPLICAOF {} {}", road.ip(), road.port());
                assert!(self.pair.ask(Site::Sbg, &follow).await.unwrap().starts_with("OK"));
                assert_eq!(self.pair.ask(Site::Gra, "SET first 1").await.unwrap(), "OK");
                self.pair.wait_streaming(Site::Sbg).await.unwrap();
                self.pair.wait_alike().await.unwrap();
                return;
            }
            if self.kind == "redis.failover" {
                let at = self.pair.address(Site::Gra);
                let follow = format!("REPLICAOF {} {}", at.ip(), at.port());
                for (site, command) in [
                    (Site::Gra, "REPLICAOF NO ONE"),
                    (Site::Sbg, follow.as_str()),
                    (Site::Gra, "SET first 1"),
                ] {
                    assert!(self.pair.ask(site, command).await.unwrap().starts_with("OK"));
                }
                self.pair.wait_streaming(Site::Sbg).await.unwrap();
                return self.pair.wait_alike().await.unwrap();
            }
            if self.kind != "redis.promote" {
                for command in ["CONFIG SET min-replicas-to-write 0 min-replicas-max-lag 10", "FLUSHALL"] {
                    assert_eq!(self.pair.ask(Site::Gra, command).await.unwrap(), "OK");
                }
                return;
            }
            self.pair.reset().await.unwrap();
            let ring = Arc::new(Ring::new(10));
            take(&ring, &self.config, &Wire).await;
            *self.samples.lock().unwrap() = ring;
            self.pair.kill9(Site::Gra).unwrap();
        }
        .boxed()
    }
    fn standing(&self) -> BoxFuture<'_, Value> {
        async {
            let mut all = vec![];
            let keys: &[&str] = match self.kind {
                "redis.replicate" => &["role", "master_host", "master_port"],
                _ => &["role", "master_replid2"],
            };
            for key in keys {
                // A primary follows nobody.
                all.push(self.pair.info(self.target(), key).await.unwrap_or_default());
            }
            for command in ["CONFIG GET min-replicas-*", "KEYS pointsman:*"] {
                all.push(self.pair.ask(self.target(), command).await.unwrap());
            }
            json!(all)
        }
        .boxed()
    }
    fn by_hand(&self) -> Option<BoxFuture<'_, ()>> {
        let (site, command) = match self.kind {
            "redis.fence" => (Site::Gra, "CONFIG SET min-replicas-to-write 2"),
            "redis.replicate" | "redis.failover" => (Site::Sbg, "REPLICAOF NO ONE"),
            _ => return None,
        };
        Some(async move { drop(self.pair.ask(site, command).await.unwrap()) }.boxed())
    }
    fn plant(&self, trouble: Trouble) -> bool {
        match trouble {
            // There is no road before it.
            _ if self.kind == "redis.failover" => return false,
            Trouble::Closed => self.road.cut(),
            Trouble::ReadFails => self.road.stall(),
            _ => return false,
        }
        true
    }
    fn calm(&self) -> BoxFuture<'_, ()> {
        async { self.road.heal().await.unwrap() }.boxed()
    }
    fn secrets(&self) -> Vec<String> {
        let users = [lab::RedisUser::Pointsman, lab::RedisUser::Shop];
        assert!(self.secrets.path().exists());
        users.map(|user| user.password().to_owned()).to_vec()
    }
}
