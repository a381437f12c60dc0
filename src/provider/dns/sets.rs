//! Record sets as parameters give them, checked as far as they can be without asking anybody.
//!
//! Used by the parameters of `dns.record` and of every provider's record action.

use super::rrset::{Question, RrSet, RrType, is_in_zone, normal_name};
use crate::provider::params::Params;

const MAX_VALUES: usize = 32;

/// An address in the form that answers have it in; anything else as it is.
pub fn normal_address(text: &str) -> String {
    text.parse::<std::net::IpAddr>().map_or_else(|_| text.to_owned(), |address| address.to_string())
}

/// One set in normal form, or everything that is wrong with it.
pub fn normal_set(
    name: &str,
    kind: RrType,
    values: &[String],
    ttl: Option<u32>,
) -> Result<RrSet, Vec<String>> {
    let shown = format!("{name} {}", kind.as_str());
    let mut problems = vec![];
    let name = normal_name(name).map_err(|says| problems.push(says)).unwrap_or_default();
    let mut normal = vec![];
    for value in values {
        match kind.normal(value) {
            Ok(value) => normal.push(value),
            Err(says) => problems.push(format!("{shown}: {says}")),
        }
    }
    if values.is_empty() {
        problems.push(format!(
            "{shown} has no values: an empty set is never published, it would take the name away"
        ));
    }
    if values.len() > MAX_VALUES || (kind == RrType::Cname && values.len() > 1) {
        problems.push(format!("{shown} has too many values"));
    }
    let Some(ttl) = ttl else {
        problems.push(format!("{shown} has no `ttl`"));
        return Err(problems);
    };
    if !(1..=86_400).contains(&ttl) {
        problems.push(format!("ttl {ttl} is not between 1 and 86400 seconds"));
    }
    let question = Question { name, r#type: kind };
    if problems.is_empty() { Ok(RrSet::new(&question, ttl, normal)) } else { Err(problems) }
}

/// Between sets, and with the zone: outside, alias beside data, alias at the apex.
pub fn check_sets(wanted: &[Question], zone: &str, params: &mut Params<'_>) {
    let zone = normal_name(zone).unwrap_or_default();
    for set in wanted {
        if !is_in_zone(&set.name, &zone) {
            params.problem(format!("{} is not in the zone {zone}", set.name));
        }
        if set.r#type == RrType::Cname {
            if set.name == zone {
                params.problem(format!("{zone} is the zone's own name and cannot be an alias (CNAME)"));
            }
            if wanted.iter().any(|other| other.name == set.name && other.r#type != RrType::Cname) {
                params.problem(format!("{} cannot be an alias (CNAME) and hold other records", set.name));
            }
        }
    }
}
