//! The verdict over a primary that its Sentinels shall replace. Pure.

use super::super::look::{ALIVE, is_ours, said_down};
use super::super::node::{MinReplicas, Seen};
use super::look::{Evidence, Leader, State};
use super::{Move, Place};
use crate::kernel::domain::{
    Change, Effect, Fact, Observation, Other, Reason, Settle, Span, Spec, StepPlan, Undo,
};
use crate::provider::postgres::loss_bound;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A Sentinel that answers again has carried out what it was told before: each is one thread.
const SETTLE: Span = Span::secs(10);

/// What carrying it out needs beside consent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Detail {
    Move {
        via: Place,
        epoch: u64,
        replid: String,
        lives: bool,
    },
    /// It is moved, and the old one is still held.
    Release {
        before: MinReplicas,
    },
}

impl Move {
    pub(super) fn plan_from(&self, seen: &Observation, given: &[Fact]) -> StepPlan {
        let (Ok(state), Ok(evidence)) =
            (State::deserialize(&seen.state), Evidence::deserialize(&seen.evidence))
        else {
            return StepPlan::unknown("PM3109", "the observation cannot be read; look again");
        };
        if let Some(plan) = self.unclear(&state, &evidence, given) {
            return plan;
        }
        match &state.leader {
            Some(Leader::New) => self.already_leads(&state, &evidence, given),
            Some(Leader::Other(place)) => {
                let says = format!(
                    "{place} leads, and the move is from {} to {}: the Sentinels elected another, or somebody moved it. \
                     Nothing is sent",
                    self.old.name, self.new.name
                );
                StepPlan::refuse("PM3525", says)
            }
            _ => self.of_the_old(&state, &evidence, given),
        }
    }

    /// What the Sentinels say is no ground for any answer.
    fn unclear(&self, state: &State, evidence: &Evidence, given: &[Fact]) -> Option<StepPlan> {
        let name = &self.at.name;
        if let Some(why) = &state.foreign {
            return Some(StepPlan::refuse("PM3522", format!("{name}: {why}. Nothing was changed")));
        }
        if let Some(why) = &state.few {
            return Some(StepPlan::unknown("PM3520", format!("{name}: only {why}")));
        }
        // Whoever was told may be the one that is silent, and begin it yet, unless it is done.
        let done = state.leader == Some(Leader::New);
        let asked = !done && given.iter().any(|fact| matches!(fact, Fact::Ours { .. }));
        if let Some((place, why)) = evidence.silent.iter().next().filter(|_| asked) {
            let says = format!("{place} does not answer ({why}), and may be the one that was told");
            return Some(StepPlan::unknown("PM3520", says));
        }
        if state.under_way {
            return Some(StepPlan::unknown("PM3524", format!("{name}: a failover is under way")));
        }
        let why = state.disagree.as_ref()?;
        Some(StepPlan::unknown("PM3521", format!("{name}: {why}")))
    }

    /// Right already, once it takes writes and the old one does not.
    fn already_leads(&self, state: &State, evidence: &Evidence, given: &[Fact]) -> StepPlan {
        let (old, new) = (&self.old.name, &self.new.name);
        if let Seen::Silent(silent) = &evidence.new {
            let says = format!("{new} leads, and does not answer ({}: {})", silent.layer, silent.says);
            return StepPlan::unknown("PM3502", says);
        }
        if state.new_role != "primary" {
            let says = format!("the Sentinels have {new} as the primary, and it says that it is a replica");
            return StepPlan::unknown("PM3524", says);
        }
        if state.old_role == "primary" {
            let writes =
                if state.held.is_some() { "refuses writes" } else { "may take writes, which are lost" };
            let says = format!(
                "{new} leads, and {old} answers as a primary too and {writes}: the Sentinels make it a replica within some \
                 ten seconds, if they reach it"
            );
            return StepPlan::unknown("PM3529", says);
        }
        if let Some(before) = state.held {
            return self.release(state, before);
        }
        // A Sentinel that makes it a replica cuts every connection to it: that one look fails says nothing.
        if let (Seen::Silent(silent), true) = (&evidence.old, self.has_held(given)) {
            let says = format!(
                "{new} leads, and whether {old}, which was held for that, is let go is not known: it does not answer ({}: {})",
                silent.layer, silent.says
            );
            return StepPlan::unknown("PM3532", says);
        }
        if let Some(trap) = state.trap {
            let says = format!(
                "{new} leads and refuses writes until replicas are there: min-replicas-to-write is {}",
                trap.to_write
            );
            return StepPlan::unknown("PM3513", says);
        }
        let silent = match &evidence.old {
            Seen::Silent(silent) => format!(
                "; {old} does not answer ({}: {}), and is not proven to be fenced by this",
                silent.layer, silent.says
            ),
            Seen::Answers(_) => String::new(),
        };
        let says = format!("{new} leads by {}, epoch {}{silent}", evidence.count(), state.epoch);
        StepPlan::gives(vec![self.leads(state)], says)
    }

    fn leads(&self, state: &State) -> Fact {
        let from = if state.new_role == "primary" { &state.replid2 } else { &state.replid };
        let lineage = from.clone().or(state.replid.clone()).unwrap_or_default();
        Fact::Primary { target: self.new.name.clone(), lineage }
    }

    /// Somebody died between the move and this.
    fn release(&self, state: &State, before: MinReplicas) -> StepPlan {
        let (old, new) = (&self.old.name, &self.new.name);
        let mut change =
            Change::new(json!({ "primary": new, "held": true }), json!({ "primary": new, "held": false }));
        change.gives = vec![self.leads(state)];
        let others = vec![Other { target: old.clone(), writes: Some(false) }];
        change.effects = vec![Effect::Writer { target: new.clone(), others }];
        change.now = format!("{new} leads; {old} follows it and is still held");
        change.after = format!("{old} has its own settings again");
        change.detail = json!(Detail::Release { before });
        change.by_hand = self.by_hand_release(before);
        StepPlan::Change(Box::new(change))
    }

    fn by_hand_release(&self, before: MinReplicas) -> Vec<String> {
        let cli = format!("redis-cli -h {} -p {}", self.old.conf.address, self.old.conf.port);
        let (to_write, lag) = (before.to_write, before.max_lag);
        vec![
            format!("{cli} config set min-replicas-to-write {to_write} min-replicas-max-lag {lag}"),
            format!("{cli} config rewrite"),
        ]
    }

    /// The old one leads by all that is said.
    fn of_the_old(&self, state: &State, evidence: &Evidence, given: &[Fact]) -> StepPlan {
        let (old, new) = (&self.old.name, &self.new.name);
        if let Seen::Silent(silent) = &evidence.new {
            let says = format!("{new} does not answer ({}: {})", silent.layer, silent.says);
            return StepPlan::unknown("PM3502", says);
        }
        if state.new_role == "primary" {
            let says = format!("the Sentinels have {old} as the primary, and {new} says that it is one");
            return StepPlan::unknown("PM3529", says);
        }
        if state.old_role == "replica" {
            let says = format!("the Sentinels have {old} as the primary, and it says that it is a replica");
            return StepPlan::unknown("PM3521", says);
        }
        if let Some(busy) = &state.busy {
            return StepPlan::unknown("PM3512", format!("{old} and {new} cannot be judged now: {busy}"));
        }
        if state.electing {
            let says = format!(
                "the Sentinels have agreed that {old} is down, and elect by themselves: they are not interfered with before \
                 their own time for it is over"
            );
            return StepPlan::unknown("PM3524", says);
        }
        if let Some(why) = &state.no_quorum {
            return StepPlan::unknown("PM3523", format!("{}: {why}", self.at.name));
        }
        let reasons = self.refusals(state, given);
        if !reasons.is_empty() {
            return StepPlan::Refuse(reasons);
        }
        if state.empty.is_none() {
            return StepPlan::unknown("PM3509", format!("{new} does not tell whether it holds any key"));
        }
        match (&state.replid, &state.via) {
            (Some(replid), Some(via)) => self.change(state, evidence, replid, via, given),
            _ => StepPlan::unknown("PM3502", format!("{new} does not tell its history")),
        }
    }

    /// Every reason at once.
    fn refusals(&self, state: &State, given: &[Fact]) -> Vec<Reason> {
        let (old, new) = (&self.old.name, &self.new.name);
        let mut reasons = vec![];
        let mut refuse = |code: &str, says: String| reasons.push(Reason::new(code, says));
        let planned = given.iter().any(|fact| matches!(fact, Fact::Planned { .. }));
        let lives = match (state.old_role.as_str(), state.sees_down) {
            ("primary", _) => Some("it answers as the primary"),
            (_, false) => Some("every Sentinel that answers hears it"),
            (_, true) => None,
        };
        if let Some(how) = lives
            && !planned
            && !said_down(&self.old, given)
            && !is_ours(&self.at.name, given)
            && !(state.old_role == "unreachable" && self.is_fenced(given))
        {
            let says = format!(
                "{old} is alive: {how}. It is moved in a planned move that a person opens (kind: switchover), or when the \
                 origin guard says that its site is down"
            );
            refuse(ALIVE, says);
        }
        if state.fenced {
            let says = format!(
                "{old} is fenced by min-replicas-to-write, and would be as a replica, and again when it is promoted: take \
                 that back first"
            );
            refuse("PM3528", says);
        }
        if let Some(why) = &state.barred {
            refuse("PM3527", format!("the Sentinels would not promote {new}: {why}"));
        }
        if let Some(why) = &state.rival {
            let says = format!(
                "whom to promote is the Sentinels' own choice, and {why}. Give {new} a lower replica-priority than every \
                 other replica"
            );
            refuse("PM3526", says);
        }
        if let Some(wanted) = state.lineage.as_ref().filter(|wanted| Some(*wanted) != state.replid.as_ref()) {
            let holds = state.replid.as_deref().unwrap_or("none");
            let says = format!("{new} holds other data: its history is {holds}, and {old} had {wanted}");
            refuse("PM3506", says);
        }
        if !state.whole {
            refuse(
                "PM3508",
                format!("{new} never had a whole copy of its primary's data, or the last one broke off"),
            );
        }
        if state.empty == Some(true) && !self.may_be_empty {
            let says = format!("{new} holds no key at all. If that is right, say may_be_empty: true");
            refuse("PM3509", says);
        }
        reasons
    }

    fn is_fenced(&self, given: &[Fact]) -> bool {
        let need = self.fence();
        given.iter().any(|fact| fact.meets(&need))
    }

    /// This run has ordered the move of a primary that lived.
    fn has_held(&self, given: &[Fact]) -> bool {
        let at = &self.at.name;
        let held =
            |fact: &Fact| matches!(fact, Fact::Ours { target, to } if target == at && to["held"] == false);
        given.iter().any(held)
    }

    fn fence(&self) -> Fact {
        Fact::Fenced { target: self.old.name.clone(), rung: self.fence_rung, position: None }
    }

    fn change(
        &self,
        state: &State,
        evidence: &Evidence,
        replid: &str,
        via: &Place,
        given: &[Fact],
    ) -> StepPlan {
        let (old, new) = (&self.old.name, &self.new.name);
        // What a step before this one stops is silent by then: what is shown is what is done then.
        let lives = state.old_role == "primary" && !self.is_fenced(given);
        let mut to = json!({ "primary": new, "from": replid });
        if lives {
            to["held"] = json!(false);
        }
        let from =
            json!({ "primary": old, "epoch": state.epoch, "replid": replid, "held": state.held.is_some() });
        let mut change = Change::new(from, to);
        change.gives = vec![Fact::Primary { target: new.clone(), lineage: replid.to_owned() }];
        // A living one is held: it refuses every write before the other takes one.
        let others = if lives { vec![] } else { vec![Other { target: old.clone(), writes: None }] };
        change.effects = vec![Effect::Writer { target: new.clone(), others }];
        change.needs = if lives { vec![] } else { vec![self.fence()] };
        change.settle = Settle::After(SETTLE);
        change.undo = Undo::None;
        let with = json!({ "replid": replid });
        change.before_undo = Some(Spec { kind: "redis.replica".into(), target: new.clone(), with });
        let drained = if lives { Some(0) } else { evidence.rpo.as_ref().and_then(|rpo| rpo.bytes) };
        let bound = if lives { 0 } else { loss_bound(None, drained) };
        change.bounds.insert("data_loss_bytes".into(), bound);
        change.by_hand = self.by_hand(via, lives);
        change.now = format!("{old} leads by {}, epoch {}", evidence.count(), state.epoch);
        change.after = format!("{new} leads, {old} follows it");
        change.detail =
            json!(Detail::Move { via: via.clone(), epoch: state.epoch, replid: replid.to_owned(), lives });
        change.warnings = self.warnings(state, evidence, lives, given);
        StepPlan::Change(Box::new(change))
    }

    fn by_hand(&self, via: &Place, lives: bool) -> Vec<String> {
        let order =
            format!("redis-cli -h {} -p {} sentinel failover {}", via.host, via.port, self.at.conf.master);
        match lives {
            true => vec![order],
            false => vec![format!("# Only if {} is fenced:  {order}", self.old.name)],
        }
    }

    fn warnings(&self, state: &State, evidence: &Evidence, lives: bool, given: &[Fact]) -> Vec<String> {
        let (old, new) = (&self.old.name, &self.new.name);
        let mut warnings = vec![];
        let behind = evidence.behind.map_or("an unknown number of".into(), |bytes| bytes.to_string());
        if lives {
            warnings.push(format!(
                "{old} is held first: it refuses writes (NOREPLICAS) until {new} has the last of its stream ({behind} bytes \
                 now, {} at most) and leads; nothing is lost",
                self.drain_timeout
            ));
        } else {
            let risk = evidence.rpo.as_ref().map_or("unknown", |rpo| rpo.says.as_str());
            warnings.push(format!("data at risk: {risk}"));
            if state.old_role == "primary" {
                warnings.push(format!(
                    "plus what {old} takes until it is stopped, by a step before this one, and has not sent by then ({behind} \
                     bytes now)"
                ));
            } else if !self.is_fenced(given) {
                warnings.push(format!(
                    "plus everything {old} has accepted since then, if it still runs: it does not answer, and Sentinels \
                     prove no fence"
                ));
            }
        }
        if state.held.is_some() {
            warnings.push(format!("{old} is held already, by a move that did not come to its end"));
        }
        for (place, why) in &evidence.silent {
            warnings.push(format!("the Sentinel {place} does not answer ({why})"));
        }
        let node = evidence.new.node();
        if let Some(node) = node.filter(|node| node.min_replicas.refuses(0)) {
            let wanted = node.min_replicas.to_write;
            warnings.push(format!(
                "{new} takes no writes before {wanted} replicas follow it (min-replicas-to-write)"
            ));
        }
        if state.lineage.is_none() {
            warnings.push("nothing is recorded about this pair: the histories could not be compared".into());
        }
        warnings
    }
}
