//! The verdict over a replica that shall become the primary. Pure.

use super::super::look::{ALIVE, alive, managed, said_down};
use super::super::node::Seen;
use super::{Evidence, Promote, State};
use crate::kernel::domain::{
    Change, Effect, Fact, FenceRung, Lsn, Observation, Other, Reason, Settle, Span, Spec, StepPlan, Undo,
};
use crate::provider::postgres::loss_bound;
use serde::Deserialize;
use serde_json::json;

/// A command whose answer was lost is given again after this time: to be told twice is the same as once.
const AGAIN: Span = Span::secs(5);

/// The given fence of the old primary.
struct Fence {
    position: Option<Lsn>,
}

impl Promote {
    pub(super) fn plan_from(&self, seen: &Observation, given: &[Fact]) -> StepPlan {
        let (Ok(state), Ok(evidence)) =
            (State::deserialize(&seen.state), Evidence::deserialize(&seen.evidence))
        else {
            return StepPlan::unknown("PM3109", "the observation cannot be read; look again");
        };
        let target = &self.target.name;
        if let Seen::Silent(silent) = &evidence.target {
            let says = format!("{target} does not answer ({}: {})", silent.layer, silent.says);
            return StepPlan::unknown("PM3502", says);
        }
        if let Some(manager) = &state.manager {
            return StepPlan::refuse("PM3505", managed(target, manager));
        }
        if let Some(busy) = &state.busy {
            return StepPlan::unknown("PM3512", format!("{target} cannot be judged now: {busy}"));
        }
        let fence = self.fence(given);
        if state.role == "primary" {
            return self.already_primary(&state, fence.as_ref());
        }
        let Some(replid) = state.replid.clone() else {
            return StepPlan::unknown("PM3502", format!("{target} does not tell its history"));
        };
        if let Some(wanted) = state.lineage.as_ref().filter(|wanted| **wanted != replid) {
            let says = format!(
                "{target} holds other data: its history is {replid}, and {} had {wanted}. A primary that came back \
                 empty leaves its replicas so.",
                self.old.name
            );
            return StepPlan::refuse("PM3506", says);
        }
        let reasons = self.refusals(&state, given, fence.as_ref());
        if !reasons.is_empty() {
            return StepPlan::Refuse(reasons);
        }
        if state.empty.is_none() {
            return StepPlan::unknown("PM3509", format!("{target} does not tell whether it holds any key"));
        }
        self.change(&state, &evidence, &replid, fence.as_ref())
    }

    fn fence(&self, given: &[Fact]) -> Option<Fence> {
        given.iter().find_map(|fact| match fact {
            Fact::Fenced { target, rung, position }
                if *target == self.old.name && *rung >= self.fence_rung && *rung > FenceRung::None =>
            {
                Some(Fence { position: *position })
            }
            _ => None,
        })
    }

    /// Right already only where its own history begins in the recorded one; a second writer is never right.
    fn already_primary(&self, state: &State, fence: Option<&Fence>) -> StepPlan {
        let (target, old) = (&self.target.name, &self.old.name);
        if state.old_role == "primary" && !state.old_fenced {
            let says = format!(
                "{target} and {old} both answer as primaries. Fence {old} by hand now: two writers diverge."
            );
            return StepPlan::refuse("PM3203", says);
        }
        let forked = state.lineage.as_ref().filter(|history| state.replid2.as_ref() == Some(history));
        let Some(lineage) = forked else {
            let says = format!(
                "{target} is already a primary, of unknown origin (its history came from {}, and {old} had {}). It was \
                 not changed; find out who promoted it.",
                state.replid2.as_deref().unwrap_or("none"),
                state.lineage.as_deref().unwrap_or("none that is known"),
            );
            return StepPlan::refuse("PM3511", says);
        };
        if let Some(trap) = state.trap {
            let says = format!(
                "{target} is the primary and refuses writes: min-replicas-to-write is {} and no replica is there. Run \
                 on it: config set min-replicas-to-write 0",
                trap.to_write
            );
            return StepPlan::refuse("PM3513", says);
        }
        let unfenced = match (fence, state.old_role.as_str()) {
            (None, "unreachable") => format!("; {old} does not answer, and is not proven to be fenced"),
            _ => String::new(),
        };
        StepPlan::gives(
            vec![Fact::Primary { target: target.clone(), lineage: lineage.clone() }],
            format!("{target} is the primary, from where {lineage} ended here{unfenced}"),
        )
    }

    /// Every reason at once.
    fn refusals(&self, state: &State, given: &[Fact], fence: Option<&Fence>) -> Vec<Reason> {
        let (target, old) = (&self.target.name, &self.old.name);
        let mut reasons = Vec::new();
        let mut refuse = |code: &str, says: String| reasons.push(Reason::new(code, says));
        let drains = fence.is_some_and(|fence| fence.position.is_some());
        if state.old_role == "primary" && fence.is_none() {
            let says = format!("{old} answers as a primary and is not fenced: two writers would diverge");
            refuse("PM3203", says);
        }
        if state.old_role == "primary" && drains && !state.old_fenced {
            refuse("PM3204", format!("{old} was fenced and is not any more: somebody took the fence back"));
        }
        if fence.is_none() && !said_down(&self.old, given) {
            for name in &state.witnesses {
                refuse(ALIVE, alive(old, &format!("{name} hears it")));
            }
        }
        if !state.ahead.is_empty() && !drains {
            let names = state.ahead.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
            refuse("PM3510", format!("{names} has more of the stream than {target}: promote that one"));
        }
        if !state.whole {
            let says = format!(
                "{target} never had a whole copy of its primary's data, or the last one broke off: it would serve what \
                 it has for all there is"
            );
            refuse("PM3508", says);
        }
        if state.empty == Some(true) && !self.may_be_empty {
            let says = format!(
                "{target} holds no key at all. If that is right, say may_be_empty: true; if {old} came back empty, its \
                 replicas have emptied themselves"
            );
            refuse("PM3509", says);
        }
        reasons
    }

    fn change(&self, state: &State, evidence: &Evidence, replid: &str, fence: Option<&Fence>) -> StepPlan {
        let target = &self.target.name;
        let mut from = json!({ "role": "replica", "replid": replid });
        let mut to = json!({ "role": "primary", "from": replid });
        if let Some(trap) = state.trap {
            from["min_replicas_to_write"] = json!(trap.to_write);
            to["min_replicas_to_write"] = json!(0);
        }
        let mut change = Change::new(from, to);
        change.needs =
            vec![Fact::Fenced { target: self.old.name.clone(), rung: self.fence_rung, position: None }];
        change.gives = vec![Fact::Primary { target: target.clone(), lineage: replid.to_owned() }];
        change.effects =
            vec![Effect::Writer { target: target.clone(), others: self.writers(state, evidence, replid) }];
        change.settle = Settle::Repeatable(AGAIN);
        change.undo = Undo::None;
        change.before_undo = Some(Spec {
            kind: "redis.replica".into(),
            target: target.clone(),
            with: json!({ "replid": replid }),
        });
        let conf = &self.target.conf;
        let cli = format!("redis-cli -h {} -p {}", conf.address, conf.port);
        change.by_hand = vec![
            format!("# Only if {} is fenced:  {cli} replicaof no one", self.old.name),
            format!("{cli} config rewrite"),
        ];
        change.now = format!("replica, history {}", short(replid));
        change.after = format!("primary, from where {} ends here", short(replid));
        // Offsets of another history say nothing of this one.
        let same = state.old_replid.as_deref() == Some(replid);
        let drain_to = fence.and_then(|fence| fence.position).filter(|_| same);
        change.detail = json!({ "replid": replid, "drain_to": drain_to, "trap": state.trap,
            "config_file": state.config_file });
        change.bounds.insert("data_loss_bytes".into(), loss_bound(drain_to, evidence.rpo.bytes));
        change.warnings = self.warnings(state, evidence, fence, drain_to);
        StepPlan::Change(Box::new(change))
    }

    /// Who holds the same data and may write: the old primary, and every other primary that came from the same history.
    fn writers(&self, state: &State, evidence: &Evidence, replid: &str) -> Vec<Other> {
        let old = Other {
            target: self.old.name.clone(),
            writes: match state.old_role.as_str() {
                "replica" => Some(false),
                "primary" => Some(!state.old_fenced),
                _ => None,
            },
        };
        let others = evidence.peers.iter().filter_map(|peer| {
            let node = peer.seen.primary().filter(|node| node.knows(replid))?;
            Some(Other { target: peer.name.clone(), writes: Some(!node.min_replicas.fenced()) })
        });
        std::iter::once(old).chain(others).collect()
    }

    fn warnings(
        &self,
        state: &State,
        evidence: &Evidence,
        fence: Option<&Fence>,
        drain_to: Option<Lsn>,
    ) -> Vec<String> {
        let (target, old) = (&self.target.name, &self.old.name);
        let mut warnings = vec![match drain_to {
            Some(end) => {
                format!("waits first until {target} has all of {old} up to offset {}: nothing is lost", end.0)
            }
            None => format!("data at risk: {}", evidence.rpo.says),
        }];
        if fence.is_none() {
            warnings.push(format!(
                "plus everything {old} has accepted since then, if it still runs: it is not proven to be fenced"
            ));
        }
        if state.left_behind {
            warnings.push(format!(
                "{old} has begun another history since the one that {target} holds: what it took since then is not here"
            ));
        }
        if let Some(trap) = state.trap {
            warnings.push(format!(
                "min-replicas-to-write ({}) is set to 0: no replica is there that would allow writes",
                trap.to_write
            ));
        }
        if !state.config_file {
            warnings.push(format!(
                "{target} runs without a configuration file: started as it was before, it would be a replica again, and \
                 take what {old} has then. Change how it is started"
            ));
        }
        if state.lineage.is_none() {
            warnings.push("nothing is recorded about this pair: the histories could not be compared".into());
        }
        warnings
    }
}

/// Enough of it to tell it from another.
fn short(replid: &str) -> &str {
    replid.get(..8).unwrap_or(replid)
}
