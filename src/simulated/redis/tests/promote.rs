//! The promotion of a replica: what it needs, what refuses it, and what is said of the loss.

use super::scene::{Scene, codes, down, fenced, gives};
use crate::kernel::domain::*;
use crate::provider::postgres::ALIVE;
use crate::provider::redis::MinReplicas;
use serde_json::json;

fn stopped() -> Fact {
    fenced(FenceRung::Stopped, None)
}

/// The primary died; one sample is from before.
async fn outage() -> Scene {
    let scene = Scene::new();
    scene.sample().await;
    scene.hand(|world| world.stop_and_mask("a"));
    scene.sample().await;
    scene
}

#[tokio::test]
async fn it_needs_the_fence_and_gives_the_primary() {
    let scene = outage().await;
    let change = scene.change(&scene.promote(), &[stopped()]).await;
    assert_eq!(change.needs, [fenced(FenceRung::Lockout, None)]);
    let lineage = "aaaaaaaaaaaa".to_owned();
    assert_eq!(change.gives, [Fact::Primary { target: "b".into(), lineage }]);
    assert_eq!((change.settle, change.undo), (Settle::Repeatable(Span::secs(5)), Undo::None));
    assert_eq!(change.bounds["data_loss_bytes"], 1 << 20);
    assert_eq!(
        change.effects,
        [Effect::Writer { target: "b".into(), others: vec![Other { target: "a".into(), writes: None }] }]
    );
    // Without a fence the plan says so; the engine will not let it pass.
    for given in [vec![], vec![fenced(FenceRung::ReadOnly, None)]] {
        let change = scene.change(&scene.promote(), &given).await;
        assert!(
            change.warnings.iter().any(|text| text.contains("if it still runs")),
            "{:?}",
            change.warnings
        );
    }
}

#[tokio::test]
async fn a_living_primary_refuses() {
    let scene = Scene::new();
    assert_eq!(codes(&scene.plan(&scene.promote(), &[]).await), ["PM3203", ALIVE], "all reasons at once");
    scene.hand(|world| world.server("a").reachable = false);
    assert_eq!(codes(&scene.plan(&scene.promote(), &[]).await), [ALIVE]);
    assert!(matches!(scene.plan(&scene.promote(), &[down()]).await, StepPlan::Change(_)), "the engine asks");
}

#[tokio::test]
async fn a_fence_that_was_taken_back_refuses() {
    let scene = Scene::new();
    let given = [fenced(FenceRung::Lockout, Some(1000))];
    assert_eq!(codes(&scene.plan(&scene.promote(), &given).await), ["PM3204"]);
    let scene = outage().await;
    let change = scene.change(&scene.promote(), &[stopped()]).await;
    scene.hand(|world| {
        world.server("a").masked = false;
        world.server("a").persistent = true;
        world.server("b").stalled = true;
        world.start("a");
    });
    let end = scene.carry_out(&scene.promote(), change).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    assert!(end.detail.to_string().contains("two writers"), "{end:?}");
    assert_eq!(scene.hand(|world| world.server("b").promoted), 0);
}

#[tokio::test]
async fn a_replica_without_its_data_is_never_promoted() {
    let scene = outage().await;
    scene.hand(|world| world.server("b").whole = false);
    assert_eq!(codes(&scene.plan(&scene.promote(), &[stopped()]).await), ["PM3508"]);
    scene.hand(|world| (world.server("b").whole, world.server("b").keys) = (true, 0));
    assert_eq!(codes(&scene.plan(&scene.promote(), &[stopped()]).await), ["PM3509"]);
    let with = json!({ "target": "b", "old": "a", "replicas": [], "may_be_empty": true });
    let may = scene.bind("redis.promote", with);
    assert!(matches!(scene.plan(&may, &[stopped()]).await, StepPlan::Change(_)));
    // It lost its copy between plan and call.
    scene.hand(|world| world.server("b").keys = 7);
    let change = scene.change(&scene.promote(), &[stopped()]).await;
    scene.hand(|world| world.server("b").keys = 0);
    assert_eq!(scene.carry_out(&scene.promote(), change).await.result, CallResult::Rejected { retry: false });
}

#[tokio::test]
async fn a_primary_that_came_back_empty_leaves_nothing_to_promote() {
    let scene = Scene::new();
    scene.sample().await;
    scene.hand(|world| {
        world.crash("a");
        world.start("a");
    });
    scene.hand(|world| world.stop_and_mask("a"));
    assert_eq!(
        codes(&scene.plan(&scene.promote(), &[stopped()]).await),
        ["PM3506"],
        "its history is another"
    );
    // Even where its new history was sampled, an empty copy is told.
    let scene = Scene::new();
    scene.hand(|world| {
        world.crash("a");
        world.start("a");
    });
    scene.sample().await;
    scene.hand(|world| world.stop_and_mask("a"));
    assert_eq!(codes(&scene.plan(&scene.promote(), &[stopped()]).await), ["PM3509"]);
}

#[tokio::test]
async fn a_replica_that_kept_the_old_history_may_be_promoted_and_the_loss_is_unknown() {
    let scene = Scene::new();
    scene.sample().await;
    scene.hand(|world| {
        world.server("b").stalled = true;
        world.crash("a");
        world.start("a");
    });
    scene.sample().await;
    scene.hand(|world| world.stop_and_mask("a"));
    let change = scene.change(&scene.promote(), &[stopped()]).await;
    assert_eq!(change.bounds["data_loss_bytes"], u64::MAX);
    assert!(change.warnings.iter().any(|text| text.contains("another history")), "{:?}", change.warnings);
}

#[tokio::test]
async fn what_would_be_lost_is_a_bound_and_unknown_has_none() {
    let scene = Scene::new();
    scene.hand(|world| world.stop_and_mask("a"));
    let change = scene.change(&scene.promote(), &[stopped()]).await;
    assert_eq!(change.bounds["data_loss_bytes"], u64::MAX, "never sampled");
    assert!(change.warnings[0].contains("unknown"), "{:?}", change.warnings);

    let scene = Scene::new();
    let safe = scene.sample().await;
    scene.hand(|world| world.server("b").stalled = true);
    scene.hand(|world| world.write("a", 5 << 20));
    scene.sample().await;
    scene.hand(|world| world.stop_and_mask("a"));
    let bound = scene.promote();
    let change = scene.change(&bound, &[stopped()]).await;
    assert_eq!(change.bounds["data_loss_bytes"], 8 << 20, "rounded up");
    let end = scene.carry_out(&bound, change).await;
    let seen = bound.check().observe(&scene.ctx()).await.unwrap();
    for rpo in [&end.detail["rpo"], &seen.evidence["rpo"]] {
        assert_eq!((&rpo["bytes"], &rpo["last_safe"]), (&json!(5 << 20), &json!(safe)), "{rpo}");
    }
}

#[tokio::test]
async fn the_more_advanced_replica_is_the_one() {
    let scene = outage().await;
    scene.hand(|world| {
        let more = world.server("b").clone();
        world.servers.insert("c".into(), more);
        world.server("c").offset += 1;
    });
    let bound = scene.bind("redis.promote", json!({ "target": "b", "old": "a" }));
    assert_eq!(codes(&scene.plan(&bound, &[stopped()]).await), ["PM3510"]);
    scene.hand(|world| world.server("c").offset -= 1);
    assert!(matches!(scene.plan(&bound, &[stopped()]).await, StepPlan::Change(_)));
    // Somebody promoted it: it would be a second writer, and the engine is told so.
    scene.hand(|world| drop(world.promote(&"c".into())));
    let change = scene.change(&bound, &[stopped()]).await;
    let beside = Other { target: "c".into(), writes: Some(true) };
    assert!(matches!(&change.effects[0], Effect::Writer { others, .. } if others.contains(&beside)));
}

#[tokio::test]
async fn what_would_keep_it_from_taking_writes_is_cleared_and_shown() {
    let scene = outage().await;
    scene.hand(|world| world.server("b").min_replicas = MinReplicas::new(1, 10));
    let bound = scene.promote();
    let change = scene.change(&bound, &[stopped()]).await;
    assert_eq!(
        (&change.from["min_replicas_to_write"], &change.to["min_replicas_to_write"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(scene.carry_out(&bound, change).await.result, CallResult::Applied);
    assert!(scene.hand(|world| world.write("b", 1)));
    assert_eq!(
        scene.hand(|world| world.server("b").filed.clone()),
        (MinReplicas::new(0, 10), None),
        "the file"
    );
    scene.hand(|world| world.server("b").min_replicas = MinReplicas::new(1, 10));
    assert_eq!(codes(&scene.plan(&bound, &[stopped()]).await), ["PM3513"], "somebody brought it back");
}

#[tokio::test]
async fn already_the_primary_only_as_the_fork_of_what_was_recorded() {
    let scene = outage().await;
    let bound = scene.promote();
    assert_eq!(scene.apply(&bound, &[stopped()]).await.result, CallResult::Applied);
    assert_eq!(gives(scene.plan(&bound, &[stopped()]).await).len(), 1);
    assert_eq!(scene.hand(|world| world.server("b").promoted), 1);
    scene.hand(|world| world.server("b").replid2 = Some("zzzz".into()));
    assert_eq!(codes(&scene.plan(&bound, &[stopped()]).await), ["PM3511"]);

    let unsampled = Scene::new();
    unsampled.hand(|world| {
        world.stop_and_mask("a");
        world.promote(&"b".into()).unwrap();
    });
    assert_eq!(codes(&unsampled.plan(&unsampled.promote(), &[stopped()]).await), ["PM3511"]);

    let split = Scene::new();
    split.sample().await;
    split.hand(|world| world.promote(&"b".into()).unwrap());
    assert_eq!(codes(&split.plan(&split.promote(), &[]).await), ["PM3203"], "two writers");
}

#[tokio::test]
async fn a_manager_and_silence_are_not_passed_over() {
    let scene = outage().await;
    scene.hand(|world| world.server("b").sentinels = 3);
    assert_eq!(codes(&scene.plan(&scene.promote(), &[stopped()]).await), ["PM3505"]);
    scene.hand(|world| (world.server("b").sentinels, world.server("b").reachable) = (0, false));
    assert_eq!(codes(&scene.plan(&scene.promote(), &[stopped()]).await), ["PM3502"]);
}

#[tokio::test]
async fn the_drain_waits_for_the_fenced_end_and_promotes_nothing_on_time_out() {
    let scene = Scene::new();
    scene.sample().await;
    scene.hand(|world| world.server("b").stalled = true);
    scene.hand(|world| world.write("a", 1000));
    let fence = scene.fence("lockout");
    scene.apply(&fence, &[down()]).await;
    let given = gives(scene.plan(&fence, &[down()]).await);
    assert_eq!(given, [fenced(FenceRung::Lockout, Some(2000))]);
    let bound = scene.promote();
    let change = scene.change(&bound, &given).await;
    assert_eq!(change.bounds["data_loss_bytes"], 0);
    let late = scene.carry_out(&bound, change.clone()).await;
    assert_eq!(late.result, CallResult::Rejected { retry: false }, "{late:?}");
    assert_eq!(scene.hand(|world| world.server("b").promoted), 0);
    scene.hand(|world| world.server("b").stalled = false);
    let done = scene.carry_out(&bound, change).await;
    assert_eq!((done.result, &done.detail["rpo"]["bytes"]), (CallResult::Applied, &json!(0)));
    assert_eq!(scene.hand(|world| world.writers()), 1);
}

#[tokio::test]
async fn before_the_way_back_it_must_still_be_a_replica() {
    let scene = outage().await;
    let check = scene.bind("redis.replica", json!({ "target": "b", "replid": "aaaaaaaaaaaa" }));
    gives(scene.plan(&check, &[]).await);
    scene.hand(|world| world.promote(&"b".into()).unwrap());
    assert_eq!(codes(&scene.plan(&check, &[]).await), ["PM3110"]);
}

#[tokio::test]
async fn the_probe_writes_once_and_only_on_a_primary() {
    let scene = outage().await;
    let probe = scene.bind("redis.write_probe", json!({ "target": "b", "as": "app" }));
    assert_eq!(codes(&scene.plan(&probe, &[]).await), ["PM3402"]);
    scene.apply(&scene.promote(), &[stopped()]).await;
    assert_eq!(scene.apply(&probe, &[]).await.result, CallResult::Applied);
    gives(scene.plan(&probe, &[]).await);
    assert_eq!(scene.hand(|world| world.server("b").marked), 1);
}
