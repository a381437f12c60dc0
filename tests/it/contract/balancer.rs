//! `cloudflare.steering` and `cloudflare.pool` on a stateful fake that leads users as the documents say.

use super::api::{API, Api, Place, secret};
use super::fixture::Nature;
use crate::remote::{is_unknown, why};
use futures_util::future::{BoxFuture, FutureExt as _, ready};
use lab::providers::{Balancer, Mishap, POOLS, Which};
use pointsman::kernel::domain::*;
use serde_json::{Value, json};
use std::path::Path;

pub struct Cf {
    fake: Balancer,
    kind: &'static str,
    with: Value,
}

async fn before(kind: &'static str, with: Value) -> Api<Cf> {
    let fake = Balancer::start().await.unwrap();
    let at = fake.http;
    Api::before(Cf { fake, kind, with }, at).await
}

pub async fn steering() -> Api<Cf> {
    before("cloudflare.steering", json!({ "first": ["par"] })).await
}

/// The whole pool, or one origin of it.
pub async fn pool(origins: bool) -> Api<Cf> {
    let with = match origins {
        true => json!({ "pool": "gra", "origins": { "app-2": false } }),
        false => json!({ "pool": "gra", "enabled": false }),
    };
    before("cloudflare.pool", with).await
}

impl Place for Cf {
    fn kind(&self) -> &'static str {
        self.kind
    }
    fn nature(&self) -> Nature {
        API
    }
    fn config(&self, base: &str, secrets: &Path) -> String {
        let token = secret(secrets, "token", self.fake.token);
        let pools: Vec<String> = POOLS.iter().map(|(name, id)| format!("{name} = \"{id}\"")).collect();
        format!(
            "[targets.target]\nkind = \"cloudflare_balancer\"\napi = \"{base}/client/v4\"\nzone_id = \"{}\"\n\
             account_id = \"{}\"\nbalancer = \"{}\"\ntoken = {token}\npools = {{ {} }}\n",
            self.fake.zone_id,
            self.fake.account_id,
            self.fake.id,
            pools.join(", ")
        )
    }
    fn with(&self) -> Value {
        self.with.clone()
    }
    fn reset(&self) -> BoxFuture<'_, ()> {
        self.fake.reset();
        ready(()).boxed()
    }
    fn standing(&self) -> BoxFuture<'_, Value> {
        ready(self.fake.standing()).boxed()
    }
    fn by_hand(&self) -> BoxFuture<'_, ()> {
        match self.kind {
            "cloudflare.steering" => self.fake.set(json!({ "default_pools": [POOLS[2].1, POOLS[0].1] })),
            _ => self.fake.set_pool(POOLS[0].1, json!({ "minimum_origins": 2 })),
        }
        ready(()).boxed()
    }
    fn success(&self) -> (u16, String) {
        (200, json!({ "success": true, "errors": [], "messages": [], "result": {} }).to_string())
    }
    fn secrets(&self) -> Vec<String> {
        vec![self.fake.token.to_owned()]
    }
}

/// Users follow, the way back leads back, and the others stay behind in their order.
#[tokio::test(flavor = "multi_thread")]
async fn users_follow_the_order_and_come_back_with_it() {
    let api = steering().await;
    let remote = api.remote();
    let action = remote.bind("cloudflare.steering", "target", json!({ "first": ["far", "par"] }));
    let change = remote.change(&action).await;
    assert_eq!(change.now, "www.shop.test leads to gra, par, far");
    assert_eq!(change.after, "www.shop.test leads to far, par, gra");
    let told = |part: &str| change.warnings.iter().any(|text| text.contains(part));
    assert!(told("session affinity") && told("healthy from 2 of 2 places"), "{:?}", change.warnings);
    let Undo::To(back) = change.undo.clone() else { panic!("{:?}", change.undo) };
    let [Effect::Records { name, before, after, .. }] = change.effects.as_slice() else {
        panic!("{:?}", change.effects)
    };
    assert_eq!((name.as_str(), before), ("www.shop.test", &api.place.fake.leads()));
    let after = after.clone();
    assert_eq!(remote.apply(&action, change, 20).await.result, CallResult::Applied);
    remote.settled(&action).await;
    assert_eq!(after, api.place.fake.leads(), "users come to where the plan said");
    let undo = remote.bind("cloudflare.steering", "target", back.with);
    let undone = remote.change(&undo).await;
    assert_eq!(remote.apply(&undo, undone, 20).await.result, CallResult::Applied);
    assert_eq!(api.place.fake.leads(), ["198.51.100.11", "198.51.100.12"]);
    // One look is three requests, one change is one.
    assert_eq!(api.proxy.writes(), 2);
}

/// A pool without an origin that is on is passed over: to put it first would only look like a move.
#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_takes_no_traffic_is_not_put_first() {
    let api = steering().await;
    let remote = api.remote();
    let action = remote.bind("cloudflare.steering", "target", api.place.with());
    let off = [json!({ "enabled": false }), json!({ "enabled": true, "minimum_origins": 3 })];
    for fields in off {
        api.place.fake.set_pool(POOLS[1].1, fields);
        let plan = remote.plan(&action).await;
        assert!(matches!(plan, StepPlan::Refuse(_)) && why(&plan).contains("PM4150"), "{plan:?}");
    }
    // Also where the order is right already: users are not there.
    api.place.fake.set(json!({ "default_pools": [POOLS[1].1, POOLS[0].1] }));
    assert!(why(&remote.plan(&action).await).contains("PM4150"));
}

/// Where something else chooses, the order is no answer; and what leads past it is told.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_decides_nothing_is_refused() {
    let api = steering().await;
    let remote = api.remote();
    let action = remote.bind("cloudflare.steering", "target", api.place.with());
    let maps = json!({ "WNAM": [POOLS[0].1] });
    for fields in [
        json!({ "steering_policy": "dynamic_latency" }),
        json!({ "steering_policy": "", "region_pools": maps }),
        json!({ "steering_policy": "off", "enabled": false }),
    ] {
        api.place.fake.set(fields);
        let plan = remote.plan(&action).await;
        assert!(matches!(plan, StepPlan::Refuse(_)) && why(&plan).contains("PM4151"), "{plan:?}");
    }
    let rules = json!([{ "name": "testing" }, { "name": "old", "disabled": true }]);
    api.place.fake.set(json!({ "enabled": true, "steering_policy": "off", "rules": rules }));
    let change = remote.change(&action).await;
    let told = change.warnings.join("\n");
    assert!(told.contains("(testing) may lead") && !told.contains("(old)"), "{told}");
    assert!(told.contains("region_pools are kept and not asked"), "{told}");
}

/// Origins are one list that is replaced whole: what their owner set beside the switch stays.
#[tokio::test(flavor = "multi_thread")]
async fn an_origin_is_switched_and_the_rest_of_the_list_stays() {
    let api = pool(true).await;
    let remote = api.remote();
    let origins = |api: &Api<Cf>| api.place.fake.standing()["pools"][0]["origins"].clone();
    let before = origins(&api);
    let action = remote.bind("cloudflare.pool", "target", api.place.with());
    let change = remote.change(&action).await;
    assert_eq!(
        (change.now.as_str(), change.after.as_str()),
        ("pool gra is on, app-2 on", "pool gra is on, app-2 off")
    );
    assert_eq!(remote.apply(&action, change, 20).await.result, CallResult::Applied);
    remote.settled(&action).await;
    let after = origins(&api);
    assert_eq!(after[0], before[0]);
    assert_eq!((&after[1]["enabled"], &after[1]["weight"]), (&json!(false), &json!(0.4)));
    assert_eq!(after[1]["header"], before[1]["header"]);
    assert_eq!(api.place.fake.leads(), ["198.51.100.11"]);
    // Taken on again: the list was read with what the API only tells, and is sent without it.
    let on = remote.bind("cloudflare.pool", "target", json!({ "pool": "gra", "origins": { "app-2": true } }));
    let change = remote.change(&on).await;
    assert_eq!(remote.apply(&on, change, 20).await.result, CallResult::Applied);
    assert_eq!(origins(&api), before);
}

/// Whoever takes the last origins away is stopped; the next pool that is on takes over, and the plan says where to.
#[tokio::test(flavor = "multi_thread")]
async fn something_is_always_led_to() {
    let api = pool(false).await;
    let remote = api.remote();
    let off = remote.bind("cloudflare.pool", "target", api.place.with());
    let change = remote.change(&off).await;
    let [Effect::Records { after, .. }] = change.effects.as_slice() else { panic!("{:?}", change.effects) };
    assert_eq!(after, &["198.51.100.21", "198.51.100.22"]);
    // A pool behind the one that serves moves nobody.
    let behind = remote.bind("cloudflare.pool", "target", json!({ "pool": "par", "enabled": false }));
    assert_eq!(remote.change(&behind).await.effects, []);
    for (_, id) in &POOLS[1..] {
        api.place.fake.set_pool(id, json!({ "enabled": false }));
    }
    for with in [api.place.with(), json!({ "pool": "gra", "origins": { "app-1": false, "app-2": false } })] {
        let plan = remote.plan(&remote.bind("cloudflare.pool", "target", with)).await;
        assert!(matches!(plan, StepPlan::Refuse(_)) && why(&plan).contains("PM4150"), "{plan:?}");
    }
    // The playbook may lift its own brake. That no name is left without anything is a rule of the instance.
    let none = json!({ "pool": "gra", "enabled": false, "min_origins": 0 });
    let change = remote.change(&remote.bind("cloudflare.pool", "target", none)).await;
    assert!(
        matches!(&change.effects[0], Effect::Records { after, .. } if after.is_empty()),
        "{:?}",
        change.effects
    );
}

/// What is not there is unknown, and so is a list that does not tell of a pool.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_told_is_unknown() {
    let api = pool(true).await;
    let remote = api.remote();
    let missing = json!({ "pool": "gra", "origins": { "app-9": false } });
    let plan = remote.plan(&remote.bind("cloudflare.pool", "target", missing)).await;
    assert!(is_unknown(&plan) && why(&plan).contains("has no origin app-9"), "{plan:?}");
    api.place.fake.set(json!({ "default_pools": ["0123"] }));
    let plan = remote.plan(&remote.bind("cloudflare.pool", "target", api.place.with())).await;
    assert!(is_unknown(&plan) && why(&plan).contains("tells of no pool 0123"), "{plan:?}");
}

/// An answer of 200 that says `success: false` is a refusal here, too.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_and_no_success_is_a_no_for_a_pool() {
    let api = pool(false).await;
    let remote = api.remote();
    let action = remote.bind("cloudflare.pool", "target", api.place.with());
    let change = remote.change(&action).await;
    let body = json!({ "success": false, "errors": [{ "code": 1002, "message": "no" }], "result": null })
        .to_string();
    api.proxy.plant(Which::Writes, Mishap::Answer { status: 200, headers: vec![], body });
    let end = remote.apply(&action, change, 20).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
}
