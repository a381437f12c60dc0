//! What the tests of DNS, machines and probes share: the real clients bound to a configuration, and permits from a
//! real journal.

use pointsman::kernel::domain::*;
use pointsman::kernel::drive::{Driver, Pass};
use pointsman::kernel::journal::{Journal, MemoryBackend, Permit};
use pointsman::kernel::port::{Bound, Ctx, Registry as _, Sample, Samples, World};
use pointsman::provider::{Ports, ProviderRegistry};
use serde_json::Value;
use std::sync::Arc;

struct Wall;

impl World for Wall {
    #[expect(clippy::disallowed_methods, reason = "the tests' own world")]
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

struct NoSamples;
impl Samples for NoSamples {
    fn recent(&self, _target: &Name) -> Vec<Sample> {
        vec![]
    }
}

pub struct Remote {
    pub registry: ProviderRegistry,
    samples: Arc<dyn Samples>,
}

pub fn now() -> Time {
    Wall.now()
}

/// Everything that a record would hold, to look for secrets in.
pub fn said(values: &[&dyn std::fmt::Debug]) -> String {
    values.iter().map(|value| format!("{value:?}\n")).collect()
}

impl Remote {
    pub fn new(config: &str) -> Remote {
        let (config, problems) = pointsman::config::parse(config, "test.toml");
        let config = Arc::new(config.unwrap_or_else(|| panic!("{problems:?}")));
        Remote::of(ProviderRegistry { ports: Ports::real(config.clone()), config }, Arc::new(NoSamples))
    }

    pub fn of(registry: ProviderRegistry, samples: Arc<dyn Samples>) -> Remote {
        Remote { registry, samples }
    }

    pub fn ctx(&self, seconds: u64) -> Ctx {
        Ctx {
            world: Arc::new(Wall),
            samples: self.samples.clone(),
            began: Wall.now(),
            deadline: Wall.now() + Span::secs(seconds),
            run: "R4N0M1".into(),
            service: "shop".into(),
            epoch: 7,
            since: None,
        }
    }

    pub fn bind(&self, kind: &str, target: &str, with: Value) -> Bound {
        let spec = Spec { kind: kind.into(), target: target.into(), with };
        match self.registry.bind(&spec) {
            Ok(bound) => bound,
            Err(problems) => panic!("{}", problems.join("\n")),
        }
    }

    pub async fn plan(&self, bound: &Bound) -> StepPlan {
        self.plan_given(bound, &[]).await
    }

    pub async fn plan_given(&self, bound: &Bound, given: &[Fact]) -> StepPlan {
        let seen = bound.check().observe(&self.ctx(15)).await.expect("an observation");
        bound.check().plan(&seen, given, Wall.now())
    }

    pub async fn change(&self, bound: &Bound) -> Change {
        match self.plan(bound).await {
            StepPlan::Change(change) => *change,
            other => panic!("no change but {other:?}"),
        }
    }

    pub async fn apply(&self, bound: &Bound, change: Change, seconds: u64) -> CallEnd {
        let Bound::Action(action) = bound else { panic!("a check changes nothing") };
        action.apply(&self.ctx(seconds), permit(change).await).await
    }

    /// One pass of a driver named `owner` over a run; it is gone afterwards, as if its process had died.
    pub async fn pass(&self, journal: &Journal, owner: &str, run: &RunId) -> Pass {
        let driver = Driver::new(journal, &self.registry, Arc::new(Wall), self.samples.clone(), owner);
        driver.drive(run).await.expect("a pass")
    }

    /// Looks until there is nothing left to do, as the engine does after a change.
    pub async fn settled(&self, bound: &Bound) -> String {
        let mut last = String::new();
        for _ in 0..100 {
            match self.plan(bound).await {
                StepPlan::Nothing { says, .. } => return says,
                other => last = format!("{other:?}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("it never settled: {last}");
    }
}

async fn permit(change: Change) -> Permit {
    let journal = Journal::new(Arc::new(MemoryBackend::new()));
    let spec = Spec { kind: "x.y".into(), target: "t".into(), with: Value::Null };
    let call = Call { item: 0, rung: 0, attempt: 1, undo: false };
    let record = Record::Intended { call, spec, change: Box::new(change) };
    let receipt = journal.write(Wall.now(), Stream::Run("R4N0M1".into()), None, record).await.unwrap();
    receipt.permits.into_iter().next().unwrap()
}

/// Codes and words of a refusal or of not knowing.
pub fn why(plan: &StepPlan) -> String {
    plan.reasons().iter().map(|r| format!("{}: {}", r.code, r.says)).collect::<Vec<_>>().join("\n")
}

pub fn is_unknown(plan: &StepPlan) -> bool {
    matches!(plan, StepPlan::Unknown(_))
}

pub fn is_nothing(plan: &StepPlan) -> bool {
    matches!(plan, StepPlan::Nothing { .. })
}
