//! Every branch of the verdict, over the real observation of a modelled pair.

use super::scene::{Scene, codes, down};
use crate::kernel::domain::*;
use crate::kernel::port::Bound;
use crate::provider::postgres::ALIVE;
use serde_json::json;

fn fence(scene: &Scene, min_rung: &str) -> Bound {
    scene.bind("postgres.fence", json!({ "target": "a", "min_rung": min_rung, "witness": "b" }))
}

#[tokio::test]
async fn a_living_primary_refuses_until_its_site_is_said_to_be_down() {
    let scene = Scene::new();
    let bound = fence(&scene, "lockout");
    assert_eq!(codes(&scene.plan(&bound, &[]).await), [ALIVE]);
    let elsewhere = Fact::Down { site: "west".into() };
    assert_eq!(codes(&scene.plan(&bound, &[elsewhere]).await), [ALIVE], "another site's word does not count");
    let change = scene.change(&bound, &[down()]).await;
    assert_eq!(change.to, json!({ "fence": "lockout" }));
    assert!(matches!(&change.undo, Undo::To(back) if back.kind.as_str() == "postgres.unfence"
            && change.undo_by_hand.join(" ").contains("sed -n")));
    assert!(change.warnings.iter().any(|text| text.contains("3 client sessions")));
}

#[tokio::test]
async fn unreachable_is_never_fenced_and_a_witness_speaks_for_it() {
    let scene = Scene::new();
    let bound = fence(&scene, "lockout");
    scene.hand(|world| world.server("a").reachable = false);
    assert_eq!(codes(&scene.plan(&bound, &[]).await), [ALIVE], "the standby streams from it");
    let plan = scene.plan(&bound, &[down()]).await;
    assert!(matches!(plan, StepPlan::Unknown(_)) && codes(&plan) == ["PM3102"], "{plan:?}");
    scene.hand(|world| world.crash("a"));
    let plan = scene.plan(&bound, &[]).await;
    assert!(matches!(plan, StepPlan::Unknown(_)) && codes(&plan) == ["PM3102"], "{plan:?}");
    scene.hand(|world| (world.server("a").up, world.server("a").hung) = (true, true));
    assert!(matches!(scene.plan(&bound, &[down()]).await, StepPlan::Unknown(_)), "a hung server too");
}

#[tokio::test]
async fn a_standby_and_a_managed_server_refuse() {
    let scene = Scene::new();
    scene.hand(|world| world.server("a").manager = Some("Patroni".into()));
    assert_eq!(codes(&scene.plan(&fence(&scene, "lockout"), &[down()]).await), ["PM3105"]);
    scene.hand(|world| world.server("a").in_recovery = true);
    assert_eq!(codes(&scene.plan(&fence(&scene, "lockout"), &[down()]).await), ["PM3103"]);
}

#[tokio::test]
async fn another_cluster_is_not_fenced() {
    let scene = Scene::new();
    scene.sample().await;
    scene.hand(|world| world.server("a").system = "42".into());
    assert_eq!(codes(&scene.plan(&fence(&scene, "lockout"), &[down()]).await), ["PM3106"]);
}

#[tokio::test]
async fn lockout_is_proven_once_and_not_done_again() {
    let scene = Scene::new();
    let bound = fence(&scene, "lockout");
    let end = scene.apply(&bound, &[down()]).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    let StepPlan::Nothing { gives, .. } = scene.plan(&bound, &[]).await else { panic!("it is right") };
    let position = scene.servers.world().server("a").position;
    let wanted = Fact::Fenced { target: "a".into(), rung: FenceRung::Lockout, position: Some(Lsn(position)) };
    assert_eq!(gives, [wanted]);
    let world = scene.servers.world();
    assert_eq!((world.clone().server("a").hba_written, world.writers()), (1, 0));
}

#[tokio::test]
async fn a_file_without_a_reload_or_with_a_client_left_is_no_fence() {
    let scene = Scene::new();
    let bound = fence(&scene, "lockout");
    scene.apply(&bound, &[down()]).await;
    scene.hand(|world| world.server("a").clients = 1);
    assert!(matches!(scene.plan(&bound, &[down()]).await, StepPlan::Change(_)), "a client is left");
    scene.hand(|world| {
        let server = world.server("a");
        (server.clients, server.hba_loaded) = (0, "host all all all md5\n".into());
    });
    assert!(matches!(scene.plan(&bound, &[down()]).await, StepPlan::Change(_)), "the file is not loaded");
}

#[tokio::test]
async fn without_the_right_read_only_is_the_best() {
    let scene = Scene::new();
    scene.hand(|world| world.server("a").superuser = false);
    assert_eq!(codes(&scene.plan(&fence(&scene, "lockout"), &[down()]).await), ["PM3104"]);
    let soft = fence(&scene, "read_only");
    let end = scene.apply(&soft, &[down()]).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    let StepPlan::Nothing { gives, .. } = scene.plan(&soft, &[]).await else { panic!("it is right") };
    let wanted = Fact::Fenced { target: "a".into(), rung: FenceRung::ReadOnly, position: None };
    assert_eq!(gives, [wanted], "clients may be connected, so no position is known");
}

#[tokio::test]
async fn a_file_that_changed_after_the_plan_is_not_overwritten() {
    let scene = Scene::new();
    let bound = fence(&scene, "lockout");
    let change = scene.change(&bound, &[down()]).await;
    scene.hand(|world| world.server("a").hba.push_str("host all bo all md5\n"));
    let end = scene.carry_out(&bound, change).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    assert_eq!(scene.servers.world().server("a").hba_written, 0);
}

#[tokio::test]
async fn an_observation_that_cannot_be_read_is_unknown() {
    let scene = Scene::new();
    let seen = Observation { identity: json!(null), state: json!({}), evidence: json!({}), at: Time(0) };
    let plan = fence(&scene, "lockout").check().plan(&seen, &[down()], Time(0));
    assert!(matches!(plan, StepPlan::Unknown(_)));
}
