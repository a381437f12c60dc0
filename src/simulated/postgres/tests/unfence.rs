//! Taking a fence back: from the fenced file alone, only that very text, and only while the standby is one.

use super::scene::{Scene, codes, down};
use crate::kernel::domain::*;
use crate::kernel::port::Bound;
use crate::provider::postgres::bind_to;
use serde_json::json;

async fn fenced(scene: &Scene, rung: &str) -> Bound {
    let with = json!({ "target": "a", "min_rung": rung, "witness": "b" });
    let fence = scene.bind("postgres.fence", with);
    let change = scene.change(&fence, &[down()]).await;
    let Undo::To(back) = change.undo.clone() else { panic!("{:?}", change.undo) };
    let end = scene.carry_out(&fence, change).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    bind_to(&back, &scene.config, scene.servers.clone()).unwrap()
}

#[tokio::test]
async fn a_lockout_and_read_only_are_taken_back_and_seen_to_be() {
    for (superuser, rung) in [(true, "lockout"), (false, "read_only")] {
        let scene = Scene::new();
        scene.hand(|world| world.server("a").superuser = superuser);
        let before = scene.servers.world();
        let back = fenced(&scene, rung).await;
        assert_eq!(scene.servers.world().writers(), 0);
        let end = scene.apply(&back, &[]).await;
        assert_eq!(end.result, CallResult::Applied, "{end:?}");
        let plan = scene.plan(&back, &[]).await;
        // Only a superuser sees whether the file is marked; read_only shows in the setting.
        assert!(matches!(plan, StepPlan::Nothing { .. }), "{rung}: {plan:?}");
        let mut world = scene.servers.world();
        assert_eq!((world.writers(), &world.server("a").hba), (1, &before.clone().server("a").hba));
    }
}

#[tokio::test]
async fn a_file_that_somebody_edited_under_the_fence_is_left_alone() {
    let scene = Scene::new();
    let back = fenced(&scene, "lockout").await;
    scene.hand(|world| world.server("a").hba.push_str("#pm| host all all all trust\n"));
    let end = scene.apply(&back, &[]).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    assert_eq!(scene.servers.world().writers(), 0);
}

#[tokio::test]
async fn gone_from_the_file_and_not_loaded_is_not_back() {
    let scene = Scene::new();
    let back = fenced(&scene, "lockout").await;
    let plain = scene.servers.world().server("b").hba.clone();
    scene.hand(|world| world.server("a").hba = plain);
    let change = scene.change(&back, &[]).await;
    assert_eq!(scene.carry_out(&back, change).await.result, CallResult::Applied);
    assert!(matches!(scene.plan(&back, &[]).await, StepPlan::Nothing { .. }));
}

#[tokio::test]
async fn silence_another_role_and_other_data_are_no_success() {
    let scene = Scene::new();
    let back = fenced(&scene, "lockout").await;
    scene.hand(|world| world.server("a").reachable = false);
    assert!(matches!(scene.plan(&back, &[]).await, StepPlan::Unknown(_)));
    scene.hand(|world| (world.server("a").reachable, world.server("a").in_recovery) = (true, true));
    assert_eq!(codes(&scene.plan(&back, &[]).await), ["PM3103"]);
    scene.hand(|world| (world.server("a").in_recovery, world.server("a").system) = (false, "42".into()));
    assert_eq!(codes(&scene.plan(&back, &[]).await), ["PM3106"]);
}

#[tokio::test]
async fn a_promotion_says_what_must_hold_before_its_fence_is_taken_back() {
    let scene = Scene::new();
    scene.sample().await;
    fenced(&scene, "lockout").await;
    let promote = scene.bind("postgres.promote", json!({ "target": "b", "old": "a" }));
    let fact = super::scene::fenced(FenceRung::Lockout, None);
    let change = scene.change(&promote, &[fact]).await;
    let before = bind_to(&change.before_undo.unwrap(), &scene.config, scene.servers.clone()).unwrap();
    assert!(matches!(scene.plan(&before, &[]).await, StepPlan::Nothing { .. }));
    scene.hand(|world| world.server("b").reachable = false);
    assert!(matches!(scene.plan(&before, &[]).await, StepPlan::Unknown(_)));
    scene.hand(|world| world.server("b").reachable = true);
    scene.hand(|world| world.promote_by_hand("b"));
    assert_eq!(codes(&scene.plan(&before, &[]).await), ["PM3110"]);
}
