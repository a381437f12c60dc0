//! The parameters of every provider's record action: the same words everywhere; what a provider does not have is a
//! problem that says so.

use super::nature::{self, Nature};
use super::set::{Alias, Failover, Held, Key, Routing};
use crate::config::{Config, HostedTarget};
use crate::kernel::domain::{Name, Spec};
use crate::provider::dns::{Question, RrType, check_sets, normal_address, normal_name, normal_set};
use crate::provider::params::Params;
use serde::Deserialize;
use std::collections::BTreeSet;

pub struct With {
    /// Its zone in normal form.
    pub zone: HostedTarget,
    /// Sorted by key.
    pub wanted: Vec<Held>,
    pub stale_values: Vec<String>,
    /// The site that the run leads away from.
    pub from_site: Option<Name>,
    pub min_targets: usize,
    /// Percent of the zone's records.
    pub max_share: Option<u8>,
    /// The step is over only when caches are rid of the old records.
    pub wait_ttl: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    name: String,
    r#type: RrType,
    #[serde(default)]
    values: Vec<String>,
    /// Instead of the step's own.
    ttl: Option<u32>,
    /// The identifier of one of several sets of this name and type.
    set: Option<String>,
    weight: Option<u8>,
    failover: Option<Failover>,
    health_check: Option<String>,
    alias: Option<Alias>,
}

/// What Cloudflare takes in one batch on its smallest plan is 200; Route 53 takes 1000 values in one.
const MAX_RECORDS: usize = 100;

pub fn read(spec: &Spec, config: &Config) -> Result<With, Vec<String>> {
    let mut params = Params::new(spec);
    let records: Vec<Record> = params.need("records").unwrap_or_default();
    let ttl: Option<u32> = params.maybe("ttl");
    let stale: Vec<String> = params.maybe("stale_values").unwrap_or_default();
    let from_site: Option<Name> = params.maybe("from_site");
    let wait_ttl = params.maybe("wait_ttl").unwrap_or(false);
    let min_targets: usize = params.maybe("min_targets").unwrap_or(1);
    let max_share = params.maybe::<String>("max_share");
    let max_share = max_share.and_then(|text| share(&text).map_err(|says| params.problem(says)).ok());
    let zone = read_zone(spec, config, &mut params);
    let mut wanted = vec![];
    if let Some(zone) = &zone {
        let nature = nature::of(zone);
        for record in &records {
            match held(record, ttl, &nature) {
                Ok(set) => wanted.push(set),
                Err(problems) => problems.into_iter().for_each(|says| params.problem(says)),
            }
        }
        between(&wanted, &zone.zone, &mut params);
    }
    if spec.with.get("records").is_some_and(|list| list.as_array().is_some_and(Vec::is_empty)) {
        params.problem("`records` is empty: there is nothing to publish");
    }
    if records.len() > MAX_RECORDS {
        params.problem(format!("{} record sets; at most {MAX_RECORDS} go into one change", records.len()));
    }
    if min_targets == 0 {
        params.problem("`min_targets` is at least 1: an empty set is never published");
    }
    params.done()?;
    wanted.sort_by_key(Held::key);
    let zone = zone.ok_or_else(Vec::new)?;
    let stale_values = stale.iter().map(|value| normal_address(value)).collect();
    Ok(With { zone, wanted, stale_values, from_site, min_targets, max_share, wait_ttl })
}

fn share(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').and_then(|digits| digits.trim().parse::<u8>().ok());
    number
        .filter(|n| (1..=100).contains(n))
        .ok_or_else(|| format!("`max_share`: {text:?} is not a share such as \"30%\""))
}

/// The target must be of the provider that the action is named after.
fn read_zone(spec: &Spec, config: &Config, params: &mut Params<'_>) -> Option<HostedTarget> {
    let kind = spec.kind.as_str().split('.').next().unwrap_or_default();
    let found = config.hosted(&spec.target).filter(|zone| zone.account.kind() == kind);
    let Some(zone) = found else {
        params.problem(format!("there is no target of kind {kind} with this name"));
        return None;
    };
    match normal_name(&zone.zone) {
        Ok(name) => Some(HostedTarget { zone: name, ..zone.clone() }),
        Err(says) => {
            params.problem(format!("its zone: {says}"));
            None
        }
    }
}

fn held(record: &Record, ttl: Option<u32>, nature: &Nature) -> Result<Held, Vec<String>> {
    let shown = format!("{} {}", record.name, record.r#type.as_str());
    let routed = record.set.is_some() || record.alias.is_some();
    if !nature.routes && (routed || record.weight.is_some() || record.failover.is_some()) {
        let says = format!("{shown}: this provider has no `set`, `weight`, `failover` or `alias`");
        return Err(vec![says]);
    }
    let mut held = match &record.alias {
        Some(alias) => aliased(record, alias)?,
        None => {
            let ttl = record.ttl.or(ttl);
            let auto = ttl.is_some() && ttl == nature.auto_ttl;
            let set = normal_set(
                &record.name,
                record.r#type,
                &record.values,
                ttl.map(|ttl| ttl.max(u32::from(auto))),
            )?;
            if !auto && set.ttl.is_some_and(|ttl| ttl < nature.least_ttl) {
                let says = format!("{shown}: this provider takes no ttl below {} s", nature.least_ttl);
                return Err(vec![says]);
            }
            let mut held = Held::plain(set);
            held.ttl = held.ttl.filter(|_| !auto);
            held
        }
    };
    held.routing = routing(record).map_err(|says| vec![format!("{shown}: {says}")])?;
    Ok(held)
}

fn aliased(record: &Record, alias: &Alias) -> Result<Held, Vec<String>> {
    let shown = format!("{} {}", record.name, record.r#type.as_str());
    if !record.values.is_empty() || record.ttl.is_some() {
        return Err(vec![format!("{shown}: an `alias` has neither `values` nor a `ttl` of its own")]);
    }
    let name = normal_name(&record.name).map_err(|says| vec![says])?;
    let target = normal_name(&alias.name).map_err(|says| vec![format!("{shown}: alias: {says}")])?;
    let key: Key = (Question { name, r#type: record.r#type }, None);
    Ok(Held { alias: Some(Alias { name: target, ..alias.clone() }), ..Held::absent(&key) })
}

fn routing(record: &Record) -> Result<Option<Routing>, &'static str> {
    let policies = usize::from(record.weight.is_some()) + usize::from(record.failover.is_some());
    match (&record.set, policies) {
        (None, 0) if record.health_check.is_some() => Err("`health_check` belongs to a `set`"),
        (None, 0) => Ok(None),
        (None, _) => Err("`weight` and `failover` belong to a `set`, which names it among its like"),
        (Some(_), 0) => Err("a `set` has a `weight` or a `failover`"),
        (Some(set), 1) if (1..=128).contains(&set.len()) => Ok(Some(Routing {
            set: set.clone(),
            weight: record.weight,
            failover: record.failover,
            health_check: record.health_check.clone(),
            other: None,
        })),
        (Some(_), 1) => Err("`set` has 1 to 128 characters"),
        (Some(_), _) => Err("`weight` and `failover` exclude each other"),
    }
}

fn between(wanted: &[Held], zone: &str, params: &mut Params<'_>) {
    let questions: BTreeSet<Question> = wanted.iter().map(Held::question).collect();
    check_sets(&questions.iter().cloned().collect::<Vec<_>>(), zone, params);
    let mut seen = BTreeSet::new();
    for key in wanted.iter().map(Held::key) {
        let (name, kind) = (key.0.name.clone(), key.0.r#type.as_str());
        if !seen.insert(key) {
            params.problem(format!("{name} {kind} is listed twice"));
        }
    }
    for question in &questions {
        let of = |routed: bool| {
            wanted.iter().any(|set| set.question() == *question && set.routing.is_some() == routed)
        };
        if of(true) && of(false) {
            let kind = question.r#type.as_str();
            params.problem(format!(
                "{} {kind} is either one set, or several that each have a `set`",
                question.name
            ));
        }
    }
}
