//! One picture from what all Sentinels say and from the two servers themselves, all asked at the same time. Where they do
//! not go together it is not known who leads; silence is never an answer.

use super::super::fence::busy;
use super::super::look::{LOOK, look, ours, within};
use super::super::node::{MinReplicas, Node, Place, Seen};
use super::super::port::Trouble;
use super::super::promote::{histories, loss};
use super::{Answer, Move, Row};
use crate::kernel::domain::Rpo;
use crate::kernel::port::{Ctx, ProviderError, Sample};
use futures_util::future::{join, join_all};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What the Sentinels hold for the primary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Leader {
    Old,
    New,
    Other(Place),
}

/// Facts that a plan stands on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Why they are not the Sentinels that are configured.
    pub foreign: Option<String>,
    /// Why so few answer that nothing is known.
    pub few: Option<String>,
    pub disagree: Option<String>,
    pub no_quorum: Option<String>,
    pub under_way: bool,
    /// They have agreed that the primary is down, and elect by themselves.
    pub electing: bool,
    /// One of them does not hear the primary.
    pub sees_down: bool,
    pub leader: Option<Leader>,
    pub epoch: u64,
    /// Who would be told, and what it would make of that.
    pub via: Option<Place>,
    pub barred: Option<String>,
    pub rival: Option<String>,
    pub old_role: String,
    pub new_role: String,
    pub replid: Option<String>,
    pub replid2: Option<String>,
    /// The history that the old primary had, as it says itself or as samples do.
    pub lineage: Option<String>,
    /// The old one follows the new one, by the new one's own history.
    pub old_follows: bool,
    /// What stood on the old one before somebody held it.
    pub held: Option<MinReplicas>,
    /// It refuses writes by a fence that is not of a move.
    pub fenced: bool,
    /// Settings with which the new one refuses writes.
    pub trap: Option<MinReplicas>,
    pub busy: Option<String>,
    pub whole: bool,
    /// `None`: it does not tell.
    pub empty: Option<bool>,
}

/// Measurements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Evidence {
    pub answers: BTreeMap<String, Answer>,
    pub silent: BTreeMap<String, String>,
    pub old: Seen,
    pub new: Seen,
    /// Bytes of the stream that the new one does not have.
    pub behind: Option<u64>,
    /// Of a move that cannot hold and drain the old one, or that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpo: Option<Rpo>,
}

impl Evidence {
    /// For people: how many say so.
    pub fn count(&self) -> String {
        format!("{} of {} Sentinels", self.answers.len(), self.answers.len() + self.silent.len())
    }
}

/// What is said of a Sentinel that answers, and not about our primary.
const UNKNOWN_NAME: &str = "No such master";

impl Move {
    pub(super) async fn look(&self, ctx: &Ctx) -> Result<(State, Evidence), ProviderError> {
        let port = self.port.as_ref();
        let asks = (0..self.at.conf.servers.len()).map(|n| port.sentinel(&self.at, n, within(ctx, LOOK)));
        let servers = join(look(port, &self.old, ctx), look(port, &self.new, ctx));
        let (told, (old, new)) = join(join_all(asks), servers).await;
        let (old, new) = (old?, new?);
        let behind =
            match (old.primary().and_then(|node| node.offset), new.node().and_then(|node| node.offset)) {
                (Some(end), Some(had)) => Some(end.saturating_sub(had)),
                _ => None,
            };
        let (answers, silent) = (BTreeMap::new(), BTreeMap::new());
        let mut evidence = Evidence { answers, silent, old, new, behind, rpo: None };
        let mut strange = None;
        for (place, told) in self.at.places().zip(told) {
            let place = place.to_string();
            match told {
                Ok(answer) if answer.tilt => {
                    let says = "it does not trust its own clock (TILT), and decides nothing".to_owned();
                    evidence.silent.insert(place, says);
                }
                Ok(answer) => _ = evidence.answers.insert(place, answer),
                Err(Trouble::Ours { says }) => return Err(ours(says)),
                Err(Trouble::Denied { says, .. }) if says.contains(UNKNOWN_NAME) => {
                    let says = format!("{place} watches no {:?}", self.at.conf.master);
                    strange.get_or_insert_with(|| says.clone());
                    evidence.silent.insert(place, says);
                }
                Err(trouble) => _ = evidence.silent.insert(place, trouble.to_string()),
            }
        }
        let samples = ctx.samples.recent(&self.new.name);
        let mut state = self.state(&evidence, &samples);
        state.foreign = strange.or(state.foreign);
        evidence.rpo = risk(&state, &evidence, &samples);
        Ok((state, evidence))
    }

    fn state(&self, evidence: &Evidence, samples: &[Sample]) -> State {
        let answers = || evidence.answers.values();
        let hidden = Node::default();
        let (old, new) = (evidence.old.node(), evidence.new.node());
        let node = new.unwrap_or(&hidden);
        let said: BTreeSet<(Leader, u64)> =
            answers().map(|answer| (self.whose(&answer.master, old, new), answer.epoch)).collect();
        let agreed = said.first().filter(|_| said.len() == 1).cloned();
        let chosen = self.choose(evidence, new);
        let histories = histories(evidence.old.primary(), samples);
        let shared = histories.iter().find(|history| node.knows(history)).cloned();
        let trap = node.min_replicas.refuses(node.replicas.iter().filter(|one| one.online).count());
        State {
            foreign: foreign(evidence),
            few: few(evidence),
            disagree: self.disagree(evidence, said.len()),
            no_quorum: answers().find_map(|answer| answer.no_quorum.clone()),
            under_way: answers().any(Answer::under_way),
            electing: answers()
                .any(|answer| answer.agreed_down_ms.is_some_and(|ms| ms < answer.failover_timeout_ms)),
            sees_down: answers().any(Answer::sees_down),
            epoch: agreed.as_ref().map_or(0, |(_, epoch)| *epoch),
            leader: agreed.map(|(leader, _)| leader),
            via: chosen.via,
            barred: chosen.barred,
            rival: chosen.rival,
            old_role: evidence.old.role().to_owned(),
            new_role: evidence.new.role().to_owned(),
            replid: new.map(|node| node.replid.clone()),
            replid2: node.replid2.clone(),
            lineage: shared.or_else(|| histories.first().cloned()),
            old_follows: old.zip(new).is_some_and(|(old, new)| {
                old.replica && !new.replica && old.replid == new.replid && old.offset.is_some()
            }),
            held: old.and_then(|node| node.min_replicas.before_hold()),
            fenced: old
                .is_some_and(|node| node.min_replicas.fenced() && node.min_replicas.before_hold().is_none()),
            trap: (trap && !node.replica).then_some(node.min_replicas),
            busy: [new, old].into_iter().flatten().find_map(busy),
            whole: node.offset.is_some() && !node.link.as_ref().is_some_and(|link| link.syncing),
            empty: node.keys.map(|keys| keys == 0),
        }
    }

    /// By the id that changes with every start, else by the address that we know.
    fn whose(&self, row: &Row, old: Option<&Node>, new: Option<&Node>) -> Leader {
        let same = |node: Option<&Node>| {
            node.is_some_and(|node| !row.run_id.is_empty() && node.run_id == row.run_id)
        };
        match () {
            () if same(new) => Leader::New,
            () if same(old) => Leader::Old,
            () if row.place == self.new.place() => Leader::New,
            () if row.place == self.old.place() => Leader::Old,
            () => Leader::Other(row.place.clone()),
        }
    }

    fn disagree(&self, evidence: &Evidence, opinions: usize) -> Option<String> {
        let says = |(place, answer): (&String, &Answer)| {
            format!("{place} says {} leads in epoch {}", answer.master.place, answer.epoch)
        };
        (opinions > 1).then(|| evidence.answers.iter().map(says).collect::<Vec<_>>().join(", "))
    }

    /// The first Sentinel that would promote the new one and nobody else; else the first that answers, and why not.
    fn choose(&self, evidence: &Evidence, new: Option<&Node>) -> Chosen {
        let mut first: Option<Chosen> = None;
        for place in self.at.places() {
            let Some(answer) = evidence.answers.get(&place.to_string()) else { continue };
            let (barred, rival) = self.objections(answer, new);
            let chosen = Chosen { via: Some(place), barred, rival };
            if chosen.barred.is_none() && chosen.rival.is_none() {
                return chosen;
            }
            first.get_or_insert(chosen);
        }
        first.unwrap_or_default()
    }

    fn objections(&self, answer: &Answer, new: Option<&Node>) -> (Option<String>, Option<String>) {
        let ours = |row: &&Row| self.whose(row, None, new) == Leader::New;
        let Some(row) = answer.replicas.iter().find(ours) else {
            return (Some("the Sentinels do not know it as a replica".into()), None);
        };
        let order = |row: &Row| row.priority.unwrap_or(u64::MAX);
        let able = |other: &&Row| other.place != row.place && answer.passes_over(other).is_none();
        let before = |other: &&Row| order(other) <= order(row);
        let rival = answer.replicas.iter().filter(able).find(before).map(|other| {
            let word = if order(other) < order(row) { "would" } else { "may" };
            format!("they {word} promote {} (priority {}, against {})", other.place, order(other), order(row))
        });
        (answer.passes_over(row), rival)
    }
}

#[derive(Default)]
struct Chosen {
    via: Option<Place>,
    barred: Option<String>,
    rival: Option<String>,
}

/// Fewer than a majority of all that are configured, or known to those that answer.
fn few(evidence: &Evidence) -> Option<String> {
    let known = evidence.answers.values().map(|answer| answer.others.len() + 1).max().unwrap_or(0);
    let total = known.max(evidence.answers.len() + evidence.silent.len());
    let silent: Vec<String> = evidence.silent.iter().map(|(place, why)| format!("{place}: {why}")).collect();
    (evidence.answers.len() * 2 <= total)
        .then(|| format!("{} of {total} Sentinels answer ({})", evidence.answers.len(), silent.join("; ")))
}

/// Two places of one Sentinel, or a Sentinel that nobody configured.
fn foreign(evidence: &Evidence) -> Option<String> {
    let own: BTreeSet<&str> = evidence.answers.values().map(|answer| answer.id.as_str()).collect();
    if own.len() < evidence.answers.len() {
        return Some("two of the configured places lead to the same Sentinel".into());
    }
    let others = evidence.answers.values().flat_map(|answer| &answer.others).map(String::as_str);
    let unknown = others.filter(|id| !own.contains(id)).collect::<BTreeSet<_>>().len();
    (unknown > evidence.silent.len()).then(|| {
        format!(
            "they know {unknown} Sentinels beside those that answer, and {} are configured that do not: name every one, \
             or let them forget what is gone for good (SENTINEL RESET, one after the other)",
            evidence.silent.len()
        )
    })
}

/// What would be lost if it died now; a living primary is held and drained, unless a step before stops it.
fn risk(state: &State, evidence: &Evidence, samples: &[Sample]) -> Option<Rpo> {
    let node = evidence.new.node()?;
    match state.leader {
        Some(Leader::Old) => Some(loss(samples, state.replid.as_deref(), node.offset, None)),
        Some(Leader::New) if !node.replica => {
            Some(loss(samples, state.replid2.as_deref(), node.forked(), None))
        }
        _ => None,
    }
}
