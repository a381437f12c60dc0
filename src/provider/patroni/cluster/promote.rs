//! The verdict over a standby cluster that shall lead. Pure.

use super::plan::too_far;
use super::seen::{Both, Evidences, end_of, furthest};
use super::{DEMOTED, Sides};
use crate::kernel::domain::{Effect, Name, StepPlan, Undo};
use crate::provider::postgres::{ALIVE, loss_bound};
use serde_json::{Value, json};

impl Sides {
    pub(super) fn promote(&self, both: &Both, evidence: &Evidences, demoted: bool) -> StepPlan {
        let (here, there) = (&both.here, &both.there);
        let (name, other) = (&self.at.name, &self.other.name);
        if let (Some(ours), [theirs, ..]) = (here.writers().first(), there.writers().as_slice()) {
            let says = format!(
                "{ours} of {name} and {theirs} of {other} take writes at the same time. Stop one of them by hand now: they \
                 diverge"
            );
            return StepPlan::refuse("PM3605", says);
        }
        if !here.state.standby_cluster {
            return self.already_leads(both);
        }
        let leader = match self.leader(here, &evidence.here) {
            Ok(leader) => leader,
            Err(plan) => return plan,
        };
        if here.follows().is_none() {
            let (role, state) = here.roles.get(leader).cloned().unwrap_or_default();
            let says = format!("{leader} leads the standby cluster {name}, and is {role}, {state}");
            return StepPlan::unknown("PM3606", says);
        }
        if let (false, [writer, ..]) = (demoted, there.writers().as_slice()) {
            let says = format!(
                "{writer} of {other} lives and takes writes. In a planned move demote that cluster first \
                 (patroni.demote_cluster); else fence each of its members"
            );
            return StepPlan::refuse(ALIVE, says);
        }
        let behind = match self.behind(both, evidence, leader) {
            Ok(lag) => lag,
            Err(plan) => return plan,
        };
        let is_demoted = there.not_demoted().is_none();
        if demoted && is_demoted && behind > 0 {
            let says = format!(
                "{other} takes no more writes, and {leader} still lacks {behind} bytes of what it wrote: looked at again \
                 until it has all of it"
            );
            return StepPlan::unknown("PM3631", says);
        }
        let quiet = there.writers().is_empty();
        if let Some(ahead) = here.state.ahead.first().filter(|_| quiet) {
            let says = format!(
                "{ahead} of {name} has more of the log than {leader}: it is looked at again; if it stays so, switch over to \
                 it first (patronictl switchover {})",
                self.at.conf.scope
            );
            return StepPlan::unknown("PM3615", says);
        }
        self.promotion(both, leader, (demoted, behind))
    }

    fn already_leads(&self, both: &Both) -> StepPlan {
        let (here, name) = (&both.here, &self.at.name);
        let Some(leader) = here.leads() else {
            let says = format!("{name} is no standby cluster any more, and nobody of it takes writes yet");
            return StepPlan::unknown("PM3606", says);
        };
        let timeline = here.state.timeline.map_or("unknown".to_owned(), |timeline| timeline.to_string());
        let mut says = format!("{leader} leads {name} on timeline {timeline}, and takes writes");
        if !both.there.all_answer() {
            says.push_str(&format!("; not every member of {} answers", self.other.name));
        }
        StepPlan::gives(vec![self.writer(leader, here)], says)
    }

    /// Bytes that are missing here; by the other cluster's own word while it has one, else by samples of before.
    fn behind(&self, both: &Both, evidence: &Evidences, leader: &Name) -> Result<u64, StepPlan> {
        let (here, there) = (&both.here, &both.there);
        if let Some((own, theirs)) = here.state.timeline.zip(there.state.timeline)
            && own != theirs
        {
            let says = format!(
                "{} is on timeline {own}, and {} on timeline {theirs}: what began there is not here, or it follows \
                 another cluster",
                self.at.name, self.other.name
            );
            return Err(StepPlan::refuse("PM3612", says));
        }
        let own = end_of(&evidence.here, leader);
        let told = furthest(&evidence.there).zip(own).map(|(theirs, own)| theirs.saturating_sub(own));
        let Some(lag) = told.or(evidence.sampled) else {
            let says = format!(
                "how far {leader} is behind {} is not known: nobody there tells, and no sample of before was taken on this \
                 timeline (a guard postgres.lag has it sampled)",
                self.other.name
            );
            return Err(StepPlan::unknown("PM3613", says));
        };
        let usual = evidence.here.settings().map_or(0, |settings| settings.max_lag);
        too_far(&self.at.name, lag, self.max_lag.unwrap_or(usual)).map_or(Ok(lag), Err)
    }

    fn promotion(&self, both: &Both, leader: &Name, (demoted, behind): (bool, u64)) -> StepPlan {
        let (here, there) = (&both.here, &both.there);
        let (name, other) = (&self.at.name, &self.other.name);
        let mut change = self.frame(both, leader, (json!(here.source), Value::Null));
        change.gives = vec![self.writer(leader, here)];
        let rung = if demoted { DEMOTED } else { super::super::FENCE };
        change.needs = self.fences(&self.other, rung);
        change.effects =
            vec![Effect::Writer { target: self.fact_name(&self.at, leader), others: self.others(there) }];
        change.undo = Undo::None;
        let bound = if demoted { 0 } else { loss_bound(None, Some(behind)) };
        change.bounds.insert("data_loss_bytes".into(), bound);
        let source = here.source.as_ref().map_or("nobody".to_owned(), ToString::to_string);
        change.now = format!("standby cluster: {leader} follows {source}");
        change.after = format!("{leader} leads {name} and takes writes, on a new timeline");
        change.by_hand =
            vec![format!("# Only if every member of {other} is fenced:"), self.edit(&Value::Null)];
        if demoted {
            change.warnings.push(format!("it waits until {leader} has all that {other} wrote"));
        } else {
            change.warnings.push(format!(
                "data at risk: {behind} bytes when {other} was last seen, and what it wrote after that"
            ));
            change.warnings.push(format!(
                "before a member of {other} is started again, its cluster has to follow {name}"
            ));
        }
        if here.source.as_ref().is_some_and(|source| source.host.is_empty()) {
            change.warnings.push(format!("{name} follows no server by name: {leader} only restores files"));
        }
        for (member, _) in here.state.members.iter().filter(|(_, member)| !member.answers) {
            change
                .warnings
                .push(format!("{member} does not answer: what it has of the log was not compared"));
        }
        StepPlan::Change(Box::new(change))
    }
}
