//! A set of records as people write it, in one normal form so that equal sets are equal values.
//!
//! Used by the action, by the wire and by the simulated zone.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RrType {
    A,
    Aaaa,
    Cname,
    Txt,
}

impl RrType {
    pub const ALL: [RrType; 4] = [RrType::A, RrType::Aaaa, RrType::Cname, RrType::Txt];

    pub fn as_str(self) -> &'static str {
        match self {
            RrType::A => "A",
            RrType::Aaaa => "AAAA",
            RrType::Cname => "CNAME",
            RrType::Txt => "TXT",
        }
    }

    /// The value's normal form.
    pub fn normal(self, value: &str) -> Result<String, String> {
        let bad = |what: &str| Err(format!("{value:?} is not {what}"));
        match self {
            RrType::A => value.parse::<Ipv4Addr>().map(|a| a.to_string()).or_else(|_| bad("an IPv4 address")),
            RrType::Aaaa => {
                value.parse::<Ipv6Addr>().map(|a| a.to_string()).or_else(|_| bad("an IPv6 address"))
            }
            RrType::Cname => normal_name(value),
            RrType::Txt if value.len() <= 255 && value.chars().all(|c| c.is_ascii_graphic() || c == ' ') => {
                Ok(value.to_owned())
            }
            RrType::Txt => bad("a text of at most 255 printable ASCII characters"),
        }
    }
}

/// Lower case, with the trailing dot. Labels of letters, digits, `-` and `_`; a leading `*` is no name to publish.
pub fn normal_name(name: &str) -> Result<String, String> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    let good = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if bare.len() <= 253 && bare.split('.').all(good) {
        Ok(format!("{}.", bare.to_ascii_lowercase()))
    } else {
        Err(format!("{name:?} is not a domain name"))
    }
}

/// Whether `name` is the zone or lies in it; both in normal form.
pub fn is_in_zone(name: &str, zone: &str) -> bool {
    name == zone || name.strip_suffix(zone).is_some_and(|head| head.ends_with('.'))
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Question {
    pub name: String,
    pub r#type: RrType,
}

/// All records of one name and type. Without values (and TTL) it does not exist.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RrSet {
    pub name: String,
    pub r#type: RrType,
    pub ttl: Option<u32>,
    /// Sorted, each once, in normal form.
    pub values: Vec<String>,
}

impl RrSet {
    pub fn absent(question: &Question) -> RrSet {
        RrSet { name: question.name.clone(), r#type: question.r#type, ttl: None, values: vec![] }
    }
    pub fn new(question: &Question, ttl: u32, mut values: Vec<String>) -> RrSet {
        values.sort();
        values.dedup();
        RrSet { name: question.name.clone(), r#type: question.r#type, ttl: Some(ttl), values }
    }
    pub fn question(&self) -> Question {
        Question { name: self.name.clone(), r#type: self.r#type }
    }
    pub fn exists(&self) -> bool {
        !self.values.is_empty()
    }
}

/// `A 198.51.100.10 ttl 60`; the plan's line stands beside the zone's name.
impl fmt::Display for RrSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ttl {
            Some(ttl) => {
                write!(f, "{} {} {} ttl {ttl}", self.name, self.r#type.as_str(), self.values.join(" "))
            }
            None => write!(f, "{} {} does not exist", self.name, self.r#type.as_str()),
        }
    }
}

/// Several sets in one line.
pub fn show(sets: &[RrSet]) -> String {
    sets.iter().map(RrSet::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_have_one_form() {
        assert_eq!(normal_name("Shop.Example.COM"), Ok("shop.example.com.".into()));
        assert!(normal_name("a..b").is_err() && normal_name("").is_err() && normal_name("a b").is_err());
        assert_eq!(RrType::Aaaa.normal("2001:DB8:0::1"), Ok("2001:db8::1".into()));
        assert!(RrType::A.normal("1.2.3").is_err());
    }

    #[test]
    fn a_longer_name_with_the_same_ending_is_not_in_the_zone() {
        assert!(is_in_zone("a.shop.test.", "shop.test.") && is_in_zone("shop.test.", "shop.test."));
        assert!(!is_in_zone("myshop.test.", "shop.test."));
    }
}
