//! The verdict over what was seen of a primary that shall be fenced. Pure.
//!
//! A living primary refuses, unless its site is said to be down, another server has taken its place, or a person asked
//! for a planned move and the playbook means this very fence by it (decision 0051).

use super::{Evidence, Fence, State};
use crate::kernel::domain::{
    Change, Fact, FenceRung, Observation, Reason, Settle, Span, Spec, StepPlan, Undo,
};
use crate::provider::postgres::hba;
use crate::provider::postgres::look::{ALIVE, Witness, alive, is_ours, managed, said_down};
use crate::provider::postgres::node::Seen;
use serde::Deserialize;
use serde_json::json;

/// A statement of ours is given up by the server itself before this.
const SETTLE: Span = Span::secs(10);

impl Fence {
    pub(super) fn plan_from(&self, seen: &Observation, given: &[Fact]) -> StepPlan {
        let (Ok(state), Ok(evidence)) =
            (State::deserialize(&seen.state), Evidence::deserialize(&seen.evidence))
        else {
            return StepPlan::unknown("PM3109", "the observation cannot be read; look again");
        };
        let target = &self.target.name;
        let planned = self.planned && given.iter().any(|fact| matches!(fact, Fact::Planned { .. }));
        if let Some(why) = self.against_a_planned_move(&evidence, given).filter(|_| planned) {
            return StepPlan::Refuse(vec![why]);
        }
        match &evidence.target {
            Seen::Silent(silent) => {
                return self.silent(&state, &silent.layer.to_string(), &silent.says, given);
            }
            Seen::Answers(node) if node.in_recovery => {
                return StepPlan::refuse(
                    "PM3103",
                    format!(
                        "{target} is a standby and not the active side: there is nothing to fence, and \
                        fencing it would take away what can be promoted. Check `from` and `to`."
                    ),
                );
            }
            Seen::Answers(_) => {}
        }
        if let (Some(wanted), Some(found)) = (&state.lineage, &state.system)
            && wanted != found
        {
            return StepPlan::refuse(
                "PM3106",
                format!("{target} holds other data: system identifier {found}, and its standby has {wanted}"),
            );
        }
        if let Some(manager) = &state.manager {
            return StepPlan::refuse("PM3105", managed(target.as_str(), manager));
        }
        if state.proven >= self.min_rung && state.proven > FenceRung::None {
            let fact =
                Fact::Fenced { target: target.clone(), rung: state.proven, position: evidence.position };
            let says = format!("{target} is fenced ({}): a fresh write was refused", state.proven);
            return StepPlan::gives(vec![fact], says);
        }
        let superseded = given.iter().any(|f| matches!(f, Fact::Superseded { target: t, .. } if t == target));
        if !superseded && !planned && !said_down(&self.target, given) {
            return StepPlan::refuse(ALIVE, alive(target, "it answers as a primary"));
        }
        if state.best < self.min_rung {
            let why = state.why_not_higher.as_deref().unwrap_or("its files cannot be changed by SQL");
            // Not a refusal: another way may reach the rung, so the ladder goes on.
            return StepPlan::unknown(
                "PM3104",
                format!(
                    "by SQL {target} can be fenced to {} and {} is asked for: {why}. The ladder goes on.",
                    state.best, self.min_rung
                ),
            );
        }
        self.change(&state, &evidence)
    }

    /// A planned move needs a primary that lives, and nothing on it that a fence does not stop.
    fn against_a_planned_move(&self, evidence: &Evidence, given: &[Fact]) -> Option<Reason> {
        let target = &self.target.name;
        match (&evidence.target, evidence.workers()) {
            (Seen::Silent(silent), _) if !is_ours(target, given) => {
                let says = format!(
                    "{target} does not answer ({}: {}): a planned move needs a primary that lives. Nothing was changed. \
                    Find out what it has; if it is lost, run the failover's playbook.",
                    silent.layer, silent.says
                );
                Some(Reason::new("PM2191", says))
            }
            (Seen::Answers(node), [worker, ..]) if !node.in_recovery => {
                let says = format!(
                    "{target} runs \"{worker}\", which writes without being a client: what it writes after the fence \
                    would be lost. Stop it, then move."
                );
                Some(Reason::new("PM2192", says))
            }
            (Seen::Answers(_) | Seen::Silent(_), _) => None,
        }
    }

    /// Refused, timed out, no route: nothing is proven by any of them.
    fn silent(&self, state: &State, layer: &str, says: &str, given: &[Fact]) -> StepPlan {
        let target = &self.target.name;
        let names = |kind: Witness| {
            let who = state.witnesses.iter().filter(|(_, witness)| *witness == kind);
            who.map(|(name, _)| name.to_string()).collect::<Vec<_>>().join(", ")
        };
        let (streams, hidden) = (names(Witness::Streams), names(Witness::Hidden));
        if !streams.is_empty() && !said_down(&self.target, given) {
            return StepPlan::refuse(
                ALIVE,
                alive(
                    target,
                    &format!("{streams} streams from it, though we do not reach it ({layer}: {says})"),
                ),
            );
        }
        if !hidden.is_empty() && !said_down(&self.target, given) {
            return StepPlan::refuse(
                ALIVE,
                alive(
                    target,
                    &format!("{hidden} may stream from it and hides that; grant pg_monitor to see"),
                ),
            );
        }
        StepPlan::unknown(
            "PM3102",
            format!(
                "{target} does not answer ({layer}: {says}): rung none, nothing is proven. The ladder goes \
                on."
            ),
        )
    }

    fn change(&self, state: &State, evidence: &Evidence) -> StepPlan {
        let target = &self.target.name;
        let from = json!({ "role": state.role, "system": state.system, "timeline": state.timeline,
            "fence": state.proven, "in_place": state.in_place });
        let mut change = Change::new(from, json!({ "fence": state.best }));
        change.gives = vec![Fact::Fenced { target: target.clone(), rung: state.best, position: None }];
        change.settle = Settle::After(SETTLE);
        change.now = format!("primary, accepts writes (fence: {})", state.proven);
        change.after = format!("clients refused (rung: {})", state.best);
        change.detail = json!({ "rung": state.best, "system": state.system, "hba": evidence.hba });
        change.undo = Undo::To(Spec {
            kind: "postgres.unfence".into(),
            target: target.clone(),
            with: json!({ "rung": state.best, "system": state.system,
                "sha256": evidence.hba.as_ref().map(|old| &old.sha256) }),
        });
        change.undo_by_hand = self.by_hand(state.best, evidence);
        let node = evidence.target.node();
        if let Some(clients) = node.and_then(|node| node.clients).filter(|clients| *clients > 0) {
            change.warnings.push(format!("{clients} client sessions of {target} will be ended"));
        }
        for worker in evidence.workers() {
            change.warnings.push(format!("{target} runs \"{worker}\", which writes without being a client"));
        }
        if self.planned {
            change.warnings.push(format!("{target} lives, and is fenced on purpose: no writes from here on"));
        }
        if state.best == FenceRung::ReadOnly {
            change.warnings.push("read_only is soft: a client can undo it for itself".into());
        }
        StepPlan::Change(Box::new(change))
    }

    /// Ready to paste.
    fn by_hand(&self, rung: FenceRung, evidence: &Evidence) -> Vec<String> {
        let conf = &self.target.conf;
        let psql = format!("psql -h {} -p {} -U {} -d {}", conf.address, conf.port, conf.user, conf.database);
        let reload = format!("{psql} -c 'select pg_reload_conf()'");
        let first = "# Only if no other server was promoted:".to_owned();
        match (&evidence.hba, rung) {
            (Some(old), FenceRung::Lockout) => vec![
                first,
                format!("{}   # on the machine of {}", hba::restore_file(&old.path), self.target.name),
                reload,
            ],
            _ => vec![first, format!("{psql} -c 'alter system reset default_transaction_read_only'"), reload],
        }
    }
}
