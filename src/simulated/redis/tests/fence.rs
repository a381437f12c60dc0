//! The fence of a primary, its proof, and the way back.

use super::scene::{Scene, codes, down, fenced, gives};
use crate::kernel::domain::*;
use crate::provider::postgres::ALIVE;
use crate::provider::redis::{MinReplicas, SEALED};
use crate::simulated::redis::{Server, World};
use serde_json::json;

#[tokio::test]
async fn a_living_primary_refuses_until_its_site_is_said_to_be_down() {
    let scene = Scene::new();
    let bound = scene.fence("lockout");
    assert_eq!(codes(&scene.plan(&bound, &[]).await), [ALIVE]);
    let elsewhere = Fact::Down { site: "west".into() };
    assert_eq!(codes(&scene.plan(&bound, &[elsewhere]).await), [ALIVE], "another site's word does not count");
    let change = scene.change(&bound, &[down()]).await;
    assert_eq!(change.to, json!({ "fence": "lockout" }));
    assert!(matches!(&change.undo, Undo::To(back) if back.kind.as_str() == "redis.unfence"));
    assert!(change.undo_by_hand.join(" ").contains("min-replicas-to-write 0"), "{:?}", change.undo_by_hand);
    let superseded = Fact::Superseded { target: "a".into(), by: "b".into() };
    assert!(matches!(scene.plan(&bound, &[superseded]).await, StepPlan::Change(_)));
    // In doubt after a death nobody has looked at the guards yet: what this run has ordered itself is no refusal.
    let ours = |target: &str| [Fact::Ours { target: target.into(), to: change.to.clone() }];
    assert!(scene.change(&bound, &ours("a")).await.within(&change));
    assert_eq!(
        codes(&scene.plan(&bound, &ours("b")).await),
        [ALIVE],
        "another server's order is no word on this one"
    );
}

#[tokio::test]
async fn unreachable_is_never_fenced_and_a_witness_speaks_for_it() {
    let scene = Scene::new();
    let bound = scene.fence("lockout");
    scene.hand(|world| world.server("a").reachable = false);
    assert_eq!(codes(&scene.plan(&bound, &[]).await), [ALIVE], "the replica hears it");
    let hands: [fn(&mut World); 2] = [
        |world| world.crash("a"),
        |world| {
            let server = world.server("a");
            (server.up, server.hung, server.reachable) = (true, true, true);
        },
    ];
    for hand in hands {
        let plan = scene.plan(&bound, &[down()]).await;
        assert!(matches!(plan, StepPlan::Unknown(_)) && codes(&plan) == ["PM3502"], "{plan:?}");
        scene.hand(hand);
    }
    let plan = scene.plan(&bound, &[]).await;
    assert!(matches!(plan, StepPlan::Unknown(_)) && codes(&plan) == ["PM3502"], "nobody hears it: {plan:?}");
}

#[tokio::test]
async fn a_replica_and_a_managed_server_refuse_and_a_loading_one_is_unknown() {
    let scene = Scene::new();
    scene.hand(|world| world.server("a").loading = true);
    assert_eq!(codes(&scene.plan(&scene.fence("lockout"), &[down()]).await), ["PM3512"]);
    scene.hand(|world| world.server("a").follows = Some("b".into()));
    assert_eq!(codes(&scene.plan(&scene.fence("lockout"), &[down()]).await), ["PM3503"]);
    scene.hand(|world| world.server("a").sentinels = 3);
    let plan = scene.plan(&scene.fence("lockout"), &[down()]).await;
    assert_eq!(codes(&plan), ["PM3505"]);
    assert!(plan.reasons()[0].says.contains("sentinel.failover"), "{plan:?}");
    scene.hand(|world| (world.server("a").sentinels, world.server("a").cluster) = (0, true));
    assert!(
        scene.plan(&scene.fence("lockout"), &[down()]).await.reasons()[0].says.contains("CLUSTER FAILOVER")
    );
}

#[tokio::test]
async fn lockout_is_proven_once_survives_a_restart_and_goes_back() {
    let scene = Scene::new();
    scene.hand(|world| {
        let own = MinReplicas::new(1, 5);
        (world.server("a").min_replicas, world.server("a").filed.0) = (own, own);
    });
    let bound = scene.fence("lockout");
    let change = scene.change(&bound, &[down()]).await;
    let end = scene.carry_out(&bound, change.clone()).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    assert_eq!(gives(scene.plan(&bound, &[]).await), [fenced(FenceRung::Lockout, Some(1000))]);
    assert!(!scene.hand(|world| world.write("a", 10)), "it takes no write");
    assert_eq!(scene.hand(|world| world.server("a").fenced), 1);

    // A restart reads the file: refused all the same, but the mark that the file was written is gone with the process.
    scene.hand(|world| {
        world.server("a").persistent = true;
        world.crash("a");
        world.start("a");
    });
    assert!(!scene.hand(|world| world.write("a", 10)));
    assert_eq!(gives(scene.plan(&scene.fence("read_only"), &[]).await).len(), 1);
    scene.apply(&bound, &[down()]).await;
    assert_eq!(gives(scene.plan(&bound, &[]).await).len(), 1);

    let Undo::To(back) = change.undo else { panic!("it has a way back") };
    let mut with = back.with;
    with["target"] = json!("a");
    let unfence = scene.bind("redis.unfence", with);
    let end = scene.apply(&unfence, &[]).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    assert_eq!(scene.hand(|world| world.server("a").filed.0), MinReplicas::new(1, 5), "also in the file");
    gives(scene.plan(&unfence, &[]).await);
}

#[tokio::test]
async fn what_a_client_or_a_restart_can_take_back_is_read_only() {
    let softer: [fn(&mut Server); 2] =
        [|server| server.app_may_configure = true, |server| server.config_file = false];
    for soften in softer {
        let scene = Scene::new();
        scene.hand(|world| soften(world.server("a")));
        assert_eq!(codes(&scene.plan(&scene.fence("lockout"), &[down()]).await), ["PM3504"]);
        let soft = scene.fence("read_only");
        let change = scene.change(&soft, &[down()]).await;
        assert!(
            change.warnings.iter().any(|text| text.contains("read_only is soft")),
            "{:?}",
            change.warnings
        );
        assert_eq!(scene.carry_out(&soft, change).await.result, CallResult::Applied);
        assert_eq!(gives(scene.plan(&soft, &[]).await), [fenced(FenceRung::ReadOnly, Some(1000))]);
        assert_ne!(scene.hand(|world| world.server("a").min_replicas.to_write), SEALED);
    }
}

#[tokio::test]
async fn a_lag_of_zero_is_no_fence_and_a_changed_setting_is_not_overwritten() {
    let scene = Scene::new();
    let bound = scene.fence("lockout");
    let change = scene.change(&bound, &[down()]).await;
    scene.hand(|world| world.server("a").min_replicas = MinReplicas::new(2, 10));
    let end = scene.carry_out(&bound, change).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    assert_eq!(scene.hand(|world| world.server("a").fenced), 0);
    scene.hand(|world| world.server("a").min_replicas = MinReplicas::new(SEALED, 0));
    assert!(matches!(scene.plan(&bound, &[down()]).await, StepPlan::Change(_)), "zero turns the check off");
    scene.apply(&bound, &[down()]).await;
    assert_eq!(scene.hand(|world| world.server("a").min_replicas), MinReplicas::new(SEALED, 10));
}

#[tokio::test]
async fn another_history_than_planned_is_left_alone() {
    let scene = Scene::new();
    let bound = scene.fence("lockout");
    let change = scene.change(&bound, &[down()]).await;
    scene.hand(|world| {
        world.crash("a");
        world.start("a");
    });
    let end = scene.carry_out(&bound, change).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
}

#[test]
fn parameters_are_told_all_at_once() {
    let scene = Scene::new();
    let with = json!({ "target": "a", "min_rung": "stopped", "witness": "nobody", "ttl": 3 });
    let said = scene.try_bind("redis.fence", with).err().unwrap().join("\n");
    for part in ["stopped cannot be reached", "no target nobody", "`ttl` is not a parameter"] {
        assert!(said.contains(part), "{part} not in {said}");
    }
    let same = json!({ "target": "same", "min_rung": "read_only" });
    assert!(scene.try_bind("redis.fence", same).err().unwrap()[0].contains("own user shop"));
    let promote = json!({ "target": "a", "old": "a", "fence_rung": "none", "drain_timeout": "soon" });
    let said = scene.try_bind("redis.promote", promote).err().unwrap().join("\n");
    for part in ["same server", "none is no fence", "`drain_timeout`"] {
        assert!(said.contains(part), "{part} not in {said}");
    }
}
