//! A run whose pass breaks off each time: stopped where it is, in words, so that nobody tries for ever what cannot go on.
//! Asked by `drive`.

use super::{ItemPhase, Run};
use crate::domain::{ItemId, ItemRole, Outcome, Reason, Record};

impl Run {
    /// What to write so that this run goes on by a person's word alone, or by another rung of a ladder. Calls in flight
    /// must be in doubt by then. Empty: it stands still already.
    pub fn stand_still(&self, why: &Reason) -> Vec<Record> {
        if self.finished.is_some() {
            return vec![];
        }
        if self.first_change.is_none() {
            let mut end = self.finish(Outcome::Failed, format!("nothing was changed: {}", why.says));
            if let Record::Finished { why: reasons, .. } = &mut end {
                reasons.push(why.clone());
            }
            return vec![end];
        }
        let park = |id, doubt| Record::Parked { item: Some(id), doubt, why: vec![why.clone()] };
        let open = self.ids().filter(|id| self.state(*id).own_change().is_some());
        let open: Vec<Record> = open.map(|id| park(id, true)).collect();
        match open.is_empty() {
            false => open,
            true => self.at_work().map(|id| park(id, false)).into_iter().collect(),
        }
    }

    /// The step whose turn it is.
    fn at_work(&self) -> Option<ItemId> {
        if self.parked().next().is_some() {
            return None;
        }
        if self.undoing.is_some() {
            return self.next_back();
        }
        let idle =
            |id: &ItemId| self.item(*id).role != ItemRole::Guard && self.state(*id).phase == ItemPhase::Idle;
        self.ids().find(idle)
    }
}
