//! The parameters of `dns.record`, checked as far as they can be without asking a server.

use super::rrset::{Question, RrSet, RrType, normal_name};
use super::sets::{check_sets, normal_address, normal_set};
use crate::config::{Config, Rfc2136Target};
use crate::kernel::domain::{Name, Spec};
use crate::provider::params::Params;
use serde::Deserialize;
use std::collections::BTreeSet;

pub struct With {
    pub zone: Rfc2136Target,
    pub wanted: Vec<RrSet>,
    pub stale_values: Vec<String>,
    /// The site that the run leads away from.
    pub from_site: Option<Name>,
    /// The step is over only when caches are rid of the old records.
    pub wait_ttl: bool,
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

pub fn read(spec: &Spec, config: &Config) -> Result<With, Vec<String>> {
    let mut params = Params::new(spec);
    let records: Vec<Record> = params.need("records").unwrap_or_default();
    let ttl: Option<u32> = params.maybe("ttl");
    let stale_values: Vec<String> = params.maybe("stale_values").unwrap_or_default();
    let from_site: Option<Name> = params.maybe("from_site");
    let wait_ttl = params.maybe("wait_ttl").unwrap_or(false);
    let stale_values = stale_values.iter().map(|value| normal_address(value)).collect();
    let zone = read_zone(spec, config, &mut params);
    let mut wanted = vec![];
    for record in &records {
        match normal_set(&record.name, record.r#type, &record.values, record.ttl.or(ttl)) {
            Ok(set) => wanted.push(set),
            Err(problems) => problems.into_iter().for_each(|says| params.problem(says)),
        }
    }
    if let Some(zone) = &zone {
        let questions: Vec<Question> = wanted.iter().map(RrSet::question).collect();
        check_sets(&questions, &zone.zone, &mut params);
        let mut seen = BTreeSet::new();
        for set in questions.iter().filter(|question| !seen.insert(*question)) {
            params.problem(format!("{} {} is listed twice", set.name, set.r#type.as_str()));
        }
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
    Ok(With { zone, wanted, stale_values, from_site, wait_ttl })
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
