//! Every verdict over a living primary that shall hand over.

use super::scene::{Scene, codes, down, gives};
use crate::kernel::domain::*;
use crate::kernel::port::Bound;
use crate::provider::redis::{MinReplicas, SEALED};
use crate::simulated::redis::World;
use serde_json::json;

fn planned() -> Fact {
    Fact::Planned { service: "shop".into() }
}

fn bound(scene: &Scene) -> Bound {
    scene.bind("redis.failover", json!({ "target": "b", "old": "a", "max_behind": "1KiB" }))
}

async fn code(change: impl FnOnce(&mut World)) -> String {
    let scene = Scene::new();
    scene.hand(change);
    let plan = scene.plan(&bound(&scene), &[planned()]).await;
    match &plan {
        StepPlan::Change(_) => "change".into(),
        StepPlan::Nothing { .. } => "nothing".into(),
        StepPlan::Refuse(_) => format!("no {}", codes(&plan)[0]),
        StepPlan::Unknown(_) => format!("? {}", codes(&plan)[0]),
    }
}

#[tokio::test]
async fn a_living_primary_hands_over_and_nothing_is_lost() {
    let scene = Scene::new();
    let bound = bound(&scene);
    let change = scene.change(&bound, &[planned()]).await;
    assert_eq!((change.bounds["data_loss_bytes"], change.needs.len(), &change.undo), (0, 0, &Undo::None));
    let end = scene.carry_out(&bound, change.clone()).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    assert_eq!(
        (&end.detail["rpo"]["bytes"], &end.detail["files"]),
        (&json!(0), &json!({ "a": "written", "b": "written" }))
    );
    let (filed, writers) = scene.hand(|world| (world.server("a").filed.1.clone(), world.writers()));
    assert_eq!((filed, writers), (Some("b".into()), 1), "a restart keeps it");
    let facts = gives(scene.plan(&bound, &[]).await);
    assert_eq!(facts, [Fact::Primary { target: "b".into(), lineage: "aaaaaaaaaaaa".into() }]);
    let again = scene.carry_out(&bound, change).await;
    assert_eq!(again.result, CallResult::Rejected { retry: false }, "{again:?}");
}

#[tokio::test]
async fn only_what_lives_and_follows_is_handed_over_in_a_planned_move() {
    let scene = Scene::new();
    let bound = bound(&scene);
    for given in [vec![], vec![down()]] {
        assert_eq!(codes(&scene.plan(&bound, &given).await), ["PM3101"], "an outage is no planned move");
    }
    assert_eq!(code(|_| {}).await, "change");
    assert_eq!(code(|world| world.crash("a")).await, "? PM3502");
    assert_eq!(code(|world| world.crash("b")).await, "? PM3502");
    assert_eq!(code(|world| world.server("a").sentinels = 3).await, "no PM3505");
    assert_eq!(code(|world| world.server("b").cluster = true).await, "no PM3505");
    assert_eq!(code(|world| world.server("b").loading = true).await, "? PM3512");
    assert_eq!(code(|world| world.promote(&"b".into()).unwrap()).await, "no PM3203");
    assert_eq!(code(|world| world.server("b").other_data()).await, "no PM3540");
    assert_eq!(code(|world| world.never_synced("b")).await, "no PM3540");
    assert_eq!(code(|world| world.server("b").place.port = 7000).await, "no PM3541");
    assert_eq!(
        code(|world| world.server("a").min_replicas = MinReplicas::new(SEALED, 10)).await,
        "no PM3528"
    );
    assert_eq!(code(|world| world.server("b").min_replicas = MinReplicas::new(2, 10)).await, "no PM3513");
    assert_eq!(code(|world| world.server("b").min_replicas = MinReplicas::new(1, 10)).await, "change");
    let behind = |bytes: u64| {
        move |world: &mut World| {
            world.server("b").stalled = true;
            world.write("a", bytes);
        }
    };
    assert_eq!(code(behind(1024)).await, "change");
    assert_eq!(code(behind(1025)).await, "no PM3542");
}

#[tokio::test]
async fn a_replica_that_does_not_catch_up_leaves_the_primary_as_it_was() {
    let scene = Scene::new();
    scene.hand(|world| {
        world.server("b").stalled = true;
        world.write("a", 100);
    });
    let bound = bound(&scene);
    let end = scene.apply(&bound, &[planned()]).await;
    assert_eq!(end.result, CallResult::Rejected { retry: true }, "{end:?}");
    assert!(end.detail.to_string().contains("PM3544"), "{end:?}");
    assert!(scene.hand(|world| world.writable(&"a".into()) && world.server("b").promoted == 0));
}

#[tokio::test]
async fn what_changed_since_the_plan_stops_it() {
    let changes: [fn(&mut World); 5] = [
        |world| world.server("a").sentinels = 3,
        |world| world.server("a").min_replicas = MinReplicas::new(SEALED, 10),
        |world| world.server("b").other_data(),
        |world| world.crash("b"),
        |world| world.come_back_empty("a"),
    ];
    for change in changes {
        let scene = Scene::new();
        let bound = bound(&scene);
        let planned = scene.change(&bound, &[planned()]).await;
        scene.hand(change);
        let end = scene.carry_out(&bound, planned).await;
        assert!(matches!(end.result, CallResult::Rejected { .. }), "{end:?}");
        assert_eq!(scene.hand(|world| world.server("b").promoted), 0);
    }
}

#[test]
fn every_mistake_of_a_step_is_told_at_once() {
    let scene = Scene::new();
    let with = json!({ "target": "a", "old": "a", "timeout": "2m", "max_behind": "much", "force": true });
    let told = scene.try_bind("redis.failover", with).err().unwrap_or_default().join("\n");
    for part in ["are the same server", "`timeout`", "`max_behind`", "`force` is not a parameter"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
