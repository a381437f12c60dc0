//! Every branch of the verdict, over the real observation of a modelled pair.

use super::scene::{Scene, codes};
use crate::kernel::domain::*;
use crate::kernel::port::Bound;
use serde_json::json;

fn lag(scene: &Scene) -> Bound {
    let with = json!({ "target": "b", "max_bytes": "1KiB", "max_seconds": 5, "max_sample_age": "30s" });
    scene.bind("postgres.lag", with)
}

#[tokio::test]
async fn an_idle_pair_passes_and_never_sampled_does_not() {
    let scene = Scene::new();
    assert_eq!(codes(&scene.plan(&lag(&scene), &[]).await), ["PM3301"]);
    scene.sample().await;
    assert!(matches!(scene.plan(&lag(&scene), &[]).await, StepPlan::Nothing { .. }));
    let mut live = json!({ "target": "b", "max_bytes": "1KiB", "max_seconds": 5, "max_sample_age": "30s" });
    live["primary"] = json!("a");
    let unsampled = Scene::new();
    assert!(
        matches!(unsampled.plan(&unsampled.bind("postgres.lag", live), &[]).await, StepPlan::Nothing { .. }),
        "a living primary is asked itself"
    );
}

#[tokio::test]
async fn the_age_counts_to_the_first_look_that_failed() {
    let scene = Scene::new();
    scene.sample().await;
    scene.hand(|world| world.crash("a"));
    scene.pass(Span::secs(20));
    scene.sample().await;
    scene.pass(Span::mins(90));
    scene.sample().await;
    assert!(matches!(scene.plan(&lag(&scene), &[]).await, StepPlan::Nothing { .. }), "an outage may last");

    let blind = Scene::new();
    blind.sample().await;
    blind.pass(Span::secs(31));
    assert_eq!(codes(&blind.plan(&lag(&blind), &[]).await), ["PM3302"], "nobody looked for 31 s");
}

#[tokio::test]
async fn bytes_and_seconds_are_bounds() {
    let scene = Scene::new();
    scene.sample().await;
    scene.hand(|world| world.server("b").stalled = true);
    scene.hand(|world| world.write("a", 2000));
    scene.pass(Span::secs(1));
    scene.sample().await;
    assert_eq!(codes(&scene.plan(&lag(&scene), &[]).await), ["PM3304"], "too many bytes");
    scene.hand(|world| world.server("b").position += 1999);
    assert!(matches!(scene.plan(&lag(&scene), &[]).await, StepPlan::Nothing { .. }));
    scene.pass(Span::secs(6));
    scene.sample().await;
    assert_eq!(codes(&scene.plan(&lag(&scene), &[]).await), ["PM3304"], "one byte, for too long");
}

#[tokio::test]
async fn what_cannot_be_compared_is_unknown() {
    let scene = Scene::new();
    scene.sample().await;
    scene.hand(|world| world.server("b").timeline = 2);
    assert_eq!(codes(&scene.plan(&lag(&scene), &[]).await), ["PM3301"], "another timeline");
    scene.hand(|world| (world.server("b").timeline, world.server("b").system) = (1, "42".into()));
    assert_eq!(codes(&scene.plan(&lag(&scene), &[]).await), ["PM3301"], "other data");
    scene.hand(|world| world.crash("b"));
    assert_eq!(codes(&scene.plan(&lag(&scene), &[]).await), ["PM3301"], "silent");
    let promoted = Scene::new();
    promoted.hand(|world| world.promote_by_hand("b"));
    assert_eq!(codes(&promoted.plan(&lag(&promoted), &[]).await), ["PM3303"]);

    let late = Scene::new();
    late.hand(|world| world.server("b").stalled = true);
    late.hand(|world| world.write("a", 10));
    late.sample().await;
    assert_eq!(codes(&late.plan(&lag(&late), &[]).await), ["PM3301"], "no sample is old enough for seconds");
}
