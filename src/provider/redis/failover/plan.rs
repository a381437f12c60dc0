//! The verdict over a pair whose living primary shall hand over. Pure.

use super::super::look::{ALIVE, managed};
use super::super::node::{Place, Seen};
use super::{Evidence, Failover, State};
use crate::kernel::domain::{Change, Effect, Fact, Observation, Reason, Settle, Span, Spec, StepPlan, Undo};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// After the time that the primary gives the replica.
const SETTLE: Span = Span::secs(10);

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Detail {
    pub known_as: Place,
    pub replid: String,
}

impl Failover {
    pub(super) fn plan_from(&self, seen: &Observation, given: &[Fact]) -> StepPlan {
        let (Ok(state), Ok(evidence)) =
            (State::deserialize(&seen.state), Evidence::deserialize(&seen.evidence))
        else {
            return StepPlan::unknown("PM3109", "the observation cannot be read; look again");
        };
        let (target, old) = (&self.target.name, &self.old.name);
        for (name, seen) in [(target, &evidence.target), (old, &evidence.old)] {
            if let Seen::Silent(silent) = seen {
                let says = format!(
                    "{name} does not answer ({}: {}). Only a living primary hands over, and only to a living replica; a dead \
                     one is passed over by redis.promote",
                    silent.layer, silent.says
                );
                return StepPlan::unknown("PM3502", says);
            }
        }
        if let Some(manager) = &state.manager {
            return StepPlan::refuse("PM3505", managed(target, manager));
        }
        if let Some(busy) = &state.busy {
            return StepPlan::unknown("PM3512", format!("{target} and {old} cannot be judged now: {busy}"));
        }
        if state.handed_over {
            let lineage = state.replid2.or(state.replid).unwrap_or_default();
            return StepPlan::gives(
                vec![Fact::Primary { target: target.clone(), lineage }],
                format!("{target} is the primary, and {old} follows it"),
            );
        }
        let reasons = self.refusals(&state, &evidence, given);
        if !reasons.is_empty() {
            return StepPlan::Refuse(reasons);
        }
        match (&state.known_as, &state.old_replid, evidence.behind) {
            (Some(known_as), Some(replid), Some(behind)) => self.change(&evidence, known_as, replid, behind),
            _ => StepPlan::unknown("PM3542", format!("how far {target} is behind {old} is not known")),
        }
    }

    /// Every reason at once.
    fn refusals(&self, state: &State, evidence: &Evidence, given: &[Fact]) -> Vec<Reason> {
        let (target, old) = (&self.target.name, &self.old.name);
        let mut reasons = vec![];
        let mut refuse = |code: &str, says: String| reasons.push(Reason::new(code, says));
        match (state.role.as_str(), state.old_role.as_str()) {
            ("primary", "primary") => {
                let says =
                    format!("{target} and {old} both answer as primaries. Fence one of them by hand now");
                refuse("PM3203", says);
                return reasons;
            }
            ("primary", _) => {
                refuse("PM3540", format!("{target} is a primary, and {old} does not follow it"));
                return reasons;
            }
            (_, "primary") => {}
            _ => {
                refuse(
                    "PM3540",
                    format!("{old} is a replica itself: there is nothing that it could hand over"),
                );
                return reasons;
            }
        }
        if !given.iter().any(|fact| matches!(fact, Fact::Planned { .. })) {
            let says = format!(
                "{old} is alive. It hands over in a planned move that a person opens (kind: switchover); for an outage there \
                 are redis.fence and redis.promote"
            );
            refuse(ALIVE, says);
        }
        if !state.follows {
            let says =
                format!("{target} does not follow {old} with a whole copy: mend the replication first");
            refuse("PM3540", says);
        } else if state.known_as.is_none() {
            let says = format!(
                "{old} names no replica at {}: it can only hand over to a place that it sees itself. Set \
                 replica-announce-ip and replica-announce-port on {target}",
                self.target.address()
            );
            refuse("PM3541", says);
        }
        if let Some(behind) = evidence.behind.filter(|behind| *behind > self.max_behind) {
            let says = format!(
                "{target} lacks {behind} bytes of the stream, and at most {} are allowed: writes would wait for them",
                self.max_behind
            );
            refuse("PM3542", says);
        }
        if state.fenced {
            let says = format!(
                "{old} is fenced by min-replicas-to-write, and would be as a replica: take that back first"
            );
            refuse("PM3528", says);
        }
        if let Some(trap) = state.trap {
            let says = format!(
                "{target} would refuse writes with {old} as its one replica: min-replicas-to-write is {}",
                trap.to_write
            );
            refuse("PM3513", says);
        }
        reasons
    }

    fn change(&self, evidence: &Evidence, known_as: &Place, replid: &str, behind: u64) -> StepPlan {
        let (target, old) = (&self.target.name, &self.old.name);
        let mut change = Change::new(
            json!({ "primary": old, "replid": replid, "replica": known_as }),
            json!({ "primary": target, "replica": old }),
        );
        change.gives = vec![Fact::Primary { target: target.clone(), lineage: replid.to_owned() }];
        // The call itself ends the writing of the one before it allows that of the other.
        change.effects = vec![Effect::Writer { target: target.clone(), others: vec![] }];
        change.settle = Settle::After(Span(self.timeout.0 + SETTLE.0));
        change.bounds.insert("data_loss_bytes".into(), 0);
        change.undo = Undo::None;
        let with = json!({ "replid": replid });
        change.before_undo = Some(Spec { kind: "redis.replica".into(), target: target.clone(), with });
        let conf = &self.old.conf;
        let (host, port, ms) = (&known_as.host, known_as.port, self.timeout.as_duration().as_millis());
        let cli = format!("redis-cli -h {} -p {}", conf.address, conf.port);
        change.by_hand = vec![format!("{cli} failover to {host} {port} timeout {ms}")];
        change.now = format!("{old} is the primary, {target} its replica");
        change.after = format!("{target} is the primary, {old} its replica; nothing is lost");
        change.detail = json!(Detail { known_as: known_as.clone(), replid: replid.to_owned() });
        change.warnings.push(format!(
            "writes wait for up to {} while {target} gets the last of the stream ({behind} bytes at the last look)",
            self.timeout
        ));
        let others = evidence.old.node().map_or(0, |node| node.replicas.len()).saturating_sub(1);
        if others > 0 {
            change.warnings.push(format!("{others} other replicas of {old} stay behind it, in a chain"));
        }
        for (name, seen) in [(target, &evidence.target), (old, &evidence.old)] {
            if seen.node().is_some_and(|node| !node.config_file) {
                change.warnings.push(format!(
                    "{name} runs without a configuration file: started as it was before, it is what it was before"
                ));
            }
        }
        StepPlan::Change(Box::new(change))
    }
}
