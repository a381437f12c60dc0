//! What we send to Cloudflare and DigitalOcean, judged by their own descriptions: every request of a change and of its way
//! back, as the wires really make them. Where the descriptions are not at hand this says so and judges nothing.

use super::api::{Api, Place};
use super::{balancer, fakes};
use lab::providers::{complaints, description};
use pointsman::kernel::domain::*;
use serde_json::json;

type Sent = Vec<(String, String, String)>;

const CLOUDFLARE: &str = "cloudflare-dns-lb.yaml";
const DIGITALOCEAN: &str = "digitalocean-domains-lb.json";

/// Looks, a change, a look, and the way back; all that was sent, below the base of the description.
async fn sent<P: Place>(api: Api<P>, base: &str) -> Sent {
    api.place.reset().await;
    let remote = api.remote();
    let action = remote.bind(api.place.kind(), "target", api.place.with());
    let change = remote.change(&action).await;
    let Undo::To(back) = change.undo.clone() else { panic!("{:?}", change.undo) };
    assert_eq!(remote.apply(&action, change, 20).await.result, CallResult::Applied);
    remote.settled(&action).await;
    let undo = remote.bind(back.kind.as_str(), "target", back.with);
    let undone = remote.change(&undo).await;
    assert_eq!(remote.apply(&undo, undone, 20).await.result, CallResult::Applied);
    let one = |line: String| {
        let mut words = line.splitn(3, ' ').map(str::to_owned);
        let mut next = || words.next().unwrap_or_default();
        let (method, path, body) = (next(), next(), next());
        (method, path.strip_prefix(base).expect("below the base").to_owned(), body)
    };
    api.proxy.seen().into_iter().map(one).collect()
}

async fn judged(file: &str, sent: &Sent) -> Option<Vec<String>> {
    let Some(description) = description(file) else {
        println!("SKIPPED: no {file} here; name its folder in LAB_DESCRIPTIONS");
        return None;
    };
    Some(complaints(&description, sent).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn cloudflare_takes_what_we_send() {
    let base = "/client/v4";
    let mut all = sent(fakes::cloudflare().await, base).await;
    for api in [balancer::steering().await, balancer::pool(false).await, balancer::pool(true).await] {
        all.extend(sent(api, base).await);
    }
    assert!(all.iter().filter(|(method, ..)| method != "GET").count() >= 8, "{all:?}");
    let Some(told) = judged(CLOUDFLARE, &all).await else { return };
    // The description at hand is cut down; this read is evidence only, and is documented elsewhere.
    let others: Vec<String> =
        told.into_iter().filter(|says| !says.contains("/health: no such path")).collect();
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn digitalocean_takes_what_we_send() {
    let all = sent(fakes::digitalocean().await, "").await;
    assert!(all.iter().filter(|(method, ..)| method != "GET").count() >= 6, "{all:?}");
    if let Some(told) = judged(DIGITALOCEAN, &all).await {
        assert!(told.is_empty(), "{}", told.join("\n"));
    }
}

/// The judge itself: what is wrong is found, and nothing else is.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_request_is_found() {
    let request = |method: &str, path: &str, body: serde_json::Value| {
        (method.to_owned(), path.to_owned(), if body.is_null() { String::new() } else { body.to_string() })
    };
    let pool = "/accounts/a/load_balancers/pools/p";
    let wrong = vec![
        request("PATCH", pool, json!({ "enabled": "no" })),
        request("PATCH", pool, json!({ "enabled": false })),
        request("PATCH", "/zones/z/load_balancers/b", json!({ "default_pools": "p" })),
        request("GET", "/zones/z/dns_records?named=x", json!(null)),
        request("POST", "/zones/z/dns_records/batch", json!({ "patches": [{ "id": 5 }] })),
        request("DELETE", pool, json!(null)),
    ];
    let Some(told) = judged(CLOUDFLARE, &wrong).await else { return };
    assert_eq!(told.len(), 5, "{}", told.join("\n"));
    assert!(told[0].contains("at enabled") && told[1].contains("at default_pools"), "{}", told.join("\n"));
    let record = "/v2/domains/shop.test/records/12";
    let wrong = vec![
        request("PATCH", record, json!({ "type": "A", "ttl": "x" })),
        request("PATCH", record, json!({ "type": "A", "ttl": 60 })),
        request("PATCH", "/v2/domains/shop.test/records/twelve", json!({ "type": "A" })),
    ];
    let Some(told) = judged(DIGITALOCEAN, &wrong).await else { return };
    assert_eq!(told.len(), 2, "{}", told.join("\n"));
}
