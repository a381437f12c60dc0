//! The verdict over what was seen of a primary that shall be fenced. Pure.

use super::super::look::{ALIVE, alive, is_ours, managed};
use super::super::node::{MinReplicas, Seen};
use super::{Evidence, Fence, State};
use crate::kernel::domain::{Change, Fact, FenceRung, Observation, Settle, Span, Spec, StepPlan, Undo};
use serde::Deserialize;
use serde_json::json;

/// A server that answers again has carried out what it was told before.
const SETTLE: Span = Span::secs(10);

impl Fence {
    pub(super) fn plan_from(&self, seen: &Observation, given: &[Fact]) -> StepPlan {
        let (Ok(state), Ok(evidence)) =
            (State::deserialize(&seen.state), Evidence::deserialize(&seen.evidence))
        else {
            return StepPlan::unknown("PM3109", "the observation cannot be read; look again");
        };
        let target = &self.target.name;
        if let Seen::Silent(silent) = &evidence.target {
            return self.silent(&state, &silent.layer.to_string(), &silent.says, given);
        }
        if let Some(manager) = &state.manager {
            return StepPlan::refuse("PM3505", managed(target, manager));
        }
        if state.role != "primary" {
            let says = format!(
                "{target} is a replica and not the active side: there is nothing to fence. Check `from` and `to`."
            );
            return StepPlan::refuse("PM3503", says);
        }
        if let Some(busy) = &state.busy {
            return StepPlan::unknown("PM3512", format!("{target} cannot be judged now: {busy}"));
        }
        if state.proven >= self.min_rung && state.proven > FenceRung::None {
            let fact =
                Fact::Fenced { target: target.clone(), rung: state.proven, position: evidence.position };
            let says = format!(
                "{target} is fenced ({}): a fresh write was refused for want of replicas",
                state.proven
            );
            return StepPlan::gives(vec![fact], says);
        }
        let superseded = given.iter().any(|f| matches!(f, Fact::Superseded { target: t, .. } if t == target));
        if !superseded && !self.down(given) && !is_ours(target, given) {
            return StepPlan::refuse(ALIVE, alive(target, "it answers as a primary"));
        }
        if state.best < self.min_rung {
            let why = state.why_not_higher.as_deref().unwrap_or("it cannot be told");
            // Not a refusal: another way may reach the rung, so the ladder goes on.
            let says = format!(
                "by commands {target} can be fenced to {} and {} is asked for: {why}. The ladder goes on.",
                state.best, self.min_rung
            );
            return StepPlan::unknown("PM3504", says);
        }
        self.change(&state, &evidence)
    }

    /// Refused, timed out, no route: nothing is proven by any of them.
    fn silent(&self, state: &State, layer: &str, says: &str, given: &[Fact]) -> StepPlan {
        let target = &self.target.name;
        if !state.witnesses.is_empty() && !self.down(given) {
            let names = state.witnesses.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
            let why = format!("{names} hears it, though we do not reach it ({layer}: {says})");
            return StepPlan::refuse(ALIVE, alive(target, &why));
        }
        let says = format!(
            "{target} does not answer ({layer}: {says}): rung none, nothing is proven. The ladder goes on."
        );
        StepPlan::unknown("PM3502", says)
    }

    fn change(&self, state: &State, evidence: &Evidence) -> StepPlan {
        let target = &self.target.name;
        let before = restored(state.min_replicas);
        let from = json!({ "role": state.role, "replid": state.replid, "fence": state.proven,
            "min_replicas": state.min_replicas });
        let mut change = Change::new(from, json!({ "fence": state.best }));
        change.gives = vec![Fact::Fenced { target: target.clone(), rung: state.best, position: None }];
        change.settle = Settle::After(SETTLE);
        change.now = format!("primary, accepts writes (fence: {})", state.proven);
        change.after = format!("refuses every write (rung: {})", state.best);
        change.detail = json!({ "rung": state.best, "replid": state.replid, "found": state.min_replicas });
        change.undo = Undo::To(Spec {
            kind: "redis.unfence".into(),
            target: target.clone(),
            with: json!({ "before": before, "rung": state.best }),
        });
        change.undo_by_hand = self.by_hand(before, state.best);
        if state.best == FenceRung::ReadOnly {
            let why = state.why_not_higher.as_deref().unwrap_or("it cannot be told");
            change.warnings.push(format!("read_only is soft: {why}"));
        } else {
            change.warnings.push(format!(
                "CONFIG REWRITE puts every setting of {target} that was changed while it ran into its file"
            ));
        }
        let node = evidence.target.node();
        if node.is_some_and(|node| node.version.starts_with("2.") || node.version.starts_with("3.")) {
            change
                .warnings
                .push(format!("{target} is older than what this was tried with (Redis 6.2 and newer)"));
        }
        StepPlan::Change(Box::new(change))
    }

    /// Ready to paste.
    fn by_hand(&self, before: MinReplicas, rung: FenceRung) -> Vec<String> {
        let conf = &self.target.conf;
        let cli = format!("redis-cli -h {} -p {}", conf.address, conf.port);
        let mut lines = vec![
            "# Only if no other server was promoted:".to_owned(),
            format!("{cli} config set min-replicas-to-write {}", before.to_write),
        ];
        if rung == FenceRung::Lockout {
            lines.push(format!("{cli} config rewrite"));
        }
        lines
    }
}

/// What to go back to. A fence that was found is not: what stood there before it is not known, and off is the default.
fn restored(found: MinReplicas) -> MinReplicas {
    match found.to_write >= super::super::node::FENCE {
        true => MinReplicas { to_write: 0, ..found },
        false => found,
    }
}
