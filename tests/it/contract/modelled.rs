//! The same rules over the models that the simulator uses: faults are planted between the real action and the model.

use super::fixture::{Fixture, LOCAL, Nature, Trouble};
use super::records;
use crate::remote::Remote;
use futures_util::future::{BoxFuture, FutureExt as _, ready};
use pointsman::config::Config;
use pointsman::kernel::domain::*;
use pointsman::provider::dns::{Question, RrSet, RrType};
use pointsman::provider::hosted::Held;
use pointsman::provider::postgres::Endpoint;
use pointsman::provider::postgres::sampler::{Ring, sample};
use pointsman::provider::{Owner, Ports, ProviderRegistry};
use pointsman::simulated::postgres::{Servers, World};
use pointsman::simulated::{DnsModel, Fault, Hook, HostModel, HostedModel, ResourceModel};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// Plants one fault into the next reads, or into the next writes.
#[derive(Default)]
pub struct Switch(Mutex<Option<(bool, Fault)>>);

impl Hook for Switch {
    fn before<'a>(&'a self, _verb: &'a str, mutates: bool) -> BoxFuture<'a, Fault> {
        let planted = *self.0.lock().unwrap();
        Box::pin(ready(planted.filter(|(of, _)| *of == mutates).map_or(Fault::None, |(_, fault)| fault)))
    }
    fn after<'a>(&'a self, _verb: &'a str, _mutates: bool) -> BoxFuture<'a, ()> {
        Box::pin(ready(()))
    }
}

/// One model: the ports that lead to it, and what stands there.
pub struct Model {
    pub ports: Box<dyn Fn(&mut Ports) + Send + Sync>,
    pub standing: Box<dyn Fn() -> Value + Send + Sync>,
    pub by_hand: Option<Box<dyn Fn() + Send + Sync>>,
    pub samples: Arc<Ring>,
}

pub struct Modelled {
    kind: &'static str,
    pub nature: Nature,
    config: Arc<Config>,
    with: Value,
    pub given: Vec<Fact>,
    switch: Arc<Switch>,
    make: Box<dyn Fn(Arc<Switch>) -> Model + Send + Sync>,
    model: Mutex<Option<Model>>,
}

impl Modelled {
    pub fn new(
        kind: &'static str,
        config: &str,
        with: Value,
        make: impl Fn(Arc<Switch>) -> Model + Send + Sync + 'static,
    ) -> Modelled {
        let (parsed, problems) = pointsman::config::parse(config, "test.toml");
        let config = Arc::new(parsed.unwrap_or_else(|| panic!("{problems:?}")));
        let (given, switch, model) = (vec![], Arc::default(), Mutex::default());
        Modelled { kind, nature: LOCAL, config, with, given, switch, make: Box::new(make), model }
    }

    fn model<T>(&self, look: impl FnOnce(&Model) -> T) -> T {
        look(self.model.lock().unwrap().as_ref().expect("it was reset"))
    }
}

impl Fixture for Modelled {
    fn kind(&self) -> &'static str {
        self.kind
    }
    fn nature(&self) -> Nature {
        self.nature
    }
    fn remote(&self) -> Remote {
        let mut ports = Ports::real(self.config.clone());
        ports.owner = Owner::named("modelled");
        let samples = self.model(|model| {
            (model.ports)(&mut ports);
            model.samples.clone()
        });
        Remote::of(ProviderRegistry { config: self.config.clone(), ports }, samples)
    }
    fn with(&self) -> Value {
        self.with.clone()
    }
    fn given(&self) -> Vec<Fact> {
        self.given.clone()
    }
    /// A new world; what was bound before goes on with the old one.
    fn reset(&self) -> BoxFuture<'_, ()> {
        *self.model.lock().unwrap() = Some((self.make)(self.switch.clone()));
        ready(()).boxed()
    }
    fn standing(&self) -> BoxFuture<'_, Value> {
        let standing = self.model(|model| (model.standing)());
        ready(standing).boxed()
    }
    fn by_hand(&self) -> Option<BoxFuture<'_, ()>> {
        self.model(|model| model.by_hand.as_ref().map(|work| work()))?;
        Some(ready(()).boxed())
    }
    fn plant(&self, trouble: Trouble) -> bool {
        let fault = match trouble {
            Trouble::Refused => (true, Fault::Reject),
            Trouble::LostReply => (true, Fault::LoseReply),
            Trouble::StaleRead => (false, Fault::Stale),
            Trouble::ReadFails => (false, Fault::Reject),
            _ => return false,
        };
        *self.switch.0.lock().unwrap() = Some(fault);
        true
    }
    fn calm(&self) -> BoxFuture<'_, ()> {
        *self.switch.0.lock().unwrap() = None;
        ready(()).boxed()
    }
}

const PAIR: &str = r#"
[targets.target]
kind = "postgres"
site = "east"
address = "10.0.0.1"
user = "pm"
app_role = { user = "shop" }
[targets.b]
kind = "postgres"
site = "west"
address = "10.0.0.2"
user = "pm"
app_role = { user = "shop" }
"#;

/// A pair; `scene` sets it, `seen` is what stands there.
fn pair(
    kind: &'static str,
    config: &str,
    with: Value,
    names: (&'static str, &'static str),
    scene: fn(&mut World),
    seen: fn(&mut World) -> Value,
) -> Modelled {
    Modelled::new(kind, config, with, move |switch| {
        let servers = Arc::new(Servers::new(World::pair(names.0, names.1), switch));
        servers.by_hand(scene);
        let (of_ports, of_standing) = (servers.clone(), servers.clone());
        Model {
            ports: Box::new(move |ports| ports.postgres = of_ports.clone()),
            standing: Box::new(move || seen(&mut of_standing.world())),
            by_hand: None,
            samples: Arc::new(Ring::new(10)),
        }
    })
}

pub fn fence() -> Modelled {
    let with = json!({ "min_rung": "lockout", "witness": "b" });
    let seen = |world: &mut World| {
        let server = world.server("target");
        json!({ "locked out": server.locked_out(), "hba": server.hba, "writable": server.writable() })
    };
    let mut fixture = pair("postgres.fence", PAIR, with, ("target", "b"), |_| (), seen);
    fixture.given = vec![Fact::Down { site: "east".into() }];
    // The file, and then its loading.
    fixture.nature.whole = false;
    fixture
}

pub fn promote() -> Modelled {
    let config = PAIR.replace("target]", "old]").replace(".b]", ".target]");
    let with = json!({ "old": "old", "standbys": [] });
    let seen = |world: &mut World| {
        let server = world.server("target");
        json!({ "timeline": server.timeline, "promoted": server.promoted, "standby": server.in_recovery })
    };
    let fenced = Fact::Fenced { target: "old".into(), rung: FenceRung::Stopped, position: None };
    let (parsed, _) = pointsman::config::parse(&config, "test.toml");
    let parsed = parsed.unwrap();
    let mut fixture = Modelled::new("postgres.promote", &config, with, move |switch| {
        let servers = Arc::new(Servers::new(World::pair("old", "target"), switch));
        let samples = Arc::new(Ring::new(10));
        // One look while both lived, and one after the old primary was stopped.
        for stopped in [false, true] {
            if stopped {
                servers.by_hand(|world| world.stop_and_mask("old"));
            }
            let [old, new] = ["old", "target"].map(|name| Endpoint::of(&parsed, &name.into()).unwrap());
            let now = crate::remote::now();
            let taken = sample(servers.as_ref(), &old, &new, now, Span::secs(1)).now_or_never().unwrap();
            samples.push(&"target".into(), taken);
        }
        let (of_ports, of_standing) = (servers.clone(), servers.clone());
        Model {
            ports: Box::new(move |ports| ports.postgres = of_ports.clone()),
            standing: Box::new(move || seen(&mut of_standing.world())),
            by_hand: None,
            samples,
        }
    });
    fixture.given = vec![fenced];
    fixture.nature.undo = false;
    fixture
}

pub fn write_probe() -> Modelled {
    let seen = |world: &mut World| json!(world.server("target").markers.len());
    let mut fixture = pair("sql.write_probe", PAIR, json!({ "as": "app" }), ("target", "b"), |_| (), seen);
    fixture.nature.undo = false;
    fixture
}

const HOST: &str = "[targets.target]\nkind = \"host\"\nssh = \"ops@192.0.2.5\"\n";
const FILE: &str = "/etc/shop/env";

pub fn command() -> Modelled {
    let with = json!({ "run": "fence", "check": "fenced", "undo": "unfence", "timeout": "2s" });
    Modelled::new("command.run", HOST, with, |switch| {
        let model = Arc::new(HostModel::new(switch));
        model.database_host("target", || {}, || {});
        let (of_ports, of_standing) = (model.clone(), model);
        Model {
            ports: Box::new(move |ports| ports.host = of_ports.clone()),
            standing: Box::new(move || json!(of_standing.see("target").marks)),
            by_hand: None,
            samples: Arc::new(Ring::new(10)),
        }
    })
}

pub fn file() -> Modelled {
    let with = json!({ "file": FILE, "set": { "DATABASE_HOST": "10.2.0.5" } });
    Modelled::new("file.render", HOST, with, |switch| {
        let model = Arc::new(HostModel::new(switch));
        model.app("target", FILE, "# shop\nDATABASE_HOST=10.1.0.5\n", "restart", "is-current");
        let (of_ports, of_standing, of_hand) = (model.clone(), model.clone(), model);
        Model {
            ports: Box::new(move |ports| ports.host = of_ports.clone()),
            standing: Box::new(move || json!(of_standing.see("target").files)),
            by_hand: Some(Box::new(move || of_hand.by_hand("target", FILE, "DATABASE_HOST=10.9.9.9\n"))),
            samples: Arc::new(Ring::new(10)),
        }
    })
}

fn sets() -> Vec<RrSet> {
    let one = |(name, kind, ttl, values): (String, &str, u32, Vec<&str>)| {
        let kind = if kind == "A" { RrType::A } else { RrType::Aaaa };
        RrSet::new(&Question { name, r#type: kind }, ttl, values.into_iter().map(str::to_owned).collect())
    };
    records::old().into_iter().map(one).collect()
}

fn somebody_elses() -> RrSet {
    let mut set = sets().into_iter().find(|set| set.r#type == RrType::Aaaa).unwrap();
    set.values = vec!["2001:db8::99".into()];
    set
}

/// What is wanted, caches included.
fn waiting() -> Value {
    let mut with = records::wanted();
    with["wait_ttl"] = json!(true);
    with
}

pub fn dns() -> Modelled {
    let config = "[targets.target]\nkind = \"rfc2136\"\nzone = \"shop.test\"\nservers = [\"192.0.2.1:53\", \"192.0.2.2:53\"]\n\
                  resolvers = [\"192.0.2.8:53\", \"192.0.2.9:53\"]\n\
                  tsig = { name = \"k\", algorithm = \"hmac-sha256\", secret = { env = \"NOT_READ_HERE\" } }\n";
    Modelled::new("dns.record", config, waiting(), |switch| {
        let model = Arc::new(DnsModel::new(switch, sets()));
        let (of_ports, of_standing, of_hand) = (model.clone(), model.clone(), model);
        let held = move || sets().iter().map(|set| of_standing.holds(&set.question())).collect::<Vec<_>>();
        Model {
            ports: Box::new(move |ports| ports.dns = of_ports.clone()),
            standing: Box::new(move || json!(held())),
            by_hand: Some(Box::new(move || of_hand.by_hand(somebody_elses()))),
            samples: Arc::new(Ring::new(10)),
        }
    })
}

/// A provider's zone; `servers` are asked of the same model.
pub fn hosted(provider: &'static str) -> Modelled {
    let of_provider = match provider {
        "powerdns" => "api = \"http://192.0.2.1:8081\"\nkey = { env = \"NOT_READ_HERE\" }\n",
        "cloudflare" => "zone_id = \"z\"\ntoken = { env = \"NOT_READ_HERE\" }\n",
        "digitalocean" => "token = { env = \"NOT_READ_HERE\" }\n",
        "route53" => "zone_id = \"Z1\"\n",
        _ => "client_id = \"c\"\nclient_secret = { env = \"NOT_READ_HERE\" }\n",
    };
    let config = format!(
        "[targets.target]\nkind = \"{provider}\"\nzone = \"shop.test\"\nservers = [\"192.0.2.1:53\"]\n\
         resolvers = [\"192.0.2.8:53\"]\n{of_provider}"
    );
    let kind: &'static str = match provider {
        "powerdns" => "powerdns.record",
        "cloudflare" => "cloudflare.record",
        "digitalocean" => "digitalocean.record",
        "route53" => "route53.record",
        _ => "ovh.record",
    };
    let mut fixture = Modelled::new(kind, &config, waiting(), |switch| {
        let model = Arc::new(HostedModel::new(switch, sets().into_iter().map(Held::plain)));
        let (of_ports, of_standing, of_hand) = (model.clone(), model.clone(), model);
        Model {
            ports: Box::new(move |ports| {
                ports.hosted = of_ports.clone();
                ports.dns = of_ports.clone();
            }),
            standing: Box::new(move || json!(of_standing.holds())),
            by_hand: Some(Box::new(move || of_hand.by_hand(Held::plain(somebody_elses())))),
            samples: Arc::new(Ring::new(10)),
        }
    });
    fixture.nature = Nature { compares: provider == "route53", api: true, ..LOCAL };
    fixture
}

/// A resource that stands there with `before`, and that somebody else brings to `theirs`.
fn resource(kind: &'static str, config: &str, with: Value, states: [Value; 2], evidence: Value) -> Modelled {
    let mut fixture = Modelled::new(kind, config, with, move |switch| {
        let fields = |state: &Value| state.as_object().expect("a table of fields").clone();
        let (before, theirs, evidence) = (fields(&states[0]), fields(&states[1]), evidence.clone());
        let model = Arc::new(ResourceModel::new(switch));
        model.put("target", before, evidence.clone());
        let (of_ports, of_standing, of_hand) = (model.clone(), model.clone(), model);
        Model {
            ports: Box::new(move |ports| ports.resource = of_ports.clone()),
            standing: Box::new(move || json!(of_standing.holds("target"))),
            by_hand: Some(Box::new(move || of_hand.put("target", theirs.clone(), evidence.clone()))),
            samples: Arc::new(Ring::new(10)),
        }
    });
    fixture.nature = Nature { compares: false, ..LOCAL };
    fixture
}

pub fn haproxy() -> Modelled {
    let config = "[targets.target]\nkind = \"haproxy\"\nsockets = [\"/a.sock\", \"192.0.2.1:9999\"]\n";
    let both = |state: &str| {
        let one = json!({ "state": state, "weight": 100, "held": null });
        json!({ "/a.sock": one, "192.0.2.1:9999": one })
    };
    let of = json!({ "others": 1, "sessions": 0, "status": "UP" });
    let evidence = json!({ "/a.sock": of, "192.0.2.1:9999": of });
    let with = json!({ "server": "app/eu", "state": "maint" });
    resource("haproxy.server", config, with, [both("ready"), both("drain")], evidence)
}

pub fn machine(kind: &'static str) -> Modelled {
    let config = match kind {
        "ovh.instance" => {
            "[targets.target]\nkind = \"ovh_instance\"\nsite = \"gra\"\nregion = \"GRA11\"\ninstance = \"6f70-1\"\n\
             application_credential_id = \"c\"\napplication_credential_secret = { env = \"NOT_READ_HERE\" }\n"
        }
        _ => {
            "[targets.target]\nkind = \"digitalocean_droplet\"\nsite = \"gra\"\ndroplet = 3164494\n\
             token = { env = \"NOT_READ_HERE\" }\n"
        }
    };
    let power = |power: &str| json!({ "name": "pg-gra-1", "power": power });
    let mut fixture = resource(kind, config, json!({}), [power("on"), power("suspended")], json!({}));
    fixture.nature.api = true;
    fixture.given = vec![Fact::Down { site: "gra".into() }];
    fixture
}

const BALANCER: &str = "[targets.target]\nkind = \"cloudflare_balancer\"\nzone_id = \"z\"\naccount_id = \"a\"\nbalancer = \"b\"\n\
                        pools = { gra = \"p1\", par = \"p2\" }\ntoken = { env = \"NOT_READ_HERE\" }\n";

/// Two pools, gra first.
fn balancer() -> Value {
    let seat = |name: &str, at: &str| json!({ "name": name, "usable": true, "addresses": [at] });
    json!({ "name": "www.shop.test", "enabled": true, "policy": "off", "order": ["p1", "p2"], "fallback": "p2",
            "pools": { "p1": seat("gra", "198.51.100.11"), "p2": seat("par", "198.51.100.21") },
            "past": [], "sticky": false, "ttl": 30, "checks": "healthy from 2 of 2 places" })
}

pub fn steering() -> Modelled {
    let ordered = |order: [&str; 2]| json!({ "name": "www.shop.test", "enabled": true, "policy": "off", "order": order });
    let states = [
        ordered(["p1", "p2"]),
        json!({ "name": "www.shop.test", "enabled": true, "policy": "off", "order": ["p1"] }),
    ];
    let evidence = json!({ "balancer": balancer() });
    let mut fixture =
        resource("cloudflare.steering", BALANCER, json!({ "first": ["par"] }), states, evidence);
    fixture.nature.api = true;
    fixture
}

pub fn pool() -> Modelled {
    let held = |on: bool, app: bool| json!({ "name": "gra", "enabled": on, "minimum_origins": 1, "origins": { "app-1": app } });
    let evidence = json!({ "balancer": balancer(),
        "origins": { "app-1": { "address": "198.51.100.11", "enabled": true } } });
    let with = json!({ "pool": "gra", "enabled": false, "origins": { "app-1": false } });
    let mut fixture =
        resource("cloudflare.pool", BALANCER, with, [held(true, true), held(true, false)], evidence);
    fixture.nature.api = true;
    fixture
}

pub fn health_check() -> Modelled {
    let config = "[targets.target]\nkind = \"route53_health_check\"\nhealth_check = \"abc-1\"\n";
    let flags = |inverted: bool, disabled: bool| json!({ "about": "the health check of HTTP 192.0.2.10:80", "inverted": inverted, "disabled": disabled });
    let with =
        json!({ "inverted": true, "disabled": true, "leads_to": { "www.shop.test": ["198.51.100.20"] } });
    let states = [flags(false, false), flags(false, true)];
    let mut fixture = resource("route53.health_check", config, with, states, json!({ "version": 7 }));
    (fixture.nature.api, fixture.nature.compares) = (true, true);
    fixture
}
