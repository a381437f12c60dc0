//! A real pair of Redis with Pointsman's own actions bound to it.

use crate::remote::Remote;
use lab::{RedisOptions, RedisPair, RedisUser, Site};
use pointsman::config::Config;
use pointsman::kernel::domain::*;
use pointsman::kernel::port::Bound;
use pointsman::provider::postgres::sampler::Ring;
use pointsman::provider::redis::{Endpoint, Wire, sampler};
use pointsman::provider::{Ports, ProviderRegistry};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

pub struct Rig {
    pub pair: RedisPair,
    pub remote: Remote,
    pub ring: Arc<Ring>,
    config: Arc<Config>,
    _secrets: tempfile::TempDir,
}

/// Tables of targets; `users`: with the lab's own.
pub fn targets(places: &[(&str, Site, SocketAddr)], secrets: &Path, users: bool) -> String {
    let secret = |user: RedisUser| {
        let file = secrets.join(user.name());
        std::fs::write(&file, format!("{}\n", user.password())).unwrap();
        format!("{{ file = {file:?} }}")
    };
    let (own, app) = (secret(RedisUser::Pointsman), secret(RedisUser::Shop));
    let one = |(name, site, at): &(&str, Site, SocketAddr)| {
        let as_whom = format!(
            "user = \"pointsman\"\npassword = {own}\napp_role = {{ user = \"shop\", password = {app} }}\n"
        );
        format!(
            "[targets.{name}]\nkind = \"redis\"\nsite = \"{site}\"\naddress = \"{}\"\nport = {}\ntls = \"disable\"\n{}",
            at.ip(),
            at.port(),
            if users { as_whom.as_str() } else { "" }
        )
    };
    places.iter().map(one).collect()
}

/// A table of the Sentinels at these places.
pub fn sentinels(name: &str, places: &[SocketAddr]) -> String {
    let places: Vec<String> = places.iter().map(|at| format!("\"{at}\"")).collect();
    format!(
        "[targets.{name}]\nkind = \"sentinel\"\nmaster = \"shop\"\ntls = \"disable\"\nsentinels = [{}]\n",
        places.join(", ")
    )
}

pub fn config(text: &str) -> Config {
    let (config, problems) = pointsman::config::parse(text, "rig.toml");
    config.unwrap_or_else(|| panic!("{problems:?}"))
}

impl Rig {
    pub async fn new(options: RedisOptions) -> Rig {
        let pair = RedisPair::start(options).await.expect("a pair");
        let secrets = tempfile::tempdir().unwrap();
        let places = [Site::Gra, Site::Sbg].map(|site| (site, pair.address(site)));
        let named = [("redis-gra", places[0]), ("redis-sbg", places[1])].map(|(n, (s, a))| (n, s, a));
        let config = Arc::new(config(&targets(&named, secrets.path(), !options.open)));
        let ring = Arc::new(Ring::new(600));
        let registry = ProviderRegistry { config: config.clone(), ports: Ports::real(config.clone()) };
        let remote = Remote::of(registry, ring.clone());
        let rig = Rig { pair, remote, ring, config, _secrets: secrets };
        for n in 0..3 {
            assert!(rig.order(Site::Gra, &format!("first-{n}")).await);
        }
        rig.pair.wait_alike().await.unwrap();
        rig
    }

    pub fn fence(&self, min_rung: &str) -> Bound {
        self.remote.bind("redis.fence", "redis-gra", json!({ "min_rung": min_rung, "witness": "redis-sbg" }))
    }

    pub fn promote(&self) -> Bound {
        self.promote_with(json!({}))
    }

    pub fn promote_with(&self, more: Value) -> Bound {
        let mut with = json!({ "old": "redis-gra" });
        with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.remote.bind("redis.promote", "redis-sbg", with)
    }

    pub async fn apply(&self, bound: &Bound, given: &[Fact], seconds: u64) -> CallEnd {
        match self.remote.plan_given(bound, given).await {
            StepPlan::Change(change) => self.remote.apply(bound, *change, seconds).await,
            other => panic!("there is nothing to apply: {other:?}"),
        }
    }

    pub async fn fenced(&self, min_rung: &str) -> Vec<Fact> {
        let bound = self.fence(min_rung);
        let end = self.apply(&bound, &[down()], 10).await;
        assert_eq!(end.result, CallResult::Applied, "{end:?}");
        given(self.remote.plan_given(&bound, &[down()]).await)
    }

    /// One sample of the pair, as the worker would take it.
    pub async fn sample(&self) {
        let [from, to] =
            ["redis-gra", "redis-sbg"].map(|name| Endpoint::of(&self.config, &name.into()).unwrap());
        let taken = sampler::sample(&Wire, &from, &to, crate::remote::now(), Span::secs(2)).await;
        self.ring.push(&"redis-sbg".into(), taken);
    }

    /// The application writes; whether the server took it.
    pub async fn order(&self, site: Site, id: &str) -> bool {
        let said = self.pair.say(site, RedisUser::Shop, &format!("SET order:{id} 1")).await;
        said.and_then(lab::redis::Reply::text).is_ok_and(|said| said == "OK")
    }
}

pub fn down() -> Fact {
    Fact::Down { site: "gra".into() }
}

/// What a fence on the machine (stop and mask) would prove: no position is known.
pub fn stopped() -> Fact {
    Fact::Fenced { target: "redis-gra".into(), rung: FenceRung::Stopped, position: None }
}

pub fn code(plan: &StepPlan) -> Option<&str> {
    plan.reasons().first().map(|reason| reason.code.as_str())
}

pub fn given(plan: StepPlan) -> Vec<Fact> {
    match plan {
        StepPlan::Nothing { gives, .. } => gives,
        other => panic!("not right yet: {other:?}"),
    }
}
