//! Cooldown, acknowledgement and the budget of a day; the storm breaker; windows; copies of one delivery.

use super::yard::{Plot, Yard};
use serde_json::json;

#[tokio::test]
async fn a_second_automatic_run_waits_for_time_and_for_a_person() {
    let yard = Yard::new(Plot { limits: "cooldown: 8s, per_day: 2", ..Plot::default() }).await;
    let first = yard.fire("s0").await;
    yard.until_finished(1).await;
    yard.resolve(first).await;
    yard.move_back("s0");
    let second = yard.fire("s0").await;
    yard.until_held("s0", "PM5411", 1).await;
    let yard = yard.restart().await;
    yard.until_held("s0", "PM5412", 2).await;
    let (_, status) = yard.server.get("/api/v1/status").await;
    assert!(status["held_back"].to_string().contains("nobody has acknowledged"), "{status}");
    let held = yard.held("s0", "PM5411").await;
    assert!(held[0]["says"].as_str().unwrap().contains("cooldown of 8.0 s"), "{}", held[0]);
    tokio::time::sleep(std::time::Duration::from_secs(9)).await;
    assert!(!yard.moved("s0"), "the time is over, but nobody has seen the first run");
    let (status, answer) = yard.server.post("/api/v1/services/s0/ack", json!({ "reason": "looked" })).await;
    assert_eq!(status, 200, "{answer}");
    yard.until_finished(2).await;
    assert!(yard.moved("s0"));
    yard.resolve(second).await;
    yard.move_back("s0");
    assert_eq!(yard.server.post("/api/v1/services/s0/ack", json!({ "reason": "again" })).await.0, 200);
    assert_eq!(yard.server.post("/api/v1/services/s0/ack", json!({ "reason": "twice" })).await.0, 409);
    yard.fire("s0").await;
    yard.until_held("s0", "PM5413", 1).await;
    // A person is not bound by the limits of automation.
    let run = yard.server.post("/api/v1/runs", json!({ "playbook": "move-s0", "reason": "by hand" })).await;
    assert_eq!(run.0, 201, "{}", run.1);
    yard.until_finished(3).await;
    assert!(yard.moved("s0"));
}

#[tokio::test]
async fn forty_alerts_for_forty_services_trip_the_breaker_at_its_budget() {
    let storm = "concurrent = 100\nper_hour = 5\nsick_share = \"100%\"";
    let yard = Yard::new(Plot { services: 40, storm, ..Plot::default() }).await;
    let bodies: Vec<_> = (0..40).map(|n| yard.body(&format!("s{n}"))).collect();
    for body in &bodies {
        yard.deliver(body).await;
    }
    let stopped = async || {
        let held = yard.records("held").await;
        held.iter().filter(|r| r["body"]["why"].to_string().contains("PM5414")).count()
    };
    yard.until("alerts held by the breaker", 35, 30, &stopped).await;
    yard.until_finished(5).await;
    assert_eq!(yard.records("opened").await.len(), 5, "the budget and not one more");
    let trips = yard.records("breaker_tripped").await;
    assert_eq!(trips.len(), 1);
    assert!(trips[0]["says"].as_str().unwrap().contains("5 automatic runs within the hour"), "{}", trips[0]);
    let (_, status) = yard.server.get("/api/v1/status").await;
    assert!(
        status["says"].as_str().unwrap().starts_with("STORM") && !status["breaker"].is_null(),
        "{status}"
    );
    assert!(yard.metric("pointsman_breaker_tripped 1").await);

    let yard = yard.restart().await;
    assert!(!yard.server.get("/api/v1/status").await.1["breaker"].is_null(), "it stays tripped");
    let count =
        async || yard.records("held").await.iter().filter(|r| r.to_string().contains("PM5414")).count();
    yard.until("held again after the restart", 70, 30, count).await;
    assert_eq!(yard.records("opened").await.len(), 5);
    let (status, answer) = yard.server.post("/api/v1/breaker/reset", json!({ "reason": "a real one" })).await;
    assert_eq!(status, 200, "{answer}");
    yard.until("the next budget", 10, 30, async || yard.records("opened").await.len()).await;
    yard.until("tripped again", 2, 30, async || yard.records("breaker_tripped").await.len()).await;
    assert_eq!(yard.records("opened").await.len(), 10);
    let moved = (0..40).filter(|n| yard.moved(&format!("s{n}"))).count();
    assert!(moved <= 10, "{moved}");
    yard.verified();
}

#[tokio::test]
async fn by_default_one_service_moves_at_a_time_and_a_third_of_them_is_a_storm() {
    let yard = Yard::new(Plot { services: 6, storm: "", ..Plot::default() }).await;
    yard.world.sick.store(true, std::sync::atomic::Ordering::SeqCst);
    yard.fire("s0").await;
    yard.until("opened", 1, 10, async || yard.records("opened").await.len()).await;
    yard.fire("s1").await;
    yard.until_held("s1", "PM5415", 1).await;
    assert!(yard.records("breaker_tripped").await.is_empty());
    yard.fire("s2").await;
    yard.until("tripped", 1, 10, async || yard.records("breaker_tripped").await.len()).await;
    let trip = yard.records("breaker_tripped").await;
    assert!(trip[0]["says"].as_str().unwrap().contains("3 of 6 services are sick"), "{}", trip[0]);
    let (_, why) = yard.server.get("/api/v1/why?of=s2").await;
    assert!(why["now"].to_string().contains("PM5414"), "{why}");
}

#[tokio::test]
async fn a_hundred_copies_at_once_are_one_run() {
    let yard = Yard::new(Plot::default()).await;
    let body = yard.body("s0");
    futures_util::future::join_all((0..100).map(|_| yard.deliver(&body))).await;
    yard.until_finished(1).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(yard.records("delivered").await.len(), 100);
    assert_eq!((yard.records("occurrence_opened").await.len(), yard.records("opened").await.len()), (1, 1));
}

#[tokio::test]
async fn outside_its_windows_nothing_starts_by_itself() {
    let more = "windows: { zone: UTC, block: [\"Mon-Sun\"] }";
    let yard = Yard::new(Plot { more, ..Plot::default() }).await;
    yard.fire("s0").await;
    yard.until_held("s0", "PM5416", 1).await;
    let held = yard.held("s0", "PM5416").await;
    assert!(held[0]["says"].as_str().unwrap().contains("blocked by \"Mon-Sun\""), "{}", held[0]);
    assert!(yard.records("opened").await.is_empty());
    let run = yard.server.post("/api/v1/runs", json!({ "playbook": "move-s0", "reason": "by hand" })).await;
    assert_eq!(run.0, 201, "{}", run.1);
    yard.until_finished(1).await;
    assert!(yard.moved("s0"), "people are not bound by it");
}
