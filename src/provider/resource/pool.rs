//! `cloudflare.pool {target, pool, enabled?, origins?, min_origins?}`: a pool of a load balancer, or single origins of
//! it, take traffic or do not.

use super::balancer::{self, Around, Seat};
use super::kind::{Kind, Nature, text};
use super::port::{Fields, Part, Resource};
use crate::config::{CloudflareBalancer, Config, ResourceTarget};
use crate::kernel::domain::{Effect, Fact, Settle, Span, Spec, StepPlan, Undo};
use crate::provider::params::Params;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The facts, as the wire has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    pub name: String,
    pub enabled: bool,
    /// So many origins must be healthy, or the pool takes no traffic.
    pub minimum_origins: u64,
    /// Those that are asked for.
    pub origins: BTreeMap<String, bool>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    pub address: String,
    pub enabled: bool,
}

struct Pool {
    spec: Spec,
    at: CloudflareBalancer,
    id: String,
    enabled: Option<bool>,
    origins: BTreeMap<String, bool>,
    min_origins: usize,
}

pub fn read(spec: &Spec, config: &Config) -> Result<(Resource, Box<dyn Kind>), Vec<String>> {
    let mut params = Params::new(spec);
    let name: Option<String> = params.need("pool");
    let enabled: Option<bool> = params.maybe("enabled");
    let origins: BTreeMap<String, bool> = params.maybe("origins").unwrap_or_default();
    let min_origins = params.maybe("min_origins").unwrap_or(1);
    let at = balancer::target(spec, config, &mut params);
    let id = at.as_ref().zip(name).and_then(|(at, name)| balancer::pool_id(at, &name, &mut params));
    if enabled.is_none() && origins.is_empty() {
        params.problem("neither `enabled` nor `origins` is given: there is nothing to set");
    }
    params.done()?;
    let (at, id) = at.zip(id).ok_or_else(Vec::new)?;
    let resource = Resource {
        name: spec.target.clone(),
        target: ResourceTarget::CloudflareBalancer(at.clone()),
        part: Part::Pool { id: id.clone(), origins: origins.keys().cloned().collect() },
    };
    Ok((resource, Box::new(Pool { spec: spec.clone(), at, id, enabled, origins, min_origins })))
}

fn held(fields: &Fields) -> Option<Held> {
    Held::deserialize(fields).ok()
}

impl Pool {
    /// The pool as users would meet it, with what the other origins are.
    fn seat(&self, held: &Held, evidence: &Value) -> Option<Seat> {
        let mut all = BTreeMap::<String, Origin>::deserialize(&evidence["origins"]).ok()?;
        for (name, enabled) in &held.origins {
            all.get_mut(name)?.enabled = *enabled;
        }
        let on = all.into_values().filter(|origin| origin.enabled);
        let addresses: Vec<String> = on.map(|origin| origin.address).collect();
        let enough = addresses.len() as u64 >= held.minimum_origins.max(1);
        Some(Seat { name: held.name.clone(), usable: held.enabled && enough, addresses })
    }

    /// Where the load balancer leads before and after.
    fn leads(&self, after: &Held, evidence: &Value) -> Option<(Around, Vec<String>, Vec<String>)> {
        let around = Around::of(evidence).ok()?;
        let seat = self.seat(after, evidence)?;
        let before = around.leads(&around.order, None);
        let after = around.leads(&around.order, Some((&self.id, &seat)));
        Some((around, before, after))
    }

    fn patch(&self, held: &Held) -> Value {
        let mut body = json!({});
        if self.enabled.is_some() {
            body["enabled"] = json!(held.enabled);
        }
        body
    }
}

impl Kind for Pool {
    fn identity(&self) -> Value {
        let mut identity = balancer::identity(&self.at);
        identity["pool"] = json!(self.id);
        identity
    }

    fn nature(&self) -> Nature {
        Nature { plane: balancer::PLANE, compares: false, settle: Settle::After(Span::secs(30)) }
    }

    fn wanted(&self, now: &Fields, evidence: &Value, _given: &[Fact]) -> Result<Fields, StepPlan> {
        let Some(before) = held(now) else {
            return Err(StepPlan::unknown("PM4400", "what was seen of the pool cannot be read"));
        };
        let after = Held {
            enabled: self.enabled.unwrap_or(before.enabled),
            origins: before
                .origins
                .keys()
                .map(|name| (name.clone(), self.origins.get(name) == Some(&true)))
                .collect(),
            ..before.clone()
        };
        let Some((around, leads, would)) = self.leads(&after, evidence) else {
            let says = "where the load balancer leads cannot be told: the origins of its pools are not known";
            return Err(StepPlan::unknown("PM4150", says));
        };
        if would.len() < self.min_origins && would.len() < leads.len() {
            let says = format!(
                "{} would lead to {} origins that are switched on, and at least {} are asked for",
                around.name,
                would.len(),
                self.min_origins
            );
            return Err(StepPlan::refuse("PM4150", says));
        }
        let mut wanted = now.clone();
        wanted.insert("enabled".into(), json!(after.enabled));
        wanted.insert("origins".into(), json!(after.origins));
        Ok(wanted)
    }

    fn show(&self, fields: &Fields) -> String {
        let Some(held) = held(fields) else { return "unknown".into() };
        let word = |on: bool| if on { "on" } else { "off" };
        let each = held.origins.iter().map(|(name, enabled)| format!(", {name} {}", word(*enabled)));
        format!("pool {} is {}{}", held.name, word(held.enabled), each.collect::<String>())
    }

    fn undo(&self, now: &Fields) -> Undo {
        let Some(held) = held(now) else { return Undo::None };
        let name = balancer::called(&self.at, &self.id);
        let mut with = json!({ "pool": name, "min_origins": 0 });
        if self.enabled.is_some() {
            with["enabled"] = json!(held.enabled);
        }
        if !held.origins.is_empty() {
            with["origins"] = json!(held.origins);
        }
        Undo::To(Spec { with, ..self.spec.clone() })
    }

    fn by_hand(&self, fields: &Fields) -> Vec<String> {
        let Some(held) = held(fields) else { return vec![] };
        let mut lines = vec![];
        let body = self.patch(&held);
        if body != json!({}) {
            let rest = format!("/accounts/{}/load_balancers/pools/{}", self.at.account_id, self.id);
            lines.push(balancer::curl(&self.at, &rest, &body));
        }
        let word = |on: bool| if on { "on" } else { "off" };
        let origins = held.origins.iter();
        lines.extend(origins.map(|(name, on)| {
            format!("# at Cloudflare, pool {}: switch the origin {name} {}", held.name, word(*on))
        }));
        lines
    }

    fn warnings(&self, now: &Fields, evidence: &Value) -> Vec<String> {
        let Ok(around) = Around::of(evidence) else { return vec![] };
        let mut warnings = around.stragglers();
        let name = text(now, "name");
        if !around.order.contains(&self.id) {
            warnings.push(format!("{name} is none of the pools that {} leads to", around.name));
        }
        if around.policy != balancer::BY_ORDER {
            warnings.push(format!(
                "the steering policy is {:?}: which pool takes over is its choice",
                around.policy
            ));
        }
        if around.fallback == self.id {
            warnings.push(format!("{name} is the fallback pool: it is used when no other is healthy"));
        }
        if !self.origins.is_empty() {
            warnings.push(
                "the list of origins is written whole: what somebody else changes in it meanwhile is lost"
                    .into(),
            );
        }
        warnings.push("a pool is the account's: every other load balancer that uses it follows".into());
        warnings
    }

    fn effects(&self, _now: &Fields, wanted: &Fields, evidence: &Value) -> Vec<Effect> {
        let leads = held(wanted).and_then(|after| self.leads(&after, evidence));
        leads.map(|(around, before, after)| around.effect(before, after)).unwrap_or_default()
    }
}
