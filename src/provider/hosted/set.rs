//! A record set as a provider's API holds it: values and TTL as everywhere, and what some providers add.

use crate::provider::dns::{Question, RrSet, RrType};
use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Held {
    pub name: String,
    pub r#type: RrType,
    /// `None` with values: the provider's own choice (proxied, automatic, an alias).
    pub ttl: Option<u32>,
    /// Sorted, in normal form. None, and no alias: it does not exist.
    pub values: Vec<String>,
    /// One of several sets of this name and type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<Routing>,
    /// Answers with what another name of the same provider has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Alias>,
    /// The provider answers with its own addresses and forwards. Kept as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxied: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Routing {
    /// The identifier among the sets of one name and type.
    pub set: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<Failover>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<String>,
    /// A policy that is only read here, never written: latency, geography.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failover {
    Primary,
    Secondary,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    pub name: String,
    /// The provider's id of the zone that `name` is in.
    pub zone_id: String,
    #[serde(default)]
    pub evaluate_health: bool,
}

/// What makes two sets the same one.
pub type Key = (Question, Option<String>);

impl Held {
    pub fn plain(set: RrSet) -> Held {
        let RrSet { name, r#type, ttl, values } = set;
        Held { name, r#type, ttl, values, routing: None, alias: None, proxied: false }
    }
    pub fn absent(key: &Key) -> Held {
        let mut held = Held::plain(RrSet::absent(&key.0));
        let none =
            Routing { set: String::new(), weight: None, failover: None, health_check: None, other: None };
        held.routing = key.1.clone().map(|set| Routing { set, ..none });
        held
    }
    pub fn question(&self) -> Question {
        Question { name: self.name.clone(), r#type: self.r#type }
    }
    pub fn key(&self) -> Key {
        (self.question(), self.routing.as_ref().map(|routing| routing.set.clone()))
    }
    pub fn exists(&self) -> bool {
        !self.values.is_empty() || self.alias.is_some()
    }
    /// As servers answer with it.
    pub fn rrset(&self) -> RrSet {
        RrSet { name: self.name.clone(), r#type: self.r#type, ttl: self.ttl, values: self.values.clone() }
    }
    /// Whether servers answer with exactly these values.
    pub fn is_served_as_is(&self) -> bool {
        self.routing.is_none() && self.alias.is_none() && !self.proxied
    }
    /// How many targets it sends users to.
    pub fn live(&self) -> usize {
        let switched_off = self.routing.as_ref().is_some_and(|routing| routing.weight == Some(0));
        match &self.alias {
            _ if switched_off => 0,
            Some(_) => 1,
            None => self.values.len(),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.alias, self.ttl) {
            (Some(alias), _) => write!(f, "{} {} alias of {}", self.name, self.r#type.as_str(), alias.name)?,
            (None, None) if self.exists() => {
                write!(f, "{} {} {} ttl automatic", self.name, self.r#type.as_str(), self.values.join(" "))?;
            }
            _ => write!(f, "{}", self.rrset())?,
        }
        if let Some(routing) = &self.routing {
            write!(f, " [{}", routing.set)?;
            if let Some(weight) = routing.weight {
                write!(f, " weight {weight}")?;
            }
            if let Some(failover) = routing.failover {
                f.write_str(match failover {
                    Failover::Primary => " primary",
                    Failover::Secondary => " secondary",
                })?;
            }
            f.write_str("]")?;
        }
        if self.proxied { f.write_str(" proxied") } else { Ok(()) }
    }
}

/// Several sets in one line.
pub fn show(sets: &[Held]) -> String {
    sets.iter().map(Held::to_string).collect::<Vec<_>>().join("; ")
}
