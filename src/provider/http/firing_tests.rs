//! Every verdict of `still_firing`, over modelled Alertmanagers.

use super::super::port::{Failed, Layer, Pinged};
use super::*;
use crate::provider::for_tests::{config, plan, plan_given, spec, why};
use crate::simulated::{Calm, HttpModel, Sights};
use serde_json::Value;
use std::net::IpAddr;

const CONFIG: &str =
    "[sources.am]\napi = [\"http://one.test:9093\", \"http://two.test:9093/\"]\n[sources.mute]\n";

/// The state that each Alertmanager has the alert in; `None`: not reached; empty: it does not have it.
struct Pair([Option<&'static str>; 2]);

impl Sights for Pair {
    fn http(&self, _from: &str, _url: &str, _pin: Option<IpAddr>) -> Result<Reply, Failed> {
        Err(Failed { layer: Layer::Tcp, says: "nobody".into() })
    }
    fn tcp(&self, _from: &str, _address: &str) -> Result<(), Failed> {
        Err(Failed { layer: Layer::Tcp, says: "nobody".into() })
    }
    fn sql(&self, _target: &Name) -> Pinged {
        Pinged::Blind("nobody".into())
    }
    fn alerts(&self, api: &str) -> Option<Vec<Value>> {
        let state = self.0[usize::from(api.contains("two"))]?;
        let alert =
            json!({ "labels": { "alertname": "SiteDown", "site": "gra" }, "status": { "state": state } });
        Some(if state.is_empty() { vec![] } else { vec![alert] })
    }
}

fn bound(pair: [Option<&'static str>; 2], with: Value) -> Result<StillFiring, Vec<String>> {
    let port = Arc::new(HttpModel::new(Arc::new(Calm), Arc::new(Pair(pair))));
    read(&spec("still_firing", "am", with), &config(CONFIG), port)
}

fn check(pair: [Option<&'static str>; 2]) -> StillFiring {
    bound(pair, json!({ "source": "am", "labels": { "alertname": "SiteDown" }, "or_site": "gra" }))
        .ok()
        .unwrap()
}

#[tokio::test]
async fn one_that_has_it_is_enough_and_one_that_silenced_it_too() {
    for pair in [[Some("active"), Some("")], [None, Some("active")], [Some("unprocessed"), None]] {
        assert!(matches!(plan(&check(pair)).await, StepPlan::Nothing { .. }), "{pair:?}");
    }
    let silenced = plan(&check([Some("active"), Some("suppressed")])).await;
    assert!(matches!(silenced, StepPlan::Refuse(_)) && why(&silenced).contains("two.test"));
    for pair in [[Some(""), Some("")], [Some(""), None]] {
        let resolved = plan(&check(pair)).await;
        assert!(matches!(resolved, StepPlan::Refuse(_)) && why(&resolved).contains("resolved"), "{pair:?}");
    }
}

#[tokio::test]
async fn without_any_source_only_the_origin_guard_of_that_site_stands_in() {
    let silent = check([None, None]);
    let down = |site: &str| Fact::Down { site: site.into() };
    assert!(why(&plan(&silent).await).contains("PM4320"));
    assert!(matches!(plan_given(&silent, &[down("sbg")]).await, StepPlan::Unknown(_)));
    let stood_in = plan_given(&silent, &[down("gra")]).await;
    assert!(
        matches!(&stood_in, StepPlan::Nothing { says, .. } if says.contains("stands in")),
        "{stood_in:?}"
    );
    let resolved = plan_given(&check([Some(""), None]), &[down("gra")]).await;
    assert!(matches!(resolved, StepPlan::Refuse(_)), "it stands in for silence, not for a no");
}

#[test]
fn all_problems_of_the_parameters_are_told_at_once() {
    let said =
        bound([None, None], json!({ "source": "mute", "labels": {}, "or": "x" })).err().unwrap().join("\n");
    for part in ["no `api`", "any alert would do", "`or`"] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    assert!(bound([None, None], json!({ "source": "x" })).err().unwrap().join("").contains("no source x"));
}
