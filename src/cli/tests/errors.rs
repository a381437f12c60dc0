//! Errors as a person reads them, and the one difference that matters most: nothing was sent, or nobody
//! knows.

use crate::cli::client::Client;
use crate::cli::testing::{command, peer};
use crate::cli::{Exit, Fault};
use crate::kernel::domain::Secret;
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::process::ExitCode;

fn problem(status: StatusCode, code: &str) -> impl IntoResponse + use<> {
    let body = json!({ "schema": "pointsman.error/v1", "code": code, "failed": "it failed",
        "state": "as it was",
        "remedy": "do this" });
    (status, axum::Json(body))
}

/// An address where nobody listens: bound, and closed again.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn no_server_means_that_no_run_was_started() {
    for line in ["status", "plan shop", "run shop --reason power --confirm=shop", "watch 7KQ4M2"] {
        let left = command(&nobody().await, line, None).await;
        assert_eq!(left.code, ExitCode::from(1), "{line}");
        assert!(
            left.err.contains("PM0003") && left.err.contains("no run was started"),
            "{line}: {}",
            left.err
        );
        assert_eq!(left.out, "", "{line}");
    }
    let left = command(&nobody().await, "abort 7KQ4M2 --reason r", None).await;
    assert_eq!(left.code, ExitCode::from(1));
    assert!(left.err.contains("no decision was recorded"), "{}", left.err);
}

#[tokio::test]
async fn a_refusal_of_the_server_is_passed_on_with_its_code() {
    let cases = [
        (StatusCode::BAD_REQUEST, 2),
        (StatusCode::UNAUTHORIZED, 4),
        (StatusCode::FORBIDDEN, 4),
        (StatusCode::NOT_FOUND, 5),
        (StatusCode::CONFLICT, 6),
        (StatusCode::PAYLOAD_TOO_LARGE, 2),
        (StatusCode::UNPROCESSABLE_ENTITY, 3),
        (StatusCode::SERVICE_UNAVAILABLE, 1),
    ];
    for (status, code) in cases {
        let router =
            Router::new().route("/api/v1/runs/{id}/decisions", post(async move || problem(status, "PM3106")));
        let left =
            peer(router, |url| async move { command(&url, "reject 7KQ4M2 --reason r", None).await }).await;
        assert_eq!(left.code, ExitCode::from(code), "{status}");
        assert!(
            left.err.contains("error[PM3106]: it failed\n  state:  as it was\n"),
            "{status}: {}",
            left.err
        );
    }
}

#[tokio::test]
async fn errors_are_json_where_json_was_asked_for_and_stdout_stays_empty() {
    let router = Router::new()
        .route("/api/v1/status", get(async || problem(StatusCode::SERVICE_UNAVAILABLE, "PM3103")));
    let left = peer(router, |url| async move { command(&url, "status -o json", None).await }).await;
    let said: Value = serde_json::from_str(&left.err).unwrap();
    assert_eq!((&said["schema"], &said["code"]), (&json!("pointsman.error/v1"), &json!("PM3103")));
    assert_eq!((left.out.as_str(), left.code), ("", ExitCode::from(1)));
}

#[tokio::test]
async fn without_a_token_the_remedy_says_how_to_get_one() {
    let router = Router::new().route("/api/v1/status", get(async || StatusCode::UNAUTHORIZED));
    let left = peer(router, |url| async move { command(&url, "status", None).await }).await;
    assert_eq!(left.code, ExitCode::from(4));
    assert!(left.err.contains("PM0004") && left.err.contains("token create"), "{}", left.err);
}

#[tokio::test]
async fn the_token_travels_as_bearer_and_shows_nowhere() {
    let echo = async |headers: HeaderMap| {
        let sent = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        axum::Json(json!({ "sent": sent }))
    };
    let router = Router::new().route("/api/v1/status", get(echo));
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let sent = peer(router, |url| async move {
        let client = Client::new(&url, Some(Secret::new("t0ken")), None).unwrap();
        client.get(&["status"], &[]).await.unwrap()
    });
    assert_eq!(sent.await["sent"], "Bearer t0ken");
    let exposed = Client::new("http://192.0.2.1:8420", Some(Secret::new("t0ken")), None).unwrap();
    assert!(exposed.is_exposed());
    let fault = Client::new("http://me:t0ken@127.0.0.1", None, None).err().unwrap();
    assert_eq!(fault.exit, Exit::Usage);
    assert!(fault.failed.contains("may not hold a password"));
    assert!(!fault.as_text().contains("t0ken"), "{}", fault.as_text());
}

#[tokio::test]
async fn a_lost_reply_to_a_decision_is_doubt_and_not_failure() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // Takes the request and hangs up: it may have been acted upon.
    let hang_up = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        tokio::io::AsyncReadExt::read(&mut stream, &mut buffer).await.unwrap()
    };
    let (_, left) = tokio::join!(hang_up, command(&url, "abort 7KQ4M2 --reason r", None));
    assert_eq!(left.code, ExitCode::from(13), "{}", left.err);
    assert!(left.err.contains("PM0006") && left.err.contains("NOT known"), "{}", left.err);
}

#[tokio::test]
async fn a_gateway_error_to_a_decision_is_doubt_and_to_a_question_is_not() {
    let router = Router::new()
        .route("/api/v1/runs/{id}/decisions", post(async || StatusCode::BAD_GATEWAY))
        .route("/api/v1/status", get(async || StatusCode::BAD_GATEWAY));
    peer(router, |url| async move {
        let decided = command(&url, "close 7KQ4M2 --reason r", None).await;
        assert_eq!(decided.code, ExitCode::from(13), "{}", decided.err);
        let asked = command(&url, "status", None).await;
        assert_eq!(asked.code, ExitCode::from(1), "{}", asked.err);
        assert!(asked.err.contains("PM0014"), "{}", asked.err);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_doubts_itself_is_believed() {
    let doubt = async || {
        let body = json!({ "schema": "pointsman.error/v1", "code": "PM3105", "failed": "the disk failed",
            "state": "it is not known whether it is on record", "remedy": "look", "doubt": true });
        (StatusCode::SERVICE_UNAVAILABLE, axum::Json(body))
    };
    let router = Router::new().route("/api/v1/runs/{id}/decisions", post(doubt));
    let left = peer(router, |url| async move { command(&url, "abort 7KQ4M2 --reason r", None).await }).await;
    assert_eq!(left.code, ExitCode::from(13));
}

#[tokio::test]
async fn an_answer_that_is_not_ours_is_not_shown_as_nothing() {
    let router = Router::new()
        .route("/api/v1/status", get(async || axum::Json(json!({ "schema": "pointsman.status/v2" }))))
        .route("/api/v1/runs/{id}", get(async || "<html>hello</html>"));
    peer(router, |url| async move {
        for line in ["status", "watch 7KQ4M2"] {
            let left = command(&url, line, None).await;
            assert_eq!((left.code, left.out.as_str()), (ExitCode::from(1), ""), "{line}");
            assert!(left.err.contains("PM0005"), "{line}: {}", left.err);
        }
    })
    .await;
}

#[tokio::test]
async fn an_error_of_the_server_cannot_drive_the_terminal() {
    let nasty = async || {
        let body = json!({ "schema": "pointsman.error/v1", "code": "PM3106", "failed": "gone\u{1b}[2J\u{9b}2J",
            "state": "\u{202e}x", "remedy": "" });
        (StatusCode::CONFLICT, axum::Json(body))
    };
    let router = Router::new().route("/api/v1/status", get(nasty));
    let left = peer(router, |url| async move { command(&url, "status", None).await }).await;
    assert_eq!(left.code, ExitCode::from(6));
    assert!(left.err.starts_with("error[PM3106]: gone [2J"), "{:?}", left.err);
    assert!(!left.err.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{:?}", left.err);
}

#[test]
fn four_parts() {
    let fault = Fault::new(Exit::Conflict, "PM0008", "the plan is now 1, not 2")
        .state("no run was started")
        .remedy("read the new plan");
    insta::assert_snapshot!(fault.as_text());
}
