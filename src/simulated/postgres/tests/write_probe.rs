//! One row, once, and what stands in its way.

use super::scene::{Scene, codes};
use crate::kernel::domain::*;
use crate::kernel::port::Bound;
use serde_json::json;

fn probe(scene: &Scene, target: &str) -> Bound {
    scene.bind("sql.write_probe", json!({ "target": target, "as": "app" }))
}

#[tokio::test]
async fn the_row_is_written_once() {
    let scene = Scene::new();
    let bound = probe(&scene, "a");
    let change = scene.change(&bound, &[]).await;
    assert_eq!(scene.carry_out(&bound, change.clone()).await.result, CallResult::Applied);
    assert!(matches!(scene.plan(&bound, &[]).await, StepPlan::Nothing { .. }));
    assert_eq!(scene.carry_out(&bound, change).await.result, CallResult::Applied);
    let mut world = scene.servers.world();
    assert_eq!((world.server("a").marked, world.server("a").markers.len()), (1, 1));
}

#[tokio::test]
async fn a_standby_and_silence_are_unknown_and_a_refusal_is_rejected() {
    let scene = Scene::new();
    assert_eq!(codes(&scene.plan(&probe(&scene, "b"), &[]).await), ["PM3402"]);
    let bound = probe(&scene, "a");
    let change = scene.change(&bound, &[]).await;
    scene.hand(|world| world.server("a").read_only_loaded = true);
    assert_eq!(scene.carry_out(&bound, change).await.result, CallResult::Rejected { retry: true });
    scene.hand(|world| world.crash("a"));
    assert_eq!(codes(&scene.plan(&bound, &[]).await), ["PM3401"]);
}
