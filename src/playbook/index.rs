//! Which of many playbooks an alert may be meant for: each trigger is kept under the rarest label that it wants to be equal to
//! something, so that most playbooks are never looked at. What it leaves out does not match; what it names may.
//!
//! Made once for each set of playbooks; triage asks it, and `match_alert` has the last word.

use super::AlertView;
use super::model::{Playbook, Trigger};
use crate::kernel::domain::VALUES_APART;
use std::collections::{BTreeMap, HashMap};

/// Label, then value, then places of playbooks, in their order.
type Places = HashMap<String, HashMap<String, Vec<usize>>>;

#[derive(Clone, Debug, Default)]
pub struct MatchIndex {
    equal: Places,
    /// No equality: looked at for every alert.
    any: Vec<usize>,
}

impl MatchIndex {
    /// Places are those of the list.
    pub fn new<'a>(playbooks: impl IntoIterator<Item = &'a Playbook>) -> MatchIndex {
        let playbooks: Vec<&Playbook> = playbooks.into_iter().collect();
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for pair in playbooks.iter().flat_map(|p| &p.triggers).flat_map(equalities) {
            *counts.entry(pair).or_default() += 1;
        }
        let mut index = MatchIndex::default();
        for (place, playbook) in playbooks.iter().enumerate() {
            for trigger in &playbook.triggers {
                let rarest = equalities(trigger).min_by_key(|pair| (counts.get(pair).copied(), *pair));
                let places = match rarest {
                    Some((label, value)) => {
                        let values = index.equal.entry(label.to_owned()).or_default();
                        values.entry(value.to_owned()).or_default()
                    }
                    None => &mut index.any,
                };
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
        }
        index
    }

    /// Places of those that may match, in their order.
    pub fn candidates(&self, alert: &AlertView) -> Vec<usize> {
        let mut places = self.any.clone();
        for (label, said) in &alert.labels {
            let Some(values) = self.equal.get(label) else { continue };
            places.extend(values.get(said).into_iter().flatten());
            // A tag that stands there several times.
            if said.contains(VALUES_APART) {
                places.extend(said.split(VALUES_APART).filter_map(|one| values.get(one)).flatten());
            }
        }
        places.sort_unstable();
        places.dedup();
        places
    }
}

/// Labels that must have one value. The empty one is what a missing label has, too.
fn equalities(trigger: &Trigger) -> impl Iterator<Item = (&str, &str)> {
    let of_alertmanager = trigger.alertmanager.iter().flatten();
    let of_alertmanager =
        of_alertmanager.filter_map(|(label, matcher)| Some((label.as_str(), matcher.only()?)));
    let of_zabbix = trigger.zabbix.iter().flatten();
    let of_zabbix = of_zabbix.filter_map(|(label, condition)| Some((label.as_str(), condition.equal()?)));
    let generic = trigger.generic.iter().flatten();
    let of_generic = generic.filter_map(|(label, matcher)| Some((label.as_str(), matcher.only()?)));
    of_alertmanager.chain(of_zabbix).chain(of_generic).filter(|(_, value)| !value.is_empty())
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
