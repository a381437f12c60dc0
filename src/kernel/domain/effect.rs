//! What a change would leave behind, in the terms that the rules of an instance judge. Each action's plan tells its
//! own effects; whether they may be is the engine's to say (`engine/rules`), alike for every provider.

use super::{Actor, Name, Time};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A rule that holds for every run, whoever started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// No set of records is left without values.
    NeverEmptyRrset,
    /// At most one server accepts writes to the same data.
    MaxWriters,
    /// A name leads to that many addresses that are known to answer, at least.
    MinLiveTargets,
    /// Changes begun within an hour, over all runs of the instance.
    ChangesPerHour,
}

impl Rule {
    pub const ALL: [Rule; 4] =
        [Rule::NeverEmptyRrset, Rule::MaxWriters, Rule::MinLiveTargets, Rule::ChangesPerHour];

    pub fn as_str(self) -> &'static str {
        match self {
            Rule::NeverEmptyRrset => "never_empty_rrset",
            Rule::MaxWriters => "max_writers",
            Rule::MinLiveTargets => "min_live_targets",
            Rule::ChangesPerHour => "changes_per_hour",
        }
    }
    pub fn parse(text: &str) -> Option<Rule> {
        Rule::ALL.into_iter().find(|rule| rule.as_str() == text)
    }
    /// Of the reasons that name it.
    pub fn code(self) -> &'static str {
        match self {
            Rule::NeverEmptyRrset => "PM5601",
            Rule::MaxWriters => "PM5602",
            Rule::MinLiveTargets => "PM5603",
            Rule::ChangesPerHour => "PM5604",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One person's word that a rule does not bind one service for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    pub rule: Rule,
    pub service: Name,
    pub by: Actor,
    pub reason: String,
    pub until: Time,
}

impl Override {
    /// For people: what, for whom, by whom, until when, why.
    pub fn says(&self) -> String {
        format!(
            "{} does not bind {} until {}, by {}: {}",
            self.rule, self.service, self.until, self.by, self.reason
        )
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// A set of records of a name, with its values before and after. No values: it does not exist.
    Records { name: String, kind: String, before: Vec<String>, after: Vec<String> },
    /// `target` accepts writes from then on. `others` hold the same data, each as it was seen right now.
    Writer { target: Name, others: Vec<Other> },
}

/// Another server of the same data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Other {
    pub target: Name,
    /// Whether it accepts writes; `None`: it could not be seen.
    pub writes: Option<bool>,
}

/// An address or a host's name in one form, so that equal places are equal texts.
pub fn place(text: &str) -> String {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase(),
    }
}

/// How many changes are begun, as the instance's ledger has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Within the last hour, over all runs.
    pub begun: u32,
    /// What other runs under way have still in their plans.
    pub reserved: u32,
    /// What is left of this run's own plan; 0 before its first change.
    pub own: u32,
    pub most: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_places_are_equal_texts() {
        assert_eq!(place("2001:DB8:0::1"), place("[2001:db8::1]"));
        assert_eq!(place("Shop.Example.com."), "shop.example.com");
    }

    #[test]
    fn every_rule_is_read_as_it_is_written() {
        assert!(Rule::ALL.iter().all(|rule| Rule::parse(rule.as_str()) == Some(*rule)));
        assert_eq!(Rule::parse("max-writers"), None);
    }
}
