//! Every verdict of `dns.record`, over a modelled zone.

use super::super::params;
use super::*;
use crate::kernel::domain::{CallResult, Lingers};
use crate::provider::for_tests::{apply, change, config, plan, spec, why};
use crate::simulated::{Calm, DnsModel, Fault, Hook};

const CONFIG: &str = r#"
[targets.zone]
kind = "rfc2136"
zone = "Shop.Test"
servers = ["192.0.2.1:53", "192.0.2.2:53"]
tsig = { name = "k", algorithm = "hmac-sha256", secret = { env = "NOT_READ_HERE" } }
"#;

fn set(name: &str, kind: RrType, ttl: u32, values: &[&str]) -> RrSet {
    let question = Question { name: name.into(), r#type: kind };
    RrSet::new(&question, ttl, values.iter().map(|v| (*v).to_owned()).collect())
}

fn old() -> Vec<RrSet> {
    vec![
        set("shop.test.", RrType::A, 60, &["198.51.100.10"]),
        set("shop.test.", RrType::Aaaa, 60, &["2001:db8:a::10"]),
        set("admin.shop.test.", RrType::A, 60, &["198.51.100.10"]),
        set("six.shop.test.", RrType::Aaaa, 60, &["2001:db8:a::10"]),
    ]
}

fn wanted() -> serde_json::Value {
    json!({ "ttl": 30, "stale_values": ["198.51.100.10", "2001:DB8:A:0::10"], "records": [
        { "name": "SHOP.test", "type": "A", "values": ["203.0.113.20"] },
        { "name": "shop.test.", "type": "AAAA", "values": ["2001:DB8:b::20"] } ] })
}

fn bound(model: &Arc<DnsModel>, with: serde_json::Value) -> DnsRecord {
    bound_to(CONFIG, model, with)
}

fn bound_to(text: &str, model: &Arc<DnsModel>, with: serde_json::Value) -> DnsRecord {
    let spec = spec("dns.record", "zone", with);
    let with = params::read(&spec, &config(text)).unwrap();
    let params::With { zone, wanted, stale_values, from_site, wait_ttl } = with;
    DnsRecord {
        target: spec.target,
        zone,
        wanted,
        stale_values,
        from_site,
        wait_ttl,
        port: Arc::clone(model) as Arc<dyn Port>,
        owner: Owner::named("me"),
    }
}

fn model(sets: Vec<RrSet>) -> Arc<DnsModel> {
    Arc::new(DnsModel::new(Arc::new(Calm), sets))
}

fn primary() -> SocketAddr {
    "192.0.2.1:53".parse().unwrap()
}

fn secondary() -> SocketAddr {
    "192.0.2.2:53".parse().unwrap()
}

#[tokio::test]
async fn a_swap_of_two_types_is_one_change_and_then_nothing() {
    let model = model(old());
    let action = bound(&model, wanted());
    let planned = change(&action).await;
    assert_eq!(planned.from, json!([old()[0], old()[1]]));
    assert_eq!(planned.to[0]["values"], json!(["203.0.113.20"]));
    assert_eq!(planned.to[1]["values"], json!(["2001:db8:b::20"]));
    let effect = |set: &RrSet, after: &str| Effect::Records {
        name: set.name.clone(),
        kind: set.r#type.as_str().into(),
        before: set.values.clone(),
        after: vec![after.into()],
    };
    let told = [effect(&old()[0], "203.0.113.20"), effect(&old()[1], "2001:db8:b::20")];
    assert_eq!(planned.effects, told, "for the rules of the instance");
    assert_eq!(planned.warnings.len(), 2, "{:?}", planned.warnings);
    for sibling in ["admin.shop.test.", "six.shop.test."] {
        assert!(planned.warnings.iter().any(|w| w.contains(sibling)), "{:?}", planned.warnings);
    }
    let Undo::To(back) = planned.undo.clone() else { panic!("{:?}", planned.undo) };
    assert_eq!(apply(&action, planned).await.result, CallResult::Applied);
    assert!(matches!(plan(&action).await, StepPlan::Nothing { .. }));
    assert_eq!(model.updates(), 1);
    let undo = bound(&model, back.with);
    let undone = change(&undo).await;
    assert_eq!(apply(&undo, undone).await.result, CallResult::Applied);
    assert_eq!(model.holds(&old()[0].question()), old()[0]);
}

#[tokio::test]
async fn a_lagging_or_silent_server_is_unknown_never_done() {
    let model = model(old());
    model.lag(Some(primary()), 100);
    let action = bound(&model, wanted());
    let planned = change(&action).await;
    assert_eq!(apply(&action, planned).await.result, CallResult::Applied);
    let waiting = plan(&action).await;
    assert!(matches!(waiting, StepPlan::Unknown(_)) && why(&waiting).contains("waiting for it to follow"));
    model.silence(secondary(), true);
    let silent = plan(&action).await;
    assert!(matches!(silent, StepPlan::Unknown(_)) && why(&silent).contains("192.0.2.2:53"), "{silent:?}");
}

/// A name server in the lost site must not hold up the way out of it; anywhere else its silence is unknown.
#[tokio::test]
async fn a_server_that_is_lost_with_the_site_is_not_waited_for() {
    let there = CONFIG.replace("tsig", "lost_with = { gra = [\"192.0.2.2:53\"] }\ntsig");
    let action = |model: &Arc<DnsModel>, from: &str| {
        let mut with = wanted();
        with["from_site"] = json!(from);
        bound_to(&there, model, with)
    };
    let model = model(old());
    model.silence(secondary(), true);
    let elsewhere = plan(&action(&model, "sbg")).await;
    assert!(why(&elsewhere).starts_with("PM4101"), "{elsewhere:?}");
    let leaving = action(&model, "gra");
    let planned = change(&leaving).await;
    assert!(planned.warnings.iter().any(|w| w.starts_with("192.0.2.2:53 is lost with gra")), "{planned:?}");
    let Undo::To(back) = planned.undo.clone() else { panic!("{:?}", planned.undo) };
    assert_eq!(back.with["from_site"], "gra", "the way back does not wait for it either");
    assert_eq!(apply(&leaving, planned).await.result, CallResult::Applied);
    let StepPlan::Nothing { says, .. } = plan(&leaving).await else { panic!("not settled") };
    assert!(says.starts_with("1 of 2 servers hold") && says.contains("192.0.2.2:53 is lost"), "{says}");
    // It answers again, and with the old records: it is held to what the others say.
    model.silence(secondary(), false);
    model.by_hand(old()[0].clone());
    model.lag(Some(primary()), 100);
    let again = change(&leaving).await;
    apply(&leaving, again).await;
    assert!(why(&plan(&leaving).await).starts_with("PM4102"), "it serves the lost site's address");
    // The first takes the updates: nothing goes without it.
    model.silence(primary(), true);
    assert!(why(&plan(&leaving).await).starts_with("PM4101"));
}

#[tokio::test]
async fn servers_that_disagree_beforehand_are_unknown() {
    let model = model(old());
    model.lag(Some(primary()), 100);
    let other = bound(
        &model,
        json!({ "ttl": 60, "records": [{ "name": "shop.test", "type": "A", "values": ["192.0.2.9"] }] }),
    );
    let planned = change(&other).await;
    apply(&other, planned).await;
    let seen = plan(&bound(&model, wanted())).await;
    assert!(matches!(seen, StepPlan::Unknown(_)) && why(&seen).contains("disagree"), "{seen:?}");
}

#[tokio::test]
async fn what_somebody_changed_meanwhile_is_left_alone() {
    let model = model(old());
    let action = bound(&model, wanted());
    let planned = change(&action).await;
    let theirs = set("shop.test.", RrType::Aaaa, 60, &["2001:db8::99"]);
    model.by_hand(theirs.clone());
    let end = apply(&action, planned).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false });
    assert_eq!(model.holds(&old()[0].question()), old()[0], "nothing of it was written");
    assert_eq!(model.holds(&theirs.question()), theirs);
}

#[tokio::test]
async fn a_ttl_alone_is_a_change_and_a_new_name_has_no_automatic_undo() {
    let model = model(old());
    let ttl = bound(
        &model,
        json!({ "ttl": 30, "records": [{ "name": "shop.test", "type": "A", "values": ["198.51.100.10"] }] }),
    );
    assert_eq!(change(&ttl).await.from[0]["ttl"], 60);
    let new = bound(
        &model,
        json!({ "ttl": 30, "records": [{ "name": "new.shop.test", "type": "TXT", "values": ["v=1"] }] }),
    );
    let planned = change(&new).await;
    assert!(matches!(&planned.undo, Undo::ByHand(text) if text.contains("new.shop.test.")));
    assert_eq!(planned.from[0]["values"], json!([]));
    assert_eq!(apply(&new, planned).await.result, CallResult::Applied);
}

#[tokio::test]
async fn an_alias_and_data_never_share_a_name() {
    let model = model(vec![set("www.shop.test.", RrType::Cname, 60, &["shop.test."]), old()[2].clone()]);
    let data = bound(
        &model,
        json!({ "ttl": 30, "records": [{ "name": "www.shop.test", "type": "A", "values": ["192.0.2.9"] }] }),
    );
    let alias = bound(
        &model,
        json!({ "ttl": 30, "records": [{ "name": "admin.shop.test", "type": "CNAME", "values": ["x.test"] }] }),
    );
    for action in [data, alias] {
        let refused = plan(&action).await;
        assert!(matches!(refused, StepPlan::Refuse(_)) && why(&refused).contains("PM4103"), "{refused:?}");
    }
}

#[test]
fn all_problems_of_the_parameters_are_told_at_once() {
    let with = json!({ "records": [
        { "name": "shop.test", "type": "A", "values": [] },
        { "name": "elsewhere.test", "type": "A", "values": ["192.0.2.1"], "ttl": 5 },
        { "name": "shop.test", "type": "CNAME", "values": ["a.test"], "ttl": 5 },
        { "name": "shop.test", "type": "AAAA", "values": ["192.0.2.1"], "ttl": 0 } ], "tll": 3 });
    let said = params::read(&spec("dns.record", "zone", with), &config(CONFIG)).err().unwrap().join("\n");
    for part in [
        "has no values",
        "has no `ttl`",
        "is not in the zone",
        "cannot be an alias",
        "not an IPv6 address",
        "`tll`",
        "ttl 0",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    let unknown =
        params::read(&spec("dns.record", "nope", json!({ "ttl": 3, "records": [] })), &config(CONFIG));
    let said = unknown.err().unwrap().join("\n");
    assert!(said.contains("no target of kind rfc2136") && said.contains("`records` is empty"), "{said}");
}

/// Plants one fault into the update.
struct Planted(Fault);
impl Hook for Planted {
    fn before<'a>(&'a self, _verb: &'a str, mutates: bool) -> BoxFuture<'a, Fault> {
        let fault = if mutates { self.0 } else { Fault::None };
        async move { fault }.boxed()
    }
    fn after<'a>(&'a self, _verb: &'a str, _mutates: bool) -> BoxFuture<'a, ()> {
        async {}.boxed()
    }
}

#[tokio::test]
async fn a_lost_reply_is_doubt_and_a_dead_primary_is_a_rejection() {
    let model = Arc::new(DnsModel::new(Arc::new(Planted(Fault::LoseReply)), old()));
    let action = bound(&model, wanted());
    let planned = change(&action).await;
    assert_eq!(apply(&action, planned.clone()).await.result, CallResult::Indeterminate);
    assert!(matches!(plan(&action).await, StepPlan::Nothing { .. }), "it had happened");
    model.silence("192.0.2.1:53".parse().unwrap(), true);
    assert_eq!(apply(&action, planned).await.result, CallResult::Rejected { retry: true });
}

const CLAIM: &str = "_pointsman.shop.test.";

fn claimed(text: &str) -> RrSet {
    set(CLAIM, RrType::Txt, 60, &[text])
}

#[tokio::test]
async fn a_change_leaves_its_owner_beside_it_in_the_same_update() {
    let model = model(old());
    let action = bound(&model, wanted());
    let planned = change(&action).await;
    assert_eq!(apply(&action, planned).await.result, CallResult::Applied);
    assert_eq!(model.updates(), 1);
    let text = model.holds(&claimed("").question()).values.concat();
    assert_eq!(text, "pointsman=1 owner=me service=shop epoch=0 run=R00001");
    // Its own earlier claim stands in nobody's way, and is demanded by the next update.
    model.by_hand(old()[0].clone());
    let again = change(&action).await;
    model.by_hand(claimed("pointsman=1 owner=me service=shop epoch=9 run=R00002"));
    let end = apply(&action, again).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    assert_eq!(model.holds(&old()[0].question()), old()[0], "an old runner wrote over a newer one");
}

#[tokio::test]
async fn a_strangers_claim_or_a_newer_epoch_refuses() {
    for (text, code) in [
        ("pointsman=1 owner=you service=shop epoch=1 run=R1", "PM5505"),
        ("pointsman=1 owner=me service=shop epoch=2 run=R1", "PM5504"),
        ("pointsman=1 owner=me service=shop epoch=1 run=R1", "PM5504"),
        ("somebody else's text", "PM5505"),
    ] {
        let model = model([old(), vec![claimed(text)]].concat());
        let refused = plan(&bound(&model, wanted())).await;
        assert!(
            matches!(refused, StepPlan::Refuse(_)) && why(&refused).starts_with(code),
            "{text}: {refused:?}"
        );
        let seen = bound(&model, wanted()).observe(&crate::provider::for_tests::ctx()).await.unwrap();
        assert_eq!(seen.evidence["ahead"].is_u64(), code == "PM5504", "{text}: {}", seen.evidence);
    }
    let claims = "pointsman=1 owner=me service=shop epoch=0 run=R1";
    let mine = model([old(), vec![claimed(claims)]].concat());
    assert!(matches!(plan(&bound(&mine, wanted())).await, StepPlan::Change(_)));
    let right = model(vec![
        set("shop.test.", RrType::A, 30, &["203.0.113.20"]),
        set("shop.test.", RrType::Aaaa, 30, &["2001:db8:b::20"]),
        claimed("pointsman=1 owner=you service=shop epoch=1 run=R1"),
    ]);
    assert!(
        matches!(plan(&bound(&right, wanted())).await, StepPlan::Nothing { .. }),
        "nothing is to be written"
    );
}

#[tokio::test]
async fn without_claims_nothing_is_left_and_nothing_is_asked() {
    let model = model([old(), vec![claimed("pointsman=1 owner=you service=shop epoch=1 run=R1")]].concat());
    let mut action = bound(&model, wanted());
    action.zone.claim = false;
    let planned = change(&action).await;
    assert_eq!(apply(&action, planned).await.result, CallResult::Applied);
    assert!(model.holds(&claimed("").question()).values.concat().contains("owner=you"));
}

/// Zones set up before there were claims let the key write A and AAAA: the swap must not fail at the worst time.
#[tokio::test]
async fn a_key_that_may_not_write_texts_moves_the_name_and_says_so() {
    let model = model(old());
    model.refuse_texts();
    let action = bound(&model, wanted());
    let planned = change(&action).await;
    let end = apply(&action, planned).await;
    assert_eq!(end.result, CallResult::Applied);
    assert!(end.detail["unclaimed"].is_string(), "{end:?}");
    assert!(!model.holds(&claimed("").question()).exists());
    // Where somebody has claimed it, nothing is written past the claim.
    let theirs = "pointsman=1 owner=me service=shop epoch=0 run=R1";
    let model = self::model([old(), vec![claimed(theirs)]].concat());
    model.refuse_texts();
    let action = bound(&model, wanted());
    let planned = change(&action).await;
    assert_eq!(apply(&action, planned).await.result, CallResult::Rejected { retry: false });
    assert_eq!(model.holds(&old()[0].question()), old()[0]);
}

const RESOLVER: &str = "192.0.2.99:53";

/// Asked only when there is something to be learned, and their word changes nothing about the zone's.
#[tokio::test]
async fn resolvers_are_asked_once_the_zone_holds_it_and_silence_is_not_the_new_answer() {
    let text = CONFIG.replace("tsig", &format!("resolvers = [\"{RESOLVER}\"]\ntsig"));
    let model = model(old());
    let action = bound_to(&text, &model, wanted());
    let planned = change(&action).await;
    assert_eq!(planned.lasts, Some(Span::secs(60)), "known, though nobody waits for it");
    assert!(!planned.warnings.iter().any(|w| w.contains("caches")), "{:?}", planned.warnings);
    apply(&action, planned).await;
    let lingers = |plan: &StepPlan| match plan {
        StepPlan::Nothing { lingers, .. } => *lingers,
        other => panic!("{other:?}"),
    };
    let told = lingers(&plan(&action).await).expect("the old answer");
    assert!(told.seen && !told.waits && told.at_most <= Span::secs(60), "{told:?}");
    model.silence(RESOLVER.parse().unwrap(), true);
    let silent = plan(&action).await;
    assert_eq!(lingers(&silent), Some(Lingers { waits: false, seen: false, at_most: Span::secs(30) }));
    // The zone's own servers decide, whatever a resolver gives.
    model.silence(RESOLVER.parse().unwrap(), false);
    model.by_hand(old()[0].clone());
    assert!(matches!(plan(&action).await, StepPlan::Change(_)));
    let seen = action.observe(&crate::provider::for_tests::ctx()).await.unwrap();
    assert!(seen.evidence.get("resolvers").is_none(), "nothing that they give would matter");
}
