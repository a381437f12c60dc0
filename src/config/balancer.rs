//! What stands between users and sites at a provider: a load balancer with its pools, a health check that names hang on.
//! `resource` reads them as kinds of targets of its own.

use super::hosted::{AwsKeys, aws_keys};
use super::parse::secret;
use super::resource::{base, is_plain};
use super::{ResourceTarget, SecretRef};
use crate::document::{Table, code};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct CloudflareBalancer {
    /// The API's base URL, without a slash at its end.
    pub api: String,
    pub zone_id: String,
    /// Whom the pools belong to.
    pub account_id: String,
    /// The id of the load balancer.
    pub balancer: String,
    /// Our name for a pool → its id.
    pub pools: BTreeMap<String, String>,
    pub token: SecretRef,
}

#[derive(Clone, Debug)]
pub struct Route53HealthCheck {
    pub api: String,
    pub health_check: String,
    pub keys: Option<AwsKeys>,
}

pub(super) fn cloudflare(table: &Table<'_>) -> Option<ResourceTarget> {
    let api = base(table, "api", "https://api.cloudflare.com/client/v4");
    table.need("token");
    let (zone_id, account_id) = (id(table, "zone_id"), id(table, "account_id"));
    let (balancer, pools, token) = (id(table, "balancer"), pools(table), secret(table, "token"));
    let (zone_id, account_id, balancer) = (zone_id?, account_id?, balancer?);
    Some(ResourceTarget::CloudflareBalancer(CloudflareBalancer {
        api,
        zone_id,
        account_id,
        balancer,
        pools,
        token: token?,
    }))
}

pub(super) fn health_check(table: &Table<'_>) -> Option<ResourceTarget> {
    let api = base(table, "api", "https://route53.amazonaws.com");
    let (health_check, keys) = (id(table, "health_check"), aws_keys(table));
    Some(ResourceTarget::Route53HealthCheck(Route53HealthCheck { api, health_check: health_check?, keys }))
}

/// It becomes a part of a URL.
fn id(table: &Table<'_>, key: &'static str) -> Option<String> {
    let given = table.need_text(key)?;
    if !is_plain(given) {
        table.sink.error(code::BAD_VALUE, table.key_at(key), format!("{key:?} is an id, as the API has it"));
    }
    Some(given.to_owned())
}

fn pools(table: &Table<'_>) -> BTreeMap<String, String> {
    table.need("pools");
    let Some(inner) = table.table("pools") else { return BTreeMap::new() };
    inner.ignore_rest();
    let mut pools = BTreeMap::new();
    for entry in inner.entries() {
        let Some(id) = inner.sink.text(&entry.value, "each of \"pools\"") else { continue };
        let error = |says: &str| inner.sink.error(code::BAD_VALUE, entry.value.at.clone(), says);
        if !is_plain(id) {
            error("each of \"pools\" is the id of a pool, not its name");
        } else if pools.values().any(|known| known == id) {
            error("this pool has two names");
        }
        pools.insert(entry.key.clone(), id.to_owned());
    }
    if pools.is_empty() {
        table.sink.error(code::BAD_VALUE, table.key_at("pools"), "\"pools\" must name at least one");
    }
    pools
}
