//! For the rooms' unit tests: a context with a clock of its own, configurations, and permits minted by a real journal.

use crate::config::Config;
use crate::kernel::domain::{Call, Change, Name, Record, Span, Spec, StepPlan, Stream, Time};
use crate::kernel::journal::{Journal, MemoryBackend, Permit};
use crate::kernel::port::{Action, Check, Ctx, Sample, Samples, World};
use futures_util::future::{BoxFuture, FutureExt as _};
use std::sync::{Arc, Mutex};

/// A day after the epoch; moves only by sleeping.
struct Clock(Mutex<Time>);

impl World for Clock {
    fn now(&self) -> Time {
        *self.0.lock().unwrap()
    }
    fn sleep_until(&self, at: Time) -> BoxFuture<'_, ()> {
        let mut now = self.0.lock().unwrap();
        *now = at.max(*now);
        async {}.boxed()
    }
    fn random(&self) -> u64 {
        7
    }
}

struct Nothing;
impl Samples for Nothing {
    fn recent(&self, _target: &Name) -> Vec<Sample> {
        vec![]
    }
}

pub const START: Time = Time(86_400_000_000);

pub fn ctx() -> Ctx {
    Ctx {
        world: Arc::new(Clock(Mutex::new(START))),
        samples: Arc::new(Nothing),
        began: START,
        deadline: START + Span::secs(60),
        run: "R00001".into(),
        service: "shop".into(),
        epoch: 1,
        since: None,
    }
}

pub fn config(text: &str) -> Config {
    crate::config::for_test(text)
}

pub fn spec(kind: &str, target: &str, with: serde_json::Value) -> Spec {
    Spec { kind: kind.into(), target: target.into(), with }
}

pub async fn permit(change: Change) -> Permit {
    let journal = Journal::new(Arc::new(MemoryBackend::new()));
    let call = Call { item: 0, rung: 0, attempt: 1, undo: false };
    let spec = spec("x.y", "t", serde_json::Value::Null);
    let record = Record::Intended { call, spec, change: Box::new(change) };
    let receipt = journal.write(START, Stream::Run("R00001".into()), Some(0), record).await.unwrap();
    receipt.permits.into_iter().next().unwrap()
}

pub async fn plan(check: &dyn Check) -> StepPlan {
    plan_given(check, &[]).await
}

pub async fn plan_given(check: &dyn Check, given: &[crate::kernel::domain::Fact]) -> StepPlan {
    let ctx = ctx();
    let seen = check.observe(&ctx).await.unwrap();
    check.plan(&seen, given, ctx.now())
}

/// Plans a change and applies it.
pub async fn change(action: &dyn Action) -> Change {
    match plan(action).await {
        StepPlan::Change(change) => *change,
        other => panic!("no change but {other:?}"),
    }
}

pub async fn apply(action: &dyn Action, change: Change) -> crate::kernel::domain::CallEnd {
    action.apply(&ctx(), permit(change).await).await
}

/// The first reason's code and words.
pub fn why(plan: &StepPlan) -> String {
    plan.reasons().iter().map(|r| format!("{}: {}", r.code, r.says)).collect::<Vec<_>>().join("\n")
}
