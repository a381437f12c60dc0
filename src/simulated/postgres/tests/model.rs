//! The model behaves as the real pair did in `tests/it/postgres.rs`, and breaks where it is told to.

use super::scene::{Scene, down};
use crate::kernel::domain::{CallResult, StepPlan};
use crate::simulated::hook::Fault;
use crate::simulated::postgres::*;
use serde_json::json;

/// Breaks the calls of one verb.
struct Break(&'static str, Fault);

impl Hook for Break {
    fn before<'a>(&'a self, verb: &'a str, _mutates: bool) -> BoxFuture<'a, Fault> {
        let fault = if verb == self.0 { self.1 } else { Fault::None };
        Box::pin(futures_util::future::ready(fault))
    }
    fn after<'a>(&'a self, _verb: &'a str, _mutates: bool) -> BoxFuture<'a, ()> {
        Box::pin(futures_util::future::ready(()))
    }
}

fn fence(scene: &Scene) -> crate::kernel::port::Bound {
    scene.bind("postgres.fence", json!({ "target": "a", "min_rung": "lockout", "witness": "b" }))
}

#[tokio::test]
async fn a_lost_reply_after_the_effect_is_doubt_and_then_seen_as_done() {
    let scene = Scene::with(Arc::new(Break("postgres.terminate_clients", Fault::LoseReply)));
    let end = scene.apply(&fence(&scene), &[down()]).await;
    assert_eq!(end.result, CallResult::Indeterminate, "{end:?}");
    assert!(matches!(scene.plan(&fence(&scene), &[]).await, StepPlan::Nothing { .. }));
    assert_eq!(scene.servers.world().server("a").hba_written, 1);
}

#[tokio::test]
async fn a_refusal_changes_nothing_and_half_a_fence_is_doubt() {
    let scene = Scene::with(Arc::new(Break("postgres.write_hba", Fault::Reject)));
    let end = scene.apply(&fence(&scene), &[down()]).await;
    assert!(matches!(end.result, CallResult::Rejected { .. }), "{end:?}");
    assert_eq!(scene.servers.world().writers(), 1, "it still takes writes");
    let scene = Scene::with(Arc::new(Break("postgres.reload", Fault::Reject)));
    assert_eq!(scene.apply(&fence(&scene), &[down()]).await.result, CallResult::Indeterminate);
    assert_eq!(scene.servers.world().writers(), 1, "a file that is not loaded fences nothing");
    assert!(matches!(scene.plan(&fence(&scene), &[down()]).await, StepPlan::Change(_)));
}

#[tokio::test]
async fn a_stale_read_shows_the_world_before_the_last_change() {
    let scene = Scene::with(Arc::new(Break("postgres.progress", Fault::Stale)));
    scene.hand(|world| world.stop_and_mask("a"));
    let given = [super::scene::fenced(crate::kernel::domain::FenceRung::Stopped, None)];
    let promote = scene.bind("postgres.promote", json!({ "target": "b", "old": "a", "standbys": [] }));
    let end = scene.apply(&promote, &given).await;
    assert_eq!(end.result, CallResult::Indeterminate, "it is never seen to come: {end:?}");
    assert_eq!(scene.servers.world().server("b").promoted, 1);
}

#[test]
fn a_primary_that_is_started_again_is_writable_and_a_masked_one_does_not_come() {
    let mut world = World::pair("a", "b");
    world.crash("a");
    world.promote_by_hand("b");
    assert_eq!(world.writers(), 1);
    world.start("a");
    assert_eq!(world.writers(), 2, "the split brain that fences are for");
    world.stop_and_mask("a");
    world.start("a");
    assert_eq!(world.writers(), 1);
}

#[test]
fn the_log_flows_only_on_one_timeline_and_when_nothing_is_in_the_way() {
    let mut world = World::pair("a", "b");
    let behind = |world: &mut World| world.server("a").position - world.clone().server("b").position;
    assert!(world.write("a", 100));
    assert_eq!(behind(&mut world), 0);
    world.server("b").stalled = true;
    world.write("a", 50);
    assert_eq!(behind(&mut world), 50);
    assert!(!world.write("b", 1), "a standby takes no write");
}
