//! Every verdict over a primary that its Sentinels shall replace, and what a move leaves behind.

use super::scene::{Scene, codes, down, fenced, gives};
use crate::kernel::domain::*;
use crate::kernel::port::Bound;
use crate::provider::redis::MinReplicas;
use crate::simulated::redis::{Trio, World};
use serde_json::json;

fn planned() -> Fact {
    Fact::Planned { service: "shop".into() }
}

/// `a` leads, `b` is to; a third replica where `change` adds one.
fn scene(change: impl FnOnce(&mut World)) -> (Scene, Bound) {
    let scene = Scene::new();
    scene.hand(|world| {
        world.trio = Some(Trio::over("a"));
        change(world);
    });
    let bound = scene.bind("sentinel.failover", json!({ "target": "watch", "old": "a", "new": "b" }));
    (scene, bound)
}

fn third(world: &mut World) {
    let mut server = world.server("b").clone();
    server.place.host = "10.0.0.3".into();
    world.servers.insert("c".into(), server);
}

async fn word(change: impl FnOnce(&mut World), given: &[Fact]) -> String {
    let (scene, bound) = scene(change);
    let plan = scene.plan(&bound, given).await;
    match &plan {
        StepPlan::Change(_) => "change".into(),
        StepPlan::Nothing { .. } => "nothing".into(),
        StepPlan::Refuse(_) => format!("no {}", codes(&plan)[0]),
        StepPlan::Unknown(_) => format!("? {}", codes(&plan)[0]),
    }
}

async fn code(change: impl FnOnce(&mut World)) -> String {
    word(change, &[planned()]).await
}

#[tokio::test]
async fn a_living_primary_is_held_drained_moved_and_let_go() {
    let (scene, bound) = scene(|world| {
        world.server("a").min_replicas = MinReplicas::new(1, 0);
        world.trio().looks = 3;
    });
    let change = scene.change(&bound, &[planned()]).await;
    assert_eq!((change.needs.len(), change.bounds["data_loss_bytes"]), (0, 0));
    assert!(change.warnings[0].contains("is held first"), "{:?}", change.warnings);
    assert!(matches!(&change.effects[0], Effect::Writer { others, .. } if others.is_empty()));
    let end = scene.carry_out(&bound, change).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    assert_eq!(
        (&end.detail["rpo"]["bytes"], &end.detail["epoch"]),
        (&json!(0), &json!({ "from": 4, "to": 5 }))
    );
    let (old, writers) = scene.hand(|world| (world.server("a").clone(), world.writers()));
    assert_eq!((old.min_replicas, old.filed.0), (MinReplicas::new(1, 0), MinReplicas::new(1, 0)));
    assert_eq!((old.fenced, old.unfenced, writers), (1, 1, 1));
    let facts = gives(scene.plan(&bound, &[planned()]).await);
    assert_eq!(facts, [Fact::Primary { target: "b".into(), lineage: "aaaaaaaaaaaa".into() }]);
    assert_eq!(scene.hand(|world| world.trio().moved), 1);
}

#[tokio::test]
async fn what_lives_is_moved_when_that_is_meant_or_its_site_is_down() {
    assert_eq!(word(|_| {}, &[]).await, "no PM3101");
    assert_eq!(word(|_| {}, &[down()]).await, "change");
    assert_eq!(word(|_| {}, &[Fact::Down { site: "west".into() }]).await, "no PM3101");
    // In doubt after a death nobody has looked at the guards yet: what this run has ordered itself is no refusal.
    let ours = |target: &str| [Fact::Ours { target: target.into(), to: json!({}) }];
    assert_eq!(word(|_| {}, &ours("watch")).await, "change");
    assert_eq!(word(|_| {}, &ours("other")).await, "no PM3101", "told to other Sentinels");
    // Silent to us and heard by every Sentinel: it lives.
    let cut = |world: &mut World| world.server("a").reachable = false;
    assert_eq!(word(cut, &[]).await, "no PM3101");
    assert_eq!(word(cut, &[fenced(FenceRung::Stopped, None)]).await, "change");
    assert_eq!(word(cut, &[fenced(FenceRung::ReadOnly, None)]).await, "no PM3101", "too weak");
}

#[tokio::test]
async fn a_silent_primary_needs_a_fence_that_sentinels_never_prove() {
    let (scene, bound) = scene(|world| world.server("a").reachable = false);
    let change = scene.change(&bound, &[planned()]).await;
    let need = Fact::Fenced { target: "a".into(), rung: FenceRung::Lockout, position: None };
    assert_eq!(change.needs, [need]);
    assert!(change.warnings.iter().any(|text| text.contains("prove no fence")), "{:?}", change.warnings);
    assert!(
        matches!(&change.effects[0], Effect::Writer { others, .. } if others[0].writes.is_none()),
        "{:?}",
        change.effects
    );
    let end = scene.carry_out(&bound, change).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    assert_eq!(scene.hand(|world| world.server("a").fenced), 0);
    // What an earlier step stops is planned for as it will be found then: nothing of it can be held.
    let (scene, bound) = self::scene(|_| {});
    let stopped = [down(), fenced(FenceRung::Stopped, None)];
    let living = scene.change(&bound, &stopped).await;
    assert_eq!((living.needs.len(), living.bounds["data_loss_bytes"]), (1, u64::MAX));
    assert!(living.warnings[1].contains("until it is stopped"), "{:?}", living.warnings);
    scene.hand(|world| world.crash("a"));
    assert!(scene.change(&bound, &stopped).await.within(&living), "that is no drift");
    // It answers again while a person is asked.
    let (scene, bound) = self::scene(|world| world.server("a").reachable = false);
    let change = scene.change(&bound, &[planned()]).await;
    scene.hand(|world| world.server("a").reachable = true);
    let end = scene.carry_out(&bound, change).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    assert_eq!(scene.hand(|world| world.trio().moved), 0);
}

/// What was shown before the stop and what is planned after it are one plan.
#[tokio::test]
async fn a_living_primary_that_a_step_before_stops_is_planned_as_stopped() {
    let (scene, bound) = scene(|_| {});
    scene.sample().await;
    let given = [down(), fenced(FenceRung::Stopped, None)];
    let shown = scene.change(&bound, &given).await;
    assert_eq!((shown.needs.len(), shown.bounds["data_loss_bytes"]), (1, 1 << 20));
    assert!(shown.warnings.iter().any(|text| text.contains("until it is stopped")), "{:?}", shown.warnings);
    // Nobody stopped it, whatever was promised.
    let end = scene.carry_out(&bound, shown.clone()).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    assert_eq!(scene.hand(|world| (world.trio().moved, world.server("a").fenced)), (0, 0));
    scene.hand(|world| world.stop_and_mask("a"));
    let change = scene.change(&bound, &given).await;
    assert!(change.within(&shown), "{change:?}\n{shown:?}");
    let end = scene.carry_out(&bound, change).await;
    assert_eq!((end.result, scene.hand(|world| world.writers())), (CallResult::Applied, 1));
}

#[tokio::test]
async fn silence_and_disagreement_of_sentinels_are_no_answers() {
    assert_eq!(code(|world| world.trio().watchers[0].answers = false).await, "change");
    let two = |world: &mut World| {
        world.trio().watchers[0].answers = false;
        world.trio().watchers[2].answers = false;
    };
    assert_eq!(code(two).await, "? PM3520");
    assert_eq!(code(|world| world.trio().watchers[1].believes = Some(("b".into(), 4))).await, "? PM3521");
    assert_eq!(code(|world| world.trio().watchers[1].believes = Some(("a".into(), 3))).await, "? PM3521");
    assert_eq!(code(|world| world.trio().watchers[1].tilt = true).await, "change");
    let both = |world: &mut World| {
        world.trio().watchers[0].tilt = true;
        world.trio().watchers[2].tilt = true;
    };
    assert_eq!(code(both).await, "? PM3520", "who decides nothing is no voice");
    assert_eq!(code(|world| world.trio().watchers[1].watches = false).await, "no PM3522");
    assert_eq!(code(|world| world.trio().strangers.push("s3".into())).await, "no PM3522");
    assert_eq!(code(|world| world.trio().watchers[1].id = "s0".into()).await, "no PM3522");
    assert_eq!(code(|world| world.trio().watchers[1].quorum = false).await, "? PM3523");
    // Whoever was told may be the one that is silent.
    let ours = Fact::Ours { target: "watch".into(), to: json!({}) };
    let silent = |world: &mut World| world.trio().watchers[0].answers = false;
    assert_eq!(word(silent, &[planned(), ours.clone()]).await, "? PM3520");
    // What it would begin yet is done: the others lost one with the site, and the run ends.
    let done = move |world: &mut World| {
        silent(world);
        world.elect("b");
    };
    assert_eq!(word(done, &[planned(), ours.clone()]).await, "nothing");
    assert_eq!(word(|_| {}, &[planned(), ours]).await, "change");
}

#[tokio::test]
async fn their_own_failover_is_not_interfered_with() {
    let begun = |world: &mut World| {
        world.trio().looks = 9;
        world.order_failover(0).unwrap();
    };
    assert_eq!(code(begun).await, "? PM3524");
    let agreed = |ms: u64| {
        move |world: &mut World| {
            world.crash("a");
            world.trio().agreed_down_ms = Some(ms);
        }
    };
    assert_eq!(word(agreed(1_000), &[]).await, "? PM3524");
    assert_eq!(word(agreed(60_000), &[]).await, "change", "they had their time");
    let elected = |world: &mut World| {
        world.crash("a");
        world.elect("b");
    };
    assert_eq!(word(elected, &[]).await, "nothing");
    let other = |world: &mut World| {
        third(world);
        world.crash("a");
        world.elect("c");
    };
    assert_eq!(word(other, &[]).await, "no PM3525");
    let (scene, bound) = scene(other);
    let says = scene.plan(&bound, &[]).await.reasons()[0].says.clone();
    assert!(says.contains("10.0.0.3:6379 leads"), "{says}");
    // Elected, and the old one is not made a replica yet.
    let both = |world: &mut World| {
        world.trio().demotes_in = u32::MAX;
        world.elect("b");
    };
    assert_eq!(word(both, &[]).await, "? PM3529");
}

#[tokio::test]
async fn whom_they_would_promote_is_known_before_they_are_told() {
    assert_eq!(code(|world| _ = world.trio().priorities.insert("b".into(), 0)).await, "no PM3527");
    assert_eq!(code(third).await, "no PM3526", "equal, so that the offset at that moment decides");
    let first = |world: &mut World| {
        third(world);
        world.trio().priorities.insert("b".into(), 50);
    };
    assert_eq!(code(first).await, "change");
    let last = |world: &mut World| {
        third(world);
        world.trio().priorities.insert("b".into(), 150);
    };
    assert_eq!(code(last).await, "no PM3526");
    let barred = |world: &mut World| {
        third(world);
        world.trio().priorities.insert("c".into(), 0);
    };
    assert_eq!(code(barred).await, "change");
}

#[tokio::test]
async fn what_holds_other_data_or_none_is_not_promoted() {
    assert_eq!(code(|world| world.server("b").other_data()).await, "no PM3506");
    assert_eq!(code(|world| world.never_synced("b")).await, "no PM3506");
    let hollow = |world: &mut World| (world.server("b").whole, world.server("b").stalled) = (false, true);
    assert_eq!(code(hollow).await, "no PM3508");
    assert_eq!(code(|world| world.server("a").keys = 0).await, "no PM3509");
    assert_eq!(code(|world| world.server("b").reachable = false).await, "? PM3502");
    assert_eq!(code(|world| world.server("b").loading = true).await, "? PM3512");
    assert_eq!(
        code(|world| world.server("a").min_replicas = MinReplicas::new(1_000_000_001, 10)).await,
        "no PM3528"
    );
}

#[tokio::test]
async fn another_one_that_was_promoted_is_told_by_name_and_is_no_rejection() {
    let (scene, bound) = scene(|world| {
        third(world);
        world.trio().priorities.insert("b".into(), 50);
        world.trio().looks = 4;
    });
    let change = scene.change(&bound, &[planned()]).await;
    // By the Sentinels' sight it is not the first any more, and ours is that of a moment ago.
    let hooked = scene.hand(|world| {
        world.trio().watchers.iter_mut().for_each(|one| one.believes = None);
        world.trio().priorities.remove(&Name::from("b"));
        world.trio().priorities.insert("c".into(), 100);
        world.trio().moving.is_none()
    });
    assert!(hooked);
    let end = scene.carry_out(&bound, change).await;
    assert!(matches!(end.result, CallResult::Rejected { retry: true }), "seen right before: {end:?}");
    assert_eq!(scene.hand(|world| world.server("a").fenced), 0, "nothing was held for it");
    scene.hand(|world| _ = world.trio().priorities.insert("b".into(), 50));
    let change = scene.change(&bound, &[planned()]).await;
    scene.hand(|world| world.trio().elects_instead = Some("c".into()));
    let end = scene.carry_out(&bound, change).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    assert_eq!(
        (&end.detail["promoted"]["host"], &end.detail["code"]),
        (&json!("10.0.0.3"), &json!("PM3525"))
    );
    assert_eq!(codes(&scene.plan(&bound, &[planned()]).await), ["PM3525"]);
    assert_eq!(scene.hand(|world| (world.writers(), world.server("a").min_replicas.to_write)), (1, 0));
}

#[tokio::test]
async fn what_they_refuse_or_give_up_leaves_a_primary_that_takes_writes() {
    // Refused: another failover began between the look and the call.
    let (scene, bound) = scene(|_| {});
    let change = scene.change(&bound, &[planned()]).await;
    scene.hand(|world| world.trio().refuses = Some(("NOGOODSLAVE", "No suitable replica to promote")));
    let end = scene.carry_out(&bound, change).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    assert!(end.detail.to_string().contains("NOGOODSLAVE"), "{end:?}");
    assert!(scene.hand(|world| world.writable(&"a".into())), "it takes writes again");
    // Begun, and given up.
    let (scene, bound) = self::scene(|world| (world.trio().looks, world.trio().gives_up) = (4, true));
    let end = scene.apply(&bound, &[planned()]).await;
    assert_eq!(end.result, CallResult::Indeterminate, "{end:?}");
    assert!(end.detail.to_string().contains("gave it up"), "{end:?}");
    assert!(scene.hand(|world| world.writable(&"a".into())), "it takes writes again");
    // A replica that does not catch up.
    let (scene, bound) = self::scene(|world| world.server("b").stalled = true);
    scene.hand(|world| _ = world.write("a", 100));
    let end = scene.apply(&bound, &[planned()]).await;
    assert_eq!(end.result, CallResult::Rejected { retry: true }, "{end:?}");
    assert!(end.detail.to_string().contains("has 1000 of 1100"), "{end:?}");
    assert!(scene.hand(|world| world.writable(&"a".into()) && world.trio().moved == 0));
}

/// Whoever was killed in the middle leaves a server that refuses writes; it says itself what was set before.
#[tokio::test]
async fn a_held_server_is_found_and_let_go_after_a_death() {
    let hold = |world: &mut World| {
        let server = world.server("a");
        server.min_replicas = MinReplicas::new(2, 7).hold().unwrap();
    };
    let (scene, bound) = scene(hold);
    let change = scene.change(&bound, &[planned()]).await;
    assert_eq!(change.from["held"], true);
    assert!(change.warnings.iter().any(|text| text.contains("held already")), "{:?}", change.warnings);
    let end = scene.carry_out(&bound, change.clone()).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    assert_eq!(scene.hand(|world| world.server("a").min_replicas), MinReplicas::new(2, 7));
    // For a moment it does not answer: whether it was let go is not known.
    let ours = |to| Fact::Ours { target: "watch".into(), to };
    let silent = |world: &mut World| {
        hold(world);
        world.elect("b");
        world.server("a").reachable = false;
    };
    assert_eq!(word(silent, &[ours(change.to)]).await, "? PM3532");
    assert_eq!(word(silent, &[ours(json!({}))]).await, "nothing", "dead when it was ordered");
    // Killed after the move.
    let (scene, bound) = self::scene(|world| {
        hold(world);
        world.elect("b");
    });
    let change = scene.change(&bound, &[]).await;
    assert_eq!((&change.from["held"], &change.to["held"]), (&json!(true), &json!(false)));
    assert!(
        matches!(&change.effects[..], [Effect::Writer { others, .. }] if others[0].writes == Some(false)),
        "the rule of one writer judges it: {:?}",
        change.effects
    );
    let end = scene.carry_out(&bound, change).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    assert_eq!(scene.hand(|world| (world.server("a").min_replicas, world.server("a").filed.0.to_write)).1, 2);
    assert_eq!(gives(scene.plan(&bound, &[]).await).len(), 1);
}

/// The Sentinels would do it ten seconds later.
#[tokio::test]
async fn a_held_primary_is_made_a_replica_of_whom_they_promoted() {
    let (scene, bound) = scene(|world| world.trio().demotes_in = u32::MAX);
    let end = scene.apply(&bound, &[planned()]).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    let old = scene.hand(|world| world.server("a").clone());
    assert_eq!((old.follows, old.replicated, old.min_replicas.to_write), (Some("b".into()), 1, 0));
}

#[test]
fn every_mistake_of_a_step_is_told_at_once() {
    let scene = Scene::new();
    let told = |target: &str, with: serde_json::Value| {
        let mut with = with;
        with["target"] = json!(target);
        scene.try_bind("sentinel.failover", with).err().unwrap_or_default().join("\n")
    };
    assert!(told("a", json!({ "old": "a", "new": "b" })).contains("kind sentinel"));
    let all = told("watch", json!({ "old": "a", "new": "a", "drain_timeout": "long", "x": 1 }));
    for part in ["are the same server", "`drain_timeout`", "`x` is not a parameter"] {
        assert!(all.contains(part), "{part}: {all}");
    }
    assert!(told("watch", json!({ "old": "nobody", "new": "watch" })).contains("not a redis"));
    assert!(told("watch", json!({ "old": "a", "new": "b", "fence_rung": "none" })).contains("no fence"));
}
