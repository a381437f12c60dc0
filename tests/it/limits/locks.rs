//! Two services that share a target, moved in opposite directions: one waits for the other.

use super::yard::{Plot, Yard};
use std::sync::atomic::Ordering;

#[tokio::test]
async fn two_services_that_share_a_target_move_one_after_the_other() {
    let yard = Yard::new(Plot { services: 2, shared: true, ..Plot::default() }).await;
    yard.world.sick.store(true, Ordering::SeqCst);
    yard.fire("s0").await;
    yard.until("opened", 1, 10, async || yard.records("opened").await.len()).await;
    yard.fire("s1").await;
    yard.until_held("s1", "PM5408", 1).await;
    let held = yard.held("s1", "PM5408").await;
    assert!(held[0]["says"].as_str().unwrap().contains("target:box0 is locked by run"), "{}", held[0]);
    assert_eq!(yard.records("opened").await.len(), 1);
    yard.world.sick.store(false, Ordering::SeqCst);
    yard.until("both", 2, 60, async || yard.records("finished").await.len()).await;
    assert!(yard.moved("s0") && yard.moved("s1"));
    let order: Vec<String> = yard
        .journal()
        .await
        .iter()
        .map(|r| r["kind"].as_str().unwrap().to_owned())
        .filter(|kind| kind == "opened" || kind == "finished")
        .collect();
    assert_eq!(order, ["opened", "finished", "opened", "finished"]);
}
