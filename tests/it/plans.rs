//! Plans by name at the real server: shared, run once, refused when they are used or no longer true, with what earlier
//! runs took.

use crate::limits::yard::{Plot, Yard};
use pointsman::kernel::domain::Role;
use serde_json::{Value, json};
use std::process::Command;

async fn planned(yard: &Yard) -> Value {
    let (status, plan) = yard.server.post("/api/v1/plans", json!({ "playbook": "move-s0" })).await;
    assert_eq!((status, plan["state"].as_str()), (200, Some("valid")), "{plan}");
    plan
}

async fn run(yard: &Yard, plan: &str) -> (u16, Value) {
    yard.server.post("/api/v1/runs", json!({ "plan": plan, "reason": "by hand" })).await
}

/// As a person would. The world answers from the other threads meanwhile.
fn say(yard: &Yard, words: &[&str]) -> (i32, String) {
    let out = Command::new(crate::serve::rig::BINARY)
        .args(words)
        .env("POINTSMAN_SERVER", &yard.server.url)
        .env("POINTSMAN_TOKEN", yard.token(Role::Operator.as_str()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.code().unwrap(), text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_shared_by_name_and_opens_one_run_which_is_its_own() {
    let yard = Yard::new(Plot::default()).await;
    let before = yard.journal().await.len();
    let plan = planned(&yard).await;
    let id = plan["id"].as_str().unwrap().to_owned();
    assert!(plan["time"]["history"].is_null(), "what was never run has no history: {plan}");
    assert!(plan["reach"][0]["says"][0].as_str().is_some_and(|says| says.len() > 10), "{plan}");
    assert_eq!(yard.journal().await.len(), before, "a plan records nothing");
    // Others read the same, by its name or digest, also after a restart.
    let yard = yard.restart().await;
    let digest = plan["plan"]["digest"].as_str().unwrap();
    for name in [&id, &id.to_lowercase(), digest, &digest[..7]] {
        let (status, shown) = yard.server.get(&format!("/api/v1/plans/{name}")).await;
        assert_eq!((status, &shown), (200, &plan), "{name}");
    }
    assert_eq!(yard.server.get("/api/v1/plans/NOSUCH").await.0, 404);
    assert_eq!(yard.server.get(&format!("/api/v1/plans/{}", &digest[..6])).await.0, 404, "too short");
    // At the same moment, twice: one run, of the plan's name.
    let both = tokio::join!(run(&yard, &id), run(&yard, &id));
    let mut codes = [both.0.0, both.1.0];
    codes.sort_unstable();
    assert_eq!(codes, [201, 409], "{both:?}");
    yard.until_finished(1).await;
    assert_eq!(yard.records("opened").await.len(), 1);
    let (status, problem) = run(&yard, &id).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("PM4031")), "{problem}");
    let (_, shown) = yard.server.get(&format!("/api/v1/plans/{id}")).await;
    assert_eq!(shown["state"], "used");
    let (code, text) = say(&yard, &["run", "--plan", &id, "--reason", "again", "--confirm=s0"]);
    assert!(code == 6 && text.contains("PM4031") && text.contains("USED"), "{code} {text}");
    let (code, text) = say(&yard, &["plan", "--show", &id, "-o", "md"]);
    assert!(code == 0 && text.starts_with("# PLAN ") && !text.contains("Run it"), "{code} {text}");
    yard.verified();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_is_no_longer_true_is_refused_and_history_is_what_runs_took() {
    let yard = Yard::new(Plot::default()).await;
    let (code, text) = say(&yard, &["plan", "move-s0"]);
    assert!(code == 0 && text.contains("no history") && text.contains("At worst"), "{code} {text}");
    let id = planned(&yard).await["id"].as_str().unwrap().to_owned();
    let stale = planned(&yard).await["id"].as_str().unwrap().to_owned();
    assert_ne!(id, stale, "each look has a name of its own");
    let words = ["run", "--plan", &id, "--reason", "drill", "--confirm=s0", "--timeout", "30s"];
    let (code, text) = say(&yard, &words);
    assert!(code == 0 && text.contains(&id), "{code} {text}");
    assert!(yard.moved("s0"));
    // What the other plan would have done is done.
    let (status, problem) = run(&yard, &stale).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("PM4030")), "{problem}");
    let (code, text) = say(&yard, &["run", "--plan", &stale, "--reason", "again", "--confirm=s0"]);
    assert!(code == 6 && text.contains("PM4030"), "{code} {text}");
    assert_eq!(yard.records("opened").await.len(), 1, "nothing was opened");
    yard.move_back("s0");
    let plan = planned(&yard).await;
    assert_eq!(plan["time"]["history"]["runs"], 1, "{plan}");
    assert!(plan["time"]["history"]["median"].as_u64().unwrap() > 0, "{plan}");
    let neither = yard.server.post("/api/v1/runs", json!({ "reason": "r" })).await;
    assert_eq!(neither.0, 409, "{}", neither.1);
}
