//! Verbs as whole commands: what they send, what they show, with which code they leave.

use crate::cli::testing::{command, fixture, peer};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

/// What the peer was sent, in order.
type Sent = Arc<Mutex<Vec<Value>>>;

fn serving(name: &'static str) -> Json<Value> {
    Json(fixture(name))
}

async fn remember(State(sent): State<Sent>, Json(body): Json<Value>) -> Json<Value> {
    sent.lock().unwrap().push(body);
    Json(json!({ "schema": "pointsman.decision/v1", "position": 77, "says": "it is on record" }))
}

fn deciding(run: &'static str, sent: &Sent) -> Router {
    Router::new()
        .route("/api/v1/runs/{id}", get(async move || serving(run)))
        .route("/api/v1/runs/{id}/decisions", post(remember))
        .with_state(sent.clone())
}

fn digest() -> String {
    fixture("plan")["plan"]["digest"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn plan_leaves_with_0_20_or_7() {
    let router = |name| Router::new().route("/api/v1/plans", post(async move || serving(name)));
    peer(router("plan"), |url| async move {
        assert_eq!(command(&url, "plan shop-failover", None).await.code, ExitCode::SUCCESS);
        let left = command(&url, "plan shop-failover --detailed-exitcode", None).await;
        assert_eq!(left.code, ExitCode::from(20));
        assert!(left.out.contains("NO UNDO") && left.out.contains("This command changed nothing."));
        let left = command(&url, "plan shop-failover -o json", None).await;
        let said: Value = serde_json::from_str(&left.out).unwrap();
        assert_eq!(said["schema"], "pointsman.plan/v1");
        assert_eq!(said["plan"]["at_utc"], "2026-11-20T02:12:07.000000Z");
    })
    .await;
    peer(router("plan_blocked"), |url| async move {
        let left = command(&url, "plan shop-failover --detailed-exitcode", None).await;
        assert_eq!(left.code, ExitCode::from(7));
    })
    .await;
}

fn starting(sent: &Sent) -> Router {
    let open = async |State(sent): State<Sent>, Json(body): Json<Value>| {
        sent.lock().unwrap().push(body);
        (StatusCode::CREATED, Json(json!({ "schema": "pointsman.run-opened/v1", "run": "7KQ4M2" })))
    };
    Router::new()
        .route("/api/v1/plans", post(async || serving("plan")))
        .route("/api/v1/runs", post(open))
        .route("/api/v1/runs/{id}", get(async || serving("run_asked")))
        .with_state(sent.clone())
}

#[tokio::test]
async fn run_starts_exactly_the_plan_that_was_shown_and_only_by_name() {
    let sent = Sent::default();
    peer(starting(&sent), |url| async move {
        for (line, answers) in [
            ("run shop-failover --reason power", None),
            ("run shop-failover --reason power", Some("yes\n")),
            ("run shop-failover --reason power", Some("")),
            ("run shop-failover --reason power --confirm=blog", Some("shop\n")),
        ] {
            let left = command(&url, line, answers).await;
            assert_eq!(left.code, ExitCode::from(2), "{line}: {}", left.err);
            assert!(left.err.contains("PM0007") && left.err.contains("no run was started"), "{}", left.err);
        }
        let left =
            command(&url, "run shop-failover --reason power --confirm=shop --digest aaaaaaa", None).await;
        assert_eq!(left.code, ExitCode::from(6), "{}", left.err);
        assert!(sent.lock().unwrap().is_empty(), "something was started");

        let left = command(&url, "run shop-failover --reason power --no-wait", Some("shop\n")).await;
        assert_eq!(left.code, ExitCode::from(8), "{}", left.err);
        assert_eq!(left.out, "7KQ4M2\n");
        let wanted = json!({ "playbook": "shop-failover", "reason": "power", "digest": digest() });
        assert_eq!(*sent.lock().unwrap(), [wanted]);
    })
    .await;
}

#[tokio::test]
async fn a_blocked_plan_is_not_started() {
    let router = Router::new().route("/api/v1/plans", post(async || serving("plan_blocked")));
    peer(router, |url| async move {
        let left = command(&url, "run shop-failover --reason power --confirm=shop", None).await;
        assert_eq!(left.code, ExitCode::from(7));
        assert!(left.err.contains("PM0011") && left.err.contains("no run was started"), "{}", left.err);
    })
    .await;
}

#[tokio::test]
async fn approve_binds_to_the_plan_that_was_shown_or_named() {
    let sent = Sent::default();
    peer(deciding("run_asked", &sent), |url| async move {
        let left = command(&url, "approve 7KQ4M2 --reason r", None).await;
        assert_eq!(left.code, ExitCode::from(2), "{}", left.err);
        let left = command(&url, "approve 7KQ4M2 --reason r --digest 1234567", None).await;
        assert_eq!(left.code, ExitCode::from(6), "{}", left.err);
        assert!(sent.lock().unwrap().is_empty());
        let left = command(&url, "approve 7KQ4M2 --reason r", Some("shop\n")).await;
        assert_eq!(left.code, ExitCode::SUCCESS, "{}", left.err);
        assert!(left.err.contains("promote standby"), "the plan was not shown: {}", left.err);
        let left =
            command(&url, &format!("approve 7KQ4M2 --reason r --digest {}", &digest()[..7]), None).await;
        assert_eq!(left.code, ExitCode::SUCCESS, "{}", left.err);
        let wanted =
            json!({ "command": "approve", "reason": "r", "digest": digest(), "accept_unfenced": [] });
        assert_eq!(*sent.lock().unwrap(), [wanted.clone(), wanted]);
    })
    .await;
}

#[tokio::test]
async fn a_plan_that_changed_while_it_was_fetched_is_not_approved() {
    let mut document = fixture("run_asked");
    document["asked"]["digest"] = json!("00".repeat(32));
    let sent = Sent::default();
    let router = Router::new()
        .route("/api/v1/runs/{id}", get(async move || Json(document.clone())))
        .route("/api/v1/runs/{id}/decisions", post(remember))
        .with_state(sent.clone());
    let left =
        peer(
            router,
            |url| async move { command(&url, "approve 7KQ4M2 --reason r --confirm=shop", None).await },
        );
    assert_eq!(left.await.code, ExitCode::from(6));
    assert!(sent.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_missing_fence_is_accepted_by_name_and_said_in_words() {
    let sent = Sent::default();
    peer(deciding("run_parked", &sent), |url| async move {
        let left = command(&url, "approve 7KQ4M2 --reason r --confirm=shop", None).await;
        assert_eq!(left.code, ExitCode::from(6), "ordinary approval covered it: {}", left.err);
        let line = "approve 7KQ4M2 --reason r --accept-unfenced=pg-gra --confirm=shop";
        let left = command(&url, line, None).await;
        assert_eq!(left.code, ExitCode::SUCCESS, "{}", left.err);
        assert!(left.err.contains("pg-gra is NOT proven fenced"), "{}", left.err);
        assert_eq!(sent.lock().unwrap()[0]["accept_unfenced"], json!(["pg-gra"]));
    })
    .await;
}

#[tokio::test]
async fn steps_are_named_as_people_see_them() {
    let sent = Sent::default();
    peer(deciding("run_manual", &sent), |url| async move {
        for line in ["confirm 7KQ4M2 --step 3", "retry 7KQ4M2 --reason r --step 1", "confirm 7KQ4M2"] {
            assert_eq!(command(&url, line, None).await.code, ExitCode::SUCCESS, "{line}");
        }
        let left = command(&url, "confirm 7KQ4M2 --step 9", None).await;
        assert_eq!(left.code, ExitCode::from(5), "{}", left.err);
        assert!(left.err.contains("PM0010") && left.err.contains("3 tell the carrier"), "{}", left.err);
        let items: Vec<Value> = sent.lock().unwrap().iter().map(|body| body["item"].clone()).collect();
        assert_eq!(items, [json!(5), json!(3), Value::Null], "guards come first in the run, not in the plan");
    })
    .await;
}

#[tokio::test]
async fn status_and_audit_are_documents_or_tables() {
    let router = Router::new()
        .route("/api/v1/status", get(async || serving("status")))
        .route("/api/v1/audit", get(async || serving("audit")));
    peer(router, |url| async move {
        let left = command(&url, "status -o jsonl", None).await;
        assert_eq!(left.out.lines().count(), 1);
        let left = command(&url, "audit -o jsonl", None).await;
        let records: Vec<Value> = left.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(records.len(), 3);
        assert!(records.iter().all(|r| r["schema"] == "pointsman.record/v1"));
        let left = command(&url, "audit list --run 7KQ4M2", None).await;
        assert!(
            left.out.contains("the call was applied")
                && left.err.contains("pointsman audit 'run:7KQ4M2' --from 20320")
        );
    })
    .await;
}

#[tokio::test]
async fn following_the_record_goes_on_after_a_break_without_repeats() {
    let event = |n: u64| {
        let record = json!({ "position": n, "stream": "run:7KQ4M2", "seq": n, "at": 1, "kind": "observed",
            "says": format!("number {n}"), "body": {} });
        format!("id: {n}\ndata: {record}\n\n")
    };
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let (seen, count) = (asked.clone(), Arc::new(Mutex::new(0)));
    let events = async move |headers: axum::http::HeaderMap| {
        let from = headers.get("last-event-id").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        seen.lock().unwrap().push(from);
        let mut count = count.lock().unwrap();
        *count += 1;
        match *count {
            1 => Ok(format!(": hello\n\n{}{}", event(20319), event(20320))),
            2 => Ok(format!("{}{}", event(20320), event(20321))),
            _ => Err(StatusCode::FORBIDDEN),
        }
    };
    let router = Router::new()
        .route("/api/v1/audit", get(async || serving("audit")))
        .route("/api/v1/events", get(events));
    let left = peer(router, |url| async move { command(&url, "audit --follow -o jsonl", None).await }).await;
    let positions: Vec<u64> = left
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["position"].as_u64().unwrap())
        .collect();
    assert_eq!(positions, [20311, 20312, 20319, 20320, 20321]);
    assert_eq!(*asked.lock().unwrap(), ["20319", "20320", "20321"]);
    assert_eq!(left.code, ExitCode::from(4), "the refusal ends it: {}", left.err);
}

#[tokio::test]
async fn a_server_that_has_not_found_anything_yet_is_asked_to_go_on() {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let (seen, followed) = (asked.clone(), asked.clone());
    let audit = async move |axum::extract::RawQuery(query): axum::extract::RawQuery| {
        let query = query.unwrap_or_default();
        let mut page = fixture("audit");
        page["next"] = Value::Null;
        // The journal grows meanwhile.
        (page["follow"], page["partial"]) = (json!(30_000 + seen.lock().unwrap().len()), json!(true));
        match query.contains("before") {
            false => (page["records"], page["previous"]) = (json!([]), json!(25_000)),
            true => page["previous"] = json!(20_000),
        }
        seen.lock().unwrap().push(query);
        Json(page)
    };
    let events = async move |headers: axum::http::HeaderMap| -> StatusCode {
        let from = headers.get("last-event-id").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        followed.lock().unwrap().push(from);
        StatusCode::FORBIDDEN
    };
    let router = Router::new().route("/api/v1/audit", get(audit)).route("/api/v1/events", get(events));
    peer(router, |url| async move {
        let left = command(&url, "audit power --limit 9", None).await;
        assert!(left.out.contains("the call was applied"), "{}", left.out);
        let goes_on = "older records were not looked at yet: pointsman audit 'power' --before 20000";
        assert!(left.err.contains(goes_on), "{}", left.err);
        assert_eq!(command(&url, "audit power --follow -o jsonl", None).await.out.lines().count(), 3);
    })
    .await;
    let twice =
        ["q=power&limit=9", "q=power&before=25000&limit=9", "q=power", "q=power&before=25000", "30002"];
    assert_eq!(*asked.lock().unwrap(), twice, "followed from where the first page ended");
}
