//! What stands at remotes before the run, as resources: the opposite of what the playbook wants of them, so that there
//! is something to do; and where load balancers and health checks then lead users.

use super::Names;
use crate::config::{Config, ResourceTarget};
use crate::kernel::domain::{Fact, Name, Resolved, Spec};
use crate::provider::dns::normal_name;
use crate::provider::resource::{self, Fields};
use crate::simulated::resource::key;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

#[derive(Clone, Debug, Default)]
pub struct Things {
    /// By the model's key: fields and evidence.
    pub start: BTreeMap<String, (Fields, Value)>,
    /// Machines that old servers run on, where switching them off is a way to fence.
    pub machines: BTreeMap<Name, Name>,
    balancers: Vec<Balancer>,
    switches: Vec<Switch>,
}

/// A load balancer: the name that it leads, and its pools in the order of the beginning.
#[derive(Clone, Debug)]
struct Balancer {
    name: String,
    target: Name,
    order: Vec<String>,
    /// Pools of the new site.
    new: BTreeSet<String>,
}

/// A health check: as it is wanted, and where names lead then.
#[derive(Clone, Debug)]
struct Switch {
    target: String,
    wanted: Fields,
    leads_to: BTreeMap<String, Vec<IpAddr>>,
}

impl Things {
    /// `Err`: what cannot be bound cannot be simulated either.
    pub fn of(config: &Config, run: &Resolved, names: &Names) -> Result<Things, Vec<String>> {
        let mut things = Things::default();
        let specs: Vec<&Spec> =
            run.items.iter().flat_map(|item| &item.rungs).filter_map(|rung| rung.form.spec()).collect();
        let host = led_by_hand(&specs, names);
        for spec in specs.iter().filter(|spec| resource::is_one(spec)) {
            let bound = resource::resource(spec, config)?;
            let (fields, evidence) = match &bound.target {
                ResourceTarget::Haproxy { sockets } => {
                    let each = sockets.iter().map(ToString::to_string).collect::<Vec<_>>();
                    haproxy(spec, &each)
                }
                ResourceTarget::OvhInstance { .. } | ResourceTarget::DigitaloceanDroplet { .. } => {
                    (json!({ "name": spec.target, "power": "on" }), json!({}))
                }
                ResourceTarget::Route53HealthCheck(_) => things.switch(spec, &key(&bound)),
                ResourceTarget::CloudflareBalancer(at) => {
                    let ids: Vec<String> = at.pools.values().cloned().collect();
                    things.balancer(spec, &host, &ids, (&at.pools, names))
                }
            };
            things.start.entry(key(&bound)).or_insert_with(|| (table(fields), evidence));
        }
        let rungs = run.items.iter().flat_map(|item| &item.rungs);
        let machines = rungs.filter_map(|rung| {
            let spec = rung.form.spec().filter(|spec| resource::is_one(spec))?;
            let server = fenced(&rung.proves).filter(|server| names.olds.contains(server))?;
            Some((spec.target.clone(), server.clone()))
        });
        things.machines = machines.collect();
        Ok(things)
    }

    fn switch(&mut self, spec: &Spec, key: &str) -> (Value, Value) {
        let about = json!("the health check of the old site");
        let asked = |flag: &str| spec.with.get(flag).and_then(Value::as_bool);
        let with = |of: &dyn Fn(Option<bool>) -> bool| json!({ "about": about, "inverted": of(asked("inverted")), "disabled": of(asked("disabled")) });
        let wanted = table(with(&|flag| flag.unwrap_or(false)));
        let leads = spec.with.get("leads_to").and_then(Value::as_object).cloned().unwrap_or_default();
        let addresses = |list: &Value| {
            list.as_array().into_iter().flatten().filter_map(|at| at.as_str()?.parse().ok()).collect()
        };
        let leads = leads.iter().filter_map(|(name, list)| Some((normal_name(name).ok()?, addresses(list))));
        self.switches.push(Switch { target: key.to_owned(), wanted, leads_to: leads.collect() });
        (with(&|flag| flag.is_some_and(|wanted| !wanted)), json!({}))
    }

    fn balancer(
        &mut self,
        spec: &Spec,
        host: &str,
        ids: &[String],
        (pools, names): (&BTreeMap<String, String>, &Names),
    ) -> (Value, Value) {
        let text = |key: &str| spec.with.get(key).and_then(Value::as_str);
        let listed = spec.with.get("first").and_then(Value::as_array).into_iter().flatten();
        let mut new: BTreeSet<String> =
            listed.filter_map(|name| pools.get(name.as_str()?).cloned()).collect();
        let ours = text("pool").and_then(|name| pools.get(name)).cloned();
        let off = is_off(spec);
        match (&ours, off) {
            (Some(ours), true) => new.extend(ids.iter().filter(|id| *id != ours).cloned()),
            (Some(ours), false) => new.extend([ours.clone()]),
            (None, _) => {}
        }
        let mut order: Vec<String> = ids.to_vec();
        // The new site's come last, as long as users are led to the old one.
        order.sort_by_key(|id| new.contains(id));
        let at = |site: &BTreeSet<IpAddr>| site.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (old_site, new_site) = (at(&names.old_site), at(&names.new_site));
        let seat = |id: &String| {
            let addresses = if new.contains(id) { &new_site } else { &old_site };
            (
                id.clone(),
                json!({ "name": id, "usable": off || ours.as_ref() != Some(id), "addresses": addresses }),
            )
        };
        let pools: Map<String, Value> = ids.iter().map(seat).collect();
        let around = json!({ "name": host, "enabled": true, "policy": "off", "order": order, "pools": pools,
            "fallback": "", "past": [], "sticky": false, "ttl": null, "checks": "no monitor looks at it" });
        if !self.balancers.iter().any(|known| known.target == spec.target) {
            let (name, target) = (host.to_owned(), spec.target.clone());
            self.balancers.push(Balancer { name, target, order: order.clone(), new });
        }
        let Some(ours) = ours else {
            return (
                json!({ "name": host, "enabled": true, "policy": "off", "order": order }),
                json!({ "balancer": around }),
            );
        };
        let asked = spec.with.get("origins").and_then(Value::as_object).cloned().unwrap_or_default();
        let held: Map<String, Value> =
            asked.iter().map(|(name, on)| (name.clone(), json!(on != &json!(true)))).collect();
        let address = if off { &old_site } else { &new_site }.first().cloned().unwrap_or_default();
        let mut origins: Map<String, Value> = held
            .iter()
            .map(|(name, on)| (name.clone(), json!({ "address": address, "enabled": on })))
            .collect();
        if origins.is_empty() {
            origins.insert("all".into(), json!({ "address": address, "enabled": true }));
        }
        let enabled = spec.with.get("enabled").and_then(Value::as_bool).is_none_or(|wanted| !wanted);
        let fields = json!({ "name": ours, "enabled": enabled, "minimum_origins": 1, "origins": held });
        (fields, json!({ "balancer": around, "origins": origins }))
    }

    /// Where each name is led by what stands there now.
    pub fn leads(&self, names: &Names, now: &BTreeMap<String, Fields>) -> BTreeMap<String, Vec<IpAddr>> {
        let site = |new: bool| if new { &names.new_site } else { &names.old_site };
        let at = |new: bool| site(new).iter().copied().collect::<Vec<IpAddr>>();
        let mut leads = BTreeMap::new();
        for balancer in &self.balancers {
            let ordered = now.get(&format!("{} order", balancer.target));
            let order = ordered.and_then(|fields| fields.get("order")).and_then(Value::as_array);
            let order: Vec<&str> = match order {
                Some(list) => list.iter().filter_map(Value::as_str).collect(),
                None => balancer.order.iter().map(String::as_str).collect(),
            };
            let on = |id: &&str| {
                now.get(&format!("{} {id}", balancer.target)).is_none_or(|pool| {
                    let origins = pool.get("origins").and_then(Value::as_object);
                    let none =
                        origins.is_some_and(|all| !all.is_empty() && all.values().all(|on| on == false));
                    pool.get("enabled") == Some(&json!(true)) && !none
                })
            };
            let first = order.into_iter().find(on);
            let places = first.map(|id| at(balancer.new.contains(id))).unwrap_or_default();
            leads.insert(balancer.name.clone(), places);
        }
        for switch in &self.switches {
            let switched = now.get(&switch.target) == Some(&switch.wanted);
            for (name, to) in &switch.leads_to {
                leads.insert(name.clone(), if switched { to.clone() } else { at(false) });
            }
        }
        leads
    }
}

/// A pool, or origins of it, shall take no traffic.
fn is_off(spec: &Spec) -> bool {
    let off = |value: &Value| value == &json!(false);
    let origins = spec.with.get("origins").and_then(Value::as_object);
    spec.with.get("enabled").is_some_and(off) || origins.is_some_and(|all| all.values().any(off))
}

fn fenced(proves: &[Fact]) -> Option<&Name> {
    proves.iter().find_map(|fact| match fact {
        Fact::Fenced { target, .. } => Some(target),
        _ => None,
    })
}

/// The host of the first page that is looked at by its name alone and is in none of our zones.
fn led_by_hand(specs: &[&Spec], names: &Names) -> String {
    let pages = specs.iter().filter(|spec| spec.kind.as_str() == "http.expect");
    let plain = pages.filter(|spec| spec.with.get("resolve_to").is_none());
    let hosts = plain.filter_map(|spec| url::Url::parse(spec.with.get("url")?.as_str()?).ok());
    let mut hosts = hosts.filter_map(|url| normal_name(url.host_str()?).ok());
    hosts
        .find(|host| !names.zone.iter().any(|(set, _)| set.name == *host))
        .unwrap_or_else(|| "balanced.".into())
}

fn haproxy(spec: &Spec, sockets: &[String]) -> (Value, Value) {
    let state = match spec.with.get("state").and_then(Value::as_str) {
        Some("ready") => "maint",
        _ => "ready",
    };
    let weight = match spec.with.get("weight").and_then(Value::as_u64) {
        Some(0) | None => 100,
        Some(_) => 0,
    };
    let held = json!({ "state": state, "weight": weight, "held": null });
    let of = json!({ "others": 1, "sessions": 0, "status": "UP" });
    let each = |what: &Value| Value::Object(sockets.iter().map(|at| (at.clone(), what.clone())).collect());
    (each(&held), each(&of))
}

fn table(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        _ => Fields::new(),
    }
}
