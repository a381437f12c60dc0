//! A modelled pair with the real actions bound to it, for the tests beside it.

use crate::config::{self, Config};
use crate::kernel::domain::*;
use crate::kernel::journal::{Batch, Journal, MemoryBackend};
use crate::kernel::port::{Bound, Ctx, World as KernelWorld};
use crate::provider::postgres::sampler::{Ring, sample};
use crate::provider::postgres::{Endpoint, Port, bind_to};
use crate::simulated::postgres::{Servers, World};
use crate::simulated::{Calm, Hook};
use futures_util::future::{BoxFuture, ready};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Sleeping is instant: it moves the time.
pub struct VirtualClock(AtomicI64);

impl KernelWorld for VirtualClock {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
    fn sleep_until(&self, at: Time) -> BoxFuture<'_, ()> {
        self.0.fetch_max(at.0, Ordering::SeqCst);
        Box::pin(ready(()))
    }
    fn random(&self) -> u64 {
        4
    }
}

pub struct Scene {
    pub servers: Arc<Servers>,
    pub config: Config,
    pub ring: Arc<Ring>,
    pub clock: Arc<VirtualClock>,
    journal: Journal,
}

const CONFIG: &str = r#"
[targets.a]
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
[targets.bare]
kind = "postgres"
address = "10.0.0.3"
user = "shop"
[targets.box]
kind = "host"
local = true
"#;

impl Scene {
    pub fn new() -> Scene {
        Scene::with(Arc::new(Calm))
    }

    /// `a` is the primary in the east, `b` its standby in the west.
    pub fn with(hook: Arc<dyn Hook>) -> Scene {
        Scene {
            servers: Arc::new(Servers::new(World::pair("a", "b"), hook)),
            config: config::for_test(CONFIG),
            ring: Arc::new(Ring::new(100)),
            clock: Arc::new(VirtualClock(AtomicI64::new(1_000_000_000))),
            journal: Journal::new(Arc::new(MemoryBackend::new())),
        }
    }

    pub fn hand<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        self.servers.by_hand(change)
    }

    pub fn pass(&self, span: Span) {
        self.clock.0.fetch_add(i64::try_from(span.0).unwrap(), Ordering::SeqCst);
    }

    pub fn ctx(&self) -> Ctx {
        Ctx {
            world: self.clock.clone(),
            samples: self.ring.clone(),
            began: self.clock.now(),
            deadline: self.clock.now() + Span::secs(60),
            run: "R4N0M1".into(),
            service: "shop".into(),
            epoch: 7,
            since: None,
        }
    }

    pub fn bind(&self, kind: &str, with: Value) -> Bound {
        bind_to(&spec(kind, with), &self.config, self.servers.clone()).unwrap()
    }

    pub async fn plan(&self, bound: &Bound, given: &[Fact]) -> StepPlan {
        let seen = bound.check().observe(&self.ctx()).await.unwrap();
        bound.check().plan(&seen, given, self.clock.now())
    }

    pub async fn change(&self, bound: &Bound, given: &[Fact]) -> Change {
        match self.plan(bound, given).await {
            StepPlan::Change(change) => *change,
            other => panic!("not a change: {other:?}"),
        }
    }

    pub async fn carry_out(&self, bound: &Bound, change: Change) -> CallEnd {
        let call = Call { item: 0, rung: 0, attempt: 1, undo: false };
        let record = Record::Intended { call, spec: spec("any", json!({})), change: Box::new(change) };
        let batch = Batch::new(self.clock.now()).part(Stream::Instance, None, vec![record]);
        let permit = self.journal.append(batch).await.unwrap().permits.pop().unwrap();
        match bound {
            Bound::Action(action) => action.apply(&self.ctx(), permit).await,
            Bound::Check(_) => panic!("a check changes nothing"),
        }
    }

    pub async fn apply(&self, bound: &Bound, given: &[Fact]) -> CallEnd {
        let change = self.change(bound, given).await;
        self.carry_out(bound, change).await
    }

    pub async fn sample(&self) {
        let [a, b] = ["a", "b"].map(|name| Endpoint::of(&self.config, &name.into()).unwrap());
        let port: &dyn Port = self.servers.as_ref();
        let taken = sample(port, &a, &b, self.clock.now(), Span::secs(1)).await;
        self.ring.push(&"b".into(), taken);
    }
}

/// The target is the one in the parameters.
pub fn spec(kind: &str, with: Value) -> Spec {
    let target = with["target"].as_str().unwrap_or("a").into();
    Spec { kind: kind.into(), target, with }
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
