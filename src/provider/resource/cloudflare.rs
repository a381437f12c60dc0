//! A load balancer at Cloudflare: three reads make one look (the balancer, the account's pools, what Cloudflare's own
//! checks say of the pool that comes first), and one PATCH is a change. There is no condition that it could carry.

use super::balancer::{Around, BY_ORDER, Seat};
use super::pool::{Held, Origin};
use super::port::{Fields, Part, Seen, Write};
use crate::config::CloudflareBalancer;
use crate::provider::dns::NoAnswer;
use crate::provider::hosted::Written;
use crate::provider::hosted::api::{Answer, Api};
use crate::provider::hosted::cloudflare::call;
use futures_util::future::{OptionFuture, join, try_join};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

pub struct Balancer<'a> {
    pub api: &'a Api,
    pub at: &'a CloudflareBalancer,
    pub within: Duration,
}

#[derive(Deserialize)]
struct Told {
    name: String,
    enabled: bool,
    #[serde(default)]
    steering_policy: String,
    default_pools: Vec<String>,
    #[serde(default)]
    fallback_pool: Option<String>,
    #[serde(default)]
    region_pools: Option<Map<String, Value>>,
    #[serde(default)]
    country_pools: Option<Map<String, Value>>,
    #[serde(default)]
    pop_pools: Option<Map<String, Value>>,
    #[serde(default)]
    rules: Option<Vec<Value>>,
    #[serde(default)]
    session_affinity: Option<String>,
    #[serde(default)]
    proxied: bool,
    #[serde(default)]
    ttl: Option<u64>,
}

#[derive(Deserialize)]
struct Pool {
    id: String,
    name: String,
    enabled: bool,
    #[serde(default = "one")]
    minimum_origins: u64,
    origins: Vec<Value>,
}

fn one() -> u64 {
    1
}

fn odd(says: impl Into<String>) -> NoAnswer {
    NoAnswer { layer: "api", says: says.into() }
}

impl Told {
    fn maps(&self) -> Vec<&'static str> {
        let all = [
            ("region_pools", &self.region_pools),
            ("country_pools", &self.country_pools),
            ("pop_pools", &self.pop_pools),
        ];
        let some = |map: &Option<Map<String, Value>>| map.as_ref().is_some_and(|map| !map.is_empty());
        all.into_iter().filter(|(_, map)| some(map)).map(|(key, _)| key).collect()
    }

    /// The empty word means `geo` where there are maps for it.
    fn policy(&self) -> &str {
        match self.steering_policy.as_str() {
            "" if self.maps().is_empty() => BY_ORDER,
            "" => "geo",
            policy => policy,
        }
    }

    fn past(&self) -> Vec<String> {
        let mut past = vec![];
        if self.policy() == BY_ORDER && !self.maps().is_empty() {
            past.push(format!("{} are kept and not asked while the policy is off", self.maps().join(", ")));
        }
        let rules = self.rules.iter().flatten().filter(|rule| rule["disabled"] != json!(true));
        for rule in rules {
            let name = rule["name"].as_str().unwrap_or("without a name");
            past.push(format!("a rule of its own ({name}) may lead some requests elsewhere"));
        }
        past
    }
}

impl Pool {
    fn origins(&self) -> Result<BTreeMap<String, Origin>, NoAnswer> {
        let mut all = BTreeMap::new();
        for value in &self.origins {
            let name = value["name"].as_str().ok_or_else(|| odd("an origin has no name"))?;
            let origin = Origin::deserialize(value)
                .map_err(|e| odd(format!("the origin {name} of {} cannot be read: {e}", self.name)))?;
            if all.insert(name.to_owned(), origin).is_some() {
                return Err(odd(format!("two origins of {} are called {name}", self.name)));
            }
        }
        Ok(all)
    }

    fn seat(&self) -> Result<Seat, NoAnswer> {
        let on = self.origins()?.into_values().filter(|origin| origin.enabled);
        let addresses: Vec<String> = on.map(|origin| origin.address).collect();
        let enough = addresses.len() as u64 >= self.minimum_origins.max(1);
        Ok(Seat { name: self.name.clone(), usable: self.enabled && enough, addresses })
    }
}

impl Balancer<'_> {
    async fn call(&self, method: Method, rest: &str, body: Option<Value>) -> Answer {
        let body = body.map(|body| body.to_string());
        call(self.api, (&self.at.api, &self.at.token), (method, rest, body), self.within).await
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, rest: &str, what: &str) -> Result<T, NoAnswer> {
        let said = self.call(Method::GET, rest, None).await.read()?;
        T::deserialize(&said["result"]).map_err(|e| odd(format!("{what} cannot be read: {e}")))
    }

    fn balancer(&self) -> String {
        format!("/zones/{}/load_balancers/{}", self.at.zone_id, self.at.balancer)
    }

    fn pools(&self) -> String {
        format!("/accounts/{}/load_balancers/pools", self.at.account_id)
    }

    /// Evidence only: a change stands on what was seen to answer, not on this.
    async fn checks(&self, id: &str) -> Option<String> {
        let said =
            self.call(Method::GET, &format!("{}/{id}/health", self.pools()), None).await.read().ok()?;
        let places = said["result"]["pop_health"].as_object()?;
        let good = places.values().filter(|place| place["healthy"] == json!(true)).count();
        Some(match places.len() {
            0 => "no monitor looks at it".into(),
            all => format!("healthy from {good} of {all} places"),
        })
    }

    pub async fn read(&self, part: &Part) -> Result<Seen, NoAnswer> {
        let first = match part {
            Part::Order { first } => first.as_deref(),
            _ => None,
        };
        let (told, pools) = (self.balancer(), self.pools());
        let both = try_join(
            self.get::<Told>(&told, "the load balancer"),
            self.get::<Vec<Pool>>(&pools, "the list of pools"),
        );
        let checks = OptionFuture::from(first.map(|id| self.checks(id)));
        let (both, checks) = join(both, checks).await;
        let (told, pools) = both?;
        let around = around(&told, &pools, checks.flatten())?;
        let named = self.at.pools.values().chain(&told.default_pools);
        if let Some(missing) = named.into_iter().find(|id| !around.pools.contains_key(*id)) {
            return Err(odd(format!("the account tells of no pool {missing}")));
        }
        match part {
            Part::Pool { id, origins } => {
                let pool = pools.iter().find(|pool| pool.id == *id);
                seen_pool(pool.ok_or_else(|| odd(format!("there is no pool {id}")))?, origins, &around)
            }
            _ => {
                let fields = json!({ "name": told.name, "enabled": told.enabled, "policy": told.policy(),
                                     "order": told.default_pools });
                Ok(Seen {
                    fields: table(fields),
                    pending: None,
                    evidence: json!({ "balancer": around }),
                    handle: Value::Null,
                })
            }
        }
    }

    pub async fn write(&self, part: &Part, write: Write<'_>) -> Written {
        let (rest, body) = match part {
            Part::Pool { id, .. } => match pool_body(&write) {
                Some(body) => (format!("{}/{id}", self.pools()), body),
                None => {
                    let says = "the origins read before cannot be read again";
                    return Written::NotSent { retry: false, says: says.into() };
                }
            },
            _ => (self.balancer(), json!({ "default_pools": write.after.get("order") })),
        };
        match self.call(Method::PATCH, &rest, Some(body)).await.written() {
            Ok(said) => Written::Done(json!({ "modified_on": said["result"]["modified_on"] })),
            Err(end) => end,
        }
    }
}

fn table(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        _ => Fields::new(),
    }
}

fn around(told: &Told, pools: &[Pool], checks: Option<String>) -> Result<Around, NoAnswer> {
    let seats = pools.iter().map(|pool| Ok((pool.id.clone(), pool.seat()?)));
    Ok(Around {
        name: told.name.clone(),
        enabled: told.enabled,
        policy: told.policy().to_owned(),
        order: told.default_pools.clone(),
        pools: seats.collect::<Result<_, NoAnswer>>()?,
        fallback: told.fallback_pool.clone().unwrap_or_default(),
        past: told.past(),
        sticky: told.session_affinity.as_ref().is_some_and(|kind| !["", "none"].contains(&kind.as_str())),
        ttl: told.ttl.filter(|_| !told.proxied),
        checks,
    })
}

fn seen_pool(pool: &Pool, asked: &[String], around: &Around) -> Result<Seen, NoAnswer> {
    let all = pool.origins()?;
    let one = |name: &String| {
        let origin =
            all.get(name).ok_or_else(|| odd(format!("the pool {} has no origin {name}", pool.name)))?;
        Ok((name.clone(), origin.enabled))
    };
    let held = Held {
        name: pool.name.clone(),
        enabled: pool.enabled,
        minimum_origins: pool.minimum_origins,
        origins: asked.iter().map(one).collect::<Result<_, NoAnswer>>()?,
    };
    Ok(Seen {
        fields: table(json!(held)),
        pending: None,
        evidence: json!({ "balancer": around, "origins": all }),
        handle: json!(pool.origins),
    })
}

/// Only what differs. The origins are one list that is replaced whole: each is sent as it was read, but for the
/// switch, and without what the API only tells.
fn pool_body(write: &Write<'_>) -> Option<Value> {
    let mut body = Map::new();
    let after = Held::deserialize(write.after).ok()?;
    if write.before.get("enabled") != write.after.get("enabled") {
        body.insert("enabled".into(), json!(after.enabled));
    }
    if write.before.get("origins") != write.after.get("origins") {
        let mut origins = write.handle.as_array().filter(|list| !list.is_empty())?.clone();
        for origin in &mut origins {
            let name = origin["name"].as_str()?.to_owned();
            origin.as_object_mut()?.remove("disabled_at");
            if let Some(enabled) = after.origins.get(&name) {
                origin["enabled"] = json!(enabled);
            }
        }
        body.insert("origins".into(), Value::Array(origins));
    }
    Some(Value::Object(body))
}
