//! Freeze and thaw by people, over the API: who may, what it holds, how it ends.

use super::yard::{Plot, Yard};
use serde_json::json;
use std::time::Duration;

fn freeze(lasts: &str) -> serde_json::Value {
    json!({ "service": "s0", "reason": "the network is being changed", "for": lasts })
}

#[tokio::test]
async fn a_freeze_holds_alerts_and_people_and_a_thaw_looks_again() {
    let yard = Yard::new(Plot { services: 2, ..Plot::default() }).await;
    let (status, answer) = yard.server.post("/api/v1/freeze", freeze("2h")).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["says"].as_str().unwrap().contains("s0 is frozen by"), "{answer}");
    yard.fire("s0").await;
    yard.until_held("s0", "PM5410", 1).await;
    let (status, problem) =
        yard.server.post("/api/v1/runs", json!({ "playbook": "move-s0", "reason": "now" })).await;
    assert_eq!(status, 409, "{problem}");
    assert_eq!(yard.records("not_opened").await.len(), 1, "a no to a person is on record");
    yard.fire("s1").await;
    yard.until_finished(1).await;
    assert!(yard.moved("s1") && !yard.moved("s0"), "another service is not frozen");

    let (_, status) = yard.server.get("/api/v1/status").await;
    let says = status["freezes"][0]["says"].as_str().unwrap();
    assert!(says.contains("the network is being changed") && says.contains("UTC"), "{says}");
    let (_, why) = yard.server.get("/api/v1/why?of=s0").await;
    assert!(why["now"][0]["code"] == "PM5410" && why["records"].as_array().unwrap().len() >= 3, "{why}");
    let (_, why) = yard.server.get("/api/v1/why?of=SiteDown").await;
    assert!(why["records"].to_string().contains("PM5410"), "{why}");
    yard.until("the metric", 1, 5, async || {
        usize::from(yard.metric("pointsman_refusals_total{reason=\"PM5410\"} 2").await)
    })
    .await;

    let yard = yard.restart().await;
    assert!(!yard.server.get("/api/v1/status").await.1["freezes"].as_array().unwrap().is_empty());
    let asked = yard.world.asked.load(std::sync::atomic::Ordering::SeqCst);
    let (status, answer) =
        yard.server.post("/api/v1/thaw", json!({ "service": "s0", "reason": "done" })).await;
    assert_eq!(status, 200, "{answer}");
    yard.until_finished(2).await;
    assert!(yard.moved("s0"));
    assert!(yard.world.asked.load(std::sync::atomic::Ordering::SeqCst) > asked, "the source is asked first");
}

#[tokio::test]
async fn only_who_leads_freezes_and_nonsense_is_refused() {
    let yard = Yard::new(Plot::default()).await;
    let (operator, lead) = (yard.token("operator"), yard.token("incident-lead"));
    let client = reqwest::Client::new();
    let post = async |token: &str, path: &str, body: serde_json::Value| {
        let url = format!("{}/api/v1/{path}", yard.server.url);
        client.post(url).bearer_auth(token).json(&body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(post(&operator, "freeze", freeze("1h")).await, 403);
    assert_eq!(post(&lead, "freeze", freeze("1")).await, 400, "a time without its unit");
    assert_eq!(post(&lead, "freeze", freeze("9000h")).await, 409, "a freeze is no switch");
    assert_eq!(post(&lead, "freeze", json!({ "reason": " ", "for": "1h" })).await, 403);
    assert_eq!(post(&lead, "freeze", json!({ "service": "s9", "reason": "r", "for": "1h" })).await, 404);
    assert_eq!(post(&lead, "thaw", json!({ "service": "s0", "reason": "r" })).await, 409);
    assert_eq!(post(&lead, "freeze", freeze("1h")).await, 200);
    assert_eq!(post(&lead, "thaw", json!({ "reason": "all" })).await, 409, "only s0 is frozen");
    assert_eq!(post(&operator, "thaw", json!({ "service": "s0", "reason": "r" })).await, 403);
    assert_eq!(post(&operator, "breaker/reset", json!({ "reason": "r" })).await, 403);
    assert_eq!(post(&lead, "breaker/reset", json!({ "reason": "r" })).await, 409);
    assert_eq!(post(&operator, "services/s0/ack", json!({ "reason": "r" })).await, 409);
}

#[tokio::test]
async fn a_freeze_ends_by_itself_and_what_is_over_by_then_starts_nothing() {
    ends_by_itself("api").await;
}

#[tokio::test]
async fn prometheus_says_what_is_over_too() {
    ends_by_itself("prometheus").await;
}

async fn ends_by_itself(source: &str) {
    let yard = Yard::new(Plot { services: 2, source, ..Plot::default() }).await;
    let body = json!({ "reason": "a short one", "for": "3s" });
    assert_eq!(yard.server.post("/api/v1/freeze", body).await.0, 200);
    assert!(yard.server.get("/api/v1/status").await.1["says"].as_str().unwrap().starts_with("FROZEN"));
    yard.fire("s0").await;
    yard.until_held("s0", "PM5410", 1).await;
    yard.quiet_at_the_source();
    yard.fire("s1").await;
    yard.until("thawed by its time", 1, 10, async || yard.records("thawed").await.len()).await;
    assert!(yard.records("thawed").await[0]["body"]["by"].is_null());
    yard.until_finished(1).await;
    yard.until("told off", 1, 10, async || yard.records("not_started").await.len()).await;
    let why = yard.records("not_started").await;
    assert!(why[0]["says"].as_str().unwrap().contains("not confirmed"), "{why:?}");
    assert!(yard.moved("s1") && !yard.moved("s0"), "the source of s0 says that it is over");
}

#[tokio::test]
async fn a_freeze_reaches_a_run_that_is_open() {
    let yard = Yard::new(Plot::default()).await;
    yard.world.sick.store(true, std::sync::atomic::Ordering::SeqCst);
    yard.fire("s0").await;
    yard.until("opened", 1, 10, async || yard.records("opened").await.len()).await;
    let (_, answer) = yard.server.post("/api/v1/freeze", freeze("2h")).await;
    assert!(answer["says"].as_str().unwrap().contains("1 open runs were told"), "{answer}");
    yard.world.sick.store(false, std::sync::atomic::Ordering::SeqCst);
    let frozen =
        async || yard.records("held").await.iter().filter(|r| r.to_string().contains("PM5410")).count();
    yard.until("held by the freeze", 1, 10, frozen).await;
    tokio::time::sleep(Duration::from_secs(16)).await;
    assert!(!yard.moved("s0"), "the guard holds again, and nothing happens under the freeze");
    let yard = yard.restart().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!yard.moved("s0"));
    assert_eq!(yard.server.post("/api/v1/thaw", json!({ "service": "s0", "reason": "ok" })).await.0, 200);
    yard.until_finished(1).await;
    assert!(yard.moved("s0"));
    yard.verified();
}
