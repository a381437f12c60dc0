//! A fake of Cloudflare's load balancing: one load balancer and the pools of its account, which a change by PATCH
//! replaces field by field, lists whole. It leads users as the documents say: [`Balancer::leads`].

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::cloudflare::{Said, ZONE_ID, no, yes};

const TOKEN: &str = "cf-lb-token-81d3e0";
const ACCOUNT: &str = "01a7362d577a6c3019a474fd6f485823";
const ID: &str = "699d98642c564d2e855e9661899b7252";
/// The pools, in the order of the beginning.
pub const POOLS: [(&str, &str); 3] = [
    ("gra", "17b5962d775c646f3f9725cbc7a53df4"),
    ("par", "9290f38c5d07c2e2f4df57b1f61d4196"),
    ("far", "00920f38ce07c2e2f4df50b1f61d4194"),
];
const WHEN: &str = "2026-01-01T00:00:00Z";

#[derive(Default)]
struct World {
    balancer: Map<String, Value>,
    pools: Vec<Map<String, Value>>,
}

type Shared = Arc<Mutex<World>>;

pub struct Balancer {
    pub http: SocketAddr,
    pub token: &'static str,
    pub zone_id: &'static str,
    pub account_id: &'static str,
    pub id: &'static str,
    world: Shared,
}

fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().expect("invariant: no panic while holding the lock")
}

fn table(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Two origins, each with what an owner set beside the switch.
fn origins(site: u8) -> Value {
    let one = |n: u8, weight: f64| {
        json!({ "name": format!("app-{n}"), "address": format!("198.51.100.{}", site * 10 + n), "enabled": true,
                "weight": weight, "port": 0, "header": { "Host": ["www.shop.test"] } })
    };
    json!([one(1, 1.0), one(2, 0.4)])
}

fn beginning() -> World {
    let ids = POOLS.map(|(_, id)| id);
    let balancer = json!({ "id": ID, "name": "www.shop.test", "enabled": true, "proxied": true, "ttl": 30,
        "steering_policy": "off", "default_pools": ids, "fallback_pool": ids[2], "session_affinity": "cookie",
        "region_pools": {}, "country_pools": {}, "pop_pools": {}, "rules": [], "created_on": WHEN, "modified_on": WHEN });
    let pool = |(n, (name, id)): (u8, &(&str, &str))| {
        table(
            json!({ "id": id, "name": name, "enabled": true, "minimum_origins": 1, "origins": origins(n), "monitor": "m1",
            "description": "by terraform", "created_on": WHEN, "modified_on": WHEN }),
        )
    };
    World { balancer: table(balancer), pools: (1..).zip(&POOLS).map(pool).collect() }
}

impl World {
    fn pool(&mut self, id: &str) -> Option<&mut Map<String, Value>> {
        self.pools.iter_mut().find(|pool| pool["id"] == id)
    }

    /// As the documents have it: with the policy off the first pool that is on and has enough origins, else the fallback.
    fn leads(&self) -> Vec<String> {
        let on = |pool: &&Map<String, Value>| {
            let origins = pool["origins"].as_array().into_iter().flatten();
            let count = origins.filter(|origin| origin["enabled"] == true).count() as u64;
            pool["enabled"] == true && count >= pool["minimum_origins"].as_u64().unwrap_or(1)
        };
        let of = |id: &Value| self.pools.iter().find(|pool| pool["id"] == *id);
        let order = self.balancer["default_pools"].as_array().into_iter().flatten();
        let first = order.filter_map(of).find(on).or_else(|| of(&self.balancer["fallback_pool"]));
        let origins = first.and_then(|pool| pool["origins"].as_array()).into_iter().flatten();
        let good = origins.filter(|origin| origin["enabled"] == true);
        good.filter_map(|origin| origin["address"].as_str().map(str::to_owned)).collect()
    }
}

impl Balancer {
    pub async fn start() -> anyhow::Result<Balancer> {
        let world: Shared = Arc::new(Mutex::new(beginning()));
        let pools = "/client/v4/accounts/{account}/load_balancers/pools";
        let app = Router::new()
            .route("/client/v4/zones/{zone}/load_balancers/{id}", get(show).patch(patch))
            .route(pools, get(list))
            .route(&format!("{pools}/{{id}}"), get(show_pool).patch(patch_pool))
            .route(&format!("{pools}/{{id}}/health"), get(health))
            .with_state(world.clone());
        let http = super::serve(app).await?;
        Ok(Balancer { http, token: TOKEN, zone_id: ZONE_ID, account_id: ACCOUNT, id: ID, world })
    }

    pub fn reset(&self) {
        *lock(&self.world) = beginning();
    }

    /// Somebody sets fields of the load balancer by hand.
    pub fn set(&self, fields: Value) {
        lock(&self.world).balancer.extend(table(fields));
    }

    /// Somebody sets fields of a pool by hand.
    pub fn set_pool(&self, id: &str, fields: Value) {
        if let Some(pool) = lock(&self.world).pool(id) {
            pool.extend(table(fields));
        }
    }

    pub fn standing(&self) -> Value {
        let world = lock(&self.world);
        json!({ "balancer": world.balancer, "pools": world.pools })
    }

    /// Addresses of the origins that users come to.
    pub fn leads(&self) -> Vec<String> {
        lock(&self.world).leads()
    }
}

fn let_in(headers: &HeaderMap, (given, ours): (&str, &str)) -> Result<(), Said> {
    let token = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if token != format!("Bearer {TOKEN}") {
        return Err(no(StatusCode::FORBIDDEN, 10000, "Authentication error"));
    }
    if given != ours {
        return Err(no(StatusCode::NOT_FOUND, 7003, "Could not route to the object"));
    }
    Ok(())
}

fn missing() -> Said {
    no(StatusCode::NOT_FOUND, 1001, "not found")
}

fn invalid(says: &str) -> Said {
    no(StatusCode::BAD_REQUEST, 1002, says)
}

async fn show(
    State(world): State<Shared>,
    Path((zone, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Said {
    match let_in(&headers, (&zone, ZONE_ID)) {
        Err(said) => said,
        Ok(()) if id != ID => missing(),
        Ok(()) => yes(json!(lock(&world).balancer), 1),
    }
}

async fn patch(
    State(world): State<Shared>,
    Path((zone, id)): Path<(String, String)>,
    headers: HeaderMap,
    Json(given): Json<Map<String, Value>>,
) -> Said {
    if let Err(said) = let_in(&headers, (&zone, ZONE_ID)) {
        return said;
    }
    if id != ID {
        return missing();
    }
    let mut world = lock(&world);
    if let Some(order) = given.get("default_pools") {
        let list: Vec<&Value> = order.as_array().into_iter().flatten().collect();
        let known = |id: &&Value| world.pools.iter().any(|pool| pool["id"] == **id);
        if list.is_empty() || !list.iter().all(known) {
            return invalid("default_pools: validation failed");
        }
    }
    world.balancer.extend(given);
    yes(json!(world.balancer), 1)
}

async fn list(State(world): State<Shared>, Path(account): Path<String>, headers: HeaderMap) -> Said {
    match let_in(&headers, (&account, ACCOUNT)) {
        Err(said) => said,
        Ok(()) => {
            let pools = json!(lock(&world).pools);
            yes(pools, POOLS.len())
        }
    }
}

async fn show_pool(
    State(world): State<Shared>,
    Path((account, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Said {
    match let_in(&headers, (&account, ACCOUNT)) {
        Err(said) => said,
        Ok(()) => lock(&world).pool(&id).map_or_else(missing, |pool| yes(json!(pool), 1)),
    }
}

/// What is left out of an origin becomes what the documents call its default, and what is only told is not taken.
fn whole_origins(given: &Value) -> Result<Value, Said> {
    let list = given.as_array().filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| invalid("origins: at least one is needed"))?;
    let mut whole = vec![];
    for origin in list {
        if !origin["name"].is_string()
            || !origin["address"].is_string()
            || origin.get("disabled_at").is_some()
        {
            return Err(invalid("origins: validation failed"));
        }
        let mut full = table(json!({ "enabled": true, "weight": 1.0, "port": 0 }));
        full.extend(origin.as_object().cloned().unwrap_or_default());
        if full["enabled"] == false {
            full.insert("disabled_at".into(), json!(WHEN));
        }
        whole.push(Value::Object(full));
    }
    Ok(Value::Array(whole))
}

async fn patch_pool(
    State(world): State<Shared>,
    Path((account, id)): Path<(String, String)>,
    headers: HeaderMap,
    Json(mut given): Json<Map<String, Value>>,
) -> Said {
    if let Err(said) = let_in(&headers, (&account, ACCOUNT)) {
        return said;
    }
    if let Some(origins) = given.get_mut("origins") {
        match whole_origins(origins) {
            Ok(whole) => *origins = whole,
            Err(said) => return said,
        }
    }
    let mut world = lock(&world);
    let Some(pool) = world.pool(&id) else { return missing() };
    pool.extend(given);
    match pool["enabled"] == false {
        true => pool.insert("disabled_at".into(), json!(WHEN)),
        false => pool.remove("disabled_at"),
    };
    yes(json!(pool), 1)
}

async fn health(
    State(world): State<Shared>,
    Path((account, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Said {
    if let Err(said) = let_in(&headers, (&account, ACCOUNT)) {
        return said;
    }
    let mut world = lock(&world);
    let Some(pool) = world.pool(&id) else { return missing() };
    let healthy = pool["enabled"] == true;
    let place = json!({ "healthy": healthy, "origins": [] });
    yes(json!({ "pool_id": id, "pop_health": { "Amsterdam, NL": place, "Paris, FR": place } }), 1)
}
