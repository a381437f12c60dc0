//! A modelled pair with the real actions bound to it, for the tests beside it.

use crate::config::Config;
use crate::kernel::domain::*;
use crate::kernel::port::{Bound, Ctx, Registry as _};
use crate::provider::for_tests;
use crate::provider::postgres::sampler::Ring;
use crate::provider::redis::{Endpoint, sampler};
use crate::provider::{Ports, ProviderRegistry};
use crate::simulated::redis::{Servers, World};
use crate::simulated::{Calm, Hook};
use serde_json::{Value, json};
use std::sync::Arc;

const CONFIG: &str = r#"
[targets.a]
kind = "redis"
site = "east"
address = "10.0.0.1"
user = "pm"
app_role = { user = "shop" }
[targets.b]
kind = "redis"
site = "west"
address = "10.0.0.2"
user = "pm"
app_role = { user = "shop" }
[targets.c]
kind = "redis"
address = "10.0.0.3"
[targets.watch]
kind = "sentinel"
master = "shop"
sentinels = ["10.0.1.1", "10.0.1.2", "10.0.1.3:26380"]
[targets.same]
kind = "redis"
address = "10.0.0.4"
user = "shop"
app_role = { user = "shop" }
"#;

pub struct Scene {
    pub servers: Arc<Servers>,
    pub registry: ProviderRegistry,
    pub ring: Arc<Ring>,
    at: std::sync::Mutex<Time>,
}

impl Scene {
    pub fn new() -> Scene {
        Scene::with(Arc::new(Calm))
    }

    /// `a` is the primary in the east, `b` its replica in the west.
    pub fn with(hook: Arc<dyn Hook>) -> Scene {
        let config: Arc<Config> = Arc::new(for_tests::config(CONFIG));
        let servers = Arc::new(Servers::new(World::pair("a", "b"), hook));
        let mut ports = Ports::real(config.clone());
        ports.redis = servers.clone();
        let registry = ProviderRegistry { config, ports };
        Scene {
            servers,
            registry,
            ring: Arc::new(Ring::new(100)),
            at: std::sync::Mutex::new(for_tests::START),
        }
    }

    pub fn hand<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        self.servers.by_hand(change)
    }

    pub fn ctx(&self) -> Ctx {
        Ctx { samples: self.ring.clone(), ..for_tests::ctx() }
    }

    pub fn try_bind(&self, kind: &str, with: Value) -> Result<Bound, Vec<String>> {
        let target = with["target"].as_str().unwrap_or("a").to_owned();
        self.registry.bind(&for_tests::spec(kind, &target, with))
    }

    pub fn bind(&self, kind: &str, with: Value) -> Bound {
        self.try_bind(kind, with).unwrap()
    }

    pub fn fence(&self, min_rung: &str) -> Bound {
        self.bind("redis.fence", json!({ "target": "a", "min_rung": min_rung, "witness": "b" }))
    }

    pub fn promote(&self) -> Bound {
        self.bind("redis.promote", json!({ "target": "b", "old": "a", "replicas": [] }))
    }

    pub async fn plan(&self, bound: &Bound, given: &[Fact]) -> StepPlan {
        let seen = bound.check().observe(&self.ctx()).await.unwrap();
        bound.check().plan(&seen, given, for_tests::START)
    }

    pub async fn change(&self, bound: &Bound, given: &[Fact]) -> Change {
        match self.plan(bound, given).await {
            StepPlan::Change(change) => *change,
            other => panic!("not a change: {other:?}"),
        }
    }

    pub async fn carry_out(&self, bound: &Bound, change: Change) -> CallEnd {
        let permit = for_tests::permit(change).await;
        match bound {
            Bound::Action(action) => action.apply(&self.ctx(), permit).await,
            Bound::Check(_) => panic!("a check changes nothing"),
        }
    }

    pub async fn apply(&self, bound: &Bound, given: &[Fact]) -> CallEnd {
        let change = self.change(bound, given).await;
        self.carry_out(bound, change).await
    }

    /// One sample of the pair, a second after the one before; its time.
    pub async fn sample(&self) -> Time {
        let at = {
            let mut last = self.at.lock().unwrap();
            *last = *last + Span::secs(1);
            *last
        };
        let [a, b] = ["a", "b"].map(|name| Endpoint::of(&self.registry.config, &name.into()).unwrap());
        let taken = sampler::sample(self.servers.as_ref(), &a, &b, at, Span::secs(1)).await;
        self.ring.push(&"b".into(), taken);
        at
    }
}

pub fn down() -> Fact {
    Fact::Down { site: "east".into() }
}

pub fn fenced(rung: FenceRung, position: Option<u64>) -> Fact {
    Fact::Fenced { target: "a".into(), rung, position: position.map(Lsn) }
}

pub fn codes(plan: &StepPlan) -> Vec<&str> {
    plan.reasons().iter().map(|reason| reason.code.as_str()).collect()
}

pub fn gives(plan: StepPlan) -> Vec<Fact> {
    match plan {
        StepPlan::Nothing { gives, .. } => gives,
        other => panic!("it is not right: {other:?}"),
    }
}
