//! Faults on purpose, for drills and tests: a registry around the real one, which wraps what a spec with the key `inject`
//! is bound to. Providers know nothing of it; one that meets the key unwrapped refuses it as an unknown parameter.
//!
//! The worker wraps its registry; `check` lets the key into playbooks of `kind: drill` only. Tests plant faults into any
//! resolved run ([`plant`]), in front of real servers or of models.

use crate::domain::{
    CallEnd, CallResult, Fact, Finding, Form, Observation, Resolved, RunId, Spec, StepPlan, Time,
};
use crate::journal::Permit;
use crate::port::{Action, Bound, Check, Ctx, ProviderError, Registry};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inject {
    /// Every call is refused; nothing is sent.
    Fail,
    /// The first call is made, and its reply thrown away.
    TimeoutAfterApplied,
    /// The first look after a call shows what was there before it.
    StaleRead,
    /// The process dies right after the first call, before its end is written down.
    Crash,
    /// Every call arrives twice.
    Repeat,
}

impl Inject {
    pub const ALL: [Inject; 5] =
        [Inject::Fail, Inject::TimeoutAfterApplied, Inject::StaleRead, Inject::Crash, Inject::Repeat];

    pub fn as_str(self) -> &'static str {
        match self {
            Inject::Fail => "fail",
            Inject::TimeoutAfterApplied => "timeout_after_applied",
            Inject::StaleRead => "stale_read",
            Inject::Crash => "crash",
            Inject::Repeat => "repeat",
        }
    }
    pub fn parse(text: &str) -> Option<Inject> {
        Inject::ALL.into_iter().find(|fault| fault.as_str() == text)
    }

    /// Into every way of a step that changes something. False: there is no such step.
    pub fn plant(self, run: &mut Resolved, step: &str) -> bool {
        let mut planted = false;
        let items = run.items.iter_mut().filter(|item| item.name.as_str() == step);
        for rung in items.flat_map(|item| &mut item.rungs) {
            if let Form::Act(spec) = &mut rung.form {
                planted |= self.write(spec);
            }
        }
        planted
    }

    /// False: the parameters are no map.
    pub fn write(self, spec: &mut Spec) -> bool {
        let with = spec.with.as_object_mut();
        with.map(|with| with.insert(Spec::FAULT.into(), self.as_str().into())).is_some()
    }
}

/// How the process dies. In a test, the simulator's fuse; in a server, for real.
pub trait Death: Send + Sync {
    fn die(&self) -> BoxFuture<'static, Infallible>;
}

/// What was seen of one step of one run before its call, and whether that is still to be shown once.
#[derive(Default)]
struct Seen {
    before: Option<Observation>,
    owed: bool,
}

type Memory = Arc<Mutex<BTreeMap<(RunId, String), Seen>>>;

/// Steps with a stale look that are remembered at most; a drill has a few.
const MOST: usize = 1_000;

#[derive(Clone)]
pub struct Injector {
    inner: Arc<dyn Registry>,
    death: Arc<dyn Death>,
    memory: Memory,
}

impl Injector {
    pub fn new(inner: Arc<dyn Registry>, death: Arc<dyn Death>) -> Injector {
        Injector { inner, death, memory: Memory::default() }
    }
}

impl Registry for Injector {
    fn bind(&self, spec: &Spec) -> Result<Bound, Vec<String>> {
        let Some(word) = spec.fault() else { return self.inner.bind(spec) };
        let fault = Inject::parse(word).ok_or_else(|| vec![format!("there is no fault {word:?}")])?;
        let struck = Struck {
            inner: self.inner.bind(&spec.without_fault())?,
            fault,
            death: self.death.clone(),
            memory: self.memory.clone(),
            key: format!("{} {} {}", spec.kind, spec.target, spec.with),
        };
        Ok(match struck.inner {
            Bound::Action(_) => Bound::Action(Box::new(struck)),
            Bound::Check(_) => return Err(vec!["a fault belongs to a step that changes something".into()]),
        })
    }
}

struct Struck {
    inner: Bound,
    fault: Inject,
    death: Arc<dyn Death>,
    memory: Memory,
    key: String,
}

impl Struck {
    fn recall<T>(&self, run: &RunId, with: impl FnOnce(&mut Seen) -> T) -> T {
        let mut memory = self.memory.lock().expect("invariant: no panic while holding the lock");
        if memory.len() >= MOST {
            memory.clear();
        }
        with(memory.entry((run.clone(), self.key.clone())).or_default())
    }

    async fn strike(&self, ctx: &Ctx, permit: Permit, action: &dyn Action) -> CallEnd {
        let call = permit.call();
        let first = call.attempt == 1 && !call.undo;
        match self.fault {
            Inject::Fail => CallEnd::rejected(false, "inject: fail; nothing was sent"),
            Inject::TimeoutAfterApplied if first => match action.apply(ctx, permit).await {
                end if matches!(end.result, CallResult::Rejected { .. }) => end,
                _ => CallEnd::indeterminate("inject: timeout_after_applied; the reply was thrown away"),
            },
            Inject::StaleRead => {
                let end = action.apply(ctx, permit).await;
                self.recall(&ctx.run, |seen| seen.owed = seen.before.is_some());
                end
            }
            Inject::Crash if first => {
                action.apply(ctx, permit).await;
                match self.death.die().await {}
            }
            Inject::Repeat => {
                let again = permit.again();
                let end = action.apply(ctx, permit).await;
                // Like a request that the network delivers twice: nobody waits for the second answer.
                action.apply(ctx, again).await;
                end
            }
            Inject::TimeoutAfterApplied | Inject::Crash => action.apply(ctx, permit).await,
        }
    }
}

impl Check for Struck {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        Box::pin(async move {
            let seen = self.inner.check().observe(ctx).await?;
            if self.fault != Inject::StaleRead {
                return Ok(seen);
            }
            Ok(self.recall(&ctx.run, |memory| match (std::mem::take(&mut memory.owed), &memory.before) {
                (true, Some(before)) => Observation { at: seen.at, ..before.clone() },
                _ => memory.before.insert(seen).clone(),
            }))
        })
    }
    fn plan(&self, seen: &Observation, given: &[Fact], now: Time) -> StepPlan {
        self.inner.check().plan(seen, given, now)
    }
    fn rehearse<'a>(&'a self, ctx: &'a Ctx, seen: &'a Observation) -> BoxFuture<'a, Option<Vec<Finding>>> {
        self.inner.check().rehearse(ctx, seen)
    }
}

impl Action for Struck {
    fn apply<'a>(&'a self, ctx: &'a Ctx, permit: Permit) -> BoxFuture<'a, CallEnd> {
        Box::pin(async move {
            match &self.inner {
                Bound::Action(action) => self.strike(ctx, permit, action.as_ref()).await,
                Bound::Check(_) => CallEnd::rejected(false, "not an action"),
            }
        })
    }
}
