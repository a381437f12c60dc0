//! The verdict over a move of the leader. Pure.

use super::look::{Evidence, Member, State};
use super::port::{Order, Verb};
use super::{FENCE, Move};
use crate::kernel::domain::{
    Change, Effect, Fact, Name, Observation, Other, Reason, Settle, Span, StepPlan, Undo,
};
use crate::provider::postgres::{ALIVE, is_down, is_ours, loss_bound};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What carrying it out needs beside consent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Detail {
    /// The member that is told.
    pub via: Name,
    pub order: Order,
    /// As it was seen: who held the lock, on which timeline.
    pub lock: Option<Name>,
    pub timeline: u32,
    /// How long Patroni itself waits for the end, in seconds.
    pub patience: u64,
}

impl Move {
    pub(super) fn plan_from(&self, seen: &Observation, given: &[Fact]) -> StepPlan {
        let (Ok(state), Ok(evidence)) =
            (State::deserialize(&seen.state), Evidence::deserialize(&seen.evidence))
        else {
            return StepPlan::unknown("PM3109", "the observation cannot be read; look again");
        };
        if let Some(plan) = self.unclear(&state, &evidence) {
            return plan;
        }
        if state.leader.as_ref() == Some(&self.candidate) {
            return self.already_leads(&state, &evidence);
        }
        if let Some(leader) = state.leader.as_ref().filter(|leader| **leader != self.leader) {
            let says = format!(
                "{leader} leads, and the move is from {} to {}: somebody moved it, or Patroni elected another. Nothing is \
                 sent",
                self.leader, self.candidate
            );
            return StepPlan::refuse("PM3607", says);
        }
        let mut reasons = self.refusals(&state);
        reasons.extend(match self.verb {
            Verb::Switchover => self.against_a_switchover(&state, given),
            Verb::Failover => self.against_a_failover(&state),
        });
        if !reasons.is_empty() {
            return StepPlan::Refuse(reasons);
        }
        if let Some(plan) = self.leader_unknown(&state, &evidence, given) {
            return plan;
        }
        match self.judged(&state, &evidence) {
            Ok((timeline, lag)) => self.change(&state, &evidence, timeline, lag),
            Err(plan) => plan,
        }
    }

    fn of<'a>(&self, state: &'a State, member: &Name) -> Option<&'a Member> {
        state.members.get(member)
    }

    /// What is seen is no ground for any answer.
    fn unclear(&self, state: &State, evidence: &Evidence) -> Option<StepPlan> {
        let name = &self.at.name;
        if let Some(why) = &state.foreign {
            return Some(StepPlan::refuse("PM3603", format!("{name}: {why}. Nothing was changed")));
        }
        if !self.of(state, &self.candidate).is_some_and(|member| member.answers) {
            let why = evidence.why_silent(&self.candidate);
            let says = format!("{} of {name} does not answer ({why})", self.candidate);
            return Some(StepPlan::unknown("PM3601", says));
        }
        if let Some(why) = &state.disagree {
            return Some(StepPlan::unknown("PM3602", format!("{name}: {why}")));
        }
        if state.standby_cluster {
            let says = format!(
                "{name} is a standby cluster: its leader follows another cluster, and whoever leads it takes no writes"
            );
            return Some(StepPlan::refuse("PM3608", says));
        }
        let writers: Vec<&str> = writers(state).map(Name::as_str).collect();
        (writers.len() > 1).then(|| {
            let says = format!(
                "{} take writes at the same time. Stop the one that does not hold the lock by hand now: they diverge",
                writers.join(" and ")
            );
            StepPlan::refuse("PM3605", says)
        })
    }

    /// Right already, once it takes writes.
    fn already_leads(&self, state: &State, evidence: &Evidence) -> StepPlan {
        let candidate = &self.candidate;
        if self.of(state, candidate).is_none_or(|member| member.writes != Some(true)) {
            let says = format!("{candidate} holds the lock, and does not run as a primary yet");
            return StepPlan::unknown("PM3606", says);
        }
        let silent = match self.of(state, &self.leader) {
            Some(old) if !old.answers => {
                let why = evidence.why_silent(&self.leader);
                format!(
                    "; {} does not answer ({why}): its Patroni keeps it from taking writes only while it runs",
                    self.leader
                )
            }
            _ => String::new(),
        };
        let timeline = state.timeline.map_or("unknown".to_owned(), |timeline| timeline.to_string());
        StepPlan::Nothing {
            gives: vec![self.leads(state)],
            says: format!("{candidate} leads {} on timeline {timeline}{silent}", self.at.name),
            lingers: None,
        }
    }

    fn leads(&self, state: &State) -> Fact {
        let lineage = state.system.clone().unwrap_or_default();
        Fact::Primary { target: self.fact_name(&self.candidate), lineage }
    }

    /// Every reason at once, whichever way it is moved.
    fn refusals(&self, state: &State) -> Vec<Reason> {
        let mut reasons = vec![];
        let mut refuse = |code: &str, says: String| reasons.push(Reason::new(code, says));
        if state.paused && !self.while_paused {
            let says = format!(
                "{} is paused: Patroni was told to leave it alone, and would not keep an old leader from writing. Resume it \
                 (patronictl resume {}), or say while_paused: true",
                self.at.name, self.at.conf.scope
            );
            refuse("PM3609", says);
        }
        if state.scheduled {
            let says = format!(
                "a switchover of {} is scheduled already, and this would take its place. Take it back first: patronictl \
                 flush {} switchover",
                self.at.name, self.at.conf.scope
            );
            refuse("PM3610", says);
        }
        let Some(candidate) = self.of(state, &self.candidate) else { return reasons };
        if let Some(why) = &candidate.barred {
            refuse("PM3611", format!("Patroni would not let {} lead: {why}", self.candidate));
        }
        if self.verb == Verb::Switchover && state.synchronous && !is_synchronous(&candidate.role) {
            let says = format!(
                "Patroni replicates synchronously and {} is not the synchronous standby: it would refuse",
                self.candidate
            );
            refuse("PM3611", says);
        }
        reasons
    }

    fn against_a_switchover(&self, state: &State, given: &[Fact]) -> Vec<Reason> {
        if state.leader.is_none() {
            let says = format!(
                "nobody leads {}: there is nobody to switch over from. Patroni elects by itself unless it is paused; \
                 patroni.failover is for when it does not",
                self.at.name
            );
            return vec![Reason::new("PM3616", says)];
        }
        let planned = given.iter().any(|fact| matches!(fact, Fact::Planned { .. }));
        if planned || self.is_lost(given) || is_ours(&self.at.name, given) {
            return vec![];
        }
        let says = format!(
            "{} lives and leads. It is moved in a planned move that a person opens (kind: switchover), or when the origin \
             guard says that its site is down for users",
            self.leader
        );
        vec![Reason::new(ALIVE, says)]
    }

    fn against_a_failover(&self, state: &State) -> Vec<Reason> {
        let mut reasons = vec![];
        if self.of(state, &self.leader).is_some_and(|member| member.writes == Some(true)) {
            let says = format!(
                "{} takes writes: it is not lost. Move it with patroni.switchover, which ends it first",
                self.leader
            );
            reasons.push(Reason::new(ALIVE, says));
        }
        if !state.ahead.is_empty() {
            let names: Vec<&str> = state.ahead.iter().map(Name::as_str).collect();
            let says =
                format!("{} has more of the log than {}: promote that one", names.join(", "), self.candidate);
            reasons.push(Reason::new("PM3615", says));
        }
        reasons
    }

    /// What the old leader does has to be known, or past. A silent one whose site is down is not waited for: its lock may have
    /// long to live, in which its PostgreSQL takes writes, and beside a new leader goes on with that. The fence that a failover
    /// needs comes before the lock runs out (decision 0088).
    fn leader_unknown(&self, state: &State, evidence: &Evidence, given: &[Fact]) -> Option<StepPlan> {
        let (leader, name) = (&self.leader, &self.at.name);
        let old = self.of(state, leader)?;
        let why = match (self.verb, old.answers, old.writes) {
            (Verb::Switchover, true, Some(true)) => return None,
            (Verb::Switchover, true, _) => {
                format!("{leader} holds the lock of {name}, and does not run as a primary")
            }
            (Verb::Failover, false, _) if state.leader.is_none() || self.is_lost(given) => return None,
            (Verb::Failover, true, Some(false)) => return None,
            (Verb::Failover, true, _) => format!("whether {leader} takes writes is not known now"),
            (_, false, _) => {
                let silent = evidence.why_silent(leader);
                let held = "its lock is still held: Patroni decides when that runs out";
                format!("{leader} does not answer ({silent}), and {held}")
            }
        };
        Some(StepPlan::unknown(if old.answers { "PM3606" } else { "PM3601" }, why))
    }

    /// The origin guard says that the old leader's site is down.
    fn is_lost(&self, given: &[Fact]) -> bool {
        is_down(self.old.as_ref().and_then(|server| server.site.as_ref()), given)
    }

    /// The candidate's timeline and lag; a lag that nobody knows is not zero.
    fn judged(&self, state: &State, evidence: &Evidence) -> Result<(u32, u64), StepPlan> {
        let candidate = &self.candidate;
        let member = self.of(state, candidate).cloned().unwrap_or_default();
        let Some((own, newest)) = member.timeline.zip(state.timeline).filter(|_| member.runs) else {
            let says = format!("{candidate} does not run, or its timeline is not known");
            return Err(StepPlan::unknown("PM3606", says));
        };
        if own < newest {
            let says = format!(
                "{candidate} is on timeline {own}, and timeline {newest} has begun: it would lose what is on it"
            );
            return Err(StepPlan::refuse("PM3612", says));
        }
        let Some((lag, settings)) = evidence.lag.zip(evidence.settings()) else {
            let says = format!(
                "how far {candidate} is behind is not known: Patroni says \"unknown\", or does not list it"
            );
            return Err(StepPlan::unknown("PM3613", says));
        };
        let most = self.max_lag.unwrap_or(settings.max_lag);
        if lag > most {
            let says = format!("{candidate} lacks {lag} bytes of the log, and at most {most} are allowed");
            return Err(StepPlan::refuse("PM3614", says));
        }
        Ok((newest, lag))
    }

    fn change(&self, state: &State, evidence: &Evidence, timeline: u32, lag: u64) -> StepPlan {
        let (leader, candidate) = (&self.leader, &self.candidate);
        let Some((via, settings)) = self.via(state).zip(evidence.settings()) else {
            return StepPlan::unknown("PM3601", format!("no member of {} answers", self.at.name));
        };
        let from = json!({ "leader": leader, "timeline": timeline, "system": state.system });
        let to = json!({ "leader": candidate, "timeline": timeline + 1, "system": state.system });
        let mut change = Change::new(from, to);
        change.gives = vec![self.leads(state)];
        change.needs = self.needs(state);
        change.effects =
            vec![Effect::Writer { target: self.fact_name(candidate), others: self.others(state) }];
        change.settle = Settle::Repeatable(Span::secs(settings.patience()));
        change.undo = Undo::None;
        // Newer versions take the field of a failover for a wish to switch over; without a leader it names nobody.
        let old_version = evidence.answers.get(&via).is_some_and(|answer| answer.node.name.is_none());
        let compared = state.leader.clone().filter(|_| self.verb == Verb::Switchover || old_version);
        let order = Order { verb: self.verb, leader: compared, candidate: candidate.clone() };
        let patience = settings.patience();
        change.detail = json!(Detail { via, order, lock: state.leader.clone(), timeline, patience });
        change.bounds.insert("data_loss_bytes".into(), loss_bound(None, Some(lag)));
        change.by_hand = self.by_hand();
        change.now = format!("{leader} leads on timeline {timeline}");
        if state.leader.is_none() {
            change.now = format!("nobody leads; {leader} did, on timeline {timeline}");
        } else if self.is_held(state) {
            change.now = format!("{leader} holds the lock on timeline {timeline}, and does not answer");
        }
        change.after = format!("{candidate} leads on timeline {}", timeline + 1);
        change.warnings = self.warnings(state, evidence, lag);
        StepPlan::Change(Box::new(change))
    }

    /// The old leader is silent, and its lock lives.
    fn is_held(&self, state: &State) -> bool {
        state.leader.as_ref() == Some(&self.leader)
            && self.of(state, &self.leader).is_some_and(|old| !old.answers)
    }

    /// Whoever is neither moved nor promoted tells how it ended; else the candidate.
    fn via(&self, state: &State) -> Option<Name> {
        let answers = |name: &&Name| state.members.get(*name).is_some_and(|member| member.answers);
        let apart = |name: &&Name| **name != self.leader && **name != self.candidate;
        let aside = state.members.keys().filter(apart).find(answers);
        aside.or(Some(&self.candidate).filter(answers)).cloned()
    }

    /// A switchover ends the old leader first. A lost one is kept from writing by its own Patroni, seen at work and not
    /// paused, or by a fence.
    fn needs(&self, state: &State) -> Vec<Fact> {
        let kept = !state.paused && self.of(state, &self.leader).is_some_and(|old| old.writes == Some(false));
        match self.verb {
            Verb::Switchover => vec![],
            Verb::Failover if kept => vec![],
            Verb::Failover => {
                let target = self.fact_name(&self.leader);
                vec![Fact::Fenced { target, rung: FENCE, position: None }]
            }
        }
    }

    /// Who else might take writes afterwards. The leader of a switchover does not: Patroni gives the lock on when it ended.
    fn others(&self, state: &State) -> Vec<Other> {
        let name = |member: &Name| self.fact_name(member);
        let old = self.of(state, &self.leader).filter(|_| self.verb == Verb::Failover);
        let old = old.map(|member| Other { target: name(&self.leader), writes: member.writes });
        let rest = writers(state).filter(|member| **member != self.leader && **member != self.candidate);
        old.into_iter().chain(rest.map(|member| Other { target: name(member), writes: Some(true) })).collect()
    }

    fn by_hand(&self) -> Vec<String> {
        let (scope, candidate) = (&self.at.conf.scope, &self.candidate);
        vec![match self.verb {
            Verb::Switchover => {
                format!(
                    "patronictl switchover {scope} --leader {} --candidate {candidate} --force",
                    self.leader
                )
            }
            Verb::Failover => format!(
                "# Only if {} is fenced:  patronictl failover {scope} --candidate {candidate} --force",
                self.leader
            ),
        }]
    }

    fn warnings(&self, state: &State, evidence: &Evidence, lag: u64) -> Vec<String> {
        let candidate = &self.candidate;
        let mut warnings = vec![match self.verb {
            Verb::Switchover => format!(
                "Patroni ends {} first, which sends {candidate} the rest of its log ({lag} bytes now): writes stop for \
                 seconds",
                self.leader
            ),
            Verb::Failover => {
                let every = evidence.settings().map_or(0, |settings| settings.loop_wait);
                format!(
                    "data at risk: {lag} bytes by the last word of {} in the cluster's store, and what it wrote in up to \
                     {every} s after that",
                    self.leader
                )
            }
        }];
        let third = |(name, member): &(&Name, &Member)| **name != self.leader && !member.answers;
        for (name, _) in state.members.iter().filter(third) {
            let why = evidence.why_silent(name);
            warnings.push(format!("{name} does not answer ({why}): what it has of the log was not compared"));
        }
        if self.is_held(state) {
            warnings.push(format!(
                "{} does not answer and holds the lock: it is replaced when that has run out, within {} s",
                self.leader,
                evidence.settings().map_or(0, |settings| settings.ttl)
            ));
        }
        if state.paused {
            warnings.push(format!(
                "{} is paused: an old leader that comes back is not ended by its Patroni",
                self.at.name
            ));
        }
        if self.at.conf.login.is_none() {
            warnings.push("its REST API takes orders from anybody: no user is configured".into());
        }
        warnings
    }
}

fn writers(state: &State) -> impl Iterator<Item = &Name> {
    state.members.iter().filter(|(_, member)| member.writes == Some(true)).map(|(name, _)| name)
}

fn is_synchronous(role: &str) -> bool {
    ["sync_standby", "quorum_standby"].contains(&role)
}
