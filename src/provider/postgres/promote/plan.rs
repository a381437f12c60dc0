//! The verdict over a standby that shall become the primary. Pure.

use super::{Evidence, Promote, State};
use crate::kernel::domain::{
    Change, Effect, Fact, FenceRung, Lsn, Observation, Other, Reason, Settle, Span, Spec, StepPlan, Undo,
};
use crate::provider::postgres::look::{ALIVE, Witness, alive, managed, said_down};
use crate::provider::postgres::node::Seen;
use serde::Deserialize;
use serde_json::json;

/// A signal that nobody knows the end of is given again after this time: a server leaves recovery once, however often
/// it is told to. A promotion that was heard shows itself well before, unless it waits for the log; then too it is safe.
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
            return StepPlan::unknown("PM3201", says);
        }
        if let Some(manager) = &state.manager {
            return StepPlan::refuse("PM3207", managed(target.as_str(), manager));
        }
        if let (Some(wanted), Some(found)) = (&state.lineage, &state.system)
            && wanted != found
        {
            return StepPlan::refuse(
                "PM3202",
                format!(
                    "{target} holds other data: system identifier {found}, and {} had {wanted}",
                    self.old.name
                ),
            );
        }
        let fence = self.fence(given);
        if state.role == "primary" {
            return self.already_primary(&state, fence.as_ref());
        }
        let mut reasons = self.refusals(&state, given, fence.as_ref());
        reasons.extend(self.against_a_planned_move(&state));
        reasons.extend(evidence.claims.iter().flatten().cloned());
        if !reasons.is_empty() {
            return StepPlan::Refuse(reasons);
        }
        // Promised, a fence has no position yet; proven, it must: without it nobody can say that nothing is lost.
        let unknown_end = state.old_marked && fence.as_ref().is_none_or(|fence| fence.position.is_none());
        if self.planned && unknown_end {
            return StepPlan::unknown("PM2195", self.no_end());
        }
        match (state.timeline, &state.system) {
            (Some(timeline), Some(system)) => {
                self.change(&state, &evidence, timeline, system, fence.as_ref())
            }
            _ => StepPlan::unknown(
                "PM3205",
                format!("{target} does not tell its timeline or system identifier"),
            ),
        }
    }

    pub(super) fn no_end(&self) -> String {
        format!(
            "the last position of {} under its fence is not known, so that it cannot be proven that nothing is lost",
            self.old.name
        )
    }

    /// While the old primary still lives unfenced, what would keep its standby from ever having all of its log.
    fn against_a_planned_move(&self, state: &State) -> Vec<Reason> {
        let (target, old) = (&self.target.name, &self.old.name);
        let mut reasons = vec![];
        if !self.planned {
            return reasons;
        }
        if state.paused {
            let says = format!(
                "replay is paused on {target}, so that it would never have replayed all of {old}. Run on it: select \
                pg_wal_replay_resume();"
            );
            reasons.push(Reason::new("PM2193", says));
        }
        let follows = state.witnesses.iter().find(|(name, _)| name == target).map(|(_, witness)| *witness);
        if !state.old_marked && follows != Some(Witness::Streams) {
            let why = match follows {
                Some(Witness::Hidden) => {
                    format!("hides whether it does: grant pg_monitor to {}", self.target.conf.user)
                }
                Some(Witness::Streams | Witness::No) | None => "does not".to_owned(),
            };
            let says = format!("a planned move needs {target} to stream from {old}, and it {why}");
            reasons.push(Reason::new("PM2194", says));
        }
        reasons
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

    /// Right already only as the one fork of the recorded timeline; a writable second primary is never right.
    fn already_primary(&self, state: &State, fence: Option<&Fence>) -> StepPlan {
        let (target, old) = (&self.target.name, &self.old.name);
        if state.old_role == "primary" && !state.old_marked {
            return StepPlan::refuse(
                "PM3203",
                format!(
                    "{target} and {old} both answer as primaries. Fence {old} by hand now: two writers \
                    diverge."
                ),
            );
        }
        let follows = match (state.recorded_timeline, state.timeline) {
            (Some(recorded), Some(found)) => found == recorded + 1,
            _ => false,
        };
        let known = state.lineage.is_some() && state.lineage == state.system;
        if !follows || !known {
            return StepPlan::refuse(
                "PM3211",
                format!(
                    "{target} is already a primary, of unknown origin (timeline {}, recorded {}). It was \
                    not changed; find out who promoted it.",
                    show(state.timeline),
                    show(state.recorded_timeline)
                ),
            );
        }
        if let Some(names) = &state.sync_trap {
            return StepPlan::refuse(
                "PM3208",
                format!(
                    "{target} is the primary, and every commit waits for a synchronous standby that is not \
                    connected ({names}). Run on it: alter system set synchronous_standby_names = ''; select \
                    pg_reload_conf();"
                ),
            );
        }
        let lineage = state.system.clone().unwrap_or_default();
        let unfenced = match (fence, state.old_role.as_str()) {
            (None, "unreachable") => format!("; {old} does not answer, and is not proven to be fenced"),
            _ => String::new(),
        };
        StepPlan::gives(
            vec![Fact::Primary { target: target.clone(), lineage }],
            format!("{target} is the primary on timeline {}{unfenced}", show(state.timeline)),
        )
    }

    /// Every reason at once.
    fn refusals(&self, state: &State, given: &[Fact], fence: Option<&Fence>) -> Vec<Reason> {
        let (target, old) = (&self.target.name, &self.old.name);
        let mut reasons = Vec::new();
        let mut refuse = |code: &str, says: String| reasons.push(Reason::new(code, says));
        if state.old_role == "primary" && fence.is_none() {
            refuse(
                "PM3203",
                format!("{old} answers as a primary and is not fenced: two writers would diverge"),
            );
        }
        if state.old_role == "primary"
            && fence.is_some_and(|fence| fence.position.is_some())
            && !state.old_marked
        {
            refuse("PM3204", format!("{old} was fenced and is not any more: somebody took the fence back"));
        }
        if fence.is_none() && !said_down(&self.old, given) {
            for (name, witness) in &state.witnesses {
                let how = if *witness == Witness::Streams { "streams" } else { "may stream (it hides that)" };
                refuse(ALIVE, alive(old, &format!("{name} {how} from it")));
            }
        }
        if !state.ahead.is_empty() && fence.is_none_or(|fence| fence.position.is_none()) {
            let names: Vec<&str> = state.ahead.iter().map(|name| name.as_str()).collect();
            refuse(
                "PM3206",
                format!("{} has more of the log than {target}: promote that one", names.join(", ")),
            );
        }
        if !state.can_promote {
            let user = &self.target.conf.user;
            let says = format!("grant execute on function pg_promote(boolean,integer) to {user}");
            refuse(
                "PM3210",
                format!("{user} may not promote {target}. On the primary, while there is one: {says};"),
            );
        }
        if state.read_only {
            let fix = "alter system reset default_transaction_read_only; select pg_reload_conf();";
            refuse("PM3209", format!("{target} would be a primary that refuses writes. Run on it: {fix}"));
        }
        if let Some(names) = state.sync_trap.as_ref().filter(|_| !state.superuser) {
            refuse(
                "PM3208",
                format!(
                    "every commit on {target} would wait for a synchronous standby ({names}), and {} may \
                    not change that. Run on it: alter system set synchronous_standby_names = ''; select \
                    pg_reload_conf();",
                    self.target.conf.user
                ),
            );
        }
        reasons
    }

    fn change(
        &self,
        state: &State,
        evidence: &Evidence,
        timeline: u32,
        system: &str,
        fence: Option<&Fence>,
    ) -> StepPlan {
        let target = &self.target.name;
        let mut from = json!({ "role": "standby", "timeline": timeline, "system": system });
        let mut to = json!({ "role": "primary", "timeline": timeline + 1, "system": system });
        if let Some(names) = &state.sync_trap {
            from["synchronous_standby_names"] = json!(names);
            to["synchronous_standby_names"] = json!("");
        }
        let mut change = Change::new(from, to);
        let need = Fact::Fenced { target: self.old.name.clone(), rung: self.fence_rung, position: None };
        change.needs = vec![need];
        change.gives = vec![Fact::Primary { target: target.clone(), lineage: system.to_owned() }];
        change.effects =
            vec![Effect::Writer { target: target.clone(), others: self.others(state, evidence) }];
        change.settle = Settle::Repeatable(AGAIN);
        change.undo = Undo::None;
        change.before_undo = Some(Spec {
            kind: "postgres.standby".into(),
            target: target.clone(),
            with: json!({ "system": system }),
        });
        change.by_hand =
            vec![format!("# Only if {} is fenced:  {} -c 'select pg_promote()'", self.old.name, self.psql())];
        change.now = format!("standby, timeline {timeline}");
        change.after = format!("primary, timeline {}", timeline + 1);
        let drain_to = fence.and_then(|fence| fence.position);
        change.detail = json!({ "timeline": timeline, "system": system, "drain_to": drain_to,
            "clear_sync": state.sync_trap.is_some() });
        // A planned move that has not drained does not promote, so nothing is the bound from the start.
        let lost = if self.planned { 0 } else { bound(drain_to, evidence.rpo.bytes) };
        change.bounds.insert("data_loss_bytes".into(), lost);
        change.warnings = self.warnings(state, evidence, fence);
        StepPlan::Change(Box::new(change))
    }

    /// Who holds the same data and may write: the old primary, and every other server that is no standby.
    fn others(&self, state: &State, evidence: &Evidence) -> Vec<Other> {
        let old = Other {
            target: self.old.name.clone(),
            writes: match state.old_role.as_str() {
                "standby" => Some(false),
                "primary" => Some(!state.old_marked),
                _ => None,
            },
        };
        let peers = evidence.peers.iter().filter(|peer| peer.name != self.old.name).filter_map(|peer| {
            let node =
                peer.seen.primary().filter(|node| node.system.is_some() && node.system == state.system)?;
            let marked = node.hba_fenced == Some(true) || node.read_only;
            Some(Other { target: peer.name.clone(), writes: Some(!marked) })
        });
        std::iter::once(old).chain(peers).collect()
    }

    fn psql(&self) -> String {
        let conf = &self.target.conf;
        format!("psql -h {} -p {} -U {} -d {}", conf.address, conf.port, conf.user, conf.database)
    }

    fn warnings(&self, state: &State, evidence: &Evidence, fence: Option<&Fence>) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Err(why) = &evidence.claims {
            warnings.push(format!("whether another Pointsman claims this data is not known: {why}"));
        }
        match fence.and_then(|fence| fence.position) {
            Some(position) => warnings.push(format!(
                "waits first until {} has all of {} up to {position}: nothing is lost",
                self.target.name, self.old.name
            )),
            None if self.planned => warnings.push(format!(
                "waits first until {} has replayed all of {}: nothing is lost, or nothing is promoted",
                self.target.name, self.old.name
            )),
            None => warnings.push(format!("data at risk: {}", evidence.rpo.says)),
        }
        if fence.is_none() {
            warnings.push(format!(
                "plus everything {} has accepted since then, if it still runs: it is not proven to be fenced",
                self.old.name
            ));
        }
        if let Some(names) = &state.sync_trap {
            warnings.push(format!(
                "synchronous_standby_names ({names}) is emptied: no standby is connected that would \
                confirm commits"
            ));
        }
        if state.paused {
            warnings.push("replay is paused; the promotion ends the pause and replays the rest".into());
        }
        if state.lineage.is_none() {
            warnings.push(
                "nothing is recorded about this pair: the system identifier could not be compared".into(),
            );
        }
        warnings
    }
}

/// Rounded up, so that consent covers a bound and not a moving number. Unknown is without bound.
pub(in crate::provider) fn bound(drain_to: Option<Lsn>, known: Option<u64>) -> u64 {
    const LEAST: u64 = 1 << 20;
    match (drain_to, known) {
        (Some(_), _) => 0,
        (None, Some(bytes)) => bytes.max(LEAST).checked_next_power_of_two().unwrap_or(u64::MAX),
        (None, None) => u64::MAX,
    }
}

fn show(timeline: Option<u32>) -> String {
    timeline.map_or("unknown".into(), |timeline| timeline.to_string())
}
