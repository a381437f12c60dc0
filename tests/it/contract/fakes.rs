//! Cloudflare, DigitalOcean and OVHcloud: stateful fakes that speak the documented protocol, and what they publish is
//! looked at in a real PowerDNS.

use super::api::{API, Api, Place, secret};
use super::fixture::Nature;
use super::records;
use crate::remote::{is_nothing, why};
use futures_util::future::{BoxFuture, FutureExt as _};
use lab::providers::{Cloudflare, DigitalOcean, Mishap, Ovh, PowerDns, Which, ZONE, set};
use pointsman::kernel::domain::*;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// The records with somebody else's address.
fn theirs() -> Vec<lab::providers::Kept> {
    let mut all = records::kept();
    for record in all.iter_mut().filter(|record| record.kind == "AAAA") {
        record.content = "2001:db8::99".into();
    }
    all
}

async fn server() -> Arc<PowerDns> {
    Arc::new(PowerDns::start().await.expect("a PowerDNS"))
}

/// Ids are new after each reset: they are no part of what stands there.
fn without_ids(records: Vec<Value>) -> Value {
    let strip = |mut record: Value| {
        record["id"] = Value::Null;
        record
    };
    let mut all: Vec<Value> = records.into_iter().map(strip).collect();
    all.sort_by_key(Value::to_string);
    json!(all)
}

pub struct Cf {
    fake: Cloudflare,
    server: Arc<PowerDns>,
}

pub async fn cloudflare() -> Api<Cf> {
    let server = server().await;
    let fake = Cloudflare::start(server.clone()).await.unwrap();
    let at = fake.http;
    Api::before(Cf { fake, server }, at).await
}

impl Place for Cf {
    fn kind(&self) -> &'static str {
        "cloudflare.record"
    }
    fn nature(&self) -> Nature {
        API
    }
    fn config(&self, base: &str, secrets: &Path) -> String {
        let token = secret(secrets, "token", &self.fake.token);
        let (id, dns) = (self.fake.zone_id, self.server.dns);
        format!(
            "[targets.target]\nkind = \"cloudflare\"\nzone = \"{ZONE}\"\nzone_id = \"{id}\"\n\
             api = \"{base}/client/v4\"\ntoken = {token}\nservers = [\"{dns}\"]\n"
        )
    }
    fn reset(&self) -> BoxFuture<'_, ()> {
        async { self.fake.hold(records::kept()).await.unwrap() }.boxed()
    }
    fn standing(&self) -> BoxFuture<'_, Value> {
        async { without_ids(self.fake.records()) }.boxed()
    }
    fn by_hand(&self) -> BoxFuture<'_, ()> {
        async { self.fake.hold(theirs()).await.unwrap() }.boxed()
    }
    fn success(&self) -> (u16, String) {
        (200, json!({ "success": true, "errors": [], "messages": [], "result": {} }).to_string())
    }
    fn secrets(&self) -> Vec<String> {
        vec![self.fake.token.clone()]
    }
}

/// What others keep with a record stays: being proxied, the comment, the tags, the id.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxied_record_stays_proxied_and_keeps_its_comment_and_tags() {
    let api = cloudflare().await;
    let mut front = set(&format!("{ZONE}."), "A", 1, "192.0.2.10");
    front.more = json!({ "proxied": true, "comment": "by terraform", "tags": ["team:web"] })
        .as_object()
        .cloned()
        .unwrap();
    api.place.fake.hold(vec![front]).await.unwrap();
    let before = api.place.fake.records();
    let remote = api.remote();
    let with = json!({ "ttl": 60, "records": [{ "name": ZONE, "type": "A", "values": ["198.51.100.20", "198.51.100.21"] }] });
    let action = remote.bind("cloudflare.record", "target", with);
    let change = remote.change(&action).await;
    assert!(change.warnings.iter().any(|text| text.contains("proxied")), "{:?}", change.warnings);
    let Undo::To(back) = change.undo.clone() else { panic!("{:?}", change.undo) };
    let end = remote.apply(&action, change, 20).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    remote.settled(&action).await;
    let after = api.place.fake.records();
    assert_eq!(after.len(), 2);
    assert_eq!(after[0]["id"], before[0]["id"], "the record was changed, not made anew");
    for record in &after {
        assert_eq!((&record["proxied"], &record["ttl"]), (&json!(true), &json!(1)), "{record}");
        assert_eq!((&record["comment"], &record["tags"]), (&json!("by terraform"), &json!(["team:web"])));
    }
    let undo = remote.bind("cloudflare.record", "target", back.with);
    let undone = remote.change(&undo).await;
    assert_eq!(remote.apply(&undo, undone, 20).await.result, CallResult::Applied);
    assert_eq!(api.place.fake.records(), before);
}

/// A record that comes beside one without comment and tags has none either: the API takes no `null`.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_comes_beside_a_bare_one() {
    let api = cloudflare().await;
    api.place.fake.hold(vec![set(&format!("{ZONE}."), "A", 60, "192.0.2.10")]).await.unwrap();
    let remote = api.remote();
    let with = json!({ "ttl": 60, "records": [{ "name": ZONE, "type": "A", "values": ["192.0.2.10", "198.51.100.21"] }] });
    let action = remote.bind("cloudflare.record", "target", with);
    let change = remote.change(&action).await;
    let end = remote.apply(&action, change, 20).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    remote.settled(&action).await;
    assert_eq!(api.place.fake.records().len(), 2);
}

/// An answer of 200 that says `success: false` is a refusal.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_and_no_success_is_a_no() {
    let api = cloudflare().await;
    api.place.reset().await;
    let remote = api.remote();
    let action = remote.bind("cloudflare.record", "target", records::wanted());
    let change = remote.change(&action).await;
    let body = json!({ "success": false, "errors": [{ "code": 9005, "message": "no" }], "result": null })
        .to_string();
    api.proxy.plant(Which::Writes, Mishap::Answer { status: 200, headers: vec![], body });
    let end = remote.apply(&action, change, 20).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    assert!(end.detail.to_string().contains("PM4116"), "{end:?}");
}

pub struct Do {
    fake: DigitalOcean,
    server: Arc<PowerDns>,
}

pub async fn digitalocean() -> Api<Do> {
    let server = server().await;
    let fake = DigitalOcean::start(server.clone()).await.unwrap();
    let at = fake.http;
    Api::before(Do { fake, server }, at).await
}

impl Place for Do {
    fn kind(&self) -> &'static str {
        "digitalocean.record"
    }
    fn nature(&self) -> Nature {
        Nature { whole: false, ..API }
    }
    fn config(&self, base: &str, secrets: &Path) -> String {
        let token = secret(secrets, "token", &self.fake.token);
        let dns = self.server.dns;
        format!(
            "[targets.target]\nkind = \"digitalocean\"\nzone = \"{ZONE}\"\napi = \"{base}\"\ntoken = {token}\n\
             servers = [\"{dns}\"]\n"
        )
    }
    fn reset(&self) -> BoxFuture<'_, ()> {
        async { self.fake.hold(records::kept()).await.unwrap() }.boxed()
    }
    fn standing(&self) -> BoxFuture<'_, Value> {
        async { without_ids(self.fake.records()) }.boxed()
    }
    fn by_hand(&self) -> BoxFuture<'_, ()> {
        async { self.fake.hold(theirs()).await.unwrap() }.boxed()
    }
    fn success(&self) -> (u16, String) {
        (200, json!({ "domain_record": {} }).to_string())
    }
    fn secrets(&self) -> Vec<String> {
        vec![self.fake.token.clone()]
    }
}

/// One of several calls was done: that is never a clean no.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_in_the_middle_is_doubt() {
    let api = digitalocean().await;
    api.place.reset().await;
    let remote = api.remote();
    let action = remote.bind("digitalocean.record", "target", records::wanted());
    let change = remote.change(&action).await;
    let (status, body) = api.place.success();
    api.proxy.plant(Which::Writes, Mishap::Answer { status, headers: vec![], body });
    api.proxy.plant(Which::Writes, Mishap::Answer { status: 422, headers: vec![], body: "{}".into() });
    let end = remote.apply(&action, change, 20).await;
    assert_eq!(end.result, CallResult::Indeterminate, "{end:?}");
    assert!(end.detail.to_string().contains("1 calls were done"), "{end:?}");
}

pub struct OvhPlace {
    fake: Ovh,
    server: Arc<PowerDns>,
    service: bool,
}

/// By signed requests, or by a service account's token.
pub async fn ovh(service: bool) -> Api<OvhPlace> {
    let server = server().await;
    let fake = Ovh::start(server.clone()).await.unwrap();
    let at = fake.http;
    Api::before(OvhPlace { fake, server, service }, at).await
}

impl Place for OvhPlace {
    fn kind(&self) -> &'static str {
        "ovh.record"
    }
    fn nature(&self) -> Nature {
        Nature { whole: false, ..API }
    }
    fn config(&self, base: &str, secrets: &Path) -> String {
        let dns = self.server.dns;
        let access = if self.service {
            let given = secret(secrets, "client", self.fake.client_secret);
            let client = self.fake.client;
            format!(
                "client_id = \"{client}\"\nclient_secret = {given}\ntoken_url = \"{base}/auth/oauth2/token\"\n"
            )
        } else {
            let given = secret(secrets, "application", self.fake.secret);
            let consumer = secret(secrets, "consumer", self.fake.consumer);
            let application = self.fake.application;
            format!(
                "application_key = \"{application}\"\napplication_secret = {given}\nconsumer_key = {consumer}\n"
            )
        };
        format!(
            "[targets.target]\nkind = \"ovh\"\nzone = \"{ZONE}\"\napi = \"{base}/1.0\"\nservers = [\"{dns}\"]\n{access}"
        )
    }
    fn reset(&self) -> BoxFuture<'_, ()> {
        async { self.fake.hold(records::kept()).await.unwrap() }.boxed()
    }
    fn standing(&self) -> BoxFuture<'_, Value> {
        async { json!([without_ids(self.fake.records()), without_ids(self.fake.published())]) }.boxed()
    }
    fn by_hand(&self) -> BoxFuture<'_, ()> {
        async { self.fake.hold(theirs()).await.unwrap() }.boxed()
    }
    fn success(&self) -> (u16, String) {
        (200, "null".into())
    }
    fn secrets(&self) -> Vec<String> {
        [self.fake.secret, self.fake.consumer, self.fake.client_secret].map(str::to_owned).to_vec()
    }
}

/// Changed at the API and never published: the servers say so, and the same step publishes it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_staged_is_not_done_and_is_published_by_trying_again() {
    let api = ovh(false).await;
    api.place.reset().await;
    let remote = api.remote();
    let action = remote.bind("ovh.record", "target", records::wanted());
    let change = remote.change(&action).await;
    // Four records are changed or taken away; then three times `refresh`.
    for _ in 0..4 {
        api.proxy.plant(Which::Writes, Mishap::Late(std::time::Duration::ZERO));
    }
    for _ in 0..3 {
        api.proxy.plant(Which::Writes, Mishap::Answer { status: 500, headers: vec![], body: "{}".into() });
    }
    let end = remote.apply(&action, change, 30).await;
    assert_eq!(end.result, CallResult::Indeterminate, "{end:?}");
    assert_ne!(api.place.fake.records(), api.place.fake.published());
    let plan = remote.plan(&action).await;
    let StepPlan::Change(change) = plan else { panic!("staged is not done: {plan:?}") };
    assert!(change.warnings.iter().any(|text| text.contains("never published")), "{:?}", change.warnings);
    let end = remote.apply(&action, *change, 30).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    remote.settled(&action).await;
    assert_eq!(api.place.fake.records(), api.place.fake.published());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_told_and_unknown() {
    let api = ovh(false).await;
    api.place.reset().await;
    let dir = tempfile::tempdir().unwrap();
    let config = api.place.config(&api.proxy.url(), dir.path());
    std::fs::write(dir.path().join("application"), "another\n").unwrap();
    let remote = crate::remote::Remote::new(&config);
    let plan = remote.plan(&remote.bind("ovh.record", "target", records::wanted())).await;
    assert!(!is_nothing(&plan) && why(&plan).contains("Invalid signature"), "{plan:?}");
}
