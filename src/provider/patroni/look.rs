//! One picture of a cluster from what all of its members say, at the same time. Where they do not go together it is not
//! known who leads; silence is never an answer. Called by the action.

use super::member::{Answer, Settings};
use super::port::{Endpoint, Port};
use crate::kernel::domain::{Lsn, Name, Rpo, Span};
use crate::kernel::port::{Ctx, Sample};
use crate::provider::dns::NoAnswer;
use crate::provider::postgres::known_loss;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One look at all of them; one that hangs costs this much.
const LOOK: Span = Span::secs(4);

/// Facts that a plan stands on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Who holds the lock, as all say that answer. `None`: nobody, or they do not agree.
    pub leader: Option<Name>,
    /// Why what they say does not go together.
    pub disagree: Option<String>,
    /// Why it is not the cluster that is configured.
    pub foreign: Option<String>,
    /// System identifier of the data.
    pub system: Option<String>,
    /// The newest that is known to have begun.
    pub timeline: Option<u32>,
    pub paused: bool,
    pub scheduled: bool,
    pub synchronous: bool,
    pub standby_cluster: bool,
    pub members: BTreeMap<Name, Member>,
    /// Members with more of the log than the candidate.
    pub ahead: Vec<Name>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Member {
    pub answers: bool,
    /// In the store, which forgets who is away for longer than the lock lives.
    pub listed: bool,
    /// As the store has it: leader, replica, sync_standby.
    pub role: String,
    /// PostgreSQL runs.
    pub runs: bool,
    /// It takes writes. `None`: not known.
    pub writes: Option<bool>,
    pub timeline: Option<u32>,
    /// Why Patroni would not let it lead.
    pub barred: Option<String>,
}

/// Measurements.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub answers: BTreeMap<Name, Answer>,
    pub silent: BTreeMap<Name, String>,
    /// Of the candidate, in bytes, as the store has it.
    pub lag: Option<u64>,
    /// What would be lost if the candidate came to lead now, while it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpo: Option<Rpo>,
}

/// By samples of the leader that is lost, on the timeline and of the data that `state` knows. What is not known is not zero.
pub fn loss(samples: &[Sample], state: &State, had: Option<u64>) -> Rpo {
    let same = |sample: &Sample| {
        sample.timeline.is_some() && sample.timeline == state.timeline && sample.lineage == state.system
    };
    had.and_then(|had| known_loss(samples, &same, Lsn(had))).unwrap_or_else(|| Rpo {
        bytes: None,
        last_safe: None,
        says: "unknown: no position of the old leader was sampled on this timeline (a guard postgres.lag has it sampled)"
            .into(),
    })
}

impl Evidence {
    pub fn settings(&self) -> Option<&Settings> {
        self.answers.values().map(|answer| &answer.settings).next()
    }
    pub fn why_silent(&self, member: &Name) -> &str {
        self.silent.get(member).map_or("it was not asked", String::as_str)
    }
}

pub async fn look(port: &dyn Port, at: &Endpoint, candidate: &Name, ctx: &Ctx) -> (State, Evidence) {
    let mut evidence = gather(port, at, ctx).await;
    evidence.lag = lag(&evidence, candidate);
    (state(&evidence, at, candidate), evidence)
}

/// What every member says, or why it says nothing.
pub async fn gather(port: &dyn Port, at: &Endpoint, ctx: &Ctx) -> Evidence {
    let within = ctx.left().min(LOOK);
    let looks = at
        .conf
        .members
        .keys()
        .map(|member| async move { (member.clone(), port.look(at, member, within).await) });
    let mut evidence = Evidence::default();
    for (member, seen) in join_all(looks).await {
        match seen {
            Ok(answer) => _ = evidence.answers.insert(member, answer),
            Err(NoAnswer { layer, says }) => _ = evidence.silent.insert(member, format!("{layer}: {says}")),
        }
    }
    evidence
}

/// The worst that any member has heard of it; unknown where one does not know.
fn lag(evidence: &Evidence, candidate: &Name) -> Option<u64> {
    let told = evidence.answers.values().map(|answer| {
        let row = answer.rows.iter().find(|row| row.name == *candidate)?;
        if row.leads() { Some(0) } else { row.lag }
    });
    told.collect::<Option<Vec<u64>>>()?.into_iter().max()
}

pub fn state(evidence: &Evidence, at: &Endpoint, candidate: &Name) -> State {
    let answers = &evidence.answers;
    let any = |of: &dyn Fn(&Answer) -> bool| answers.values().any(of);
    let leaders: BTreeSet<Option<&Name>> = answers.values().map(leader).collect();
    let members = at.conf.members.keys().map(|name| (name.clone(), member(name, evidence))).collect();
    let mut state = State {
        leader: leaders.first().filter(|_| leaders.len() == 1).and_then(|leader| leader.cloned()),
        disagree: disagree(evidence, &leaders),
        foreign: foreign(evidence, at),
        system: answers.values().find_map(|answer| answer.node.system.clone()),
        paused: any(&|answer| answer.paused),
        scheduled: any(&|answer| answer.scheduled),
        synchronous: any(&|answer| answer.settings.synchronous),
        standby_cluster: any(&|answer| answer.settings.standby_cluster),
        members,
        ..State::default()
    };
    state.timeline = newest(&state, evidence);
    state.ahead = ahead(evidence, candidate);
    state
}

pub fn leader(answer: &Answer) -> Option<&Name> {
    answer.rows.iter().find(|row| row.leads()).map(|row| &row.name)
}

fn member(name: &Name, evidence: &Evidence) -> Member {
    let node = evidence.answers.get(name).map(|answer| &answer.node);
    let row = evidence.answers.values().find_map(|answer| answer.rows.iter().find(|row| row.name == *name));
    let barred = match (row, node) {
        (Some(row), _) if row.nofailover => Some("it has the tag nofailover".to_owned()),
        (_, Some(node)) if node.watchdog_failed => Some("its watchdog does not work".to_owned()),
        _ => None,
    };
    Member {
        answers: node.is_some(),
        listed: row.is_some(),
        role: row.map(|row| row.role.clone()).unwrap_or_default(),
        runs: node.is_some_and(|node| node.runs()),
        writes: node.and_then(|node| node.writes()),
        timeline: node.and_then(|node| node.timeline),
        barred,
    }
}

/// The leader's own, while it lives; else the newest that anybody has heard of.
fn newest(state: &State, evidence: &Evidence) -> Option<u32> {
    let leads = state.leader.as_ref().and_then(|leader| state.members.get(leader));
    if let Some(member) = leads.filter(|member| member.writes == Some(true)) {
        return member.timeline;
    }
    let heard = |answer: &Answer| {
        let rows = answer.rows.iter().filter_map(|row| row.timeline).max();
        rows.max(answer.begun).max(answer.node.timeline)
    };
    evidence.answers.values().filter_map(heard).max()
}

fn disagree(evidence: &Evidence, leaders: &BTreeSet<Option<&Name>>) -> Option<String> {
    if leaders.len() > 1 {
        let says = |(member, answer): (&Name, &Answer)| match leader(answer) {
            Some(leader) => format!("{member} says that {leader} leads"),
            None => format!("{member} says that nobody leads"),
        };
        return Some(evidence.answers.iter().map(says).collect::<Vec<_>>().join(", "));
    }
    let paused: BTreeSet<bool> = evidence.answers.values().map(|answer| answer.paused).collect();
    if paused.len() > 1 {
        return Some("they do not agree whether the cluster is paused".into());
    }
    let stale = |(member, answer): (&Name, &Answer)| match answer.node.heard_s {
        Some(heard) if heard <= answer.settings.stale_after() => None,
        Some(_) => {
            Some(format!("{member} has not heard the cluster's store for longer than two of its loops"))
        }
        None => Some(format!("{member} does not tell when it last heard the cluster's store")),
    };
    let all: Vec<String> = evidence.answers.iter().filter_map(stale).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// Not the cluster, not the data, not the members that the configuration names.
fn foreign(evidence: &Evidence, at: &Endpoint) -> Option<String> {
    let mut systems: BTreeSet<&str> = BTreeSet::new();
    for (member, answer) in &evidence.answers {
        let node = &answer.node;
        if node.scope != at.conf.scope {
            return Some(format!(
                "the REST API of {member} is of the cluster {:?}, and {:?} is configured",
                node.scope, at.conf.scope
            ));
        }
        if let Some(name) = node.name.as_ref().filter(|name| *name != member) {
            return Some(format!("the REST API that is configured for {member} is that of {name}"));
        }
        systems.extend(node.system.as_deref());
    }
    if systems.len() > 1 {
        return Some("its members hold different data: their system identifiers differ".into());
    }
    let rows = evidence.answers.values().flat_map(|answer| &answer.rows).map(|row| &row.name);
    let unknown: BTreeSet<&Name> = rows.filter(|name| !at.conf.members.contains_key(*name)).collect();
    unknown
        .first()
        .map(|name| format!("it has a member {name} that is not configured: add it, so that it is looked at"))
}

/// On a newer timeline, or further on the same one. Whoever takes writes is always that.
fn ahead(evidence: &Evidence, candidate: &Name) -> Vec<Name> {
    let place = |answer: &Answer| (answer.node.timeline, answer.node.position);
    let Some(own) = evidence.answers.get(candidate).map(place) else { return vec![] };
    let more = |(name, answer): &(&Name, &Answer)| {
        *name != candidate && answer.node.writes() != Some(true) && place(answer) > own
    };
    evidence.answers.iter().filter(more).map(|(name, _)| name.clone()).collect()
}
