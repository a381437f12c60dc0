//! What a test lets go wrong at a step, by the step's name: around the real action, between the driver and the provider.
//! A fault that was struck as often as it says is used up.

use super::model::{Fault, FaultKind};
use crate::kernel::domain::{CallEnd, Fact, Form, Item, Observation, Resolved, Span, Spec, StepPlan, Time};
use crate::kernel::inject::Injector;
use crate::kernel::journal::Permit;
use crate::kernel::port::{Action, Bound, Check, Ctx, ProviderError, Registry};
use crate::kernel::sim::Fuse;
use crate::simulated::world::TwoSites;
use futures_util::future::{BoxFuture, FutureExt as _, pending};
use std::sync::{Arc, Mutex, MutexGuard};

/// A reply that does not come is waited for that long.
const NO_REPLY: Span = Span::secs(5);

/// Whether the name in a test means this item: its own name, or that of the step that `for_each` unrolled.
pub fn means(name: &str, item: &Item) -> bool {
    let whole = item.name.as_str();
    whole == name
        || whole.strip_prefix(name).is_some_and(|rest| rest.starts_with(" [") && rest.ends_with(']'))
}

struct Armed {
    specs: Vec<Spec>,
    kind: FaultKind,
    left: u32,
    /// The look before the call, for stale ones.
    before: Option<Observation>,
    called: bool,
}

struct Shared {
    armed: Mutex<Vec<Armed>>,
    fuse: Arc<Fuse>,
    sites: Arc<TwoSites>,
}

/// The real registry with this case's faults around it.
pub struct FaultyRegistry {
    inner: Injector,
    shared: Arc<Shared>,
}

impl FaultyRegistry {
    pub fn new(
        inner: Injector,
        faults: &[Fault],
        run: &Resolved,
        fuse: Arc<Fuse>,
        sites: Arc<TwoSites>,
    ) -> FaultyRegistry {
        let armed = faults.iter().map(|fault| {
            let items = run.items.iter().filter(|item| means(&fault.step.0, item));
            let specs = items.flat_map(|item| &item.rungs).filter_map(|rung| match &rung.form {
                Form::Act(spec) | Form::Check(spec) => Some(spec.clone()),
                Form::Manual { .. } => None,
            });
            Armed { specs: specs.collect(), kind: fault.kind, left: fault.times, before: None, called: false }
        });
        let shared = Shared { armed: Mutex::new(armed.collect()), fuse, sites };
        FaultyRegistry { inner, shared: Arc::new(shared) }
    }

    /// Faults that never struck: a test that plants them means something else than it says.
    pub fn unused(&self) -> Vec<usize> {
        let armed = self.shared.lock();
        armed.iter().enumerate().filter(|(_, fault)| fault.left > 0).map(|(index, _)| index).collect()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Armed>> {
        self.armed.lock().expect("invariant: no panic while holding the lock")
    }

    /// The next fault of a call, used up by one.
    fn strike(&self, spec: &Spec) -> Option<FaultKind> {
        let mut armed = self.lock();
        for fault in armed.iter_mut().filter(|fault| fault.specs.contains(spec)) {
            fault.called = true;
        }
        let struck = |fault: &&mut Armed| {
            fault.left > 0 && fault.specs.contains(spec) && fault.kind != FaultKind::StaleRead
        };
        let fault = armed.iter_mut().find(struck)?;
        fault.left -= 1;
        Some(fault.kind)
    }

    /// What a look shows: itself, or the world before the call.
    fn seen(&self, spec: &Spec, fresh: Observation, now: Time) -> Observation {
        let mut armed = self.lock();
        let stale = |fault: &&mut Armed| fault.kind == FaultKind::StaleRead && fault.specs.contains(spec);
        let Some(fault) = armed.iter_mut().find(stale) else { return fresh };
        match (fault.called && fault.left > 0, &fault.before) {
            (true, Some(before)) => {
                fault.left -= 1;
                Observation { at: now, ..before.clone() }
            }
            (true, None) => fresh,
            (false, _) => {
                if !fault.called {
                    fault.before = Some(fresh.clone());
                }
                fresh
            }
        }
    }
}

impl Registry for FaultyRegistry {
    fn bind(&self, spec: &Spec) -> Result<Bound, Vec<String>> {
        let bound = self.inner.bind(spec)?;
        if !self.shared.lock().iter().any(|fault| fault.specs.contains(spec)) {
            return Ok(bound);
        }
        let (spec, shared) = (spec.clone(), self.shared.clone());
        Ok(match bound {
            Bound::Action(action) => Bound::Action(Box::new(FaultyAction { action, spec, shared })),
            Bound::Check(check) => Bound::Check(check),
        })
    }
}

struct FaultyAction {
    action: Box<dyn Action>,
    spec: Spec,
    shared: Arc<Shared>,
}

impl Check for FaultyAction {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        async move {
            let fresh = self.action.observe(ctx).await?;
            Ok(self.shared.seen(&self.spec, fresh, ctx.now()))
        }
        .boxed()
    }

    fn plan(&self, seen: &Observation, given: &[Fact], now: Time) -> StepPlan {
        self.action.plan(seen, given, now)
    }
}

impl Action for FaultyAction {
    fn apply<'a>(&'a self, ctx: &'a Ctx, permit: Permit) -> BoxFuture<'a, CallEnd> {
        async move {
            match self.shared.strike(&self.spec) {
                None | Some(FaultKind::StaleRead) => self.action.apply(ctx, permit).await,
                Some(FaultKind::Fail) => CallEnd::rejected(true, "refused, as the test says"),
                Some(FaultKind::Refuse) => CallEnd::rejected(false, "refused for good, as the test says"),
                Some(FaultKind::Timeout) => {
                    ctx.sleep(NO_REPLY).await;
                    CallEnd::indeterminate("no reply, as the test says")
                }
                Some(FaultKind::TimeoutAfterApplied) => {
                    self.action.apply(ctx, permit).await;
                    ctx.sleep(NO_REPLY).await;
                    CallEnd::indeterminate("no reply, as the test says")
                }
                Some(FaultKind::Crash) => {
                    self.shared.fuse.burn();
                    pending().await
                }
                Some(FaultKind::CrashAfterApplied | FaultKind::Gap) => {
                    self.action.apply(ctx, permit).await;
                    self.shared.fuse.burn();
                    pending().await
                }
                Some(FaultKind::ByHand(hand)) => {
                    self.shared.sites.by_hand(hand);
                    self.action.apply(ctx, permit).await
                }
            }
        }
        .boxed()
    }
}
