//! Recovery time by phase, what may be lost, and what is left to do by hand: from records alone.

use super::{ItemPhase, Run};
use crate::domain::{Cause, Fact, ItemId, ItemRole, Outcome, Phase, Record, Span, StepPlan, Undo};
use std::collections::BTreeMap;

impl Run {
    pub(super) fn finish(&self, outcome: Outcome, says: String) -> Record {
        Record::Finished {
            outcome,
            says,
            rto: self.rto(),
            rpo: self.rpo.clone(),
            by_hand: self.by_hand(outcome),
        }
    }

    /// Time by phase. Parallel steps of one phase count once: from the first begin to the last end.
    pub fn rto(&self) -> Vec<(Phase, Span)> {
        let mut spans: BTreeMap<Phase, Span> = BTreeMap::new();
        if let Cause::Alert { started, delivered, .. } = &self.spec.cause {
            spans.insert(Phase::Detect, delivered.since(*started));
            if let Some(first) = self.first_change {
                spans.insert(Phase::Decide, first.since(*delivered));
            }
        }
        for phase in [Phase::Fence, Phase::Promote, Phase::Config, Phase::Verify, Phase::Dns] {
            let mut ranges: Vec<_> = self
                .ids()
                .filter(|id| self.phase_of(*id) == Some(phase))
                .filter_map(|id| Some((self.state(id).began?, self.state(id).ended?)))
                .collect();
            ranges.sort();
            let mut total = Span::ZERO;
            let mut covered = crate::domain::Time(i64::MIN);
            for (began, ended) in ranges {
                total = Span(total.0 + ended.since(began.max(covered)).0);
                covered = covered.max(ended);
            }
            if total > Span::ZERO {
                spans.insert(phase, total);
            }
        }
        spans.into_iter().collect()
    }

    fn phase_of(&self, id: ItemId) -> Option<Phase> {
        let item = self.item(id);
        let fences = item.accept_unfenced.is_some()
            || item.rungs.iter().any(|r| r.proves.iter().any(|f| matches!(f, Fact::Fenced { .. })));
        let kind = self.form(id).spec().map_or("", |s| s.kind.as_str());
        match (item.role, kind) {
            (ItemRole::Guard, _) => None,
            _ if fences || kind.ends_with(".fence") => Some(Phase::Fence),
            _ if kind.ends_with(".promote") => Some(Phase::Promote),
            (_, "dns.record") => Some(Phase::Dns),
            (_, "http.expect" | "sql.write_probe") | (ItemRole::Verify, _) => Some(Phase::Verify),
            _ => Some(Phase::Config),
        }
    }

    /// What a person has to do, or may have to take back, when the run did not end green.
    pub fn by_hand(&self, outcome: Outcome) -> Vec<String> {
        if matches!(outcome, Outcome::Succeeded | Outcome::Unchanged) {
            return vec![];
        }
        let mut list = vec![];
        for id in self.ids().filter(|id| self.item(*id).role != ItemRole::Guard) {
            let (item, state) = (self.item(id), self.state(id));
            let change = state.own_change().or_else(|| match &state.planned.as_ref()?.plan {
                StepPlan::Change(change) => Some(&**change),
                StepPlan::Nothing { .. } | StepPlan::Refuse(_) | StepPlan::Unknown(_) => None,
            });
            let how_back = change.map(|c| match &c.undo {
                Undo::To(spec) => format!("to take it back: {} with {}", spec.kind, spec.with),
                Undo::ByHand(text) => format!("to take it back: {text}"),
                Undo::None => "it cannot be taken back".to_owned(),
            });
            match &state.phase {
                ItemPhase::Done { .. } if state.changed => {
                    let back = how_back.map(|how| format!("; {how}")).unwrap_or_default();
                    list.push(format!("{} is done{back}", item.name));
                }
                ItemPhase::Skipped { why } => {
                    list.push(format!("{} was not done: {why}; do it by hand", item.name))
                }
                ItemPhase::Done { .. } | ItemPhase::GaveUp { .. } => {}
                _ if self.first_change.is_none() => {}
                ItemPhase::Doubt { .. } | ItemPhase::Parked { doubt: true, .. } => {
                    list.push(format!("{}: find out by hand whether it happened", item.name));
                }
                _ => {
                    let after = change.map(|c| format!(": {}", c.after)).unwrap_or_default();
                    list.push(format!("{} is not done{after}", item.name));
                }
            }
        }
        list
    }
}
