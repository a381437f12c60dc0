//! The plan: every guard and every step that can be planned ahead, observed, judged, and put on one sheet.

use super::rules::Ahead;
use super::{Next, Run, next::Act};
use crate::domain::{
    Cause, Digest, Fact, FenceRung, Form, ItemId, ItemRole, Override, PlanLine, PlanSheet, Reason, Record,
    Span, StepPlan, Time, Undo, Verdict, WhyObserved,
};
use serde_json::{Value, json};

/// How long a plan is shown as valid when nothing asks for it; approval has its own time.
const PLAN_VALID: Span = Span::mins(15);

impl Run {
    pub(super) fn next_of_planning(&self, now: Time) -> Next {
        let mut next = Next::default();
        if let Some(hold) = self.hold.as_ref().filter(|h| now < h.until) {
            next.wake_at(hold.until);
            let why: Vec<&str> = hold.why.iter().map(|r| r.says.as_str()).collect();
            return next.says(format!("held: {}", why.join("; ")));
        }
        for id in self.ids() {
            if let Some(rung) = self.to_observe_for_plan(id) {
                next.acts.push(Act::Observe { item: id, rung, why: WhyObserved::Plan });
            }
        }
        if !next.acts.is_empty() {
            return next.says("observing for the plan");
        }
        let blockers = self.blockers(now);
        if blockers.is_empty() {
            let sheet = self.sheet(now);
            next.record(Record::Planned(Box::new(sheet)));
            return next.says("planned");
        }
        let says: Vec<&str> = blockers.iter().map(|r| r.says.as_str()).collect();
        let says = says.join("; ");
        match &self.spec.cause {
            Cause::Alert { .. } => {
                let until = now + self.spec.limits.look_again;
                next.record(Record::Held { why: blockers, occurrence: None, playbook: None, until });
            }
            Cause::Person { .. } => {
                let mut end = self.finish(crate::domain::Outcome::Refused, says.clone());
                if let Record::Finished { why, .. } = &mut end {
                    *why = blockers;
                }
                next.record(end);
            }
        }
        next.says(format!("held: {says}"))
    }

    /// The rung to look at next for the plan; `None` when the item's verdict stands or it is judged in its turn.
    fn to_observe_for_plan(&self, id: ItemId) -> Option<u8> {
        let (item, state) = (self.item(id), self.state(id));
        let later = !item.planned_ahead || state.planned.is_some() || state.is_over();
        let rung = state.plan_rung;
        let manual = matches!(self.rung(id, rung).form, Form::Manual { .. });
        (!later && !manual).then_some(rung)
    }

    /// Whether the facts that the plan of `id` builds on are all there: guards first, then what it comes after.
    pub fn can_judge(&self, id: ItemId) -> bool {
        let judged = |other: ItemId| {
            let state = self.state(other);
            let manual = matches!(self.rung(other, state.plan_rung).form, Form::Manual { .. });
            state.planned.is_some() || state.is_over() || !self.item(other).planned_ahead || manual
        };
        self.ids().take_while(|other| *other < id).all(judged)
    }

    /// Everything that stands against the plan, all at once.
    pub fn blockers(&self, now: Time) -> Vec<Reason> {
        let open = self.ids().filter(|id| !self.state(*id).is_over());
        open.flat_map(|id| self.blockers_of(id, now)).chain(self.over_budget(now)).collect()
    }

    fn blockers_of(&self, id: ItemId, now: Time) -> Vec<Reason> {
        let (item, state) = (self.item(id), self.state(id));
        let asks = item.accept_unfenced.is_some();
        let Some(planned) = &state.planned else { return vec![] };
        let prefixed = |reasons: &[Reason]| {
            let with_name = |r: &Reason| Reason::new(&r.code, format!("{}: {}", item.name, r.says));
            reasons.iter().map(with_name).collect::<Vec<_>>()
        };
        match &planned.plan {
            StepPlan::Nothing { .. } => vec![],
            // A living primary refuses the plan; an override of the fence never lifts that.
            StepPlan::Refuse(reasons) if !item.optional => prefixed(reasons),
            StepPlan::Unknown(reasons) if !item.optional && !asks => prefixed(reasons),
            StepPlan::Refuse(_) | StepPlan::Unknown(_) => vec![],
            StepPlan::Change(_) if item.role == ItemRole::Guard => {
                vec![Reason::new("PM5101", format!("{}: a guard may not change anything", item.name))]
            }
            StepPlan::Change(change) => {
                let given = self.promised(id);
                let unmet = self.unmet(&change.needs, &given);
                let askable = |need: &Fact| match need {
                    Fact::Fenced { target, .. } => self.asks_about(target),
                    _ => false,
                };
                let say = |n: &Fact| Reason::new("PM5102", format!("{}: no step proves that {n}", item.name));
                let broken = self.broken((id, planned.rung), change, &given, Ahead::Plan);
                let broken = self.standing(broken, now);
                let mut why: Vec<Reason> = unmet.into_iter().filter(|n| !askable(n)).map(say).collect();
                // An optional step that may not be is given up in its turn.
                why.extend(prefixed(&broken).into_iter().filter(|_| !item.optional));
                why
            }
        }
    }

    /// Whether some step's missing fence of `target` may be accepted by a named person when its turn comes.
    pub(super) fn asks_about(&self, target: &crate::domain::Name) -> bool {
        self.spec.items.iter().any(|i| i.accept_unfenced.as_ref().is_some_and(|rule| rule.target == *target))
    }

    /// Targets whose missing fence is accepted at `now`.
    fn accepted(&self, now: Time) -> Vec<&crate::domain::Name> {
        self.overrides.iter().filter(|(_, accepted)| now < accepted.until).map(|(target, _)| target).collect()
    }

    /// The plan's fence of `target` is a person's deed, which nothing here can vouch for ahead.
    fn fenced_by_hand(&self, target: &crate::domain::Name) -> bool {
        self.ids_of(ItemRole::Step).any(|id| {
            let rung = self.rung(id, self.state(id).plan_rung);
            let fences =
                rung.proves.iter().any(|f| matches!(f, Fact::Fenced { target: t, .. } if t == target));
            fences && matches!(rung.form, Form::Manual { .. })
        })
    }

    /// The plan as shown. Its digest covers decisions and normalised facts, never a measurement.
    pub fn sheet(&self, now: Time) -> PlanSheet {
        let mut lines: Vec<PlanLine> = self.ids().map(|id| self.line(id, now)).collect();
        let first = lines.iter_mut().find(|line| line.role == ItemRole::Step);
        if let (Some(lifted), Some(line)) = (self.budget_lifted(now), first) {
            line.notes.push(lifted.says());
        }
        let items: Vec<Value> = self.ids().map(|id| self.contract_of(id)).collect();
        let spec = &self.spec;
        let mut contract = json!({
            "playbook": spec.playbook_digest, "service": spec.service, "from": spec.from, "to": spec.to,
            "kind": spec.kind, "items": items,
            "overrides": self.accepted(now),
        });
        // Only where a rule is in fact broken: what binds nobody is no part of what is agreed to.
        let used = self.rules_lifted(now);
        if !used.is_empty() {
            contract["rules_lifted"] = json!(used);
        }
        let digest = Digest::of_json(&contract);
        PlanSheet { lines, at_risk: self.at_risk(), digest, at: now, until: now + PLAN_VALID }
    }

    fn contract_of(&self, id: ItemId) -> Value {
        let (item, state) = (self.item(id), self.state(id));
        let rung = state.planned.as_ref().map_or(state.plan_rung, |p| p.rung);
        let verdict = match state.planned.as_ref().map(|p| &p.plan) {
            None => json!("later"),
            Some(StepPlan::Nothing { .. }) => json!("nothing"),
            Some(StepPlan::Change(change)) => change.contract(),
            Some(StepPlan::Refuse(_)) => json!("refused"),
            Some(StepPlan::Unknown(_)) => json!("unknown"),
        };
        json!({ "name": item.name, "rung": rung, "form": self.rung(id, rung).form, "verdict": verdict })
    }

    fn line(&self, id: ItemId, now: Time) -> PlanLine {
        let (item, state) = (self.item(id), self.state(id));
        let rung = state.planned.as_ref().map_or(state.plan_rung, |p| p.rung);
        let form = &self.rung(id, rung).form;
        let reasons = |list: &[Reason]| list.iter().map(|r| r.says.clone()).collect::<Vec<_>>().join("; ");
        let mut line = PlanLine {
            item: id,
            role: item.role,
            name: item.name.clone(),
            target: form.spec().map_or_else(|| "a person".to_owned(), |s| s.target.to_string()),
            verdict: Verdict::Later,
            now: String::new(),
            after: String::new(),
            no_undo: false,
            notes: vec![],
        };
        let fault = form.spec().and_then(|spec| spec.fault());
        line.notes.extend(fault.map(|fault| format!("a fault is injected here on purpose: {fault}")));
        match state.planned.as_ref().map(|p| &p.plan) {
            None => {
                if let Form::Manual { text } = form {
                    line.verdict = Verdict::Asks;
                    line.now = text.clone();
                }
            }
            Some(StepPlan::Nothing { says, .. }) => {
                line.verdict = if item.role == ItemRole::Guard { Verdict::Ok } else { Verdict::Nothing };
                line.now = says.clone();
            }
            Some(StepPlan::Change(change)) => {
                line.verdict = Verdict::Change;
                line.now = change.now.clone();
                line.after = change.after.clone();
                line.no_undo = matches!(change.undo, Undo::None);
                line.notes.extend(change.warnings.iter().cloned());
                line.notes.extend(self.lifted_for((id, rung), change, now).map(Override::says));
            }
            Some(StepPlan::Refuse(why)) => {
                line.verdict = Verdict::Refused;
                line.now = reasons(why);
            }
            Some(StepPlan::Unknown(why)) => {
                line.verdict = if item.accept_unfenced.is_some() { Verdict::Asks } else { Verdict::Unknown };
                line.now = reasons(why);
            }
        }
        line
    }

    /// Data at risk in words: the bound that guards measured, and what nobody can measure.
    fn at_risk(&self) -> Vec<String> {
        let proven = |id: ItemId| match self.state(id).planned.as_ref().map(|planned| &planned.plan) {
            Some(StepPlan::Change(change)) => change.bounds.get("data_loss_bytes") == Some(&0),
            _ => false,
        };
        if self.is_planned_move() && self.ids_of(ItemRole::Step).any(proven) {
            return vec![
                "none: it goes on only with everything there, and is taken back or stops otherwise".into(),
            ];
        }
        let mut words: Vec<String> = self
            .ids_of(ItemRole::Guard)
            .filter(|id| self.form(*id).spec().is_some_and(|s| s.kind.as_str().ends_with(".lag")))
            .filter_map(|id| match &self.state(id).planned.as_ref()?.plan {
                StepPlan::Nothing { says, .. } => Some(says.clone()),
                StepPlan::Change(_) | StepPlan::Refuse(_) | StepPlan::Unknown(_) => None,
            })
            .collect();
        for id in self.ids_of(ItemRole::Step) {
            let Some(StepPlan::Change(change)) = self.state(id).planned.as_ref().map(|p| &p.plan) else {
                continue;
            };
            for need in &change.needs {
                let Fact::Fenced { target, .. } = need else { continue };
                let strong = self.promised(id).iter().any(|f| f.meets(need)) && !self.fenced_by_hand(target);
                words.push(match strong && !self.overrides.contains_key(target) {
                    true => format!("none after that, once {target} is proven fenced"),
                    false => format!(
                        "plus everything {target} has accepted since then, if it still runs: its fence is {} until a person \
                         proves another",
                        FenceRung::None
                    ),
                });
            }
        }
        words
    }
}
