//! Zones of providers beside the zone that takes RFC 2136: how they stand before the run, and one set of servers that
//! answer for both.

use super::Names;
use crate::config::Rfc2136Target;
use crate::kernel::domain::{Span, Spec, Time};
use crate::provider::dns::{Answers, NoAnswer, Port, Question, RrSet, RrType, Update, Updated, normal_name};
use crate::provider::hosted::{Alias, Failover, Held, Key, Routing};
use crate::simulated::{DnsModel, HostedModel};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

#[derive(Deserialize)]
struct Record {
    name: String,
    r#type: RrType,
    #[serde(default)]
    values: Vec<String>,
    set: Option<String>,
    failover: Option<Failover>,
    health_check: Option<String>,
    alias: Option<Alias>,
    weight: Option<u8>,
}

/// A set of its own as `names` has it before; of several sets of one name each as it is wanted, with all the weight at
/// those of the lost site.
pub(super) fn hosted(specs: &[&Spec], names: &Names) -> Result<Vec<Held>, Vec<String>> {
    let mut all = BTreeMap::<Key, Held>::new();
    for spec in specs.iter().filter(|spec| spec.sets_records() && spec.kind.as_str() != "dns.record") {
        let stale: Vec<String> =
            spec.with.get("stale_values").and_then(|list| Vec::deserialize(list).ok()).unwrap_or_default();
        let records: Vec<Record> =
            spec.with.get("records").and_then(|list| Vec::deserialize(list).ok()).unwrap_or_default();
        for record in records {
            let name = normal_name(&record.name).map_err(|why| vec![why])?;
            let question = Question { name, r#type: record.r#type };
            let held = match &record.set {
                None => {
                    let set = names.zone.iter().find(|(set, _)| set.question() == question);
                    set.map_or_else(|| Held::absent(&(question, None)), |(set, _)| Held::plain(set.clone()))
                }
                Some(set) => routed(&record, set, question, &stale, spec.with.get("ttl")),
            };
            all.entry(held.key()).or_insert(held);
        }
    }
    Ok(all.into_values().filter(Held::exists).collect())
}

fn routed(record: &Record, set: &str, question: Question, stale: &[String], ttl: Option<&Value>) -> Held {
    let normal = |value: &String| record.r#type.normal(value).unwrap_or_else(|_| value.clone());
    let values: Vec<String> = record.values.iter().map(normal).collect();
    let old = stale.iter().any(|value| values.contains(&normal(value)));
    let ttl = ttl.and_then(Value::as_u64).and_then(|ttl| u32::try_from(ttl).ok()).unwrap_or(60);
    let weight = record.weight.map(|_| if old { 100 } else { 0 });
    let mut held = Held::plain(RrSet::new(&question, ttl, values));
    held.ttl = held.ttl.filter(|_| record.alias.is_none());
    held.alias = record.alias.clone();
    held.routing = Some(Routing {
        set: set.to_owned(),
        weight,
        failover: record.failover,
        health_check: record.health_check.clone(),
        other: None,
    });
    held
}

/// Addresses that a name leads to, the most likely first.
pub(super) fn addresses(model: &HostedModel) -> BTreeMap<String, Vec<IpAddr>> {
    let mut sets: Vec<Held> = model.holds();
    let weight = |set: &Held| set.routing.as_ref().and_then(|routing| routing.weight).unwrap_or(u8::MAX);
    sets.sort_by_key(|set| std::cmp::Reverse(weight(set)));
    let mut all = BTreeMap::<String, Vec<IpAddr>>::new();
    for set in sets.iter().filter(|set| set.live() > 0) {
        let values = set.values.iter().filter_map(|value| value.parse::<IpAddr>().ok());
        all.entry(set.name.clone()).or_default().extend(values);
    }
    all
}

/// The servers of all zones.
pub(super) struct Servers {
    pub dns: Arc<DnsModel>,
    pub hosted: Arc<HostedModel>,
}

impl Servers {
    fn of(&self, questions: &[Question]) -> &dyn Port {
        let held = self.hosted.holds();
        let ours = |question: &Question| held.iter().any(|set| set.question() == *question);
        if questions.iter().any(ours) { self.hosted.as_ref() } else { self.dns.as_ref() }
    }
}

impl Port for Servers {
    fn ask<'a>(
        &'a self,
        zone: &'a str,
        server: SocketAddr,
        questions: &'a [Question],
        within: Span,
    ) -> BoxFuture<'a, Result<Answers, NoAnswer>> {
        self.of(questions).ask(zone, server, questions, within)
    }

    fn resolve<'a>(
        &'a self,
        resolver: SocketAddr,
        questions: &'a [Question],
        now: Time,
        within: Span,
    ) -> BoxFuture<'a, Result<Vec<RrSet>, NoAnswer>> {
        self.of(questions).resolve(resolver, questions, now, within)
    }

    fn list<'a>(
        &'a self,
        zone: &'a Rfc2136Target,
        now: Time,
        within: Span,
    ) -> BoxFuture<'a, Result<Vec<RrSet>, NoAnswer>> {
        self.dns.list(zone, now, within)
    }

    fn update<'a>(
        &'a self,
        zone: &'a Rfc2136Target,
        update: &'a Update,
        now: Time,
        within: Span,
    ) -> BoxFuture<'a, Updated> {
        self.dns.update(zone, update, now, within)
    }

    fn rehearse<'a>(
        &'a self,
        zone: &'a Rfc2136Target,
        held: &'a [RrSet],
        now: Time,
        within: Span,
    ) -> BoxFuture<'a, Updated> {
        self.dns.rehearse(zone, held, now, within)
    }
}
