//! By PagerDuty: one incident for a run, taken by who decides, over when the run is; raised anew where it must be.

use super::scene::Keys;
use crate::limits::yard::{Plot, Yard};
use crate::people::desk::{ONE, approve, asked, decide, person_token, plot, waiting};
use lab::notices::{Mood, Pagerduty};
use serde_json::json;

#[tokio::test]
async fn an_incident_follows_its_run_and_a_new_question_wakes_again() {
    let (keys, pager) = (Keys::new(), Pagerduty::start().await.unwrap());
    let config = plot(ONE).config.to_owned() + &keys.pager(&pager);
    let yard = Yard::new(Plot { config: &config, ..plot(ONE) }).await;
    let incident = || pager.incidents().into_values().next().unwrap_or_default();
    let (id, digest) = asked(&yard).await;
    yard.until("a page", 1, 20, async || pager.incidents().len()).await;
    assert!(incident().woke == 1 && incident().summary == "s0: approve run gra -> sbg?", "{:?}", incident());
    let key = pager.incidents().into_keys().next().unwrap();
    assert!(key.ends_with(&format!("/run:{id}")) && key.starts_with("pointsman/"), "{key}");
    // Who has a new plan made has it in hand; the new plan asks anew, and must not be lost in that.
    let bo = person_token(&yard, "bo");
    let replan = json!({ "command": "replan", "digest": digest, "reason": "look again" });
    let (status, answer) = decide(&yard, &bo, &id, replan).await;
    assert_eq!(status, 200, "{answer}");
    let (_, digest) = waiting(&yard, 2).await;
    yard.until("a second page", 2, 20, async || incident().woke as usize).await;
    // Away for a while: nothing is lost, and a 500 is no refusal.
    pager.desk.mood(Mood::Answers(500));
    assert_eq!(decide(&yard, &bo, &id, approve(&digest)).await.0, 200);
    yard.until_finished(1).await;
    assert_eq!(incident().state, "triggered");
    pager.desk.mood(Mood::Well);
    yard.until("the end", 1, 30, async || usize::from(incident().state == "resolved")).await;
    let actions: Vec<String> =
        pager.desk.taken().iter().map(|got| got.body["event_action"].as_str().unwrap().to_owned()).collect();
    assert_eq!(actions, ["trigger", "acknowledge", "resolve", "trigger", "acknowledge", "resolve"]);
    assert!(pager.desk.wrong().is_empty(), "{:?}", pager.desk.wrong());
}

#[tokio::test]
async fn a_wrong_key_loses_nothing_and_is_never_shown() {
    let (keys, pager) = (Keys::new(), Pagerduty::start().await.unwrap());
    let config = plot(ONE).config.to_owned() + &keys.pager(&pager);
    let canary = "ffffffffffffffffffffffffffffcafe";
    keys.file("pager", canary);
    let yard = Yard::new(Plot { config: &config, ..plot(ONE) }).await;
    asked(&yard).await;
    yard.until("a refusal", 1, 20, async || pager.desk.wrong().len()).await;
    assert!(pager.incidents().is_empty());
    // The desk has counted it before the answer is read on our side.
    let says = async || yard.server.get("/api/v1/status").await.1["channels"]["pager"]["says"].to_string();
    yard.until("the reason in the status", 1, 20, async || usize::from(says().await.contains("routing key")))
        .await;
    let (_, status) = yard.server.get("/api/v1/status").await;
    assert!(!status.to_string().contains(canary) && !yard.server.log().contains(canary));
    // Mended in its file, it is read with the next try.
    keys.file("pager", &pager.key);
    yard.until("a page", 1, 30, async || pager.incidents().len()).await;
}

/// The state of each incident, by what its key ends with.
fn states(pager: &Pagerduty) -> Vec<String> {
    pager.incidents().into_iter().map(|(key, incident)| format!("{} {}", key, incident.state)).collect()
}

#[tokio::test]
async fn what_everybody_was_told_of_ends_with_its_run() {
    let (keys, pager) = (Keys::new(), Pagerduty::start().await.unwrap());
    let config = plot(ONE).config.to_owned() + &keys.pager(&pager);
    let yard = Yard::new(Plot { config: &config, ..plot(ONE) }).await;
    let bo = person_token(&yard, "bo");
    let url = format!("{}/api/v1/runs", yard.server.url);
    let body = json!({ "playbook": "move-s0", "reason": "a test" });
    let opened = reqwest::Client::new().post(url).bearer_auth(&bo).json(&body).send().await.unwrap();
    assert_eq!(opened.status().as_u16(), 201);
    let (id, digest) = waiting(&yard, 1).await;
    let solo =
        json!({ "command": "approve", "digest": digest, "reason": "nobody else is awake", "solo": true });
    assert_eq!(decide(&yard, &bo, &id, solo).await.0, 200);
    yard.until_finished(1).await;
    yard.until("two incidents", 2, 30, async || pager.incidents().len()).await;
    let alone = pager.incidents().into_values().find(|incident| incident.summary.contains("ALONE")).unwrap();
    assert_eq!(alone.woke, 1, "{:?}", pager.incidents());
    let over = async || states(&pager).iter().filter(|state| state.ends_with("resolved")).count();
    yard.until("the end of both", 2, 30, over).await;
    assert!(pager.desk.wrong().is_empty(), "{:?}", pager.desk.wrong());
}

/// `touch` fails there, and nothing is there.
fn breaks(yard: &Yard, service: &str) {
    std::os::unix::fs::symlink("/nonexistent/place", yard.folder().join(service)).unwrap();
}

#[tokio::test]
async fn a_run_that_a_person_closes_as_it_stands_wakes_nobody_once_more() {
    let (keys, pager) = (Keys::new(), Pagerduty::start().await.unwrap());
    let config = keys.pager(&pager);
    let yard = Yard::new(Plot { config: &config, ..Plot::default() }).await;
    breaks(&yard, "s0");
    yard.fire("s0").await;
    yard.until("a stop", 1, 40, async || yard.records("parked").await.len()).await;
    yard.until("a page", 1, 30, async || pager.incidents().len()).await;
    let run =
        yard.records("parked").await[0]["stream"].as_str().unwrap().trim_start_matches("run:").to_owned();
    let admin = yard.server.admin.clone();
    let close = json!({ "command": "close", "reason": "I moved it by hand" });
    let (status, answer) = decide(&yard, &admin, &run, close).await;
    assert_eq!(status, 200, "{answer}");
    yard.until_finished(1).await;
    let incident = || pager.incidents().into_values().next().unwrap();
    yard.until("its end", 1, 30, async || usize::from(incident().state == "resolved")).await;
    assert!(incident().woke == 1 && pager.incidents().len() == 1, "{:?}", pager.incidents());
}

#[tokio::test]
async fn a_run_that_failed_stays_a_page_until_somebody_has_seen_it() {
    let (keys, pager) = (Keys::new(), Pagerduty::start().await.unwrap());
    let config = keys.pager(&pager);
    let yard = Yard::new(Plot { config: &config, ..Plot::default() }).await;
    let file = yard.playbook_file("s0");
    let text = yard.playbook("s0").replace("    commit_point: true\n", "    on_failure: undo\n");
    std::fs::write(&file, text).unwrap();
    yard.until("the other form", 2, 20, async || {
        yard.records("loaded").await.iter().filter(|r| r["stream"] == "playbook:move-s0").count()
    })
    .await;
    breaks(&yard, "s0");
    yard.fire("s0").await;
    yard.until_finished(1).await;
    let outcome = yard.records("finished").await[0]["body"]["outcome"].clone();
    assert!(outcome == "failed" || outcome == "undone", "{outcome}");
    yard.until("a page", 1, 30, async || pager.incidents().len()).await;
    tokio::time::sleep(std::time::Duration::from_millis(800)).await;
    assert_eq!(pager.incidents().into_values().next().unwrap().state, "triggered");
    let (status, answer) = yard.server.post("/api/v1/services/s0/ack", json!({ "reason": "I saw it" })).await;
    assert_eq!(status, 200, "{answer}");
    yard.until("its end", 1, 30, async || {
        states(&pager).iter().filter(|state| state.ends_with("resolved")).count()
    })
    .await;
    assert!(pager.desk.wrong().is_empty(), "{:?}", pager.desk.wrong());
}
