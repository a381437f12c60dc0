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
