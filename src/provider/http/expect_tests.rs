//! Every verdict of `http.expect`, over a modelled world.

use super::*;
use crate::provider::for_tests::{config, plan, spec, why};
use crate::provider::http::quorum::tests::{Scene, Seen, config_text};

fn bound(scene: &Scene, with: Value) -> Result<HttpExpect, Vec<String>> {
    read(&spec("http.expect", "app", with), &config(&config_text()), scene.port())
}

#[tokio::test]
async fn passes_count_in_a_row_and_the_layer_is_told() {
    let scene = Scene::new();
    let with = json!({ "url": "https://app.test/", "passes": 3, "within": "5m", "site": "sbg",
        "vantages": ["local", "par"], "resolve_to": "192.0.2.7" });
    let check = bound(&scene, with).ok().unwrap();
    let passed = plan(&check).await;
    assert!(
        matches!(&passed, StepPlan::Nothing { gives, .. } if gives == &[Fact::Serves { site: "sbg".into() }])
    );
    assert_eq!(scene.asked("local"), 3);
    for (seen, layer) in [
        (Seen::Status(503), "http: status 503"),
        (Seen::Status(404), "status 404"),
        (Seen::Failed(super::super::port::Layer::Dns), "dns"),
        (Seen::Failed(super::super::port::Layer::Tcp), "tcp"),
        (Seen::Failed(super::super::port::Layer::Tls), "TLS"),
    ] {
        scene.see("par", seen);
        let failed = plan(&check).await;
        assert!(matches!(failed, StepPlan::Unknown(_)), "{seen:?} {failed:?}");
        assert!(
            why(&failed).contains("from par") && why(&failed).contains(layer),
            "{seen:?}: {}",
            why(&failed)
        );
    }
}

#[tokio::test]
async fn the_body_must_hold_the_marker() {
    let scene = Scene::new();
    let check =
        |marker: &str| bound(&scene, json!({ "url": "https://app.test/", "contains": marker })).ok().unwrap();
    assert!(matches!(plan(&check("the body")).await, StepPlan::Nothing { .. }));
    assert!(why(&plan(&check("absent")).await).contains("does not contain"));
}

#[test]
fn all_problems_of_the_parameters_are_told_at_once() {
    let with = json!({ "url": "ftp://x", "passes": 0, "status": 7, "within": "long", "contains": "x",
        "vantages": ["par", "mars"], "foo": 1 });
    let said = bound(&Scene::new(), with).err().unwrap().join("\n");
    for part in [
        "neither http nor https",
        "`passes`",
        "no HTTP status",
        "`within`",
        "cannot be seen from par",
        "no vantage mars",
        "`foo`",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    let pinned = json!({ "url": "https://192.0.2.1/", "resolve_to": "192.0.2.2" });
    assert!(bound(&Scene::new(), pinned).err().unwrap()[0].contains("needs a name"));
}
