//! Every branch of the verdict, over the real observation of a modelled pair.

use super::scene::{Scene, codes, down, fenced};
use crate::kernel::domain::*;
use crate::kernel::port::Bound;
use crate::provider::postgres::ALIVE;
use serde_json::json;

fn promote(scene: &Scene) -> Bound {
    scene.bind("postgres.promote", json!({ "target": "b", "old": "a", "standbys": [] }))
}

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
    let change = scene.change(&promote(&scene), &[stopped()]).await;
    assert_eq!(change.needs, [fenced(FenceRung::Lockout, None)]);
    assert!(matches!(&change.gives[..], [Fact::Primary { target, .. }] if target.as_str() == "b"));
    assert_eq!((&change.from["timeline"], &change.to["timeline"]), (&json!(1), &json!(2)));
    assert_eq!((change.settle, change.undo), (Settle::Repeatable(Span::secs(5)), Undo::None));
    assert_eq!(change.bounds["data_loss_bytes"], 1 << 20);
    // Without a fence the plan says so; the engine will not let it pass.
    let change = scene.change(&promote(&scene), &[]).await;
    assert!(change.warnings.iter().any(|text| text.contains("if it still runs")), "{:?}", change.warnings);
    let weak = fenced(FenceRung::ReadOnly, None);
    let change = scene.change(&promote(&scene), &[weak]).await;
    assert!(change.warnings.iter().any(|text| text.contains("not proven")), "a weaker rung is not enough");
}

#[tokio::test]
async fn a_living_primary_refuses() {
    let scene = Scene::new();
    assert_eq!(codes(&scene.plan(&promote(&scene), &[]).await), ["PM3203", ALIVE], "all reasons at once");
    scene.hand(|world| world.server("a").reachable = false);
    assert_eq!(codes(&scene.plan(&promote(&scene), &[]).await), [ALIVE]);
    assert!(
        matches!(scene.plan(&promote(&scene), &[down()]).await, StepPlan::Change(_)),
        "the engine asks for the fence"
    );
}

#[tokio::test]
async fn a_fence_that_was_taken_back_refuses() {
    let scene = Scene::new();
    let given = [fenced(FenceRung::Lockout, Some(0x300_0000))];
    assert_eq!(codes(&scene.plan(&promote(&scene), &given).await), ["PM3204"]);
}

#[tokio::test]
async fn what_would_be_lost_is_a_bound_and_unknown_has_none() {
    let scene = Scene::new();
    scene.hand(|world| world.stop_and_mask("a"));
    let change = scene.change(&promote(&scene), &[stopped()]).await;
    assert_eq!(change.bounds["data_loss_bytes"], u64::MAX, "never sampled");
    assert!(change.warnings[0].contains("unknown"), "{:?}", change.warnings);

    let scene = Scene::new();
    scene.hand(|world| world.server("b").stalled = true);
    scene.hand(|world| world.write("a", 5 << 20));
    scene.sample().await;
    scene.hand(|world| world.stop_and_mask("a"));
    let change = scene.change(&promote(&scene), &[stopped()]).await;
    assert_eq!(change.bounds["data_loss_bytes"], 8 << 20, "rounded up");
}

#[tokio::test]
async fn the_more_advanced_standby_is_the_one() {
    let scene = outage().await;
    scene.hand(|world| {
        let more = world.server("b").clone();
        world.servers.insert("bare".into(), more);
        world.server("bare").position += 1;
    });
    let bound = scene.bind("postgres.promote", json!({ "target": "b", "old": "a", "standbys": ["bare"] }));
    assert_eq!(codes(&scene.plan(&bound, &[stopped()]).await), ["PM3206"]);
    scene.hand(|world| world.server("bare").position -= 1);
    assert!(matches!(scene.plan(&bound, &[stopped()]).await, StepPlan::Change(_)));
}

#[tokio::test]
async fn what_would_leave_it_hanging_or_read_only_is_cleared_or_refused() {
    let scene = outage().await;
    scene.hand(|world| world.server("b").sync_names = "c".into());
    let bound = promote(&scene);
    let change = scene.change(&bound, &[stopped()]).await;
    assert_eq!(change.to["synchronous_standby_names"], "");
    scene.hand(|world| world.server("b").superuser = false);
    assert_eq!(codes(&scene.plan(&bound, &[stopped()]).await), ["PM3208"]);
    scene.hand(|world| world.server("b").superuser = true);
    assert_eq!(scene.carry_out(&bound, change).await.result, CallResult::Applied);
    assert_eq!(scene.servers.world().server("b").sync_names, "");

    let scene = outage().await;
    scene.hand(|world| world.server("b").read_only_loaded = true);
    assert_eq!(codes(&scene.plan(&promote(&scene), &[stopped()]).await), ["PM3209"]);
    scene.hand(|world| world.server("b").manager = Some("repmgrd".into()));
    assert_eq!(codes(&scene.plan(&promote(&scene), &[stopped()]).await), ["PM3207"]);
}

#[tokio::test]
async fn other_data_and_silence_are_no_standby() {
    let scene = outage().await;
    scene.hand(|world| world.server("b").system = "42".into());
    assert_eq!(codes(&scene.plan(&promote(&scene), &[stopped()]).await), ["PM3202"]);
    scene.hand(|world| world.server("b").reachable = false);
    assert_eq!(codes(&scene.plan(&promote(&scene), &[stopped()]).await), ["PM3201"]);
}

#[tokio::test]
async fn already_the_primary_only_as_the_fork_of_what_was_recorded() {
    let scene = outage().await;
    let bound = promote(&scene);
    assert_eq!(scene.apply(&bound, &[stopped()]).await.result, CallResult::Applied);
    let StepPlan::Nothing { gives, .. } = scene.plan(&bound, &[stopped()]).await else {
        panic!("it is right")
    };
    assert_eq!(gives.len(), 1);
    assert_eq!(scene.servers.world().server("b").promoted, 1);
    scene.hand(|world| world.server("b").timeline += 1);
    assert_eq!(codes(&scene.plan(&bound, &[stopped()]).await), ["PM3211"], "two forks on");

    let unsampled = Scene::new();
    unsampled.hand(|world| {
        world.stop_and_mask("a");
        world.promote_by_hand("b");
    });
    assert_eq!(codes(&unsampled.plan(&promote(&unsampled), &[stopped()]).await), ["PM3211"]);

    let split = Scene::new();
    split.sample().await;
    split.hand(|world| world.promote_by_hand("b"));
    assert_eq!(codes(&split.plan(&promote(&split), &[]).await), ["PM3203"], "two writers");
}

#[tokio::test]
async fn the_drain_waits_for_the_fenced_end_and_promotes_nothing_on_time_out() {
    let scene = Scene::new();
    scene.sample().await;
    scene.hand(|world| world.server("b").stalled = true);
    scene.hand(|world| world.write("a", 1000));
    let fence = scene.bind("postgres.fence", json!({ "target": "a", "min_rung": "lockout", "witness": "b" }));
    scene.apply(&fence, &[down()]).await;
    let StepPlan::Nothing { gives, .. } = scene.plan(&fence, &[down()]).await else { panic!("fenced") };
    let bound = promote(&scene);
    let change = scene.change(&bound, &gives).await;
    assert_eq!(change.bounds["data_loss_bytes"], 0);
    let late = scene.carry_out(&bound, change.clone()).await;
    assert_eq!(late.result, CallResult::Rejected { retry: false }, "{late:?}");
    assert_eq!(scene.servers.world().server("b").promoted, 0);
    scene.hand(|world| world.server("b").stalled = false);
    let done = scene.carry_out(&bound, change).await;
    assert_eq!((done.result, &done.detail["rpo"]["bytes"]), (CallResult::Applied, &json!(0)));
}

#[tokio::test]
async fn a_promotion_that_does_not_come_is_in_doubt_and_may_come_later() {
    let scene = outage().await;
    scene.hand(|world| world.server("b").promote_looks = 1_000_000);
    let bound = promote(&scene);
    let end = scene.apply(&bound, &[stopped()]).await;
    assert_eq!(end.result, CallResult::Indeterminate, "{end:?}");
    scene.hand(|world| world.server("b").promoting = Some(0));
    assert!(matches!(scene.plan(&bound, &[stopped()]).await, StepPlan::Nothing { .. }), "it came later");
}

#[tokio::test]
async fn what_was_lost_is_said_afterwards() {
    let scene = Scene::new();
    scene.sample().await;
    let safe = scene.ctx().now();
    scene.pass(Span::secs(1));
    scene.hand(|world| world.server("b").stalled = true);
    scene.hand(|world| world.write("a", 300));
    scene.sample().await;
    scene.hand(|world| world.stop_and_mask("a"));
    let bound = promote(&scene);
    let end = scene.apply(&bound, &[stopped()]).await;
    let seen = bound.check().observe(&scene.ctx()).await.unwrap();
    for rpo in [&end.detail["rpo"], &seen.evidence["rpo"]] {
        assert_eq!((&rpo["bytes"], &rpo["last_safe"]), (&json!(300), &json!(safe)), "{rpo}");
    }
}

/// A machine that was proven stopped and runs again, seen only after the plan: it would be a second writer.
#[tokio::test]
async fn a_stopped_primary_that_is_back_stops_the_promotion() {
    let scene = outage().await;
    let change = scene.change(&promote(&scene), &[stopped()]).await;
    scene.hand(|world| {
        world.server("a").masked = false;
        world.start("a");
    });
    let end = scene.carry_out(&promote(&scene), change).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    assert!(end.detail.to_string().contains("two writers"), "{end:?}");
    assert!(scene.servers.world().server("b").in_recovery, "it was not told to promote");
}

#[tokio::test]
async fn it_tells_who_else_may_write() {
    let beside = |writes| {
        let others = vec![Other { target: "a".into(), writes }];
        vec![Effect::Writer { target: "b".into(), others }]
    };
    let scene = outage().await;
    let change = scene.change(&promote(&scene), &[stopped()]).await;
    assert_eq!(
        change.effects,
        beside(None),
        "it does not answer: that is no proof, and the engine asks for one"
    );
    // Fenced by a deed, as is said, and seen to be a primary that nothing keeps from writing.
    let scene = Scene::new();
    let change = scene.change(&promote(&scene), &[fenced(FenceRung::Lockout, None)]).await;
    assert_eq!(change.effects, beside(Some(true)));
}
