//! `route53.record` by the real SDK against moto's server.

use super::api::{API, Api, Place, secret};
use super::fixture::Nature;
use super::records;
use crate::remote::why;
use futures_util::future::{BoxFuture, FutureExt as _};
use lab::providers::{Moto, ZONE};
use pointsman::kernel::domain::*;
use serde_json::{Value, json};
use std::sync::Arc;

const KEY: &str = "lab-secret-access-key-31d0";

pub struct Aws(Arc<Moto>);

pub async fn start() -> Api<Aws> {
    let server = Arc::new(Moto::start().await.expect("moto's server"));
    let (at, strict) = (server.http, server.strict());
    Api::before(Aws(server), at).await.guarded(strict).await
}

fn xml(name: &str, kind: &str, ttl: u32, values: &[&str], more: &str) -> String {
    let records: String = values
        .iter()
        .map(|value| format!("<ResourceRecord><Value>{value}</Value></ResourceRecord>"))
        .collect();
    format!(
        "<Name>{name}</Name><Type>{kind}</Type>{more}<TTL>{ttl}</TTL><ResourceRecords>{records}</ResourceRecords>"
    )
}

impl Aws {
    /// These, and nothing else.
    async fn hold(&self, sets: &[String]) {
        self.0.reset().await.unwrap();
        self.0.change("UPSERT", sets).await.unwrap();
    }
}

impl Place for Aws {
    fn kind(&self) -> &'static str {
        "route53.record"
    }
    fn nature(&self) -> Nature {
        Nature { compares: true, closes: false, ..API }
    }
    fn config(&self, base: &str, secrets: &std::path::Path) -> String {
        let key = secret(secrets, "aws", KEY);
        let id = self.0.zone_id();
        format!(
            "[targets.target]\nkind = \"route53\"\nzone = \"{ZONE}\"\nzone_id = \"{id}\"\napi = \"{base}\"\n\
             access_key_id = \"AKIALAB\"\nsecret_access_key = {key}\n"
        )
    }
    fn reset(&self) -> BoxFuture<'_, ()> {
        async {
            let sets: Vec<String> = records::old()
                .iter()
                .map(|(name, kind, ttl, values)| xml(name, kind, *ttl, values, ""))
                .collect();
            self.hold(&sets).await;
        }
        .boxed()
    }
    fn standing(&self) -> BoxFuture<'_, Value> {
        async { json!(self.0.sets().await.unwrap()) }.boxed()
    }
    fn by_hand(&self) -> BoxFuture<'_, ()> {
        async {
            let set = xml(&format!("{ZONE}."), "AAAA", 300, &["2001:db8::99"], "");
            self.0.change("UPSERT", &[set]).await.unwrap();
        }
        .boxed()
    }
    fn success(&self) -> (u16, String) {
        let info = "<ChangeInfo><Id>/change/C0LIE</Id><Status>INSYNC</Status><SubmittedAt>2026-01-01T00:00:00Z\
                    </SubmittedAt></ChangeInfo>";
        let space = "https://route53.amazonaws.com/doc/2013-04-01/";
        let whole = format!(
            "<ChangeResourceRecordSetsResponse xmlns=\"{space}\">{info}</ChangeResourceRecordSetsResponse>"
        );
        (200, whole)
    }
    fn secrets(&self) -> Vec<String> {
        vec![KEY.to_owned()]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_records_are_one_batch() {
    let api = start().await;
    let name = |n: usize| format!("n{n}.{ZONE}.");
    let sets: Vec<String> = (0..50).map(|n| xml(&name(n), "A", 300, &["192.0.2.10"], "")).collect();
    api.place.hold(&sets).await;
    let records: Vec<Value> =
        (0..50).map(|n| json!({ "name": name(n), "type": "A", "values": ["198.51.100.20"] })).collect();
    let remote = api.remote();
    let action = remote.bind("route53.record", "target", json!({ "ttl": 60, "records": records }));
    let started = std::time::Instant::now();
    let change = remote.change(&action).await;
    let end = remote.apply(&action, change, 40).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    remote.settled(&action).await;
    assert_eq!((api.proxy.writes(), api.proxy.reads() <= 4), (1, true), "{} reads", api.proxy.reads());
    assert!(started.elapsed() < std::time::Duration::from_secs(10), "{:?}", started.elapsed());
}

/// Weights: both sets move in one batch, all at 0 is refused, and what others route is not touched.
#[tokio::test(flavor = "multi_thread")]
async fn weights_move_together_and_never_all_to_nothing() {
    let api = start().await;
    let set = |id: &str, weight: u8| {
        xml(
            &format!("w.{ZONE}."),
            "A",
            60,
            &["192.0.2.10"],
            &format!("<SetIdentifier>{id}</SetIdentifier><Weight>{weight}</Weight>"),
        )
    };
    api.place.hold(&[set("gra", 100), set("sbg", 0)]).await;
    let with = |gra: u8, sbg: u8| {
        let one = |id: &str, weight: u8| json!({ "name": format!("w.{ZONE}"), "type": "A", "values": ["192.0.2.10"], "set": id, "weight": weight });
        json!({ "ttl": 60, "records": [one("gra", gra), one("sbg", sbg)] })
    };
    let remote = api.remote();
    let shift = remote.bind("route53.record", "target", with(0, 100));
    let change = remote.change(&shift).await;
    let Undo::To(back) = change.undo.clone() else { panic!("{:?}", change.undo) };
    assert!(change.now.contains("[gra weight 100]"), "{}", change.now);
    let Effect::Records { after, .. } = &change.effects[0] else { panic!("{:?}", change.effects) };
    assert_eq!((change.effects.len(), after.as_slice()), (1, &["192.0.2.10".to_owned()][..]));
    let end = remote.apply(&shift, change, 20).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    remote.settled(&shift).await;
    assert_eq!(api.proxy.writes(), 1);
    let none = remote.plan(&remote.bind("route53.record", "target", with(0, 0))).await;
    assert!(matches!(none, StepPlan::Refuse(_)) && why(&none).contains("PM4113"), "{none:?}");
    // One set alone, the other at 0 already.
    let only = json!({ "ttl": 60, "records": [{ "name": format!("w.{ZONE}"), "type": "A", "values": ["192.0.2.10"], "set": "sbg", "weight": 0 }] });
    let only = remote.plan(&remote.bind("route53.record", "target", only)).await;
    assert!(why(&only).contains("PM4113"), "{only:?}");
    // A set of its own cannot stand beside them.
    let plain = json!({ "ttl": 60, "records": [{ "name": format!("w.{ZONE}"), "type": "A", "values": ["192.0.2.10"] }] });
    let plain = remote.plan(&remote.bind("route53.record", "target", plain)).await;
    assert!(why(&plain).contains("PM4115"), "{plain:?}");
    let undo = remote.bind("route53.record", "target", back.with);
    let undone = remote.change(&undo).await;
    assert_eq!(remote.apply(&undo, undone, 20).await.result, CallResult::Applied);
    remote.settled(&undo).await;
}
