//! A primary that lives, fenced on purpose: what it takes, and that nothing is lost or nothing is promoted.

use super::scene::{Scene, codes, down, fenced};
use crate::kernel::domain::*;
use crate::kernel::port::Bound;
use crate::provider::postgres::{ALIVE, bind_to};
use serde_json::json;

fn asked() -> Fact {
    Fact::Planned { service: "shop".into() }
}

fn fence(scene: &Scene) -> Bound {
    let with = json!({ "target": "a", "min_rung": "lockout", "witness": "b", "planned": true });
    scene.bind("postgres.fence", with)
}

fn promote(scene: &Scene) -> Bound {
    let with = json!({ "target": "b", "old": "a", "standbys": [], "planned": true, "fence_rung": "lockout",
        "drain_timeout": "5s" });
    scene.bind("postgres.promote", with)
}

/// Fenced, and proven with its last position.
async fn fenced_pair() -> (Scene, Vec<Fact>) {
    let scene = Scene::new();
    let bound = fence(&scene);
    let end = scene.apply(&bound, &[asked()]).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    let StepPlan::Nothing { gives, .. } = scene.plan(&bound, &[asked()]).await else {
        panic!("it is fenced")
    };
    (scene, gives)
}

#[tokio::test]
async fn a_living_primary_is_fenced_only_where_the_playbook_and_a_person_mean_it() {
    let scene = Scene::new();
    let plain = scene.bind("postgres.fence", json!({ "target": "a", "min_rung": "lockout", "witness": "b" }));
    assert_eq!(codes(&scene.plan(&plain, &[asked()]).await), [ALIVE], "the playbook does not mean it");
    assert_eq!(codes(&scene.plan(&fence(&scene), &[]).await), [ALIVE], "nobody asked for it");
    let change = scene.change(&fence(&scene), &[asked()]).await;
    assert!(change.warnings.iter().any(|says| says.contains("on purpose")), "{:?}", change.warnings);
    assert!(matches!(change.undo, Undo::To(_)), "it can be taken back");
}

#[tokio::test]
async fn read_only_is_not_enough_for_a_planned_move() {
    let with = json!({ "target": "a", "min_rung": "read_only", "witness": "b", "planned": true });
    let scene = Scene::new();
    let why = bind_to(&super::scene::spec("postgres.fence", with), &scene.config, scene.servers.clone());
    assert!(why.err().unwrap().join(" ").contains("use lockout"));
}

/// A silent server is no planned move; one that this run has begun to fence is only not seen.
#[tokio::test]
async fn a_primary_that_does_not_answer_is_no_planned_move() {
    let scene = Scene::new();
    scene.hand(|world| world.server("a").hung = true);
    assert_eq!(codes(&scene.plan(&fence(&scene), &[asked()]).await), ["PM2191"]);
    let ours = Fact::Ours { target: "a".into(), to: json!({ "fence": "lockout" }) };
    scene.hand(|world| world.crash("a"));
    let plan = scene.plan(&fence(&scene), &[asked(), ours]).await;
    assert!(matches!(plan, StepPlan::Unknown(_)) && codes(&plan) == ["PM3102"], "{plan:?}");
    // The fence watch has its own reason, and no planned move.
    let superseded = Fact::Superseded { target: "a".into(), by: "b".into() };
    let plan = scene.plan(&fence(&scene), &[superseded]).await;
    assert!(matches!(plan, StepPlan::Unknown(_)), "{plan:?}");
}

#[tokio::test]
async fn what_writes_without_being_a_client_stops_it() {
    let scene = Scene::new();
    scene.hand(|world| world.server("a").workers = vec!["pg_cron launcher".into()]);
    assert_eq!(codes(&scene.plan(&fence(&scene), &[asked()]).await), ["PM2192"]);
    assert!(matches!(scene.plan(&fence(&scene), &[down()]).await, StepPlan::Change(_)), "a failover warns");
}

#[tokio::test]
async fn the_standby_has_to_follow_and_to_replay() {
    let scene = Scene::new();
    let promised = fenced(FenceRung::Lockout, None);
    let change = scene.change(&promote(&scene), std::slice::from_ref(&promised)).await;
    assert_eq!(change.bounds["data_loss_bytes"], 0, "never sampled, and nothing is lost all the same");
    assert!(change.warnings.iter().any(|says| says.contains("or nothing is promoted")), "{change:?}");
    scene.hand(|world| world.server("b").paused = true);
    let plan = scene.plan(&promote(&scene), std::slice::from_ref(&promised)).await;
    assert_eq!(codes(&plan), ["PM2193"]);
    scene.hand(|world| (world.server("b").paused, world.server("b").follows) = (false, None));
    assert_eq!(codes(&scene.plan(&promote(&scene), &[promised]).await), ["PM2194"]);
}

#[tokio::test]
async fn it_drains_to_the_last_position_and_says_that_nothing_is_lost() {
    let before = Scene::new();
    let planned = before.change(&promote(&before), &[fenced(FenceRung::Lockout, None)]).await;
    let (scene, gives) = fenced_pair().await;
    let change = scene.change(&promote(&scene), &gives).await;
    assert!(change.within(&planned), "what is done is what was shown");
    let done = scene.carry_out(&promote(&scene), change).await;
    assert_eq!((done.result, &done.detail["rpo"]["bytes"]), (CallResult::Applied, &json!(0)));
    assert_eq!(scene.servers.world().writers(), 1);
}

/// What was received and not replayed is there, but the promotion would take its time: it is waited for.
#[tokio::test]
async fn without_the_last_position_or_before_it_is_replayed_nothing_is_promoted() {
    let (scene, gives) = fenced_pair().await;
    let nowhere = fenced(FenceRung::Lockout, None);
    let plan = scene.plan(&promote(&scene), std::slice::from_ref(&nowhere)).await;
    assert!(matches!(plan, StepPlan::Unknown(_)) && codes(&plan) == ["PM2195"], "{plan:?}");
    let mut change = scene.change(&promote(&scene), &gives).await;
    change.detail["drain_to"] = json!(null);
    let end = scene.carry_out(&promote(&scene), change.clone()).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    change.detail["drain_to"] = json!(Lsn(scene.servers.world().server("a").position + 1));
    let late = scene.carry_out(&promote(&scene), change).await;
    assert_eq!(late.result, CallResult::Rejected { retry: false }, "{late:?}");
    let world = scene.servers.world();
    assert_eq!((world.clone().server("b").promoted, world.writers()), (0, 0));
}

#[tokio::test]
async fn a_lockout_is_still_there_when_the_old_primary_starts_again() {
    let (scene, gives) = fenced_pair().await;
    scene.apply(&promote(&scene), &gives).await;
    scene.hand(|world| {
        world.crash("a");
        world.start("a");
    });
    let writers: Vec<_> =
        scene.servers.world().servers.into_iter().filter(|(_, server)| server.writable()).collect();
    assert_eq!(writers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["b"]);
}
