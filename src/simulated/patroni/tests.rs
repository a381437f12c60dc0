//! Every verdict of a move, over the modelled cluster.

use super::{Cluster, World};
use crate::kernel::domain::{CallResult, Effect, Fact, FenceRung, StepPlan};
use crate::kernel::port::{Action, Bound};
use crate::provider::Ports;
use crate::provider::for_tests::{apply, config, plan_given, spec, why};
use crate::provider::patroni::{self, Source};
use crate::simulated::Calm;
use serde_json::{Value, json};
use std::sync::Arc;

const CONFIG: &str = r#"
[targets.shop]
kind = "patroni"
scope = "shop"
members = { a = "https://10.0.0.1:8008", b = "https://10.0.0.2:8008", c = "https://10.0.0.3:8008" }
[targets.pg-a]
kind = "postgres"
site = "east"
address = "10.0.0.1"
user = "pm"
patroni = "shop"
member = "a"
[targets.pg-b]
kind = "postgres"
site = "west"
address = "10.0.0.2"
user = "pm"
patroni = "shop"
member = "b"
"#;

mod alone;
mod clusters;
mod superseded;

struct Scene {
    cluster: Arc<Cluster>,
    action: Box<dyn Action>,
}

fn scene(kind: &str, more: Value, change: impl FnOnce(&mut World)) -> Scene {
    let mut world = World::cluster("shop", &["a", "b", "c"]);
    change(&mut world);
    let cluster = Arc::new(Cluster::new(world, Arc::new(Calm)));
    let config = config(CONFIG);
    let ports = Ports { patroni: cluster.clone(), ..Ports::real(Arc::new(config.clone())) };
    let mut with = json!({ "leader": "a", "candidate": "b" });
    with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    match patroni::bind(&spec(kind, "shop", with), &config, &ports) {
        Ok(Bound::Action(action)) => Scene { cluster, action },
        Ok(Bound::Check(_)) => panic!("it is an action"),
        Err(problems) => panic!("{problems:?}"),
    }
}

fn planned() -> Fact {
    Fact::Planned { service: "shop".into() }
}

fn fenced() -> Fact {
    Fact::Fenced { target: "pg-a".into(), rung: FenceRung::PoweredOff, position: None }
}

impl Scene {
    async fn plan(&self) -> StepPlan {
        plan_given(self.action.as_ref(), &[planned(), fenced()]).await
    }
    async fn change(&self) -> crate::kernel::domain::Change {
        match self.plan().await {
            StepPlan::Change(change) => *change,
            other => panic!("no change but {other:?}"),
        }
    }
}

fn elsewhere() -> Source {
    Source { host: "10.1.0.1".into(), port: 5432, slot: None }
}

/// The first code of the plan over such a world.
async fn code(kind: &str, change: impl FnOnce(&mut World)) -> String {
    code_with(kind, json!({}), change).await
}

async fn code_with(kind: &str, more: Value, change: impl FnOnce(&mut World)) -> String {
    let plan = scene(kind, more, change).plan().await;
    match plan {
        StepPlan::Change(_) => "change".to_owned(),
        StepPlan::Nothing { .. } => "nothing".to_owned(),
        StepPlan::Refuse(_) => format!("no {}", plan.reasons()[0].code),
        StepPlan::Unknown(_) => format!("? {}", plan.reasons()[0].code),
    }
}

#[tokio::test]
async fn a_living_leader_is_moved_in_a_planned_move_or_when_its_site_is_down() {
    let scene = scene("patroni.switchover", json!({}), |_| {});
    let alone = plan_given(scene.action.as_ref(), &[]).await;
    assert!(why(&alone).starts_with("PM3101"), "{alone:?}");
    let down = |site: &str| [Fact::Down { site: site.into() }];
    assert!(matches!(plan_given(scene.action.as_ref(), &down("east")).await, StepPlan::Change(_)));
    assert!(matches!(plan_given(scene.action.as_ref(), &down("west")).await, StepPlan::Refuse(_)));
    let change = scene.change().await;
    // In doubt after a death nobody has looked at the guards yet: what this run has ordered itself is no refusal.
    let ours = [Fact::Ours { target: "shop".into(), to: change.to.clone() }];
    let StepPlan::Change(again) = plan_given(scene.action.as_ref(), &ours).await else { panic!("a refusal") };
    assert!(again.within(&change));
    assert_eq!(
        (change.needs.len(), &change.from["leader"], &change.to["leader"]),
        (0, &json!("a"), &json!("b"))
    );
    assert!(matches!(&change.gives[..], [Fact::Primary { target, .. }] if target.as_str() == "pg-b"));
    let end = apply(scene.action.as_ref(), change).await;
    assert_eq!((end.result, &end.detail["promoted"]), (CallResult::Applied, &json!("b")), "{end:?}");
    assert!(end.detail["window_ms"].is_u64());
    let StepPlan::Nothing { says, gives, .. } = scene.plan().await else { panic!("it leads") };
    assert!(says.contains("timeline 2") && gives.len() == 1, "{says}");
}

#[tokio::test]
async fn silence_and_disagreement_are_no_answers() {
    const MOVE: &str = "patroni.switchover";
    assert_eq!(code(MOVE, |world| world.member("b").answers = false).await, "? PM3601");
    // Its Patroni hangs: the store still has its lock, and nobody can tell whether it takes writes.
    assert_eq!(code(MOVE, |world| world.member("a").answers = false).await, "no PM3616");
    for kind in [MOVE, "patroni.failover"] {
        let held = |world: &mut World| world.hangs("a");
        assert_eq!(code(kind, held).await, "? PM3601", "{kind}");
    }
    assert_eq!(code(MOVE, |world| world.member("c").heard_s = None).await, "? PM3602");
    assert_eq!(code(MOVE, |world| world.member("c").heard_s = Some(6)).await, "? PM3602");
    assert_eq!(code(MOVE, |world| world.member("c").heard_s = Some(5)).await, "change");
    assert_eq!(code(MOVE, |world| world.member("c").believes = Some("c".into())).await, "? PM3602");
    // A third one that is away hides what it has, and no more.
    let scene = scene(MOVE, json!({}), |world| world.member("c").answers = false);
    let change = scene.change().await;
    assert!(
        change.warnings.iter().any(|text| text.starts_with("c does not answer")),
        "{:?}",
        change.warnings
    );
}

#[tokio::test]
async fn what_patroni_would_not_do_or_should_not_is_refused() {
    const MOVE: &str = "patroni.switchover";
    assert_eq!(code(MOVE, |world| world.scope = "cart".into()).await, "no PM3603");
    assert_eq!(code(MOVE, |world| world.join("d")).await, "no PM3603");
    assert_eq!(code(MOVE, |world| world.member("c").primary = true).await, "no PM3605");
    assert_eq!(code(MOVE, |world| world.member("a").state = "starting".into()).await, "? PM3606");
    assert_eq!(code(MOVE, |world| world.lead(&"c".into())).await, "no PM3607");
    assert_eq!(code(MOVE, |world| world.follow(Some(&elsewhere()))).await, "no PM3608");
    assert_eq!(code(MOVE, |world| world.paused = true).await, "no PM3609");
    let anyway = json!({ "while_paused": true });
    assert_eq!(code_with(MOVE, anyway, |world| world.paused = true).await, "change");
    assert_eq!(code(MOVE, |world| world.scheduled = true).await, "no PM3610");
    assert_eq!(code(MOVE, |world| world.member("b").nofailover = true).await, "no PM3611");
    assert_eq!(code(MOVE, |world| world.synchronous = true).await, "no PM3611");
    assert_eq!(code(MOVE, |world| world.member("a").timeline = 2).await, "no PM3612");
    assert_eq!(code(MOVE, |world| world.member("b").lag = None).await, "? PM3613");
    let behind = |world: &mut World| world.member("b").lag = Some((1 << 20) + 1);
    assert_eq!(code(MOVE, behind).await, "no PM3614");
    assert_eq!(code_with(MOVE, json!({ "max_lag": "2MiB" }), behind).await, "change");
    assert_eq!(
        code_with(MOVE, json!({ "max_lag": "0B" }), |world| world.member("b").lag = Some(1)).await,
        "no PM3614"
    );
    assert_eq!(code(MOVE, |world| world.lose("a")).await, "no PM3616");
}

#[tokio::test]
async fn a_lost_leader_is_replaced_once_it_is_fenced_or_kept_down_by_its_own_patroni() {
    const FAIL: &str = "patroni.failover";
    assert_eq!(code(FAIL, |_| {}).await, "no PM3101", "it lives");
    assert_eq!(code(FAIL, |world| world.lose("a")).await, "change");
    let ahead = |world: &mut World| {
        world.lose("a");
        world.member("c").position += 1;
    };
    assert_eq!(code(FAIL, ahead).await, "no PM3615");
    assert_eq!(code(FAIL, |world| world.member("a").state = "starting".into()).await, "? PM3606");
    let lost = scene(FAIL, json!({}), |world| world.lose("a")).change().await;
    let needs = Fact::Fenced { target: "pg-a".into(), rung: FenceRung::Stopped, position: None };
    assert_eq!(lost.needs, [needs]);
    let told = |effect: &Effect| match effect {
        Effect::Writer { others, .. } => others.first().map(|other| (other.target.to_string(), other.writes)),
        Effect::Records { .. } => None,
    };
    assert_eq!(told(&lost.effects[0]), Some(("pg-a".to_owned(), None)));
    // No sample tells what it wrote last, and that is not nothing.
    let sampled_by_nobody = scene(FAIL, json!({}), |world| world.lose("a"));
    let change = sampled_by_nobody.change().await;
    let end = apply(sampled_by_nobody.action.as_ref(), change).await;
    let says = end.detail["rpo"]["says"].as_str().unwrap_or_default();
    assert!(end.detail["rpo"]["bytes"].is_null() && says.starts_with("unknown: no position"), "{end:?}");
    // Its PostgreSQL is down, and its Patroni is there to keep it so.
    let stopped = |world: &mut World| world.member("a").state = "stopped".into();
    let kept = scene(FAIL, json!({}), stopped).change().await;
    assert_eq!((kept.needs.len(), told(&kept.effects[0])), (0, Some(("pg-a".to_owned(), Some(false)))));
    // Not while it is paused.
    let paused = |world: &mut World| {
        stopped(world);
        world.paused = true;
    };
    let paused = scene(FAIL, json!({ "while_paused": true }), paused).change().await;
    assert_eq!(paused.needs.len(), 1);
}

/// Its PostgreSQL may take writes for as long as its lock lives, and then beside the next leader.
#[tokio::test]
async fn a_silent_leader_is_fenced_while_its_lock_lives_where_its_site_is_down() {
    let scene = scene("patroni.failover", json!({}), |world| world.hangs("a"));
    let down = |site: &str| [Fact::Down { site: site.into() }];
    assert!(why(&plan_given(scene.action.as_ref(), &[]).await).starts_with("PM3601"));
    assert!(why(&plan_given(scene.action.as_ref(), &down("west")).await).starts_with("PM3601"));
    let StepPlan::Change(held) = plan_given(scene.action.as_ref(), &down("east")).await else { panic!() };
    let needs = Fact::Fenced { target: "pg-a".into(), rung: FenceRung::Stopped, position: None };
    assert_eq!(held.needs, [needs]);
    assert!(held.warnings.iter().any(|text| text.contains("holds the lock")), "{:?}", held.warnings);
    // The lock runs out while the fence is made: it is the same change still.
    scene.cluster.by_hand(|world| world.lose("a"));
    assert!(scene.change().await.within(&held));
    // What was planned with a lock is looked at again without one, and so is what Patroni has done by itself.
    let end = apply(scene.action.as_ref(), *held).await;
    assert_eq!(end.result, CallResult::Rejected { retry: true }, "{end:?}");
    let free = scene.change().await;
    scene.cluster.by_hand(|world| world.lead(&"b".into()));
    let end = apply(scene.action.as_ref(), free).await;
    assert_eq!(end.result, CallResult::Rejected { retry: true }, "{end:?}");
    assert!(matches!(scene.plan().await, StepPlan::Nothing { .. }));
}

#[tokio::test]
async fn the_leaders_name_is_compared_where_the_version_knows_it() {
    for (kind, newer, lost, compared) in [
        ("patroni.switchover", false, false, true),
        ("patroni.switchover", true, false, true),
        ("patroni.failover", false, false, true),
        ("patroni.failover", true, false, false),
        // Nobody holds the lock: there is no name to compare.
        ("patroni.failover", false, true, false),
    ] {
        let world = |world: &mut World| {
            world.newer = newer;
            match (kind, lost) {
                ("patroni.failover", false) => world.member("a").state = "stopped".into(),
                (_, true) => world.lose("a"),
                _ => {}
            }
        };
        let change = scene(kind, json!({}), world).change().await;
        let leader = &change.detail["order"]["leader"];
        assert_eq!(leader == "a", compared, "{kind} {newer} {lost}: {}", change.detail);
    }
}

#[tokio::test]
async fn another_member_that_came_to_lead_is_told_as_what_it_is() {
    let scene = scene("patroni.switchover", json!({}), |world| world.member("b").fails = true);
    let change = scene.change().await;
    let end = apply(scene.action.as_ref(), change).await;
    assert_eq!(end.result, CallResult::Applied);
    assert_eq!((&end.detail["promoted"], &end.detail["instead_of"]), (&json!("c"), &json!("b")), "{end:?}");
    let plan = scene.plan().await;
    assert!(matches!(plan, StepPlan::Refuse(_)) && why(&plan).starts_with("PM3607"), "{plan:?}");
}

#[tokio::test]
async fn what_changed_since_the_plan_stops_it_before_anything_is_sent() {
    let changes: [fn(&mut World); 6] = [
        |world| world.lead(&"c".into()),
        |world| world.paused = true,
        |world| world.member("a").state = "starting".into(),
        |world| world.member("b").answers = false,
        |world| world.lose("a"),
        |world| world.member("c").believes = Some("b".into()),
    ];
    for change in changes {
        let scene = scene("patroni.switchover", json!({}), |_| {});
        let planned = scene.change().await;
        scene.cluster.by_hand(change);
        let moved = scene.cluster.world().moved;
        let end = apply(scene.action.as_ref(), planned).await;
        assert!(matches!(end.result, CallResult::Rejected { .. }), "{end:?}");
        assert!(end.detail.to_string().contains("nothing was sent"), "{end:?}");
        assert_eq!(scene.cluster.world().moved, moved);
    }
    // The old leader came back while a person was asked.
    let scene = scene("patroni.failover", json!({}), |world| world.lose("a"));
    let planned = scene.change().await;
    scene.cluster.by_hand(|world| {
        let old = world.member("a");
        (old.answers, old.state) = (true, "running".into());
    });
    let end = apply(scene.action.as_ref(), planned).await;
    assert!(end.detail.to_string().contains("takes writes"), "{end:?}");
}

#[test]
fn members_are_named_and_a_failover_knows_the_server_to_fence() {
    let config = config(CONFIG);
    let ports = Ports::real(Arc::new(config.clone()));
    let bind = |kind: &str, with: Value| {
        patroni::bind(&spec(kind, "shop", with), &config, &ports).err().unwrap_or_default()
    };
    let same =
        bind("patroni.switchover", json!({ "leader": "a", "candidate": "a", "x": 1, "max_lag": "much" }))
            .join("\n");
    for part in ["are the same member", "`x` is not a parameter", "`max_lag`"] {
        assert!(same.contains(part), "{part} not in {same}");
    }
    assert!(
        bind("patroni.switchover", json!({ "leader": "a", "candidate": "z" }))
            .join("")
            .contains("none of the `members`")
    );
    assert!(
        bind("patroni.failover", json!({ "leader": "c", "candidate": "b" }))
            .join("")
            .contains("is the member c")
    );
    assert!(bind("patroni.switchover", json!({ "leader": "c", "candidate": "b" })).is_empty());
}
