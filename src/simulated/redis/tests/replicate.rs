//! Who is made to follow whom: the direction, what is thrown away, and the way back.

use super::scene::{Scene, codes};
use crate::kernel::domain::*;
use crate::kernel::port::Bound;
use crate::provider::redis::{MinReplicas, Place, SEALED};
use serde_json::json;

/// The primary died, its replica `b` was promoted, and the old one is back as it was: `a` shall follow `b`.
fn comeback(data: bool) -> Scene {
    let scene = Scene::new();
    scene.hand(|world| {
        world.crash("a");
        world.promote(&"b".into()).unwrap();
        world.server("a").persistent = data;
        world.start("a");
    });
    scene
}

fn follow(scene: &Scene, target: &str, primary: &str) -> Bound {
    scene.bind("redis.replicate", json!({ "target": target, "primary": primary }))
}

fn throwing_away(scene: &Scene) -> Bound {
    scene.bind("redis.replicate", json!({ "target": "a", "primary": "b", "discard": true }))
}

fn promoted() -> Fact {
    Fact::Primary { target: "b".into(), lineage: "aaaaaaaaaaaa".into() }
}

#[tokio::test]
async fn an_empty_server_follows_and_has_everything_then() {
    let scene = comeback(false);
    let bound = follow(&scene, "a", "b");
    let change = scene.change(&bound, &[]).await;
    assert_eq!(change.bounds["discarded_bytes"], 0);
    assert_eq!(change.settle, Settle::Repeatable(Span::secs(5)));
    let end = scene.carry_out(&bound, change).await;
    assert_eq!((end.result, &end.detail["file"]), (CallResult::Applied, &json!("written")), "{end:?}");
    assert_eq!(codes(&scene.plan(&bound, &[]).await), ["PM3516"], "a copy is on its way");
    assert!(matches!(scene.plan(&bound, &[]).await, StepPlan::Nothing { .. }));
    let keys = scene.hand(|world| (world.server("a").keys, world.server("b").keys));
    assert_eq!(keys, (7, 7));
    assert_eq!(scene.hand(|world| world.server("a").filed.1.clone()), Some("b".into()), "a restart keeps it");
}

/// The trap: the old primary came back without its data, and the one that has all of it is told to follow.
#[tokio::test]
async fn an_empty_primary_never_overwrites_one_with_data() {
    let scene = comeback(false);
    for with in
        [json!({ "target": "b", "primary": "a" }), json!({ "target": "b", "primary": "a", "discard": true })]
    {
        let plan = scene.plan(&scene.bind("redis.replicate", with), &[]).await;
        assert!(matches!(plan, StepPlan::Refuse(_)) && codes(&plan) == ["PM3515"], "{plan:?}");
    }
    // Emptied between plan and call.
    let scene = comeback(false);
    scene.hand(|world| (world.server("a").keys, world.server("a").replid) = (1, "aaaaaaaaaaaa".into()));
    let bound = throwing_away(&scene);
    let change = scene.change(&bound, &[]).await;
    scene.hand(|world| world.server("b").keys = 0);
    let end = scene.carry_out(&bound, change).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    assert_eq!(scene.hand(|world| (world.server("a").replicated, world.server("a").keys)), (0, 1));
}

#[tokio::test]
async fn the_newer_never_follows_the_older() {
    let scene = Scene::new();
    scene.hand(|world| world.promote(&"b".into()).unwrap());
    for discard in [false, true] {
        let with = json!({ "target": "b", "primary": "a", "discard": discard });
        let plan = scene.plan(&scene.bind("redis.replicate", with), &[]).await;
        assert!(matches!(plan, StepPlan::Refuse(_)) && codes(&plan) == ["PM3517"], "{plan:?}");
    }
    // What this run promotes follows nobody, whatever else is so.
    let ours = Fact::Primary { target: "a".into(), lineage: "x".into() };
    assert_eq!(codes(&scene.plan(&follow(&scene, "a", "b"), &[ours]).await), ["PM3517"]);
    // One history, and less of it: a primary that was set back to an image of itself.
    let scene = Scene::new();
    scene.hand(|world| {
        world.server("b").stalled = true;
        world.server("b").road = Some(Place { host: "10.0.9.9".into(), port: 6379 });
        world.server("b").offset += 1;
    });
    let discard = json!({ "target": "b", "primary": "a", "discard": true });
    assert_eq!(codes(&scene.plan(&scene.bind("redis.replicate", discard), &[]).await), ["PM3517"]);
}

#[tokio::test]
async fn writes_of_its_own_go_only_where_that_is_said() {
    let scene = Scene::new();
    scene.hand(|world| {
        world.server("b").stalled = true;
        world.write("a", 3 << 20);
        world.promote(&"b".into()).unwrap();
    });
    let plan = scene.plan(&follow(&scene, "a", "b"), &[]).await;
    assert!(matches!(plan, StepPlan::Refuse(_)) && codes(&plan) == ["PM3515"], "{plan:?}");
    let change = scene.change(&throwing_away(&scene), &[]).await;
    assert_eq!((change.bounds["discarded_bytes"], &change.undo), (4 << 20, &Undo::None), "rounded up");
    assert!(change.warnings[0].starts_with("3145728 bytes"), "{:?}", change.warnings);
    // Where the promoted one had all of it, nothing is lost, and nothing need be said.
    let scene = Scene::new();
    scene.hand(|world| world.promote(&"b".into()).unwrap());
    let change = scene.change(&follow(&scene, "a", "b"), &[]).await;
    assert_eq!(change.bounds["discarded_bytes"], 0);
}

#[tokio::test]
async fn data_of_another_origin_goes_only_where_that_is_said() {
    let scene = comeback(false);
    scene.hand(|world| world.server("a").keys = 3);
    assert_eq!(codes(&scene.plan(&follow(&scene, "a", "b"), &[]).await), ["PM3515"]);
    let change = scene.change(&throwing_away(&scene), &[]).await;
    assert_eq!(
        (change.bounds["discarded_bytes"], &change.undo),
        (u64::MAX, &Undo::None),
        "unknown is no number"
    );
}

/// Started again with its data, the old one has gone on from the same history as the promoted one.
#[tokio::test]
async fn which_of_two_that_went_on_is_right_only_the_run_knows() {
    let scene = comeback(true);
    let bound = follow(&scene, "a", "b");
    let plan = scene.plan(&bound, &[]).await;
    assert!(matches!(plan, StepPlan::Refuse(_)) && codes(&plan) == ["PM3517"], "{plan:?}");
    let change = scene.change(&bound, &[promoted()]).await;
    assert_eq!(change.needs, [promoted()]);
    assert_eq!(scene.carry_out(&bound, change).await.result, CallResult::Applied);
}

/// In a playbook it stands behind the promotion, and the plan is made before that.
#[tokio::test]
async fn it_is_planned_on_the_promise_of_a_promotion_and_judged_in_its_turn() {
    let scene = Scene::new();
    let bound = follow(&scene, "a", "b");
    assert_eq!(codes(&scene.plan(&bound, &[]).await), ["PM3514"]);
    let planned = scene.change(&bound, &[promoted()]).await;
    assert!(planned.warnings[0].contains("until this run promotes it"), "{:?}", planned.warnings);
    // Too early: nothing happens.
    let early = scene.carry_out(&bound, planned.clone()).await;
    assert_eq!(early.result, CallResult::Rejected { retry: true }, "{early:?}");
    scene.hand(|world| world.promote(&"b".into()).unwrap());
    let later = scene.change(&bound, &[promoted()]).await;
    assert!(later.within(&planned), "{later:?} is what was shown");
}

#[tokio::test]
async fn a_manager_silence_and_what_is_not_told_are_not_passed_over() {
    let scene = comeback(false);
    scene.hand(|world| world.server("b").sentinels = 3);
    assert_eq!(codes(&scene.plan(&follow(&scene, "a", "b"), &[]).await), ["PM3505"]);
    scene.hand(|world| (world.server("b").sentinels, world.server("a").cluster) = (0, true));
    assert_eq!(codes(&scene.plan(&follow(&scene, "a", "b"), &[]).await), ["PM3505"]);
    scene.hand(|world| (world.server("a").cluster, world.server("b").loading) = (false, true));
    assert_eq!(codes(&scene.plan(&follow(&scene, "a", "b"), &[]).await), ["PM3512"]);
    scene.hand(|world| (world.server("b").loading, world.server("b").reachable) = (false, false));
    let plan = scene.plan(&follow(&scene, "a", "b"), &[]).await;
    assert!(matches!(plan, StepPlan::Unknown(_)) && codes(&plan) == ["PM3502"], "{plan:?}");
    let same = scene.try_bind("redis.replicate", json!({ "target": "a", "primary": "a" })).err().unwrap();
    assert!(same[0].contains("the same server"), "{same:?}");
}

#[tokio::test]
async fn the_way_back_makes_no_second_writer() {
    let scene = comeback(false);
    let bound = follow(&scene, "a", "b");
    let change = scene.change(&bound, &[]).await;
    let Undo::To(back) = change.undo.clone() else { panic!("a way back") };
    scene.carry_out(&bound, change).await;
    let undo = scene.bind("redis.unreplicate", {
        let mut with = back.with;
        with["target"] = json!("a");
        with
    });
    let writes = |change: &Change| match &change.effects[..] {
        [Effect::Writer { target, others }] if target.as_str() == "a" => others[0].writes,
        other => panic!("not told: {other:?}"),
    };
    assert_eq!(writes(&scene.change(&undo, &[]).await), Some(true), "the rules refuse this");
    scene.hand(|world| world.server("b").reachable = false);
    assert_eq!(writes(&scene.change(&undo, &[]).await), None);
    // As it was fenced before: no writer at all.
    scene.hand(|world| world.server("a").min_replicas = MinReplicas::new(SEALED, 10));
    let change = scene.change(&undo, &[]).await;
    assert_eq!(change.effects, []);
    assert_eq!(scene.carry_out(&undo, change).await.result, CallResult::Applied);
    assert!(matches!(scene.plan(&undo, &[]).await, StepPlan::Nothing { .. }));
    // Somebody pointed it elsewhere meanwhile.
    scene.hand(|world| drop(world.follow(&"a".into(), &Place { host: "10.0.0.7".into(), port: 6379 })));
    assert_eq!(codes(&scene.plan(&undo, &[]).await), ["PM3518"]);
}
