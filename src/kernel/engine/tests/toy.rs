//! The toy world: registers that are set one after the other, what may go wrong with each, and the playbook over them.
//! The crash matrix and the tests of single rules run on it.

use super::freeze;
use crate::domain::*;
use crate::journal::Permit;
use crate::port::*;
use crate::sim::{Fuse, Sim, Strike};
use futures_util::future::BoxFuture;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

#[derive(Default)]
pub(in crate::engine) struct Registers {
    pub now: BTreeMap<Name, u64>,
    before: BTreeMap<Name, u64>,
    pub changes: BTreeMap<Name, u32>,
    /// How often each was taken back.
    pub back: BTreeMap<Name, u32>,
    pub order: Vec<Name>,
    /// The old side writes while it is not fenced, the new one once it is promoted.
    pub two_writers: bool,
}

/// What always goes wrong at one register in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Wrong {
    Rejects,
    /// Nothing happens, and nobody hears of it.
    Swallows,
    /// It happens, and nobody hears of it.
    LosesReplies,
    /// Nobody hears of the first call, and it happens right before the second.
    Late,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Broken {
    InPlan,
    InCall,
}

/// How the toy world differs from the plain one.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Plot {
    pub wrong: Option<(Name, u64, Wrong)>,
    /// Once a word was heard, the source says resolved, or says so and the probes say up.
    pub resolved: bool,
    pub well: bool,
    /// As soon as the first register is set, somebody turns the second one by hand.
    pub meddle: Option<(Name, Name)>,
    /// Setting this register takes so long.
    pub slow: Option<(Name, Span)>,
    /// The program has a defect here: planning or setting this register panics.
    pub broken: Option<(Name, Broken)>,
    /// Looks at these take so long.
    pub silent: Vec<(Name, Span)>,
}

/// `toy.set` sets a register to 1; `toy.up` is a guard that always holds.
pub(in crate::engine) struct Toy {
    pub fuse: Arc<Fuse>,
    pub registers: Arc<Mutex<Registers>>,
    pub cas: bool,
    pub settle: Settle,
    pub plot: Plot,
    pub(in crate::engine) freezer: Option<Arc<freeze::Freezer>>,
}

struct Set {
    spec: Spec,
    fuse: Arc<Fuse>,
    registers: Arc<Mutex<Registers>>,
    cas: bool,
    settle: Settle,
    plot: Plot,
    freezer: Option<Arc<freeze::Freezer>>,
}

impl Toy {
    /// Compares and sets, settles at once, and nothing goes wrong.
    pub(in crate::engine) fn new(sim: &Sim, registers: &Arc<Mutex<Registers>>) -> Toy {
        Toy {
            fuse: sim.fuse.clone(),
            registers: registers.clone(),
            cas: true,
            settle: Settle::AtOnce,
            plot: Plot::default(),
            freezer: None,
        }
    }
}

impl Registry for Toy {
    fn bind(&self, spec: &Spec) -> Result<Bound, Vec<String>> {
        let set = Set {
            spec: spec.clone(),
            fuse: self.fuse.clone(),
            registers: self.registers.clone(),
            cas: self.cas,
            settle: self.settle,
            plot: self.plot.clone(),
            freezer: self.freezer.clone(),
        };
        Ok(match spec.kind.as_str() {
            "toy.set" | "toy.promote" | "toy.unfence" | "dns.set" => Bound::Action(Box::new(set)),
            _ => Bound::Check(Box::new(set)),
        })
    }
}

impl Check for Set {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        Box::pin(async move {
            self.fuse.boundary().await;
            if let Some(freezer) = &self.freezer {
                freezer.call(ctx.now()).await;
            }
            if let Some((_, takes)) = self.plot.silent.iter().find(|(name, _)| *name == self.spec.target) {
                ctx.sleep(*takes).await;
            }
            let stale = self.fuse.strike() == Some(Strike::Stale);
            let registers = self.registers.lock().unwrap();
            let from = if stale { &registers.before } else { &registers.now };
            let value = from.get(&self.spec.target).copied().unwrap_or(0);
            // Another register that the plan's effects speak of.
            let other = self.spec.with.get("watch").and_then(|name| name.as_str());
            let other = other.map(|name| from.get(&Name::from(name)).copied().unwrap_or(0) == 1);
            Ok(Observation {
                identity: json!(null),
                state: json!(value),
                evidence: json!(other),
                at: ctx.now(),
            })
        })
    }
    fn plan(&self, seen: &Observation, _given: &[Fact], _now: Time) -> StepPlan {
        assert!(!self.is_broken(Broken::InPlan), "a defect that a test wants");
        let fenced =
            Fact::Fenced { target: self.spec.target.clone(), rung: FenceRung::Stopped, position: None };
        if self.spec.kind.as_str() == "toy.up" {
            return StepPlan::nothing("up");
        }
        let heard = self.fuse.was_heard();
        match self.spec.kind.as_str() {
            "still_firing" if heard && self.plot.resolved => return StepPlan::refuse("PM4322", "resolved"),
            "quorum" if heard && self.plot.well => return StepPlan::refuse("PM4310", "up"),
            "still_firing" | "quorum" => return StepPlan::nothing("as it should be"),
            _ => {}
        }
        let wanted = self.wanted();
        if seen.state == json!(wanted) {
            if wanted == 0 {
                return StepPlan::nothing("as before");
            }
            return StepPlan::gives(vec![fenced], "set");
        }
        let mut change = Change::new(seen.state.clone(), json!(wanted));
        change.undo = match self.spec.with.get("undo").and_then(|how| how.as_str()) {
            Some("by hand") => Undo::ByHand("turn it back".into()),
            Some(_) => Undo::None,
            None => Undo::To(Spec { with: json!({ "to": seen.state }), ..self.spec.clone() }),
        };
        change.settle = self.settle;
        if let Some(effects) = self.spec.with.get("effects") {
            change.effects = serde_json::from_value(effects.clone()).unwrap();
        }
        if let (Some(writes), Some(Effect::Writer { others, .. })) =
            (seen.evidence.as_bool(), change.effects.first_mut())
        {
            others.iter_mut().for_each(|other| other.writes = Some(writes));
        }
        if wanted == 1 {
            change.gives = vec![fenced];
        }
        if let Some(needed) = self.spec.with.get("needs").and_then(|n| n.as_str()) {
            change.needs =
                vec![Fact::Fenced { target: needed.into(), rung: FenceRung::Lockout, position: None }];
        }
        StepPlan::Change(Box::new(change))
    }
}

impl Set {
    fn is_broken(&self, how: Broken) -> bool {
        self.plot.broken.as_ref() == Some(&(self.spec.target.clone(), how))
    }
    fn wanted(&self) -> u64 {
        self.spec.with.get("to").and_then(|to| to.as_u64()).unwrap_or(1)
    }
}

impl Action for Set {
    fn apply<'a>(&'a self, ctx: &'a Ctx, permit: Permit) -> BoxFuture<'a, CallEnd> {
        Box::pin(async move {
            self.fuse.boundary().await;
            if let Some(freezer) = &self.freezer {
                freezer.call(ctx.now()).await;
            }
            let strike = self.fuse.strike();
            if strike == Some(Strike::Reject) {
                return CallEnd::rejected(true, "struck");
            }
            assert!(!self.is_broken(Broken::InCall), "a defect that a test wants");
            let wanted = self.wanted();
            let wrong =
                self.plot.wrong.as_ref().filter(|(name, to, _)| (name, *to) == (&self.spec.target, wanted));
            match wrong.map(|(_, _, wrong)| wrong) {
                Some(Wrong::Rejects) => return CallEnd::rejected(false, "it always says no"),
                Some(Wrong::Swallows) => return CallEnd::indeterminate("swallowed"),
                Some(Wrong::Late) if permit.call().attempt == 1 => return CallEnd::indeterminate("late"),
                Some(Wrong::Late) => {
                    let mut registers = self.registers.lock().unwrap();
                    registers.now.insert(self.spec.target.clone(), wanted);
                    *registers.changes.entry(self.spec.target.clone()).or_default() += 1;
                    return CallEnd::rejected(false, "somebody changed it");
                }
                Some(Wrong::LosesReplies) | None => {}
            }
            let lost = wrong.is_some();
            if let Some((_, span)) = self.plot.slow.as_ref().filter(|(name, _)| *name == self.spec.target) {
                ctx.sleep(*span).await;
            }
            {
                let mut registers = self.registers.lock().unwrap();
                let target = &self.spec.target;
                let now = registers.now.get(target).copied().unwrap_or(0);
                if self.cas && permit.change().from != json!(now) {
                    return CallEnd::rejected(false, "somebody changed it");
                }
                registers.before.insert(target.clone(), now);
                registers.now.insert(target.clone(), wanted);
                let count = if wanted == 1 { &mut registers.changes } else { &mut registers.back };
                *count.entry(target.clone()).or_default() += 1;
                if wanted == 1 {
                    registers.order.push(target.clone());
                }
                if let Some((_, other)) = self.plot.meddle.as_ref().filter(|(first, _)| first == target) {
                    let value = registers.now.get(other).copied().unwrap_or(0);
                    registers.now.insert(other.clone(), 1 - value);
                }
                let is = |name: &str| registers.now.get(&Name::from(name)).copied().unwrap_or(0);
                registers.two_writers |= is("promote") == 1 && is("fence") == 0;
            }
            self.fuse.boundary().await;
            match strike {
                Some(Strike::LoseReply) => CallEnd::indeterminate("lost"),
                _ if lost => CallEnd::indeterminate("lost"),
                _ => CallEnd::applied(json!(null)),
            }
        })
    }
}

pub(in crate::engine) struct NoSamples;
impl Samples for NoSamples {
    fn recent(&self, _: &Name) -> Vec<Sample> {
        vec![]
    }
}

pub(in crate::engine) fn item(
    name: &str,
    kind: &str,
    role: ItemRole,
    after: Vec<ItemId>,
    with: serde_json::Value,
) -> Item {
    let spec = Spec { kind: kind.into(), target: name.into(), with };
    let acts = ["toy.set", "toy.promote", "toy.unfence", "dns.set"].contains(&kind);
    let form = if acts { Form::Act(spec) } else { Form::Check(spec) };
    Item {
        name: name.into(),
        role,
        rungs: vec![Rung { form, proves: vec![] }],
        after,
        optional: false,
        commit_point: name == "promote",
        planned_ahead: role != ItemRole::Verify,
        accept_unfenced: None,
        continues: None,
        on_failure: OnFailure::Pause,
        retry: Retry { attempts: 3, ..Retry::default() },
        timeout: Span::secs(20),
    }
}

/// A guard, a fence, a promote that needs it, two parallel steps, one after both, a verification.
pub(in crate::engine) fn spec(mode: Mode) -> Resolved {
    use ItemRole::{Guard, Step, Verify};
    let none = || json!({});
    Resolved {
        run: "RUN001".into(),
        playbook: "toy".into(),
        playbook_digest: Digest::of(b"toy"),
        text: "toy".into(),
        service: "shop".into(),
        kind: RunKind::Failover,
        mode,
        from: "a".into(),
        to: "b".into(),
        items: vec![
            item("guard", "toy.up", Guard, vec![], none()),
            item("fence", "toy.set", Step, vec![], none()),
            item("promote", "toy.set", Step, vec![1], json!({"needs": "fence"})),
            item("left", "toy.set", Step, vec![2], none()),
            item("right", "toy.set", Step, vec![2], none()),
            item("dns", "toy.set", Step, vec![3, 4], none()),
            item("probe", "toy.set", Verify, vec![], none()),
        ],
        locks: vec![],
        approval: ApprovalRule::simple(Span::mins(15), Role::Approver),
        limits: Limits::default(),
        objective: Objective::default(),
        afterwards: Afterwards {
            fence_watch: vec![Watched { target: "fence".into(), promoted: "promote".into(), item: 2 }],
            commit_window: Span::ZERO,
        },
        cause: Cause::Alert { occurrences: vec![], started: Time(0), delivered: Time(5), labels: json!({}) },
        epoch: 1,
        owner: "life 0".into(),
        fold: 1,
    }
}
