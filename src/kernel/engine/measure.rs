//! Recovery time by phase, what may be lost, and what is left to do by hand: from records alone.

use super::{ItemPhase, Run};
use crate::domain::{Cause, Change, Fact, ItemId, ItemRole, Outcome, Phase, Record, Span, StepPlan, Undo};
use std::collections::BTreeMap;

impl Run {
    pub(super) fn finish(&self, outcome: Outcome, says: String) -> Record {
        Record::Finished {
            outcome,
            says,
            rto: self.rto(),
            rpo: self.rpo(),
            why: vec![],
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
            _ if kind.ends_with(".record") => Some(Phase::Dns),
            (_, "http.expect" | "sql.write_probe" | "redis.write_probe") | (ItemRole::Verify, _) => {
                Some(Phase::Verify)
            }
            _ => Some(Phase::Config),
        }
    }

    /// One sentence for a run that ends where it is: what this run changed, what is not known, what was not begun.
    pub(super) fn what_stands(&self) -> String {
        let (mut done, mut half, mut unknown) = (vec![], vec![], vec![]);
        let (mut back, mut not) = (vec![], vec![]);
        for id in self.ids().filter(|id| self.item(*id).role == ItemRole::Step) {
            let (name, state) = (self.item(id).name.as_str(), self.state(id));
            let taken_back = state.back.is_some() && matches!(state.phase, ItemPhase::Done { .. });
            match &state.phase {
                ItemPhase::Doubt { .. } | ItemPhase::InFlight { .. } => unknown.push(name),
                ItemPhase::Parked { doubt: true, .. } => unknown.push(name),
                _ if taken_back => back.push(name),
                _ if state.back.is_some() => done.push(name),
                ItemPhase::Done { .. } if !state.changed => {}
                // Left out by a person while nobody knew.
                ItemPhase::Skipped { .. } if state.changed => unknown.push(name),
                ItemPhase::Done { .. } | ItemPhase::Applied { .. } => done.push(name),
                _ if state.changed => half.push(name),
                _ => not.push(name),
            }
        }
        if done.is_empty() && half.is_empty() && unknown.is_empty() && back.is_empty() {
            return "nothing was changed".to_owned();
        }
        let part = |word: &str, names: Vec<&str>| {
            (!names.is_empty()).then(|| format!("{word}: {}", names.join(", ")))
        };
        let parts = [
            part("it stands changed", done),
            part("changed, and not as it should be", half),
            part("not known whether it happened", unknown),
            part("taken back", back),
            part("not done", not),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    /// What a person has to do, or may have to take back, when the run did not end green.
    pub fn by_hand(&self, outcome: Outcome) -> Vec<String> {
        if matches!(outcome, Outcome::Succeeded | Outcome::Unchanged | Outcome::Undone) {
            return vec![];
        }
        let items = self.ids().filter(|id| self.item(*id).role != ItemRole::Guard);
        match self.undoing {
            // Newest first, as it is taken back.
            Some(_) => self.way_back().into_iter().flat_map(|id| self.left_standing(id)).collect(),
            None => items.flat_map(|id| self.left_to_do(id)).collect(),
        }
    }

    /// On the way back: what still stands of one item, and how a person takes it back.
    fn left_standing(&self, id: ItemId) -> Vec<String> {
        let (item, state) = (self.item(id), self.state(id));
        let Some(back) = &state.back else { return vec![] };
        if matches!(state.phase, ItemPhase::Done { .. }) {
            return vec![];
        }
        let word = match &state.phase {
            ItemPhase::Parked { doubt: true, .. } => "may stand; look first",
            _ => "stands",
        };
        let all = back.left.iter().chain([&back.made]).rev();
        all.flat_map(|made| {
            let mut lines = vec![format!("{} {word}: {}", item.name, how_back(&made.change))];
            lines.extend(made.change.undo_by_hand.iter().map(|command| format!("  {command}")));
            lines
        })
        .collect()
    }

    fn left_to_do(&self, id: ItemId) -> Vec<String> {
        let (item, state) = (self.item(id), self.state(id));
        let planned = || match &state.planned.as_ref()?.plan {
            StepPlan::Change(change) => Some(&**change),
            StepPlan::Nothing { .. } | StepPlan::Refuse(_) | StepPlan::Unknown(_) => None,
        };
        let made = state.made.last().map(|made| &*made.change);
        let change = state.own_change().or(made).or_else(planned);
        let commands = |list: &dyn Fn(&Change) -> &Vec<String>| -> Vec<String> {
            change.into_iter().flat_map(list).map(|command| format!("  {command}")).collect()
        };
        let (to_do, to_undo) = (commands(&|c| &c.by_hand), commands(&|c| &c.undo_by_hand));
        let with = |line: String, mut commands: Vec<String>| {
            commands.insert(0, line);
            commands
        };
        match &state.phase {
            ItemPhase::Done { .. } if state.changed => {
                let back = change.map(|c| format!("; to take it back: {}", how_back(c))).unwrap_or_default();
                with(format!("{} is done{back}", item.name), to_undo)
            }
            ItemPhase::Skipped { why } => {
                with(format!("{} was not done: {why}; do it by hand", item.name), to_do)
            }
            ItemPhase::Done { .. } | ItemPhase::GaveUp { .. } => vec![],
            _ if self.first_change.is_none() => vec![],
            ItemPhase::Doubt { .. } | ItemPhase::Parked { doubt: true, .. } => {
                with(format!("{}: find out by hand whether it happened; if not", item.name), to_do)
            }
            _ => {
                let after = change.map(|c| format!(": {}", c.after)).unwrap_or_default();
                with(format!("{} is not done{after}", item.name), to_do)
            }
        }
    }
}

fn how_back(change: &Change) -> String {
    match &change.undo {
        Undo::To(spec) if change.undo_by_hand.is_empty() => {
            format!("back to {} ({} with {})", change.now, spec.kind, spec.with)
        }
        Undo::To(_) => format!("back to {}", change.now),
        Undo::ByHand(text) => text.clone(),
        Undo::None => "it cannot be taken back".to_owned(),
    }
}
