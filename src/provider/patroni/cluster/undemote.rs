//! The verdict over a cluster that was made to follow and shall lead again: only while the other one is seen, every member
//! of it, to follow still. Pure.

use super::seen::{Both, Evidences};
use super::{Sides, Source};
use crate::kernel::domain::{Effect, StepPlan, Undo};
use serde_json::{Value, json};

impl Sides {
    pub(super) fn undemote(&self, both: &Both, evidence: &Evidences, followed: &Source) -> StepPlan {
        let (here, there) = (&both.here, &both.there);
        let (name, other) = (&self.at.name, &self.other.name);
        if !here.state.standby_cluster {
            return match here.leads() {
                Some(leader) => StepPlan::nothing(format!("{leader} leads {name} again")),
                None => {
                    let says = format!("{name} is no standby cluster any more, and nobody takes writes yet");
                    StepPlan::unknown("PM3606", says)
                }
            };
        }
        if here.source.as_ref() != Some(followed) {
            let now = here.source.as_ref().map_or("nobody".to_owned(), ToString::to_string);
            let says =
                format!("somebody made {name} follow {now}: that is neither {followed} nor what was before");
            return StepPlan::refuse("PM3608", says);
        }
        let leader = match self.leader(here, &evidence.here) {
            Ok(leader) => leader,
            Err(plan) => return plan,
        };
        if let [writer, ..] = there.writers().as_slice() {
            let says = format!("{writer} of {other} takes writes: {name} would be a second writer");
            return StepPlan::refuse("PM3605", says);
        }
        if let Some(why) = there.not_demoted() {
            let says = format!("whether {other} still follows is not known: {why}");
            return StepPlan::unknown("PM3606", says);
        }
        let mut change = self.frame(both, leader, (json!(here.source), Value::Null));
        change.effects =
            vec![Effect::Writer { target: self.fact_name(&self.at, leader), others: self.others(there) }];
        change.undo = Undo::None;
        change.now = format!("standby cluster: {leader} follows {followed}");
        change.after = format!("{leader} leads {name} again");
        StepPlan::Change(Box::new(change))
    }
}
