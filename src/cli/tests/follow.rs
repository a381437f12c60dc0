//! Watching: with which code it leaves, that leaving changes nothing, and that a lost server is not a lost
//! run.

use crate::cli::client::{Client, read};
use crate::cli::testing::{Heard, command, fixture, look, peer};
use crate::cli::verb::follow::{Follow, leaves_with, watch};
use crate::cli::wire::RunDoc;
use crate::cli::{Exit, Talk};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

fn leaving(name: &str, change: impl Fn(&mut Value)) -> Option<Exit> {
    let mut document = fixture(name);
    change(&mut document);
    leaves_with(&read::<RunDoc>(&document, "run").unwrap())
}

#[test]
fn it_leaves_when_the_run_is_over_or_stands_and_never_before() {
    assert_eq!(leaving("run_running", |_| ()), None);
    assert_eq!(leaving("run_asked", |_| ()), None);
    assert_eq!(leaving("run_manual", |_| ()), None);
    assert_eq!(leaving("run_running", |d| d["doubt"] = json!(true)), None, "it is still being found out");
    assert_eq!(leaving("run_parked", |_| ()), Some(Exit::Partial));
    assert_eq!(leaving("run_parked", |d| d["doubt"] = json!(true)), Some(Exit::Unknown));
    assert_eq!(leaving("run_succeeded", |_| ()), Some(Exit::Done));
    assert_eq!(leaving("run_partial", |_| ()), Some(Exit::Partial));
    assert_eq!(leaving("run_succeeded", |d| d["outcome"] = json!("splendid")), Some(Exit::Unknown));
    assert_eq!(leaving("run_asked", |d| d["summary"]["mode"] = json!("observe")), Some(Exit::Refused));
}

#[tokio::test]
async fn a_lost_server_is_sought_again_and_the_run_is_followed_to_its_end() {
    let polls = Arc::new(Mutex::new(0));
    let answer = async move || {
        let mut polls = polls.lock().unwrap();
        *polls += 1;
        match *polls {
            1 => Json(fixture("run_running")).into_response(),
            2 | 3 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            4 => Json(fixture("run_manual")).into_response(),
            _ => Json(fixture("run_succeeded")).into_response(),
        }
    };
    let router = Router::new().route("/api/v1/runs/{id}", get(answer));
    let left = peer(router, |url| async move { command(&url, "watch 7KQ4M2", None).await }).await;
    assert_eq!(left.code, ExitCode::SUCCESS, "{}", left.err);
    assert_eq!(left.err.matches("STALE since").count(), 1, "{}", left.err);
    assert!(left.err.contains("contact with the server is back"), "{}", left.err);
    for words in ["fence old primary", "RTO", "RPO", "96 KiB", "pointsman confirm 7KQ4M2 --step 3"] {
        assert!(left.out.contains(words), "no {words:?} in {}", left.out);
    }
}

#[tokio::test]
async fn a_wait_that_is_over_says_that_the_run_goes_on() {
    let router = Router::new().route("/api/v1/runs/{id}", get(async || Json(fixture("run_running"))));
    let left =
        peer(router, |url| async move { command(&url, "watch 7KQ4M2 --timeout 200ms", None).await }).await;
    assert_eq!(left.code, ExitCode::from(9));
    assert!(left.err.contains("The wait is over. Run 7KQ4M2 continues."), "{}", left.err);
}

#[tokio::test]
async fn json_is_the_last_document_and_jsonl_every_one_that_differs() {
    let polls = Arc::new(Mutex::new(0));
    let answer = async move || {
        let mut polls = polls.lock().unwrap();
        *polls += 1;
        Json(fixture(if *polls % 3 == 0 { "run_succeeded" } else { "run_running" }))
    };
    let router = Router::new().route("/api/v1/runs/{id}", get(answer));
    peer(router, |url| async move {
        let left = command(&url, "watch 7KQ4M2 -o jsonl", None).await;
        assert_eq!(left.out.lines().count(), 2, "two documents differ: {}", left.out);
        let left = command(&url, "watch 7KQ4M2 -o json", None).await;
        let last: Value = serde_json::from_str(&left.out).unwrap();
        assert_eq!(last["outcome"], "succeeded");
    })
    .await;
}

#[tokio::test]
async fn a_run_that_was_started_and_cannot_be_watched_is_not_called_not_started() {
    let router = Router::new()
        .route("/api/v1/plans", axum::routing::post(async || Json(fixture("plan"))))
        .route(
            "/api/v1/runs",
            axum::routing::post(async || {
                Json(json!({ "schema": "pointsman.run-opened/v1", "run": "7KQ4M2" }))
            }),
        )
        .route("/api/v1/runs/{id}", get(async || StatusCode::INTERNAL_SERVER_ERROR));
    let left = peer(router, |url| async move {
        command(&url, "run shop-failover --reason power --confirm=shop", None).await
    })
    .await;
    assert_eq!(left.code, ExitCode::from(9), "{}", left.err);
    assert!(left.err.contains("run 7KQ4M2 is started and may go on"), "{}", left.err);
    assert!(!left.err.contains("no run was started"), "{}", left.err);
}

#[tokio::test]
async fn leaving_says_that_the_run_continues_and_draws_in_place() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let router = Router::new().route("/api/v1/runs/{id}", get(async || Json(fixture("run_running"))));
    let (out, err) = (Heard::default(), Heard::default());
    let mut talk = Talk::of_parts(Box::new(out.clone()), Box::new(err.clone()), None, look());
    talk.screen = true;
    let exit = peer(router, |url| async move {
        let client = Client::new(&url, None, None).unwrap();
        let follow = Follow::leaving_on(tokio::signal::unix::SignalKind::user_defined1(), None).unwrap();
        let me = std::process::id().to_string();
        let press = async {
            tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
            std::process::Command::new("kill").args(["-USR1", &me]).status().unwrap()
        };
        let (exit, killed) = tokio::join!(watch("7KQ4M2", &client, &mut talk, follow), press);
        assert!(killed.success());
        exit.unwrap()
    })
    .await;
    assert_eq!(exit, Exit::Left);
    assert!(err.text().contains("Left. Run 7KQ4M2 continues."), "{}", err.text());
    let frames = out.text();
    let height = frames.split("\x1b[?7h").next().unwrap().matches("\r\n").count();
    assert!(frames.contains(&format!("\x1b[{height}A")), "the second frame does not stand on the first");
}
