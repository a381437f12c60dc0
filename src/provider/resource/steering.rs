//! `cloudflare.steering {target, first}`: which pools of a load balancer come first. Those that are not named stay
//! behind them in their order.

use super::balancer::{self, Around, BY_ORDER, called};
use super::kind::{Kind, Nature, text};
use super::port::{Fields, Part, Resource};
use crate::config::{CloudflareBalancer, Config, ResourceTarget};
use crate::kernel::domain::{Effect, Fact, Settle, Span, Spec, StepPlan, Undo};
use crate::provider::params::Params;
use serde_json::{Value, json};
use std::collections::BTreeSet;

struct Steering {
    spec: Spec,
    at: CloudflareBalancer,
    /// Ids.
    first: Vec<String>,
    /// The whole order, as the undo has it.
    whole: Option<Vec<String>>,
}

pub fn read(spec: &Spec, config: &Config) -> Result<(Resource, Box<dyn Kind>), Vec<String>> {
    let mut params = Params::new(spec);
    let named: Vec<String> = params.maybe("first").unwrap_or_default();
    let whole: Option<Vec<String>> = params.maybe("whole_order");
    let at = balancer::target(spec, config, &mut params);
    if named.is_empty() == whole.as_ref().is_none_or(Vec::is_empty) {
        params.problem("`first` names the pools that come first, at least one");
    }
    if named.iter().collect::<BTreeSet<_>>().len() < named.len() {
        params.problem("`first` names a pool twice");
    }
    let known = at.iter().flat_map(|at| named.iter().map(move |name| (at, name)));
    let first: Vec<String> =
        known.filter_map(|(at, name)| balancer::pool_id(at, name, &mut params)).collect();
    params.done()?;
    let at = at.ok_or_else(Vec::new)?;
    let resource = Resource {
        name: spec.target.clone(),
        target: ResourceTarget::CloudflareBalancer(at.clone()),
        part: Part::Order { first: first.first().cloned() },
    };
    Ok((resource, Box::new(Steering { spec: spec.clone(), at, first, whole })))
}

fn order(fields: &Fields) -> Vec<String> {
    let ids = fields.get("order").and_then(Value::as_array).into_iter().flatten();
    ids.filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Steering {
    fn after(&self, now: &[String]) -> Vec<String> {
        match &self.whole {
            Some(whole) => whole.clone(),
            None => {
                let rest = now.iter().filter(|id| !self.first.contains(id));
                self.first.iter().chain(rest).cloned().collect()
            }
        }
    }

    fn names(&self, ids: &[String]) -> String {
        ids.iter().map(|id| called(&self.at, id)).collect::<Vec<_>>().join(", ")
    }

    /// What makes the order say nothing.
    fn pointless(&self, now: &Fields) -> Option<StepPlan> {
        let name = text(now, "name");
        let why = match (now.get("enabled") == Some(&json!(true)), text(now, "policy")) {
            (false, _) => "the load balancer is switched off".to_owned(),
            (true, BY_ORDER) => return None,
            (true, policy) => format!("its steering policy is {policy:?}, which chooses in another way"),
        };
        Some(StepPlan::refuse("PM4151", format!("{name}: the order of pools decides nothing: {why}")))
    }
}

impl Kind for Steering {
    fn identity(&self) -> Value {
        balancer::identity(&self.at)
    }

    fn nature(&self) -> Nature {
        Nature { plane: balancer::PLANE, compares: false, settle: Settle::After(Span::secs(30)) }
    }

    fn wanted(&self, now: &Fields, evidence: &Value, _given: &[Fact]) -> Result<Fields, StepPlan> {
        let around = Around::of(evidence)?;
        if let Some(refusal) = self.pointless(now) {
            return Err(refusal);
        }
        if let Some(id) = self.first.first()
            && !around.pools.get(id).is_some_and(|seat| seat.usable)
        {
            let says = format!(
                "{} takes no traffic: the pool, or too many of its origins, are switched off; {} would lead past it",
                called(&self.at, id),
                text(now, "name")
            );
            return Err(StepPlan::refuse("PM4150", says));
        }
        let mut wanted = now.clone();
        wanted.insert("order".into(), json!(self.after(&order(now))));
        Ok(wanted)
    }

    fn show(&self, fields: &Fields) -> String {
        format!("{} leads to {}", text(fields, "name"), self.names(&order(fields)))
    }

    fn undo(&self, now: &Fields) -> Undo {
        Undo::To(Spec { with: json!({ "whole_order": order(now) }), ..self.spec.clone() })
    }

    fn by_hand(&self, fields: &Fields) -> Vec<String> {
        let rest = format!("/zones/{}/load_balancers/{}", self.at.zone_id, self.at.balancer);
        vec![balancer::curl(&self.at, &rest, &json!({ "default_pools": order(fields) }))]
    }

    fn warnings(&self, now: &Fields, evidence: &Value) -> Vec<String> {
        let Ok(around) = Around::of(evidence) else { return vec![] };
        let mut warnings = around.stragglers();
        let before = order(now);
        let new: Vec<String> = self.after(&before).into_iter().filter(|id| !before.contains(id)).collect();
        if !new.is_empty() {
            warnings.push(format!("new among its pools: {}", self.names(&new)));
        }
        if let Some(first) = self.first.first() {
            let said = around.checks.as_deref().unwrap_or("not known");
            let name = called(&self.at, first);
            warnings.push(format!(
                "what Cloudflare's own checks say of {name}: {said}; a pool that they call unhealthy is passed over"
            ));
        }
        warnings
    }

    fn effects(&self, now: &Fields, wanted: &Fields, evidence: &Value) -> Vec<Effect> {
        match Around::of(evidence) {
            Ok(around) => around.effect(around.leads(&order(now), None), around.leads(&order(wanted), None)),
            Err(_) => vec![],
        }
    }
}
