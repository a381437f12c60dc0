//! `route53.health_check` by the real SDK against moto's server, before which versions are counted.

use super::api::{API, Api, Place, secret};
use super::fixture::Nature;
use crate::remote::why;
use futures_util::future::{BoxFuture, FutureExt as _};
use lab::providers::{HealthCheck, Moto};
use pointsman::kernel::domain::*;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

const KEY: &str = "lab-secret-access-key-77aa";

pub struct Aws(Arc<HealthCheck>);

pub async fn start() -> Api<Aws> {
    let moto = Arc::new(Moto::start().await.expect("moto's server"));
    let at = moto.http;
    let check = HealthCheck::of(moto);
    check.reset().await.unwrap();
    let versions = check.versions();
    Api::before(Aws(check), at).await.guarded(versions).await
}

impl Place for Aws {
    fn kind(&self) -> &'static str {
        "route53.health_check"
    }
    fn nature(&self) -> Nature {
        Nature { compares: true, closes: false, ..API }
    }
    fn config(&self, base: &str, secrets: &Path) -> String {
        let (key, id) = (secret(secrets, "aws", KEY), self.0.id());
        format!(
            "[targets.target]\nkind = \"route53_health_check\"\nhealth_check = \"{id}\"\napi = \"{base}\"\n\
             access_key_id = \"AKIALAB\"\nsecret_access_key = {key}\n"
        )
    }
    fn with(&self) -> Value {
        json!({ "inverted": true, "disabled": true, "leads_to": { "www.shop.test": ["198.51.100.20"] } })
    }
    fn reset(&self) -> BoxFuture<'_, ()> {
        async { self.0.reset().await.unwrap() }.boxed()
    }
    fn standing(&self) -> BoxFuture<'_, Value> {
        async { json!(self.0.standing().await.unwrap()) }.boxed()
    }
    fn by_hand(&self) -> BoxFuture<'_, ()> {
        async { self.0.set(false, true).await.unwrap() }.boxed()
    }
    fn success(&self) -> (u16, String) {
        let config = "<HealthCheckConfig><Type>HTTP</Type></HealthCheckConfig>";
        let check = format!(
            "<Id>{}</Id><CallerReference>lab</CallerReference>{config}<HealthCheckVersion>9</HealthCheckVersion>",
            self.0.id()
        );
        let space = "https://route53.amazonaws.com/doc/2013-04-01/";
        let whole = format!(
            "<UpdateHealthCheckResponse xmlns=\"{space}\"><HealthCheck>{check}</HealthCheck></UpdateHealthCheckResponse>"
        );
        (200, whole)
    }
    fn secrets(&self) -> Vec<String> {
        vec![KEY.to_owned()]
    }
}

/// Somebody switched it there and back between our look and our call: the flags are as they were, and Route 53 refuses.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_between_is_refused_by_its_version() {
    let api = start().await;
    let remote = api.remote();
    let action = remote.bind("route53.health_check", "target", api.place.with());
    let change = remote.change(&action).await;
    let plain = "the health check of HTTP 192.0.2.10:80/healthz";
    assert_eq!(change.now, format!("{plain} is healthy as long as its checks say so"));
    assert_eq!(change.after, format!("{plain} is always unhealthy (disabled and inverted)"));
    // The look right before the call tells this version; the call then meets another.
    let seen = format!(
        "<GetHealthCheckResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><HealthCheck><Id>{}</Id>\
         <CallerReference>lab</CallerReference><HealthCheckConfig><IPAddress>192.0.2.10</IPAddress><Port>80</Port>\
         <Type>HTTP</Type><ResourcePath>/healthz</ResourcePath><Inverted>false</Inverted><Disabled>false</Disabled>\
         </HealthCheckConfig><HealthCheckVersion>77</HealthCheckVersion></HealthCheck></GetHealthCheckResponse>",
        api.place.0.id()
    );
    let answer = lab::providers::Mishap::Answer { status: 200, headers: vec![], body: seen };
    api.proxy.plant(lab::providers::Which::Reads, answer);
    let end = remote.apply(&action, change.clone(), 20).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    assert!(end.detail.to_string().contains("HealthCheckVersionMismatch"), "{end:?}");
    // With the version that stands there it goes through, and what else the health check has is left alone.
    let before = api.place.0.standing().await.unwrap();
    assert_eq!(remote.apply(&action, change, 20).await.result, CallResult::Applied);
    remote.settled(&action).await;
    let after = api.place.0.standing().await.unwrap();
    assert_eq!(before[2..], after[2..]);
    assert_eq!((after[0].1.as_str(), after[1].1.as_str()), ("true", "true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_switch_alone_leaves_the_other() {
    let api = start().await;
    let remote = api.remote();
    let with = json!({ "inverted": true, "leads_to": { "www.shop.test": ["198.51.100.20"] } });
    let action = remote.bind("route53.health_check", "target", with);
    let change = remote.change(&action).await;
    assert!(change.after.contains("inverted: unhealthy as long as"), "{}", change.after);
    assert_eq!(remote.apply(&action, change, 20).await.result, CallResult::Applied);
    remote.settled(&action).await;
    assert_eq!(api.place.0.standing().await.unwrap()[1].1, "false");
    // One that is not there is unknown.
    api.place.0.forget().await.unwrap();
    let plan = remote.plan(&action).await;
    assert!(why(&plan).contains("PM4401"), "{plan:?}");
}
