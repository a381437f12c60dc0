//! Every verdict over two modelled clusters that change sides.

use super::{config, fenced, planned};
use crate::kernel::domain::{CallResult, Change, Effect, Fact, FenceRung, StepPlan, Undo};
use crate::kernel::port::{Action, Bound, Registry as _};
use crate::provider::for_tests::{apply, plan_given, spec, why};
use crate::provider::{Ports, ProviderRegistry};
use crate::simulated::Calm;
use crate::simulated::patroni::{Cluster, Pair, World};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const CONFIG: &str = r#"
[targets.east]
kind = "patroni"
site = "east"
scope = "shop"
members = { a = "https://10.0.0.1:8008", b = "https://10.0.0.2:8008" }
[targets.west]
kind = "patroni"
site = "west"
scope = "shop-west"
members = { c = "https://10.1.0.1:8008", d = "https://10.1.0.2:8008" }
[targets.pg-a]
kind = "postgres"
site = "east"
address = "10.0.0.1"
user = "pm"
patroni = "east"
member = "a"
[targets.pg-b]
kind = "postgres"
site = "east"
address = "10.0.0.2"
user = "pm"
patroni = "east"
member = "b"
[targets.pg-c]
kind = "postgres"
site = "west"
address = "10.1.0.1"
user = "pm"
patroni = "west"
member = "c"
"#;

const PROMOTE: &str = "patroni.promote_standby_cluster";
const DEMOTE: &str = "patroni.demote_cluster";

/// What happens to one cluster, and the verdict then.
type Case = (fn(&mut World), &'static str);

struct Scene {
    east: Arc<Cluster>,
    west: Arc<Cluster>,
    registry: ProviderRegistry,
    action: Box<dyn Action>,
}

/// East leads, west follows it; `change` makes it another scene.
fn scene(kind: &str, more: Value, change: impl FnOnce(&mut World, &mut World)) -> Scene {
    let mut east = World::cluster("shop", &["a", "b"]);
    let mut west = World::standby("shop-west", &["c", "d"], "10.0.0.1");
    change(&mut east, &mut west);
    let [east, west] = [east, west].map(|world| Arc::new(Cluster::new(world, Arc::new(Calm))));
    let config = Arc::new(config(CONFIG));
    let pair = Arc::new(Pair::new([("east", east.clone()), ("west", west.clone())]));
    let ports = Ports { patroni: pair, ..Ports::real(config.clone()) };
    let registry = ProviderRegistry { config, ports };
    let (target, mut with) = match kind {
        PROMOTE => ("west", json!({ "primary": "east" })),
        _ => ("east", json!({ "standby": "west", "host": "10.1.0.1" })),
    };
    with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let action = bound(&registry, kind, target, with);
    Scene { east, west, registry, action }
}

fn bound(registry: &ProviderRegistry, kind: &str, target: &str, with: Value) -> Box<dyn Action> {
    match registry.bind(&spec(kind, target, with)) {
        Ok(Bound::Action(action)) => action,
        Ok(Bound::Check(_)) => panic!("it is an action"),
        Err(problems) => panic!("{problems:?}"),
    }
}

impl Scene {
    async fn plan(&self) -> StepPlan {
        plan_given(self.action.as_ref(), &[planned(), fenced()]).await
    }
    async fn change(&self) -> Change {
        change_of(self.plan().await)
    }
}

fn change_of(plan: StepPlan) -> Change {
    match plan {
        StepPlan::Change(change) => *change,
        other => panic!("no change but {other:?}"),
    }
}

/// The verdict and its first code.
fn word(plan: &StepPlan) -> String {
    match plan {
        StepPlan::Change(_) => "change".to_owned(),
        StepPlan::Nothing { .. } => "nothing".to_owned(),
        StepPlan::Refuse(_) => format!("no {}", plan.reasons()[0].code),
        StepPlan::Unknown(_) => format!("? {}", plan.reasons()[0].code),
    }
}

async fn code(kind: &str, more: Value, change: impl FnOnce(&mut World, &mut World)) -> String {
    word(&scene(kind, more, change).plan().await)
}

/// The old side is gone, with what was known of it: a sampler's word is asked for elsewhere.
fn dead(east: &mut World) {
    for name in ["a", "b"] {
        let member = east.member(name);
        member.state = "stopped".into();
        member.primary = false;
    }
}

pub(super) fn demoted(east: &mut World) {
    east.follow(Some(&crate::provider::patroni::Source { host: "10.1.0.1".into(), port: 5432, slot: None }));
}

#[tokio::test]
async fn a_planned_move_demotes_then_promotes_and_proves_both() {
    let demote = scene(DEMOTE, json!({}), |_, _| {});
    let alone = plan_given(demote.action.as_ref(), &[]).await;
    assert!(why(&alone).starts_with("PM3101"), "{alone:?}");
    let down = |site: &str| [Fact::Down { site: site.into() }];
    assert_eq!(word(&plan_given(demote.action.as_ref(), &down("west")).await), "no PM3101");
    let ours = [Fact::Ours { target: "east".into(), to: json!({}) }];
    assert_eq!(
        word(&plan_given(demote.action.as_ref(), &ours).await),
        "change",
        "ordered by this run, in doubt"
    );
    assert_eq!(word(&plan_given(demote.action.as_ref(), &down("east")).await), "change");
    // Planned before the demotion: what it needs is what the demotion gives.
    let with = json!({ "primary": "east", "demoted": true });
    let promote = bound(&demote.registry, PROMOTE, "west", with);
    let ahead = change_of(plan_given(promote.as_ref(), &[planned()]).await);
    let change = demote.change().await;
    assert_eq!(ahead.needs, change.gives);
    assert_eq!(ahead.bounds.get("data_loss_bytes"), Some(&0));
    // Not before it is seen.
    let end = apply(promote.as_ref(), ahead.clone()).await;
    assert_eq!(end.result, CallResult::Rejected { retry: true }, "{end:?}");
    assert_eq!(demote.west.world().moved, 0);

    let end = apply(demote.action.as_ref(), change).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    assert!(end.detail["window_ms"].is_u64());
    let StepPlan::Nothing { gives, .. } = demote.plan().await else { panic!("it follows") };
    assert!(gives.iter().zip(&ahead.needs).all(|(given, need)| given.meets(need)), "{gives:?}");
    // It is still the change that was agreed to, with what the other one's configuration is by now.
    let now = change_of(plan_given(promote.as_ref(), &[planned()]).await);
    assert!(now.within(&ahead), "{now:?} {ahead:?}");
    assert_ne!(now.detail, ahead.detail);
    let end = apply(promote.as_ref(), now).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    assert_eq!(end.detail["rpo"]["says"], "nothing is lost: west had all that east wrote", "{end:?}");
    let plan = plan_given(promote.as_ref(), &[planned()]).await;
    let StepPlan::Nothing { gives, says, .. } = plan else { panic!("it leads: {plan:?}") };
    assert!(says.contains("timeline 2"), "{says}");
    assert!(matches!(&gives[..], [Fact::Primary { target, .. }] if target.as_str() == "pg-c"), "{gives:?}");
}

#[tokio::test]
async fn a_lost_cluster_is_fenced_member_by_member() {
    assert_eq!(code(PROMOTE, json!({}), |_, _| {}).await, "no PM3101", "it lives");
    let scene_of_lost = scene(PROMOTE, json!({}), |east, _| dead(east));
    let lost = scene_of_lost.change().await;
    let end = apply(scene_of_lost.action.as_ref(), lost.clone()).await;
    let says = end.detail["rpo"]["says"].as_str().unwrap_or_default();
    assert!(end.detail["rpo"]["bytes"].is_null() && says.starts_with("unknown: no position"), "{end:?}");
    let stopped = |name: &str| Fact::Fenced { target: name.into(), rung: FenceRung::Stopped, position: None };
    assert_eq!(lost.needs, [stopped("pg-a"), stopped("pg-b")]);
    let Effect::Writer { target, others } = &lost.effects[0] else { panic!("{:?}", lost.effects) };
    assert_eq!((target.as_str(), others.len()), ("pg-c", 2));
    assert_eq!(lost.undo, Undo::None);
    // Nobody there tells how much is missing, and no sample of before does.
    let silent = |east: &mut World, _: &mut World| {
        east.lose("a");
        east.lose("b");
    };
    assert_eq!(code(PROMOTE, json!({}), silent).await, "? PM3613");
    let behind = |east: &mut World, _: &mut World| {
        dead(east);
        east.member("b").position += 5;
    };
    assert_eq!(code(PROMOTE, json!({ "max_lag": "4B" }), behind).await, "no PM3614");
    assert_eq!(code(PROMOTE, json!({ "max_lag": "5B" }), behind).await, "change");
}

#[tokio::test]
async fn a_demoted_cluster_is_waited_for_until_its_log_is_here() {
    let late = |east: &mut World, _: &mut World| {
        demoted(east);
        east.member("a").position += 1;
    };
    assert_eq!(code(PROMOTE, json!({ "demoted": true }), late).await, "? PM3631");
    // No more log comes: what a member has that the leader lacks would be lost.
    let ahead = |east: &mut World, west: &mut World| {
        demoted(east);
        west.member("d").position += 1;
    };
    assert_eq!(code(PROMOTE, json!({ "demoted": true }), ahead).await, "? PM3615");
    assert_eq!(code(PROMOTE, json!({ "demoted": true }), |east, _| demoted(east)).await, "change");
}

#[tokio::test]
async fn what_is_not_seen_is_not_proven() {
    let promote = |change: fn(&mut World, &mut World)| code(PROMOTE, json!({ "demoted": true }), change);
    assert_eq!(promote(|_, west| west.lose("c")).await, "no PM3616");
    assert_eq!(promote(|_, west| west.hangs("c")).await, "? PM3601");
    assert_eq!(promote(|_, west| west.member("c").heard_s = None).await, "? PM3602");
    assert_eq!(promote(|east, _| east.member("b").heard_s = Some(60)).await, "? PM3602");
    assert_eq!(promote(|_, west| west.scope = "cart".into()).await, "no PM3603");
    assert_eq!(promote(|east, _| east.join("z")).await, "no PM3603");
    assert_eq!(promote(|_, west| west.paused = true).await, "no PM3609");
    assert_eq!(promote(|east, _| east.member("a").timeline = 2).await, "no PM3612");
    assert_eq!(promote(|_, west| west.follow(None)).await, "no PM3605", "both take writes");
    let slowly = |_: &mut World, west: &mut World| {
        west.slow = true;
        west.follow(None);
    };
    assert_eq!(promote(slowly).await, "? PM3606", "told to lead, and does not yet");

    let demote = |change: fn(&mut World, &mut World)| code(DEMOTE, json!({}), change);
    assert_eq!(demote(|east, _| east.paused = true).await, "no PM3609");
    assert_eq!(demote(|east, _| east.scheduled = true).await, "no PM3610");
    assert_eq!(demote(|east, _| east.member("a").state = "starting".into()).await, "? PM3606");
    let nobody = |_: &mut World, west: &mut World| {
        west.lose("c");
        west.lose("d");
    };
    assert_eq!(demote(nobody).await, "? PM3601", "who would lead after it?");
    assert_eq!(demote(|east, _| east.member("a").position += (1 << 20) + 1).await, "no PM3614");
    // Told to follow, it is a fence only once every member is seen to.
    assert_eq!(demote(|east, _| demoted(east)).await, "nothing");
    let told: [Case; 4] = [
        (|east| east.slow = true, "? PM3606"),
        (|east| east.paused = true, "no PM3609"),
        (|east| east.hangs("b"), "? PM3606"),
        (|east| east.member("b").state = "starting".into(), "? PM3606"),
    ];
    for (change, expected) in told {
        let after = |east: &mut World, _: &mut World| {
            change(east);
            demoted(east);
        };
        assert_eq!(code(DEMOTE, json!({}), after).await, expected);
    }
    assert_eq!(code(DEMOTE, json!({ "host": "10.9.9.9" }), |east, _| demoted(east)).await, "no PM3608");
}

#[tokio::test]
async fn who_comes_back_beside_a_new_leader_is_demoted_without_a_way_back() {
    // West was promoted; east comes back as it was.
    let back = scene(DEMOTE, json!({}), |_, west| west.follow(None));
    let plan = plan_given(back.action.as_ref(), &[]).await;
    let change = change_of(plan);
    assert_eq!(change.undo, Undo::None);
    assert!(change.warnings.iter().any(|text| text.contains("thrown away")), "{:?}", change.warnings);
    let same = |east: &mut World, west: &mut World| {
        west.follow(None);
        east.member("a").timeline = 2;
        east.member("b").timeline = 2;
    };
    assert_eq!(code(DEMOTE, json!({}), same).await, "no PM3605");
}

#[tokio::test]
async fn a_demotion_is_taken_back_only_while_the_other_one_follows() {
    let scene = scene(DEMOTE, json!({}), |_, _| {});
    let change = scene.change().await;
    let Undo::To(back) = change.undo.clone() else { panic!("{:?}", change.undo) };
    let undo = bound(&scene.registry, back.kind.as_str(), back.target.as_str(), back.with);
    assert_eq!(word(&plan_given(undo.as_ref(), &[]).await), "nothing", "it leads");
    apply(scene.action.as_ref(), change).await;
    let undone = change_of(plan_given(undo.as_ref(), &[]).await);
    // Not beside a promoted one, nor while that cannot be told.
    let cases: [Case; 3] = [
        (|west| west.follow(None), "no PM3605"),
        (|west| west.hangs("d"), "? PM3606"),
        (|west| west.paused = true, "? PM3606"),
    ];
    for (change, expected) in cases {
        let before = scene.west.world();
        scene.west.by_hand(change);
        assert_eq!(word(&plan_given(undo.as_ref(), &[]).await), expected);
        let end = apply(undo.as_ref(), undone.clone()).await;
        assert!(matches!(end.result, CallResult::Rejected { .. }), "{end:?}");
        assert_eq!(scene.east.world().moved, 0, "{expected}");
        scene.west.by_hand(|west| *west = before);
    }
    let end = apply(undo.as_ref(), undone).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    assert_eq!(word(&plan_given(undo.as_ref(), &[]).await), "nothing");
    assert_eq!(scene.east.world().leader, Some("a".into()));
}

#[tokio::test]
async fn what_somebody_changed_since_the_plan_stops_it() {
    let changes: [fn(&mut World, &mut World); 5] = [
        |_, west| west.ttl = 99,
        |east, _| east.ttl = 99,
        |east, _| east.follow(None),
        |_, west| west.paused = true,
        |_, west| west.lose("c"),
    ];
    for change in changes {
        let scene = scene(PROMOTE, json!({ "demoted": true }), |east, _| demoted(east));
        let planned = scene.change().await;
        scene.east.by_hand(|east| scene.west.by_hand(|west| change(east, west)));
        let (moved, follows) = (scene.west.world().moved, scene.west.world().follows);
        let end = apply(scene.action.as_ref(), planned).await;
        assert!(matches!(end.result, CallResult::Rejected { .. }), "{end:?}");
        assert!(end.detail.to_string().contains("nothing was sent"), "{end:?}");
        assert_eq!((scene.west.world().moved, scene.west.world().follows), (moved, follows));
    }
}

#[test]
fn every_member_that_may_lead_is_a_server_to_fence() {
    let config = Arc::new(config(&CONFIG.replace("patroni = \"east\"\nmember = \"b\"\n", "")));
    let registry = ProviderRegistry { ports: Ports::real(config.clone()), config };
    let bind = |kind: &str, target: &str, with: Value| {
        registry.bind(&spec(kind, target, with)).err().unwrap_or_default().join("\n")
    };
    assert!(bind(PROMOTE, "west", json!({ "primary": "east" })).contains("is the member b of east"));
    let told = bind(PROMOTE, "west", json!({ "primary": "west", "max_lag": "much", "x": 1 }));
    for part in ["is the cluster itself", "`max_lag`", "`x` is not a parameter"] {
        assert!(told.contains(part), "{part} not in {told}");
    }
    assert!(bind(DEMOTE, "east", json!({ "standby": "pg-a" })).contains("no target of kind patroni"));
    assert!(bind(DEMOTE, "east", json!({ "standby": "west", "host": " " })).contains("`host` is empty"));
    assert_eq!(bind(DEMOTE, "east", json!({ "standby": "west", "host": "h", "port": 5433 })), "");
}
