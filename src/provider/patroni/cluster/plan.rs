//! What holds of every change of sides: whether what is seen is ground for any answer. Pure; each turn's own verdict is in
//! its file.

use super::super::look::Evidence;
use super::super::port::Endpoint;
use super::seen::{Both, Evidences, Side};
use super::{SETTLE, Sides, Turn};
use crate::kernel::domain::{Change, Fact, Name, Observation, Other, Settle, StepPlan};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What must be as it was planned right before the write, beside what consent covers.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Detail {
    /// The member that is told: the leader.
    pub via: Name,
    /// Digests of the whole configurations. None: nobody there answers.
    pub here: Option<String>,
    pub there: Option<String>,
}

impl Sides {
    pub(super) fn plan_from(&self, seen: &Observation, given: &[Fact]) -> StepPlan {
        let (Ok(both), Ok(evidence)) =
            (Both::deserialize(&seen.state), Evidences::deserialize(&seen.evidence))
        else {
            return StepPlan::unknown("PM3109", "the observation cannot be read; look again");
        };
        if let Some(plan) = self.unclear(&both, &evidence) {
            return plan;
        }
        match &self.turn {
            Turn::Promote { demoted } => self.promote(&both, &evidence, *demoted),
            Turn::Demote { follow } => self.demote(&both, &evidence, follow, given),
            Turn::Undemote { followed } => self.undemote(&both, &evidence, followed),
        }
    }

    fn unclear(&self, both: &Both, evidence: &Evidences) -> Option<StepPlan> {
        for (side, at) in [(&both.here, &self.at), (&both.there, &self.other)] {
            if let Some(why) = &side.state.foreign {
                let says = format!("{}: {why}. Nothing was changed", at.name);
                return Some(StepPlan::refuse("PM3603", says));
            }
        }
        if !both.here.answers() {
            return Some(StepPlan::unknown("PM3601", nobody(&self.at, &evidence.here)));
        }
        for (side, at) in [(&both.here, &self.at), (&both.there, &self.other)] {
            if let Some(why) = &side.state.disagree {
                return Some(StepPlan::unknown("PM3602", format!("{}: {why}", at.name)));
            }
        }
        let (ours, theirs) = (&both.here.state.system, &both.there.state.system);
        if let (Some(ours), Some(theirs)) = (ours, theirs)
            && ours != theirs
        {
            let says = format!(
                "{} and {} hold different data: their system identifiers are {ours} and {theirs}",
                self.at.name, self.other.name
            );
            return Some(StepPlan::refuse("PM3603", says));
        }
        None
    }

    /// The leader of the cluster that changes: it answers, and nothing is in the way of any change.
    pub(super) fn leader<'a>(&self, side: &'a Side, evidence: &Evidence) -> Result<&'a Name, StepPlan> {
        let name = &self.at.name;
        if side.state.paused {
            let says = format!(
                "{name} is paused: Patroni was told to leave it alone, and would not do it. Resume it (patronictl resume \
                 {})",
                self.at.conf.scope
            );
            return Err(StepPlan::refuse("PM3609", says));
        }
        if side.state.scheduled {
            let says = format!(
                "a switchover of {name} is scheduled. Take it back first: patronictl flush {} switchover",
                self.at.conf.scope
            );
            return Err(StepPlan::refuse("PM3610", says));
        }
        let Some(leader) = &side.state.leader else {
            return Err(StepPlan::refuse("PM3616", format!("nobody leads {name}")));
        };
        if !side.state.members.get(leader).is_some_and(|member| member.answers) {
            let says =
                format!("{leader} of {name} leads and does not answer ({})", evidence.why_silent(leader));
            return Err(StepPlan::unknown("PM3601", says));
        }
        Ok(leader)
    }

    /// The frame of a change: contract and detail; the rest is the turn's own.
    pub(super) fn frame(&self, both: &Both, leader: &Name, follows: (Value, Value)) -> Change {
        let state = &both.here.state;
        let (timeline, system) = (state.timeline, &state.system);
        let of = |follows: Value, timeline: Option<u32>| {
            json!({ "cluster": self.at.name, "leader": leader, "follows": follows, "timeline": timeline,
                "system": system })
        };
        // Whoever comes to lead begins a timeline; whoever comes to follow goes over to that.
        let later = match self.turn {
            Turn::Promote { .. } | Turn::Undemote { .. } => timeline.map(|timeline| timeline + 1),
            Turn::Demote { .. } => timeline,
        };
        let mut change = Change::new(of(follows.0, timeline), of(follows.1, later));
        change.settle = Settle::Repeatable(SETTLE);
        let detail = Detail {
            via: leader.clone(),
            here: both.here.configuration.clone(),
            there: both.there.configuration.clone(),
        };
        change.detail = json!(detail);
        if self.at.conf.login.is_none() {
            let says = "its REST API takes orders from anybody: no user is configured";
            change.warnings.push(says.into());
        }
        change
    }

    /// Who else holds the data: every member of the other cluster.
    pub(super) fn others(&self, there: &Side) -> Vec<Other> {
        let other = |member: &Name| {
            let writes = there.state.members.get(member).and_then(|member| member.writes);
            Other { target: self.fact_name(&self.other, member), writes }
        };
        self.other.conf.members.keys().map(other).collect()
    }

    pub(super) fn writer(&self, member: &Name, side: &Side) -> Fact {
        let lineage = side.state.system.clone().unwrap_or_default();
        Fact::Primary { target: self.fact_name(&self.at, member), lineage }
    }

    /// `patronictl edit-config` of the same.
    pub(super) fn edit(&self, value: &Value) -> String {
        format!(
            "patronictl edit-config {} --force --set {}",
            self.at.conf.scope,
            quoted(&format!("standby_cluster={value}"))
        )
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

pub(super) fn nobody(at: &Endpoint, evidence: &Evidence) -> String {
    let why: Vec<String> = evidence.silent.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    format!("no member of {} answers ({})", at.name, why.join(", "))
}

/// Data that is behind, and in words by how much.
pub(super) fn too_far(name: &Name, lag: u64, most: u64) -> Option<StepPlan> {
    (lag > most).then(|| {
        let says = format!("{name} lacks {lag} bytes of the log, and at most {most} are allowed");
        StepPlan::refuse("PM3614", says)
    })
}
