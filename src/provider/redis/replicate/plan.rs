//! The verdict over two servers, one of which shall follow the other. Pure.

use super::super::look::managed;
use super::super::node::Seen;
use super::{Evidence, Relation, Replicate, State};
use crate::kernel::domain::{Change, Fact, Observation, Settle, Span, Spec, StepPlan, Undo};
use crate::provider::postgres::loss_bound;
use serde::Deserialize;
use serde_json::json;

/// To be told twice is the same as once: "already connected to specified master".
const AGAIN: Span = Span::secs(5);

impl Replicate {
    pub(super) fn plan_from(&self, seen: &Observation, given: &[Fact]) -> StepPlan {
        let (Ok(state), Ok(evidence)) =
            (State::deserialize(&seen.state), Evidence::deserialize(&seen.evidence))
        else {
            return StepPlan::unknown("PM3109", "the observation cannot be read; look again");
        };
        let (target, primary) = (&self.target.name, &self.primary.name);
        for (name, seen) in [(target, &evidence.target), (primary, &evidence.primary)] {
            if let Seen::Silent(silent) = seen {
                let says = format!("{name} does not answer ({}: {})", silent.layer, silent.says);
                return StepPlan::unknown("PM3502", says);
            }
        }
        if let Some(manager) = &state.manager {
            return StepPlan::refuse("PM3505", managed(target, manager));
        }
        if let Some(busy) = &state.busy {
            return StepPlan::unknown(
                "PM3512",
                format!("{target} and {primary} cannot be judged now: {busy}"),
            );
        }
        let is_ours = |fact: &Fact| matches!(fact, Fact::Primary { target: one, .. } if one == target);
        if given.iter().any(is_ours) {
            let says = format!("{target} is what this run promotes: it is not made to follow {primary}");
            return StepPlan::refuse("PM3517", says);
        }
        let promoted = self.promoted(given);
        if state.primary_role != "primary" && promoted.is_none() {
            let says = format!("{primary} is a replica itself: {target} is not made to follow it");
            return StepPlan::refuse("PM3514", says);
        }
        if state.whole {
            return StepPlan::nothing(format!("{target} follows {primary} and has a whole copy"));
        }
        if let Some(refused) = self.direction(&state, promoted.is_some()) {
            return refused;
        }
        if state.follows.as_ref() == Some(&self.primary.place()) {
            return self.told(&evidence);
        }
        self.change(&state, &evidence, promoted)
    }

    /// It is on its way, or it never will be.
    fn told(&self, evidence: &Evidence) -> StepPlan {
        let how = match evidence.target.node().and_then(|node| node.link.as_ref()) {
            Some(link) if link.syncing => "a copy is on its way",
            Some(link) if link.up => "it is not seen to be whole yet",
            _ => "the link is down: see its log, and its masteruser and masterauth",
        };
        let says = format!("{} is told to follow {}; {how}", self.target.name, self.primary.name);
        StepPlan::unknown("PM3516", says)
    }

    /// What would be overwritten, and by what. `promoted`: this run knows the primary for the right one. While that is only
    /// promised the primary is a replica still, and what will be thrown away can be judged when its turn comes.
    pub(super) fn direction(&self, state: &State, promoted: bool) -> Option<StepPlan> {
        let (target, primary) = (&self.target.name, &self.primary.name);
        let ahead = state.primary_role != "primary";
        let lost = |says: String| Some(StepPlan::refuse("PM3515", says));
        let older = |says: String| Some(StepPlan::refuse("PM3517", says));
        let hides = |name| {
            let says = format!("{name} does not tell whether it holds any key");
            Some(StepPlan::unknown("PM3515", says))
        };
        match (state.relation, state.primary_empty) {
            (None, _) => hides(target),
            (Some(Relation::Newer), _) => older(format!(
                "{target} was promoted from the history that {primary} still has: {primary} is the one that was left \
                 behind. Turn it round"
            )),
            (Some(Relation::Empty), _) => None,
            (_, None) => hides(primary),
            (_, Some(true)) => {
                lost(format!("{primary} is empty and {target} holds data: all of it would be gone"))
            }
            (Some(Relation::Same | Relation::Ahead), _) if ahead => None,
            (Some(Relation::Ahead), _) => older(format!(
                "{target} has more of the history than {primary}, which is older: turn it round"
            )),
            (Some(Relation::Same), _) if state.role == "primary" => {
                older(format!("{target} and {primary} are both primaries of one history; find out how"))
            }
            (Some(Relation::Sibling), _) if !promoted && !self.discard => older(format!(
                "{target} and {primary} went on from one history, each by its own, and which is the right one cannot be \
                 told. Save {target} first, and then say discard: true"
            )),
            (Some(Relation::Other), _) if !self.discard => lost(format!(
                "{target} holds data of another origin than {primary}; all of it would be gone. Save it first, and then \
                 say discard: true"
            )),
            (Some(_), _) if !self.discard && state.own != Some(false) => lost(format!(
                "{target} may hold writes of its own that {primary} does not have. Save it first, and then say discard: \
                 true"
            )),
            (Some(_), Some(false)) => None,
        }
    }

    fn change(&self, state: &State, evidence: &Evidence, promoted: Option<Fact>) -> StepPlan {
        let primary = &self.primary.name;
        let ahead = state.primary_role != "primary";
        let discards = evidence.discards.filter(|_| !ahead);
        let from = json!({ "role": state.role, "replid": state.replid, "follows": state.follows });
        let to = json!({ "role": "replica", "follows": self.primary.place() });
        let mut change = Change::new(from, to);
        change.detail = json!({ "role": state.role, "replid": state.replid, "follows": state.follows,
            "promoted": promoted.is_some() });
        change.needs = promoted.into_iter().collect();
        change.settle = Settle::Repeatable(AGAIN);
        change.undo = self.undo(state, discards);
        let place = self.primary.place();
        let cli = format!("redis-cli -h {} -p {}", self.target.conf.address, self.target.conf.port);
        change.by_hand =
            vec![format!("{cli} replicaof {} {}", place.host, place.port), format!("{cli} config rewrite")];
        change.now = match &state.follows {
            Some(place) => format!("replica of {place}"),
            None => "primary, with data of its own".into(),
        };
        change.after = format!("replica of {primary}");
        let bound = if discards == Some(0) { 0 } else { loss_bound(None, discards) };
        change.bounds.insert("discarded_bytes".into(), bound);
        change.warnings = self.warnings(state, evidence, discards, ahead);
        StepPlan::Change(Box::new(change))
    }

    /// What it was before: a replica of another, whose data comes back from there; or a primary, where nothing of its own
    /// is gone by then.
    fn undo(&self, state: &State, discards: Option<u64>) -> Undo {
        if state.role == "primary" && discards != Some(0) {
            return Undo::None;
        }
        Undo::To(Spec {
            kind: "redis.unreplicate".into(),
            target: self.target.name.clone(),
            with: json!({ "primary": self.primary.name, "before": state.follows }),
        })
    }

    fn warnings(
        &self,
        state: &State,
        evidence: &Evidence,
        discards: Option<u64>,
        ahead: bool,
    ) -> Vec<String> {
        let (target, primary) = (&self.target.name, &self.primary.name);
        let mut warnings = vec![];
        match discards {
            _ if ahead => warnings.push(format!(
                "{primary} is a replica until this run promotes it; what {target} has then and {primary} has not {}",
                if self.discard { "is thrown away" } else { "stops this step" }
            )),
            Some(0) => {}
            Some(bytes) => warnings.push(format!(
                "{bytes} bytes of its stream that {primary} does not have are thrown away with everything else that {target} \
                 holds: what was there cannot be brought back"
            )),
            None => warnings.push(format!("all data of {target} is thrown away and cannot be brought back")),
        }
        if state.role == "primary" {
            warnings.push(format!("clients that still write to {target} are refused from then on"));
        }
        let behind = evidence.target.node().map_or(0, |node| node.replicas.len());
        if behind > 0 {
            warnings.push(format!("{behind} replicas of {target} stay behind it, and take what it takes"));
        }
        if evidence.target.node().is_some_and(|node| !node.config_file) {
            warnings.push(format!(
                "{target} runs without a configuration file: started as it was before, it is what it was before"
            ));
        }
        warnings
    }
}
