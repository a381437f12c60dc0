//! A real pair with Pointsman's own actions bound to it, and permits from a real journal.

use lab::{Lab, PostgresOptions, Role, Site};
use pointsman::config::{Config, parse};
use pointsman::kernel::domain::*;
use pointsman::kernel::journal::{Batch, Journal, MemoryBackend, Permit};
use pointsman::kernel::port::{Action, Bound, Ctx, World};
use pointsman::provider::postgres::sampler::{Ring, sample};
use pointsman::provider::postgres::{Endpoint, Wire, bind_to};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub struct Clock;

impl World for Clock {
    fn now(&self) -> Time {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Time(i64::try_from(now.as_micros()).unwrap())
    }
    fn sleep_until(&self, at: Time) -> futures_util::future::BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(at.since(self.now()).as_duration()))
    }
    fn random(&self) -> u64 {
        4
    }
}

pub struct Rig {
    pub lab: Lab,
    pub config: Config,
    pub ring: Arc<Ring>,
    journal: Journal,
    /// Everything that would reach a record, as Debug and as JSON.
    said: Mutex<String>,
    _secrets: tempfile::TempDir,
}

/// How Pointsman reaches the pair.
#[derive(Clone, Copy, Default)]
pub struct Way {
    pub limited: bool,
    pub tls: bool,
    /// Through the proxy that a test can cut.
    pub proxied: bool,
}

impl Rig {
    pub async fn new(options: PostgresOptions, way: Way) -> Rig {
        let lab = Lab::builder().postgres_with(options).start().await.expect("a pair");
        let secrets = tempfile::tempdir().unwrap();
        let config = config(&lab, secrets.path(), way);
        Rig {
            lab,
            config,
            ring: Arc::new(Ring::new(600)),
            journal: Journal::new(Arc::new(MemoryBackend::new())),
            said: Mutex::default(),
            _secrets: secrets,
        }
    }

    pub fn ctx(&self, seconds: u64) -> Ctx {
        Ctx {
            world: Arc::new(Clock),
            samples: self.ring.clone(),
            began: Clock.now(),
            deadline: Clock.now() + Span::secs(seconds),
            run: "R4N0M1".into(),
            service: "shop".into(),
            epoch: 7,
            since: None,
        }
    }

    pub fn bind(&self, kind: &str, target: &str, with: Value) -> (Spec, Bound) {
        let spec = Spec { kind: kind.into(), target: target.into(), with };
        let bound = bind_to(&spec, &self.config, Arc::new(Wire)).expect("it binds");
        (spec, bound)
    }

    pub async fn observe(&self, bound: &Bound) -> Observation {
        let seen = bound.check().observe(&self.ctx(10)).await.expect("an observation");
        self.remember(&seen, &serde_json::to_value(&seen).unwrap());
        seen
    }

    pub async fn plan(&self, bound: &Bound, given: &[Fact]) -> StepPlan {
        let seen = self.observe(bound).await;
        let plan = bound.check().plan(&seen, given, Clock.now());
        self.remember(&plan, &serde_json::to_value(&plan).unwrap());
        plan
    }

    /// Plans, writes the intent down, applies.
    pub async fn apply(&self, spec: &Spec, bound: &Bound, given: &[Fact], seconds: u64) -> CallEnd {
        let StepPlan::Change(change) = self.plan(bound, given).await else {
            panic!("there is nothing to apply")
        };
        self.carry_out(spec, bound, *change, seconds).await
    }

    pub async fn carry_out(&self, spec: &Spec, bound: &Bound, change: Change, seconds: u64) -> CallEnd {
        let permit = self.permit(spec, change).await;
        let end = action(bound).apply(&self.ctx(seconds), permit).await;
        self.remember(&end, &serde_json::to_value(&end).unwrap());
        end
    }

    async fn permit(&self, spec: &Spec, change: Change) -> Permit {
        let call = Call { item: 0, rung: 0, attempt: 1, undo: false };
        let record = Record::Intended { call, spec: spec.clone(), change: Box::new(change) };
        let stream = Stream::Run("R4N0M1".into());
        let batch = Batch::new(Clock.now()).part(stream, None, vec![record]);
        self.journal.append(batch).await.expect("an append").permits.pop().expect("a permit")
    }

    fn remember(&self, debug: &dyn std::fmt::Debug, json: &Value) {
        let mut said = self.said.lock().unwrap();
        said.push_str(&format!("{debug:?}\n{json}\n"));
    }

    /// No password of ours is in anything that would be recorded.
    pub fn assert_no_secret_was_said(&self) {
        self.remember(&self.config, &Value::Null);
        let said = self.said.lock().unwrap();
        assert!(said.len() > 100, "nothing was looked at");
        for role in [Role::Pointsman, Role::PointsmanLimited, Role::Shop, Role::Replication] {
            assert!(!said.contains(role.password()), "the password of {} was said", role.user());
        }
    }

    /// One sample of the pair, as the worker would take it.
    pub async fn sample(&self) {
        let [primary, standby] =
            ["pg-gra", "pg-sbg"].map(|name| Endpoint::of(&self.config, &name.into()).unwrap());
        let taken = sample(&Wire, &primary, &standby, Clock.now(), Span::secs(2)).await;
        self.ring.push(&"pg-sbg".into(), taken);
    }

    pub async fn order(&self, site: Site, id: &str) -> anyhow::Result<u64> {
        let client = self.lab.postgres().client(site, Role::Shop).await?;
        let insert = format!("insert into orders (id, site) values ('{id}', 'gra')");
        let done = tokio::time::timeout(Duration::from_secs(3), client.execute(&insert, &[])).await;
        Ok(done??)
    }
}

pub fn action(bound: &Bound) -> &dyn Action {
    match bound {
        Bound::Action(action) => action.as_ref(),
        Bound::Check(_) => panic!("a check changes nothing"),
    }
}

pub fn down() -> Fact {
    Fact::Down { site: "gra".into() }
}

pub fn fence_with(min_rung: &str) -> Value {
    json!({ "target": "pg-gra", "min_rung": min_rung })
}

pub fn code(plan: &StepPlan) -> Option<&str> {
    plan.reasons().first().map(|reason| reason.code.as_str())
}

fn config(lab: &Lab, secrets: &std::path::Path, way: Way) -> Config {
    let pg = lab.postgres();
    let role = if way.limited { Role::PointsmanLimited } else { Role::Pointsman };
    let secret = |name: &str, text: &str| {
        let path = secrets.join(name);
        std::fs::write(&path, format!("{text}\n")).unwrap();
        format!("{{ file = {path:?} }}")
    };
    let (own, app) = (secret("own", role.password()), secret("app", Role::Shop.password()));
    let tls = if way.tls {
        format!("tls = \"verify-full\"\nca = {:?}", pg.ca_file())
    } else {
        "tls = \"disable\"".to_owned()
    };
    let one = |site: Site| {
        let straight = pg.address(site);
        let address = if way.proxied && site == Site::Gra { pg.pointsman.addr() } else { straight };
        format!(
            "[targets.pg-{site}]\nkind = \"postgres\"\nsite = \"{site}\"\naddress = \"{}\"\nport = {}\n\
             user = \"{}\"\n\
             password = {own}\n{tls}\n\
             app_role = {{ user = \"shop\", password = {app}, database = \"shop\" }}\n",
            address.ip(),
            address.port(),
            role.user(),
        )
    };
    let (config, problems) = parse(&[one(Site::Gra), one(Site::Sbg)].concat(), "rig.toml");
    config.unwrap_or_else(|| panic!("{problems:?}"))
}
