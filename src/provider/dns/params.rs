//! The parameters of `dns.record`, checked as far as they can be without asking a server.

use super::rrset::{Question, RrSet, RrType, is_in_zone, normal_name};
use crate::config::{Config, Rfc2136Target};
use crate::kernel::domain::Spec;
use crate::provider::params::Params;
use serde::Deserialize;
use std::collections::BTreeSet;

pub struct With {
    pub zone: Rfc2136Target,
    pub wanted: Vec<RrSet>,
    pub stale_values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    name: String,
    r#type: RrType,
    values: Vec<String>,
    /// Instead of the step's own.
    ttl: Option<u32>,
}

const MAX_RECORDS: usize = 32;
const MAX_VALUES: usize = 32;

pub fn read(spec: &Spec, config: &Config) -> Result<With, Vec<String>> {
    let mut params = Params::new(spec);
    let records: Vec<Record> = params.need("records").unwrap_or_default();
    let ttl: Option<u32> = params.maybe("ttl");
    let stale_values: Vec<String> = params.maybe("stale_values").unwrap_or_default();
    let stale_values = stale_values.iter().map(|value| normal_address(value)).collect();
    let zone = read_zone(spec, config, &mut params);
    let mut wanted = vec![];
    for record in &records {
        match normal_set(record, ttl) {
            Ok(set) => wanted.push(set),
            Err(problems) => problems.into_iter().for_each(|says| params.problem(says)),
        }
    }
    if let Some(zone) = &zone {
        check_sets(&wanted, &zone.zone, &mut params);
    }
    if spec.with.get("records").is_some_and(|list| list.as_array().is_some_and(Vec::is_empty)) {
        params.problem("`records` is empty: there is nothing to publish");
    }
    if records.len() > MAX_RECORDS {
        params.problem(format!("{} record sets; at most {MAX_RECORDS} go into one update", records.len()));
    }
    params.done()?;
    let mut zone = zone.ok_or_else(Vec::new)?;
    zone.zone = normal_name(&zone.zone).map_err(|says| vec![says])?;
    wanted.sort();
    Ok(With { zone, wanted, stale_values })
}

/// An address in the form that answers have it in; anything else as it is.
fn normal_address(text: &str) -> String {
    text.parse::<std::net::IpAddr>().map_or_else(|_| text.to_owned(), |address| address.to_string())
}

fn read_zone(spec: &Spec, config: &Config, params: &mut Params<'_>) -> Option<Rfc2136Target> {
    let Some(zone) = config.zone(&spec.target) else {
        params.problem("there is no target of kind rfc2136 with this name");
        return None;
    };
    if let Err(says) = normal_name(&zone.zone) {
        params.problem(format!("its zone: {says}"));
        return None;
    }
    if zone.servers.is_empty() {
        params.problem("its zone has no `servers`");
    }
    if zone.tsig.algorithm != "hmac-sha256" {
        params
            .problem(format!("its TSIG algorithm is {:?}; only hmac-sha256 is spoken", zone.tsig.algorithm));
    }
    Some(zone.clone())
}

fn normal_set(record: &Record, ttl: Option<u32>) -> Result<RrSet, Vec<String>> {
    let mut problems = vec![];
    let name = normal_name(&record.name).map_err(|says| problems.push(says)).unwrap_or_default();
    let mut values = vec![];
    for value in &record.values {
        match record.r#type.normal(value) {
            Ok(value) => values.push(value),
            Err(says) => problems.push(format!("{} {}: {says}", record.name, record.r#type.as_str())),
        }
    }
    if record.values.is_empty() {
        problems.push(format!(
            "{} {} has no values: an empty set is never published, it would take the name away",
            record.name,
            record.r#type.as_str()
        ));
    }
    if record.values.len() > MAX_VALUES || (record.r#type == RrType::Cname && record.values.len() > 1) {
        problems.push(format!("{} {} has too many values", record.name, record.r#type.as_str()));
    }
    let Some(ttl) = record.ttl.or(ttl) else {
        problems.push(format!("{} {} has no `ttl`", record.name, record.r#type.as_str()));
        return Err(problems);
    };
    if !(1..=86_400).contains(&ttl) {
        problems.push(format!("ttl {ttl} is not between 1 and 86400 seconds"));
    }
    let question = Question { name, r#type: record.r#type };
    if problems.is_empty() { Ok(RrSet::new(&question, ttl, values)) } else { Err(problems) }
}

/// Between sets, and with the zone: outside, twice, alias beside data, alias at the apex.
fn check_sets(wanted: &[RrSet], zone: &str, params: &mut Params<'_>) {
    let zone = normal_name(zone).unwrap_or_default();
    let mut seen = BTreeSet::new();
    for set in wanted {
        if !is_in_zone(&set.name, &zone) {
            params.problem(format!("{} is not in the zone {zone}", set.name));
        }
        if !seen.insert(set.question()) {
            params.problem(format!("{} {} is listed twice", set.name, set.r#type.as_str()));
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
