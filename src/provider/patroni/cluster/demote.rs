//! The verdict over a cluster that leads and shall follow. Pure.

use super::plan::{nobody, too_far};
use super::seen::{Both, Evidences, end_of, furthest};
use super::{DEMOTED, Sides, Source};
use crate::kernel::domain::{Fact, Name, Reason, Spec, StepPlan, Undo};
use crate::provider::postgres::{ALIVE, is_down, is_ours};
use serde_json::{Value, json};

impl Sides {
    pub(super) fn demote(
        &self,
        both: &Both,
        evidence: &Evidences,
        follow: &Source,
        given: &[Fact],
    ) -> StepPlan {
        let (here, there) = (&both.here, &both.there);
        let (name, other) = (&self.at.name, &self.other.name);
        if here.state.standby_cluster {
            return self.already_follows(both, follow);
        }
        let leader = match self.leader(here, &evidence.here) {
            Ok(leader) => leader,
            Err(plan) => return plan,
        };
        if here.leads().is_none() {
            let says = format!("{leader} leads {name}, and does not run as a primary");
            return StepPlan::unknown("PM3606", says);
        }
        if !there.answers() {
            let says =
                format!("{}: nobody would be left to lead after this", nobody(&self.other, &evidence.there));
            return StepPlan::unknown("PM3601", says);
        }
        let after_us = match self.succeeded(both) {
            Ok(after_us) => after_us,
            Err(plan) => return plan,
        };
        let planned = given.iter().any(|fact| matches!(fact, Fact::Planned { .. }));
        let allowed = planned || is_down(self.site.as_ref(), given) || is_ours(name, given);
        if !after_us && !allowed {
            let says = format!(
                "{leader} of {name} lives and leads. It is demoted in a planned move that a person opens (kind: \
                 switchover), when the origin guard says that its site is down for users, or once {other} leads"
            );
            return StepPlan::Refuse(vec![Reason::new(ALIVE, says)]);
        }
        if !after_us && let Some(plan) = self.would_lose(both, evidence) {
            return plan;
        }
        self.demotion(both, leader, (follow, after_us))
    }

    /// As wanted, once it is proven.
    fn already_follows(&self, both: &Both, follow: &Source) -> StepPlan {
        let (here, name) = (&both.here, &self.at.name);
        if here.source.as_ref() != Some(follow) {
            let now = here.source.as_ref().map_or("nobody".to_owned(), ToString::to_string);
            let says = format!("{name} is a standby cluster that follows {now}, and not {follow}");
            return StepPlan::refuse("PM3608", says);
        }
        match here.not_demoted() {
            Some(why) if here.state.paused => StepPlan::refuse("PM3609", format!("{name}: {why}")),
            Some(why) => {
                let says = format!("{name} is told to follow {follow}, and is not proven to: {why}");
                StepPlan::unknown("PM3606", says)
            }
            None => {
                let says =
                    format!("every member of {name} was seen to take no writes; its leader follows {follow}");
                StepPlan::gives(self.fences(&self.at, DEMOTED), says)
            }
        }
    }

    /// Whether the other one has come to lead already, on a later timeline. Else it follows.
    fn succeeded(&self, both: &Both) -> Result<bool, StepPlan> {
        let (here, there, other) = (&both.here, &both.there, &self.other.name);
        if there.follows().is_some() {
            return Ok(false);
        }
        let newer = there.state.timeline.zip(here.state.timeline).is_some_and(|(theirs, ours)| theirs > ours);
        match there.leads() {
            Some(_) if newer => Ok(true),
            Some(leader) => {
                let says = format!(
                    "{leader} of {other} takes writes, too, and not on a later timeline: which of the two has the data that \
                     counts cannot be told. Stop one of them by hand now"
                );
                Err(StepPlan::refuse("PM3605", says))
            }
            None => {
                let says = format!("{other} neither leads nor follows now");
                Err(StepPlan::unknown("PM3606", says))
            }
        }
    }

    /// Nothing is ended that the other one cannot go on with.
    fn would_lose(&self, both: &Both, evidence: &Evidences) -> Option<StepPlan> {
        let (here, there, other) = (&both.here, &both.there, &self.other.name);
        if let Some((ours, theirs)) = here.state.timeline.zip(there.state.timeline)
            && ours != theirs
        {
            let says = format!("{other} is on timeline {theirs}, and {} on timeline {ours}", self.at.name);
            return Some(StepPlan::refuse("PM3612", says));
        }
        let leader = there.state.leader.as_ref()?;
        let Some((ours, theirs)) = furthest(&evidence.here).zip(end_of(&evidence.there, leader)) else {
            return Some(StepPlan::unknown("PM3613", format!("how far {other} is behind is not known")));
        };
        let usual = evidence.there.settings().map_or(0, |settings| settings.max_lag);
        too_far(other, ours.saturating_sub(theirs), self.max_lag.unwrap_or(usual))
    }

    fn demotion(&self, both: &Both, leader: &Name, (follow, after_us): (&Source, bool)) -> StepPlan {
        let (name, other) = (&self.at.name, &self.other.name);
        let mut change = self.frame(both, leader, (Value::Null, json!(follow)));
        change.gives = self.fences(&self.at, DEMOTED);
        change.now = format!("{leader} leads {name} and takes writes");
        change.after =
            format!("standby cluster: {leader} follows {follow}, and nobody of {name} takes writes");
        let table = super::super::wire::table(Some(follow));
        change.by_hand = vec![self.edit(&table)];
        if after_us {
            change.undo = Undo::None;
            change.warnings.push(format!(
                "{other} leads on a later timeline: what only {name} has is thrown away (Patroni rewinds its members, or \
                 makes them anew)"
            ));
            return StepPlan::Change(Box::new(change));
        }
        change.undo = Undo::To(Spec {
            kind: "patroni.undemote_cluster".into(),
            target: name.clone(),
            with: json!({ "standby": other, "followed": follow }),
        });
        change.undo_by_hand = vec![format!("# Only if {other} was not promoted:"), self.edit(&Value::Null)];
        change.warnings.push(format!(
            "writes stop until {other} leads; Patroni ends {leader} at once, without a last word to those that follow, which \
             fetch the rest of its log when it is back as a standby"
        ));
        if !both.here.all_answer() {
            change.warnings.push(format!(
                "not every member of {name} answers: it counts as fenced only once all of them do"
            ));
        }
        StepPlan::Change(Box::new(change))
    }
}
