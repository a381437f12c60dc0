//! `powerdns.record` on a real PowerDNS, whose answers to questions are looked at too.

use super::api::{API, Api, Place, secret};
use super::fixture::Nature;
use super::records;
use futures_util::future::{BoxFuture, FutureExt as _};
use lab::providers::{Mishap, PowerDns, Which, ZONE};
use pointsman::kernel::domain::StepPlan;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub struct Real(PowerDns);

pub async fn start() -> Api<Real> {
    let server = PowerDns::start().await.expect("a PowerDNS");
    let at = server.http;
    Api::before(Real(server), at).await
}

impl Place for Real {
    fn kind(&self) -> &'static str {
        "powerdns.record"
    }
    fn nature(&self) -> Nature {
        API
    }
    fn config(&self, base: &str, secrets: &std::path::Path) -> String {
        let key = secret(secrets, "key", &self.0.key);
        let dns = self.0.dns;
        format!(
            "[targets.target]\nkind = \"powerdns\"\nzone = \"{ZONE}\"\napi = \"{base}\"\nkey = {key}\nservers = [\"{dns}\"]\n"
        )
    }
    fn reset(&self) -> BoxFuture<'_, ()> {
        async {
            for (name, kind, ttl, values) in records::old() {
                let values: Vec<String> = values.into_iter().map(str::to_owned).collect();
                self.0.put(&name, kind, ttl, &values).await.unwrap();
            }
        }
        .boxed()
    }
    fn standing(&self) -> BoxFuture<'_, Value> {
        async { json!(self.0.sets().await.unwrap()) }.boxed()
    }
    fn by_hand(&self) -> BoxFuture<'_, ()> {
        async { self.0.put(&format!("{ZONE}."), "AAAA", 300, &["2001:db8::99".into()]).await.unwrap() }
            .boxed()
    }
    fn success(&self) -> (u16, String) {
        (204, String::new())
    }
    fn secrets(&self) -> Vec<String> {
        vec![self.0.key.clone()]
    }
}

/// Twenty zones at slow providers are looked at side by side. One after the other they would take forty seconds; how
/// near to the slowest it comes depends on the machine, and is not for a test to say.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_targets_are_observed_side_by_side() {
    const SLOW: Duration = Duration::from_secs(2);
    let api = start().await;
    api.place.reset().await;
    let remote = api.remote();
    let actions: Vec<_> =
        (0..20).map(|_| remote.bind("powerdns.record", "target", records::wanted())).collect();
    // The system's authorities are read once, at the first call.
    remote.plan(&actions[0]).await;
    for _ in &actions {
        api.proxy.plant(Which::Reads, Mishap::Late(SLOW));
    }
    let started = Instant::now();
    let looks = actions.iter().map(|action| remote.plan(action));
    let plans = futures_util::future::join_all(looks).await;
    let took = started.elapsed();
    assert!(plans.iter().all(|plan| matches!(plan, StepPlan::Change(_))));
    assert!(took >= SLOW && took < SLOW * 5, "{took:?}");
}

/// What is switched off at the server stays so, and what stands beside the set is not touched.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_switched_off_outlives_the_swap() {
    let api = start().await;
    api.place.reset().await;
    let records = json!([{ "content": "192.0.2.10", "disabled": false }, { "content": "192.0.2.99", "disabled": true }]);
    let set = json!({ "name": format!("{ZONE}."), "type": "A", "ttl": 300, "changetype": "REPLACE", "records": records });
    api.place.0.api("PATCH", &format!("/zones/{ZONE}."), Some(json!({ "rrsets": [set] }))).await.unwrap();
    let remote = api.remote();
    let with = json!({ "ttl": 60, "records": [{ "name": ZONE, "type": "A", "values": ["198.51.100.20"] },
                       { "name": format!("txt.{ZONE}"), "type": "TXT", "values": ["say \"hello\" \\ bye"] }] });
    let action = remote.bind("powerdns.record", "target", with);
    let change = remote.change(&action).await;
    let end = remote.apply(&action, change, 20).await;
    assert_eq!(end.result, pointsman::kernel::domain::CallResult::Applied, "{end:?}");
    remote.settled(&action).await;
    let all = json!(api.place.0.sets().await.unwrap()).to_string();
    assert!(all.contains("198.51.100.20") && all.contains("192.0.2.99"), "{all}");
    assert_eq!(api.proxy.writes(), 1, "two sets went out in one request");
}
