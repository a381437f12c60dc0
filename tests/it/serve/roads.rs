//! The main road of intake through the real server: durable, once, explained; and looking changes nothing.

use super::bad_input::verified;
use super::rig::{ONE_ALERT, Server, pointsman, token};
use base64::Engine as _;
use serde_json::json;
use tempfile::tempdir;

const RESOLVED: &str = include_str!("../../fixtures/alertmanager-0.25/single-002.body.json");

#[tokio::test]
async fn copies_repeats_resolved_and_a_late_copy_are_one_occurrence() {
    let (data, playbooks) = (tempdir().unwrap(), tempdir().unwrap());
    let server = Server::start(data.path(), playbooks.path(), &[]).await;
    let other = ONE_ALERT.replace("\"externalURL\":\"", "\"externalURL\":\"http://other");
    for body in [ONE_ALERT, &other, ONE_ALERT, RESOLVED, ONE_ALERT] {
        assert_eq!(server.deliver(body.to_owned(), server.bearer()).await.0, 200);
    }
    server.until_kind("occurrence_closed").await;
    let kinds = server.kinds().await;
    let count = |kind: &str| kinds.iter().filter(|k| *k == kind).count();
    assert_eq!(
        (count("delivered"), count("occurrence_opened"), count("occurrence_closed")),
        (5, 1, 1),
        "{kinds:?}"
    );
}

#[tokio::test]
async fn several_secrets_serve_at_once_as_bearer_and_as_password() {
    let (data, playbooks) = (tempdir().unwrap(), tempdir().unwrap());
    let server = Server::start(data.path(), playbooks.path(), &[]).await;
    let second = token(data.path(), "source");
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("am-east:{second}"));
    for auth in [format!("Bearer {}", server.source), format!("Bearer {second}"), format!("Basic {basic}")] {
        let (status, answer) = server.deliver(ONE_ALERT, Some(auth)).await;
        assert_eq!(status, 200, "{answer}");
    }
    let streams: Vec<String> =
        server.journal().await.iter().map(|r| r["stream"].as_str().unwrap().to_owned()).collect();
    assert!(streams.contains(&"source:am-east".to_owned()), "the source's name is the user: {streams:?}");
}

#[tokio::test]
async fn a_token_is_listed_without_itself_and_revoked_beside_the_running_server() {
    let (data, playbooks) = (tempdir().unwrap(), tempdir().unwrap());
    let server = Server::start(data.path(), playbooks.path(), &[]).await;
    let dir = data.path().to_str().unwrap();
    let second = token(data.path(), "source");
    let bearer = || Some(format!("Bearer {second}"));
    assert_eq!(server.deliver(ONE_ALERT, bearer()).await.0, 200);

    let listed = pointsman(&["token", "list", "--data", dir, "-o", "json"]);
    let text = String::from_utf8(listed.stdout).unwrap();
    assert!(!text.contains(&second) && !text.contains(&server.admin), "{text}");
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(list["schema"], "pointsman.tokens/v1");
    let tokens = list["tokens"].as_array().unwrap();
    let roles: Vec<_> = tokens.iter().map(|t| t["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["admin", "source", "source"], "oldest first: {text}");
    assert!(tokens.iter().all(|t| t["revoked"].is_null() && t["created_utc"].is_string()), "{text}");
    let id = tokens[2]["id"].as_str().unwrap();

    for (wrong, what) in [("0000000000", "not exactly one"), (&id[..3], "at least 6")] {
        let refused = pointsman(&["token", "revoke", wrong, "--data", dir]);
        let says = String::from_utf8(refused.stderr).unwrap();
        assert!(refused.status.code() == Some(5) && says.contains("PM2015") && says.contains(what), "{says}");
    }
    let revoked = pointsman(&["token", "revoke", id, "--data", dir]);
    let says = String::from_utf8(revoked.stdout).unwrap();
    assert!(revoked.status.success() && says.contains("is revoked"), "{says}");
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let (status, problem) = server.deliver(ONE_ALERT, bearer()).await;
    assert_eq!((status, problem["code"].as_str()), (401, Some("PM4003")), "{problem}");
    assert_eq!(server.deliver(ONE_ALERT, server.bearer()).await.0, 200, "the other one goes on");

    let again = pointsman(&["token", "revoke", id, "--data", dir]);
    let says = String::from_utf8(again.stdout).unwrap();
    assert!(again.status.success() && says.contains("was revoked before"), "{says}");
    let table = pointsman(&["token", "list", "--data", dir, "-o", "table"]);
    let table = String::from_utf8(table.stdout).unwrap();
    let live = table.lines().filter(|l| l.trim_end().ends_with(" -")).count();
    assert!(table.starts_with("ID ") && live == 2, "{table}");
    let nowhere = tempdir().unwrap();
    let refused = pointsman(&["token", "list", "--data", nowhere.path().to_str().unwrap()]);
    assert!(String::from_utf8(refused.stderr).unwrap().contains("PM2009"));
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9_and_the_journal_verifies() {
    let (data, playbooks) = (tempdir().unwrap(), tempdir().unwrap());
    let server = Server::start(data.path(), playbooks.path(), &[]).await;
    let (status, first) = server.deliver(ONE_ALERT, server.bearer()).await;
    assert_eq!(status, 200);
    server.kill9();
    verified(data.path());
    let again = Server::start(data.path(), playbooks.path(), &[]).await;
    let position = first["position"].as_u64().unwrap();
    let (status, record) = again.get(&format!("/api/v1/audit/{position}")).await;
    assert_eq!((status, record["kind"].as_str()), (200, Some("delivered")), "{record}");
    let (_, why) = (again.until_kind("occurrence_opened").await, again.until_kind("not_started").await);
    assert!(why["says"].as_str().unwrap().contains("no active playbook"), "{why}");
}

#[tokio::test]
async fn looking_changes_nothing_and_unknown_things_are_named() {
    let (data, playbooks) = (tempdir().unwrap(), tempdir().unwrap());
    let server = Server::start(data.path(), playbooks.path(), &[]).await;
    let before = server.kinds().await;
    for path in ["/api/v1/status", "/api/v1/runs", "/api/v1/audit", "/metrics", "/healthz", "/readyz"] {
        assert_eq!(server.get(path).await.0, 200, "{path}");
    }
    for path in ["/api/v1/runs/NOSUCH", "/api/v1/audit/99999", "/hooks/zabbix", "/nothing"] {
        assert!([404, 405].contains(&server.get(path).await.0), "{path}");
    }
    let (status, problem) = server.post("/api/v1/plans", json!({ "playbook": "none" })).await;
    assert_eq!((status, problem["code"].as_str()), (404, Some("PM4002")), "{problem}");
    let (status, problem) = server.post("/api/v1/plans", json!({ "playbok": "none" })).await;
    assert_eq!(status, 400, "{problem}");
    let decision = json!({ "command": "approve", "reason": "why" });
    assert_eq!(server.post("/api/v1/runs/NOSUCH/decisions", decision).await.0, 404);
    assert_eq!(server.kinds().await, before, "nothing was written");
}

#[tokio::test]
async fn an_old_copy_of_the_journal_starts_frozen_until_a_person_has_looked() {
    let (outer, playbooks) = (tempdir().unwrap(), tempdir().unwrap());
    let data = outer.path().join("data");
    let old = outer.path().join("pointsman.db");
    std::fs::create_dir(&data).unwrap();
    let server = Server::start(&data, playbooks.path(), &[]).await;
    server.deliver(ONE_ALERT, server.bearer()).await;
    server.stop().await;
    std::fs::copy(data.join("pointsman.db"), &old).unwrap();
    let server = Server::start(&data, playbooks.path(), &[]).await;
    server.deliver(RESOLVED, server.bearer()).await;
    server.until_kind("occurrence_closed").await;
    server.stop().await;
    std::fs::copy(&old, data.join("pointsman.db")).unwrap();

    let server = Server::start(&data, playbooks.path(), &[]).await;
    let (_, status) = server.get("/api/v1/status").await;
    assert!(status["says"].as_str().unwrap().starts_with("FROZEN"), "{status}");
    assert_eq!(server.deliver(ONE_ALERT, server.bearer()).await.0, 200, "alerts are kept all the same");
    let (code, problem) = server.post("/api/v1/thaw", json!({ "reason": " " })).await;
    assert_eq!(code, 403, "a reason is needed: {problem}");
    let (code, answer) = server.post("/api/v1/thaw", json!({ "reason": "compared with the targets" })).await;
    assert_eq!(code, 200, "{answer}");
    assert_eq!(server.get("/api/v1/status").await.1["frozen"], serde_json::Value::Null);
    assert_eq!(server.post("/api/v1/thaw", json!({ "reason": "again" })).await.0, 409);
    server.until_kind("thawed").await;
    server.stop().await;
    verified(&data);
}
