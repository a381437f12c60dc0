//! What the two actions on a load balancer of Cloudflare share: where it leads, as far as its order and its pools say.
//! The wire fills it in, `steering` and `pool` judge by it. Pure.

use crate::config::{CloudflareBalancer, Config, ResourceTarget};
use crate::kernel::domain::{Effect, Spec, StepPlan};
use crate::provider::params::Params;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Kept by the order of the pools alone; any other policy chooses among them.
pub const BY_ORDER: &str = "off";

pub const PLANE: &str =
    "a control-plane act; it depends on Cloudflare's API, which is not tied to one region";

/// A pool as users meet it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seat {
    pub name: String,
    /// Switched on, with as many origins switched on as it needs.
    pub usable: bool,
    /// Of the origins that are switched on.
    pub addresses: Vec<String>,
}

/// The load balancer around what is changed: evidence, since other steps may change it too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Around {
    /// The name that users ask for.
    pub name: String,
    pub enabled: bool,
    pub policy: String,
    /// Ids of pools.
    pub order: Vec<String>,
    pub pools: BTreeMap<String, Seat>,
    /// Used when none of the pools is healthy, whatever its own health.
    pub fallback: String,
    /// What may lead past the order, in words.
    pub past: Vec<String>,
    /// Whoever came before goes on to the same place.
    pub sticky: bool,
    /// Not proxied: resolvers keep the old answer that long, in seconds.
    pub ttl: Option<u64>,
    /// What the provider's own checks say of the pool that comes first; `None`: not known.
    pub checks: Option<String>,
}

impl Around {
    pub fn of(evidence: &Value) -> Result<Around, StepPlan> {
        let unread = |e| {
            StepPlan::unknown("PM4400", format!("what was seen of the load balancer cannot be read: {e}"))
        };
        Around::deserialize(&evidence["balancer"]).map_err(unread)
    }

    /// Addresses that users are led to with this order, and with one pool changed.
    pub fn leads(&self, order: &[String], changed: Option<(&str, &Seat)>) -> Vec<String> {
        let seat = |id: &String| match changed {
            Some((other, seat)) if other == id => Some(seat),
            _ => self.pools.get(id),
        };
        let usable = order.iter().filter_map(seat).filter(|seat| seat.usable);
        let most = match (self.enabled, self.policy == BY_ORDER) {
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => usize::MAX,
        };
        let mut all: Vec<String> = usable.take(most).flat_map(|seat| seat.addresses.clone()).collect();
        all.sort();
        all.dedup();
        all
    }

    /// One effect whatever the families of the addresses: users take what they find.
    pub fn effect(&self, before: Vec<String>, after: Vec<String>) -> Vec<Effect> {
        if before == after {
            return vec![];
        }
        vec![Effect::Records { name: self.name.clone(), kind: "A".into(), before, after }]
    }

    /// What whoever reads a plan should know of users who do not follow at once.
    pub fn stragglers(&self) -> Vec<String> {
        let mut told = self.past.clone();
        if self.sticky {
            told.push("session affinity: who has a session goes on to where it is".into());
        }
        if let Some(ttl) = self.ttl {
            told.push(format!("not proxied: resolvers keep the old answer for up to {ttl} s"));
        }
        told
    }
}

/// The target, if it is a load balancer.
pub fn target(spec: &Spec, config: &Config, params: &mut Params<'_>) -> Option<CloudflareBalancer> {
    match config.resource(&spec.target) {
        Some(ResourceTarget::CloudflareBalancer(at)) => Some(at.clone()),
        _ => {
            params.problem("there is no target of kind cloudflare_balancer with this name");
            None
        }
    }
}

/// The id of a pool by our name for it.
pub fn pool_id(at: &CloudflareBalancer, name: &str, params: &mut Params<'_>) -> Option<String> {
    let id = at.pools.get(name).cloned();
    if id.is_none() {
        let known = at.pools.keys().cloned().collect::<Vec<_>>().join(", ");
        params.problem(format!("{name:?} is none of the target's pools; there are: {known}"));
    }
    id
}

pub fn identity(at: &CloudflareBalancer) -> Value {
    json!({ "cloudflare": at.api, "zone": at.zone_id, "balancer": at.balancer })
}

/// Our name for a pool, or its id where it has none.
pub fn called(at: &CloudflareBalancer, id: &str) -> String {
    at.pools.iter().find(|(_, known)| *known == id).map_or_else(|| id.to_owned(), |(name, _)| name.clone())
}

/// How a person sends this body.
pub fn curl(at: &CloudflareBalancer, rest: &str, body: &Value) -> String {
    format!("curl -fsS -X PATCH -H \"Authorization: Bearer $CF_TOKEN\" {}{rest} --json '{body}'", at.api)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(policy: &str, usable: [bool; 3]) -> Around {
        let seat = |n: usize| {
            let addresses = vec![format!("192.0.2.{n}"), "192.0.2.9".into()];
            (n.to_string(), Seat { name: n.to_string(), usable: usable[n], addresses })
        };
        Around {
            enabled: true,
            policy: policy.into(),
            pools: (0..3).map(seat).collect(),
            order: ["0", "1", "2"].map(String::from).to_vec(),
            ..Around::default()
        }
    }

    #[test]
    fn the_first_usable_pool_takes_all() {
        let leads = |usable| {
            let around = around(BY_ORDER, usable);
            around.leads(&around.order, None)
        };
        assert_eq!(leads([true, true, true]), ["192.0.2.0", "192.0.2.9"]);
        assert_eq!(leads([false, true, true]), ["192.0.2.1", "192.0.2.9"]);
        assert!(leads([false; 3]).is_empty());
    }

    #[test]
    fn another_policy_may_lead_to_any() {
        let around = around("random", [true, false, true]);
        assert_eq!(around.leads(&around.order, None), ["192.0.2.0", "192.0.2.2", "192.0.2.9"]);
        let gone = Seat::default();
        assert_eq!(around.leads(&around.order, Some(("2", &gone))), ["192.0.2.0", "192.0.2.9"]);
    }

    #[test]
    fn what_is_switched_off_leads_nobody_and_what_stays_is_no_effect() {
        let mut around = around(BY_ORDER, [true; 3]);
        assert!(around.effect(vec!["a".into()], vec!["a".into()]).is_empty());
        around.enabled = false;
        assert!(around.leads(&around.order, None).is_empty());
    }
}
