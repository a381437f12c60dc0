//! Parameters and verdicts of the providers' record action; what every action keeps is in `tests/it/contract`.

use super::super::params;
use super::*;
use crate::kernel::domain::{CallResult, Undo};
use crate::provider::for_tests::{apply, change, config, plan, spec, why};
use crate::simulated::{Calm, HostedModel};

const CONFIG: &str = r#"
[targets.cf]
kind = "cloudflare"
zone = "Shop.Test"
zone_id = "z"
token = { env = "NOT_READ_HERE" }
[targets.aws]
kind = "route53"
zone = "shop.test"
zone_id = "/hostedzone/Z1"
"#;

fn set(name: &str, ttl: u32, values: &[&str]) -> Held {
    let question = Question { name: name.into(), r#type: dns::RrType::A };
    Held::plain(RrSet::new(&question, ttl, values.iter().map(|v| (*v).to_owned()).collect()))
}

fn bound(model: &Arc<HostedModel>, kind: &str, target: &str, with: Value) -> HostedRecord {
    let spec = spec(kind, target, with);
    let with =
        params::read(&spec, &config(CONFIG)).unwrap_or_else(|problems| panic!("{}", problems.join("\n")));
    let (port, dns) = (Arc::clone(model) as Arc<dyn Port>, Arc::clone(model) as Arc<dyn dns::Port>);
    HostedRecord { kind: spec.kind, target: spec.target, with, port, dns }
}

fn model(sets: Vec<Held>) -> Arc<HostedModel> {
    Arc::new(HostedModel::new(Arc::new(Calm), sets))
}

fn one(more: Value) -> Value {
    let mut with =
        json!({ "ttl": 60, "records": [{ "name": "shop.test", "type": "A", "values": ["198.51.100.20"] }] });
    with.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    with
}

#[test]
fn all_problems_of_the_parameters_are_told_at_once() {
    let with = json!({ "ttl": 5, "min_targets": 0, "max_share": "x", "records": [
        { "name": "shop.test", "type": "A", "values": [] },
        { "name": "elsewhere.test", "type": "A", "values": ["192.0.2.1"], "ttl": 60 },
        { "name": "a.shop.test", "type": "A", "values": ["192.0.2.1"] },
        { "name": "b.shop.test", "type": "A", "values": ["192.0.2.1"], "ttl": 60, "weight": 3 } ] });
    let said =
        params::read(&spec("cloudflare.record", "cf", with), &config(CONFIG)).err().unwrap().join("\n");
    for part in [
        "has no values",
        "is not in the zone",
        "no ttl below 60",
        "has no `set`",
        "`max_share`",
        "at least 1",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    let wrong = params::read(&spec("ovh.record", "cf", one(json!({}))), &config(CONFIG)).err().unwrap();
    assert!(wrong.join("\n").contains("no target of kind ovh"), "{wrong:?}");
    let with = json!({ "ttl": 60, "records": [
        { "name": "w.shop.test", "type": "A", "values": ["192.0.2.1"], "weight": 3 },
        { "name": "v.shop.test", "type": "A", "values": ["192.0.2.1"], "set": "a", "weight": 3, "failover": "primary" },
        { "name": "u.shop.test", "type": "A", "values": ["192.0.2.1"], "alias": { "name": "x.test", "zone_id": "Z" } } ] });
    let said = params::read(&spec("route53.record", "aws", with), &config(CONFIG)).err().unwrap().join("\n");
    for part in ["belong to a `set`", "exclude each other", "neither `values` nor a `ttl`"] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
}

#[tokio::test]
async fn a_proxied_name_stays_proxied_and_its_ttl_the_providers() {
    let front = Held { proxied: true, ttl: None, ..set("shop.test.", 1, &["192.0.2.10"]) };
    let model = model(vec![front.clone()]);
    let action = bound(&model, "cloudflare.record", "cf", one(json!({})));
    let planned = change(&action).await;
    let told = format!("{:?}", planned.effects);
    assert!(told.contains("192.0.2.10") && told.contains("198.51.100.20"), "{told}");
    assert_eq!((&planned.to[0]["proxied"], &planned.to[0]["ttl"]), (&json!(true), &Value::Null));
    let Undo::To(back) = planned.undo.clone() else { panic!("{:?}", planned.undo) };
    assert_eq!(apply(&action, planned).await.result, CallResult::Applied);
    assert!(matches!(plan(&action).await, StepPlan::Nothing { .. }));
    let undo = bound(&model, "cloudflare.record", "cf", back.with);
    let undone = change(&undo).await;
    apply(&undo, undone).await;
    assert_eq!(model.holds(), [front]);
}

#[tokio::test]
async fn the_brakes_hold() {
    let others = (0..9).map(|n| set(&format!("n{n}.shop.test."), 60, &["192.0.2.10"]));
    let model = model(others.chain([set("shop.test.", 300, &["192.0.2.10"])]).collect());
    let with = |more| bound(&model, "cloudflare.record", "cf", one(more));
    assert!(matches!(plan(&with(json!({ "max_share": "10%" }))).await, StepPlan::Change(_)));
    assert!(why(&plan(&with(json!({ "max_share": "9%" }))).await).contains("PM4114"));
    assert!(why(&plan(&with(json!({ "min_targets": 2 }))).await).contains("PM4113"));
}

#[tokio::test]
async fn what_the_provider_has_not_published_is_not_done() {
    let model = model(vec![set("shop.test.", 300, &["192.0.2.10"])]);
    model.publishes_late(2);
    let action = bound(&model, "route53.record", "aws", one(json!({})));
    let planned = change(&action).await;
    assert_eq!(apply(&action, planned).await.result, CallResult::Applied);
    for _ in 0..2 {
        let waiting = plan(&action).await;
        assert!(matches!(waiting, StepPlan::Unknown(_)) && why(&waiting).contains("PM4111"), "{waiting:?}");
    }
    assert!(matches!(plan(&action).await, StepPlan::Nothing { .. }));
    assert_eq!(model.writes(), 1);
}

#[tokio::test]
async fn an_alias_and_data_never_share_a_name() {
    let alias = Question { name: "shop.test.".into(), r#type: dns::RrType::Cname };
    let model = model(vec![Held::plain(RrSet::new(&alias, 60, vec!["x.test.".into()]))]);
    let refused = plan(&bound(&model, "cloudflare.record", "cf", one(json!({})))).await;
    assert!(matches!(refused, StepPlan::Refuse(_)) && why(&refused).contains("PM4103"), "{refused:?}");
}

#[tokio::test]
async fn a_new_name_is_made_and_taken_away_by_hand_only() {
    let model = model(vec![]);
    let action = bound(&model, "route53.record", "aws", one(json!({})));
    let planned = change(&action).await;
    assert!(matches!(&planned.undo, Undo::ByHand(text) if text.contains("shop.test.")), "{:?}", planned.undo);
    assert_eq!(apply(&action, planned).await.result, CallResult::Applied);
    assert!(matches!(plan(&action).await, StepPlan::Nothing { .. }));
}

#[test]
fn a_server_lost_with_its_site_is_a_warning_and_its_silence_elsewhere_is_unknown() {
    let servers =
        "servers = [\"192.0.2.1:53\", \"192.0.2.2:53\"]\nlost_with = { gra = [\"192.0.2.2:53\"] }\n";
    let text = CONFIG.replace("zone_id = \"z\"\n", &format!("zone_id = \"z\"\n{servers}"));
    let planned = |from: &str, holds: &[&str]| {
        let spec = spec("cloudflare.record", "cf", one(json!({ "from_site": from })));
        let with = params::read(&spec, &config(&text)).unwrap();
        let held = set("shop.test.", 60, holds);
        let answers = RrSet::new(&held.question(), 60, holds.iter().map(|v| (*v).to_owned()).collect());
        let of = |server: &str, holds, silent| Served { server: server.parse().unwrap(), holds, silent };
        let servers = vec![
            of("192.0.2.1:53", Some(vec![answers]), None),
            of("192.0.2.2:53", None, Some("udp".to_owned())),
        ];
        let state = State { holds: Some(vec![held]), servers, ..State::default() };
        let place =
            super::super::plan::Place { kind: &spec.kind, target: &spec.target, by_hand: &|_| vec![] };
        super::super::plan::plan(&with, &place, &state, &Evidence::default())
    };
    let elsewhere = planned("sbg", &["192.0.2.10"]);
    assert!(why(&elsewhere).starts_with("PM4101"), "{elsewhere:?}");
    let StepPlan::Change(leaving) = planned("gra", &["192.0.2.10"]) else {
        panic!("it waits for a lost server")
    };
    let warned = |w: &String| w.starts_with("192.0.2.2:53 is lost with gra");
    assert!(leaving.warnings.iter().any(warned), "{:?}", leaving.warnings);
    let Undo::To(back) = leaving.undo else { panic!("no way back") };
    assert_eq!(back.with["from_site"], "gra");
    let StepPlan::Nothing { says, .. } = planned("gra", &["198.51.100.20"]) else { panic!("not settled") };
    assert!(says.starts_with("the API and 1 of 2 servers hold"), "{says}");
}
