//! What both clusters say, in one picture: who leads each, what each is told to follow, and how much of the log of one the
//! other lacks. Called by the action's look.

use super::super::look::{self, Evidence, State};
use super::super::member::Source;
use super::super::port::{Endpoint, Port};
use super::{Sides, Turn};
use crate::kernel::domain::{Name, Rpo};
use crate::kernel::port::Ctx;
use futures_util::future::join;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Side {
    pub state: State,
    /// Whom its configuration says to follow.
    pub source: Option<Source>,
    /// Of its whole configuration, as every member that answers has it.
    pub configuration: Option<String>,
    /// As each member has itself: the role, and the state of its PostgreSQL.
    pub roles: BTreeMap<Name, (String, String)>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Both {
    pub here: Side,
    pub there: Side,
}

/// Measurements.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Evidences {
    pub here: Evidence,
    pub there: Evidence,
    /// Bytes that the one that follows is known to lack of a leader that is silent, by samples of before.
    pub sampled: Option<u64>,
    /// What would be lost if the cluster that follows came to lead now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpo: Option<Rpo>,
}

impl Side {
    pub fn answers(&self) -> bool {
        self.state.members.values().any(|member| member.answers)
    }

    pub fn all_answer(&self) -> bool {
        self.state.members.values().all(|member| member.answers)
    }

    pub fn writers(&self) -> Vec<&str> {
        let writes = self.state.members.iter().filter(|(_, member)| member.writes == Some(true));
        writes.map(|(name, _)| name.as_str()).collect()
    }

    /// The leader, seen to take writes.
    pub fn leads(&self) -> Option<&Name> {
        let leader = self.state.leader.as_ref()?;
        let writes = self.state.members.get(leader).is_some_and(|member| member.writes == Some(true));
        (writes && !self.state.standby_cluster).then_some(leader)
    }

    /// The leader of a standby cluster, seen to replay what another writes.
    pub fn follows(&self) -> Option<&Name> {
        let leader = self.state.leader.as_ref()?;
        let is = |(role, state): &(String, String)| role == "standby_leader" && state == "running";
        (self.state.standby_cluster && self.roles.get(leader).is_some_and(is)).then_some(leader)
    }

    /// Why it is not proven that nobody of it takes writes, nor will while the configuration stays as it is.
    pub fn not_demoted(&self) -> Option<String> {
        if !self.state.standby_cluster {
            return Some("its configuration does not make it a standby cluster".into());
        }
        if self.state.paused {
            return Some("it is paused: a paused Patroni leaves an old leader running".into());
        }
        let silent = self.state.members.iter().find(|(_, member)| !member.answers);
        if let Some((name, _)) = silent {
            return Some(format!("{name} does not answer, and may take writes"));
        }
        // Any other role is one that it is on its way from.
        let quiet = |(role, state): &(String, String)| match state.as_str() {
            "running" | "streaming" | "in archive recovery" => {
                ["standby_leader", "replica"].contains(&role.as_str())
            }
            "stopped" | "crashed" | "start failed" => true,
            _ => false,
        };
        let loud = self.roles.iter().find(|(_, at)| !quiet(at));
        if let Some((name, (role, state))) = loud {
            return Some(format!("{name} is {role}, {state}"));
        }
        self.follows().is_none().then(|| "nobody of it follows the other cluster yet".into())
    }
}

pub(super) async fn look(sides: &Sides, ctx: &Ctx) -> (Both, Evidences) {
    let (port, at) = (sides.port.as_ref(), ctx.now());
    let ((here, seen_here), (there, seen_there)) =
        join(side(port, &sides.at, ctx), side(port, &sides.other, ctx)).await;
    let had = here.state.leader.as_ref().and_then(|leader| end_of(&seen_here, leader));
    let lost = lost(sides, &here, had, ctx);
    let sampled = lost.bytes;
    let all = had.zip(furthest(&seen_there)).is_some_and(|(own, theirs)| own >= theirs);
    let rpo = match sides.turn {
        Turn::Promote { demoted: true } if all && there.not_demoted().is_none() => Some(Rpo {
            bytes: Some(0),
            last_safe: Some(at),
            says: format!("nothing is lost: {} had all that {} wrote", sides.at.name, sides.other.name),
        }),
        Turn::Promote { .. } => Some(lost),
        Turn::Demote { .. } | Turn::Undemote { .. } => None,
    };
    let rpo = rpo.filter(|_| here.state.standby_cluster);
    (Both { here, there }, Evidences { here: seen_here, there: seen_there, sampled, rpo })
}

pub(super) async fn side(port: &dyn Port, at: &Endpoint, ctx: &Ctx) -> (Side, Evidence) {
    let evidence = look::gather(port, at, ctx).await;
    let answers = &evidence.answers;
    let leader = answers.values().find_map(look::leader).cloned().unwrap_or_else(|| Name::from(""));
    let mut state = look::state(&evidence, at, &leader);
    let settings = || answers.values().map(|answer| &answer.settings);
    let digests: BTreeSet<&str> = settings().map(|settings| settings.digest.as_str()).collect();
    if digests.len() > 1 && state.disagree.is_none() {
        state.disagree = Some("its members do not have the same configuration yet".into());
    }
    let configuration = digests.first().filter(|_| digests.len() == 1).map(|&digest| digest.to_owned());
    let source = settings().find_map(|settings| settings.source.clone());
    let role = |answer: &super::super::Answer| (answer.node.role.clone(), answer.node.state.clone());
    let roles = answers.iter().map(|(name, answer)| (name.clone(), role(answer))).collect();
    (Side { state, source, configuration, roles }, evidence)
}

/// The end of the log that a member has; of a leader what it wrote.
pub(super) fn end_of(evidence: &Evidence, member: &Name) -> Option<u64> {
    evidence.answers.get(member)?.node.position
}

/// The furthest that any member is.
pub(super) fn furthest(evidence: &Evidence) -> Option<u64> {
    evidence.answers.values().filter_map(|answer| answer.node.position).max()
}

/// What the sampler saw of a leader that is silent by now, where a playbook guards the lag of one of our servers. The worst of them.
fn lost(sides: &Sides, here: &Side, had: Option<u64>, ctx: &Ctx) -> Rpo {
    let of = |member: &Name| {
        let server = sides.servers.get(&(sides.at.name.clone(), member.clone()));
        let samples = server.map(|server| ctx.samples.recent(&server.name)).unwrap_or_default();
        look::loss(&samples, &here.state, had)
    };
    let each = sides.at.conf.members.keys().map(of);
    each.max_by_key(|rpo| rpo.bytes).unwrap_or_else(|| look::loss(&[], &here.state, had))
}
