//! Rules of the instance at the real server: changes within an hour over all runs, the override of one rule by one role,
//! a drill's faults, and a clock that differs.

use super::yard::{Plot, Yard};
use pointsman::kernel::domain::Role;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::atomic::Ordering;

async fn run(yard: &Yard, playbook: &str) -> String {
    let wanted = json!({ "playbook": playbook, "reason": "by hand" });
    let (status, answer) = yard.server.post("/api/v1/runs", wanted).await;
    assert_eq!(status, 201, "{answer}");
    answer["run"].as_str().unwrap().to_owned()
}

/// `pointsman` with a token of this role, as a person would.
fn say(yard: &Yard, role: Role, words: &[&str]) -> (i32, String) {
    let out = Command::new(crate::serve::rig::BINARY)
        .args(words)
        .env("POINTSMAN_SERVER", &yard.server.url)
        .env("POINTSMAN_TOKEN", yard.token(role.as_str()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.code().unwrap(), text)
}

const STORM: &str =
    "concurrent = 100\nper_hour = 1000\nsick_share = \"100%\"\n[limits]\nchanges_per_hour = 2";

#[tokio::test]
async fn changes_within_an_hour_bind_alerts_and_people_until_one_of_the_role_lifts_it() {
    let yard = Yard::new(Plot { services: 4, storm: STORM, ..Plot::default() }).await;
    yard.fire("s0").await;
    run(&yard, "move-s1").await;
    yard.until_finished(2).await;
    let yard = yard.restart().await;
    // Counted from the journal: the limit is reached, for an alert and for a person.
    yard.fire("s2").await;
    let waits = async || {
        let held = yard.records("held").await;
        held.iter().filter(|r| r["body"]["why"].to_string().contains("PM5604")).count()
    };
    yard.until("held for the limit", 1, 20, &waits).await;
    let refused = run(&yard, "move-s3").await;
    yard.until_finished(3).await;
    let (_, why) = yard.server.get(&format!("/api/v1/why?of={refused}")).await;
    let last = why["records"].as_array().unwrap().last().unwrap();
    assert_eq!(last["reasons"][0]["code"], "PM5604", "{why}");
    assert!(last["says"].as_str().unwrap().contains("2 changes were begun within the hour"), "{last}");
    assert!(!yard.moved("s2") && !yard.moved("s3"));
    let (_, plan) = yard.server.post("/api/v1/plans", json!({ "playbook": "move-s3" })).await;
    assert!(plan["plan"].is_null() && plan["blockers"].to_string().contains("PM5604"), "{plan}");
    // Who may, what may, and for how long.
    let lift = ["override", "changes_per_hour", "--service", "s2", "--reason", "s2 is down", "--for", "10m"];
    assert_eq!(say(&yard, Role::Operator, &lift).0, 4);
    assert_eq!(say(&yard, Role::Admin, &lift).0, 4, "no admin stands in for who leads");
    let writers = ["override", "max_writers", "--service", "s2", "--reason", "r", "--for", "10m"];
    let (code, text) = say(&yard, Role::IncidentLead, &writers);
    assert!(code == 4 && text.contains("accept-unfenced"), "{code} {text}");
    let forever = ["override", "changes_per_hour", "--service", "s2", "--reason", "r", "--for", "61m"];
    assert_eq!(say(&yard, Role::IncidentLead, &forever).0, 6);
    assert!(yard.records("overridden").await.is_empty());
    let (code, text) = say(&yard, Role::IncidentLead, &lift);
    assert!(code == 0 && text.contains("changes_per_hour does not bind s2 until"), "{code} {text}");
    yard.until_finished(4).await;
    assert!(yard.moved("s2") && !yard.moved("s3"), "it is of one service");
    seen_everywhere(&yard).await;
    let end = ["override", "changes_per_hour", "--service", "s2", "--reason", "done", "--end"];
    assert_eq!(say(&yard, Role::IncidentLead, &end).0, 0);
    assert_eq!(say(&yard, Role::IncidentLead, &end).0, 6, "it is lifted no more");
    assert!(yard.metric("pointsman_overrides 0").await);
    yard.verified();
}

async fn seen_everywhere(yard: &Yard) {
    let (_, status) = yard.server.get("/api/v1/status").await;
    assert_eq!(status["changes"], json!({ "begun": 3, "reserved": 0, "most": 2 }));
    assert!(status["overrides"][0]["says"].as_str().unwrap().ends_with("s2 is down"), "{status}");
    let (code, screen) = say(yard, Role::Viewer, &["status"]);
    assert!(code == 0 && screen.contains("OVERRIDE: changes_per_hour does not bind s2"), "{screen}");
    assert!(screen.contains("3 changes begun within the hour; the limit is 2"), "{screen}");
    let (_, why) = yard.server.get("/api/v1/why?of=s2").await;
    let of = |kind: &str| why["records"].as_array().unwrap().iter().filter(|r| r["kind"] == kind).count();
    assert_eq!(of("overridden"), 1, "{why}");
    // Of the instance, and of the run that was told.
    let told: Vec<Value> = yard.records("overridden").await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        yard.metric("pointsman_overrides 1").await && yard.metric("pointsman_changes_within_hour 3").await
    );
    assert!(!yard.metric("pointsman_refusals_total{reason=\"PM5604\"} 0").await, "counted");
}

#[tokio::test]
async fn a_clock_that_differs_holds_what_would_start_by_itself() {
    let yard = Yard::new(Plot { services: 2, ahead: 60, ..Plot::default() }).await;
    let found = async || yard.records("clock").await.len();
    yard.until("a finding", 1, 10, &found).await;
    let (_, status) = yard.server.get("/api/v1/status").await;
    let says = status["clocks"].as_str().unwrap();
    assert!(
        says.starts_with("PM5506: the clock of 127.0.0.1:") && says.contains("s ahead of ours"),
        "{says}"
    );
    yard.fire("s0").await;
    yard.until_held("s0", "PM5506", 1).await;
    assert!(!yard.moved("s0"));
    // A person's run is a person's to answer for.
    run(&yard, "move-s1").await;
    yard.until_finished(1).await;
    assert!(yard.moved("s1"));
    yard.world.ahead.store(0, Ordering::SeqCst);
    yard.until("the clocks agree again", 2, 25, &found).await;
    yard.until_finished(2).await;
    assert!(yard.moved("s0"), "what was held is looked at again");
}

#[tokio::test]
async fn a_drill_that_crashes_the_server_after_a_call_is_taken_up_again() {
    let drill = |kind: &str| format!("kind: {kind}\n");
    let yard = Yard::new(Plot::default()).await;
    let text = yard.playbook("s0");
    let from = text.find("triggers:").unwrap();
    let to = text.find("limits:").unwrap();
    let text = format!("{}{}", &text[..from], &text[to..])
        .replace("mode: auto", "mode: approve")
        .replace("    commit_point: true", "    commit_point: true\n    inject: crash");
    // Not in a playbook for the real thing.
    let out = yard.check(&text);
    assert!(out.contains("PM1256") && out.contains("inject: crash would break a real failover"), "{out}");
    let text = text.replace(&drill("other"), &drill("drill"));
    assert_eq!(yard.check(&text), "", "nothing to say");
    yard.write_playbook("s0", &text);
    let mut yard = yard.restart().await;
    let id = run(&yard, "move-s0").await;
    yard.until("asked", 1, 10, async || yard.records("asked").await.len()).await;
    let asked = &yard.records("asked").await[0];
    let yes =
        json!({ "command": "approve", "digest": asked["body"]["digest"], "reason": "drill", "solo": true });
    let (status, answer) = yard.server.post(&format!("/api/v1/runs/{id}/decisions"), yes).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(yard.server.ended().await, Some(70), "{}", yard.server.log());
    assert!(yard.moved("s0"), "the call was made");
    let yard = yard.restart().await;
    yard.until_finished(1).await;
    let finished = &yard.records("finished").await[0];
    assert_eq!(finished["body"]["outcome"], "succeeded", "{finished}");
    assert_eq!((yard.records("taken").await.len(), yard.records("intended").await.len()), (1, 1));
    assert_eq!(yard.records("ended").await.len(), 0, "nobody wrote down how the call ended; it was seen");
}
