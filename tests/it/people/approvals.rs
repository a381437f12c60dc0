//! Approvals by token, by command line and by socket: who may, how many, and what happens when two come at once or the
//! server dies.

use super::desk::{ONE, PEOPLE, approve, asked, decide, person_token, plot, run, waiting};
use crate::limits::yard::{Plot, Yard};
use crate::serve::rig::{BINARY, pointsman};
use serde_json::{Value, json};
use std::process::{Command, Output};

#[tokio::test]
async fn two_people_at_once_and_one_that_clicks_twice() {
    let yard = Yard::new(plot("approval: { need: 2, from: [oncall] }")).await;
    let (id, digest) = asked(&yard).await;
    let (bo, eve) = (person_token(&yard, "bo"), person_token(&yard, "eve"));
    let clicks =
        futures_util::future::join_all((0..6).map(|_| decide(&yard, &bo, &id, approve(&digest)))).await;
    let good = clicks.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!(good, 1, "{clicks:?}");
    assert!(clicks.iter().all(|(s, d)| *s == 200 || d["failed"].to_string().contains("approved already")));
    let doc = run(&yard, &id).await;
    assert!(doc["asked"]["yes"] == json!(["bo"]) && doc["asked"]["need"] == 2, "{doc}");
    assert!(!yard.moved("s0"), "one of two");
    // The process dies with one yes on record; the other one comes after.
    let yard = yard.restart().await;
    assert_eq!(run(&yard, &id).await["asked"]["yes"], json!(["bo"]));
    let (status, answer) = decide(&yard, &eve, &id, approve(&digest)).await;
    assert_eq!(status, 200, "{answer}");
    yard.until_finished(1).await;
    assert!(yard.moved("s0") && yard.records("intended").await.len() == 1);
    yard.verified();
}

#[tokio::test]
async fn two_who_approve_at_the_same_moment_are_one_approval_and_one_late_click() {
    let yard = Yard::new(plot(ONE)).await;
    let (id, digest) = asked(&yard).await;
    let (bo, eve) = (person_token(&yard, "bo"), person_token(&yard, "eve"));
    let both =
        futures_util::future::join_all([&bo, &eve].map(|by| decide(&yard, by, &id, approve(&digest)))).await;
    let late: Vec<&Value> = both.iter().filter(|(status, _)| *status == 409).map(|(_, doc)| doc).collect();
    assert_eq!(late.len(), 1, "{both:?}");
    assert!(late[0]["failed"].as_str().unwrap().starts_with("already approved by"), "{late:?}");
    yard.until_finished(1).await;
    assert_eq!(yard.records("decided").await.len(), 1);
}

#[tokio::test]
async fn the_wrong_ones_and_the_wrong_plan_are_refused() {
    let yard = Yard::new(plot(ONE)).await;
    let (id, digest) = asked(&yard).await;
    let codes = |token: &str, body: Value| {
        let (token, id) = (token.to_owned(), id.clone());
        let yard = &yard;
        async move {
            let (status, doc) = decide(yard, &token, &id, body).await;
            (status, doc["failed"].as_str().unwrap_or_default().to_owned())
        }
    };
    let (status, why) = codes(&person_token(&yard, "zoe"), approve(&digest)).await;
    assert!(status == 403 && why.contains("viewer"), "{why}");
    let (status, why) = codes(&person_token(&yard, "sal"), approve(&digest)).await;
    assert!(status == 403 && why.contains("not in oncall"), "{why}");
    let (status, why) = codes(&yard.token("approver"), approve(&digest)).await;
    assert!(status == 403 && why.contains("name of a token"), "{why}");
    let bo = person_token(&yard, "bo");
    let (status, why) = codes(&bo, approve(&"0".repeat(64))).await;
    assert!(status == 409 && why.contains("the plan changed"), "{why}");
    let (status, why) = codes(&bo, json!({ "command": "approve", "digest": digest, "reason": " " })).await;
    assert!(status == 403 && why.contains("reason"), "{why}");
    assert_eq!(decide(&yard, &bo, "ZZZZZZ", approve(&digest)).await.0, 404);
    // A person who is in no configuration, and a token that has expired.
    let (status, why) = codes(&person_token(&yard, "mallory"), approve(&digest)).await;
    assert!(status == 401 && why.contains("not in the configuration"), "{why}");
    let data = yard.data();
    let short = ["token", "create", "--data", data.to_str().unwrap(), "--person", "bo", "--expires", "1ms"];
    let short = String::from_utf8(pointsman(&short).stdout).unwrap();
    let (status, why) = codes(short.trim(), approve(&digest)).await;
    assert!(status == 401 && why.contains("expired"), "{why}");
    let less = ["token", "create", "--data", data.to_str().unwrap(), "--person", "bo", "--role", "viewer"];
    let less = String::from_utf8(pointsman(&less).stdout).unwrap();
    assert_eq!(codes(less.trim(), approve(&digest)).await.0, 403, "a token of bo that may only look");
    assert!(yard.records("decided").await.is_empty() && !yard.moved("s0"));
    assert_eq!(codes(&bo, approve(&digest)).await.0, 200);
}

#[tokio::test]
async fn a_role_for_one_service_is_none_for_another() {
    let yard = Yard::new(Plot { services: 2, ..plot(ONE) }).await;
    yard.fire("s1").await;
    let (id, digest) = waiting(&yard, 1).await;
    let eve = person_token(&yard, "eve");
    let (status, doc) = decide(&yard, &eve, &id, approve(&digest)).await;
    assert!(status == 403 && doc["failed"].to_string().contains("for s1"), "{doc}");
    let client = reqwest::Client::new();
    let post = async |path: &str, body: Value| {
        let url = format!("{}/api/v1/{path}", yard.server.url);
        client.post(url).bearer_auth(&eve).json(&body).send().await.unwrap().status().as_u16()
    };
    let open = json!({ "playbook": "move-s1", "reason": "r" });
    assert_eq!(post("runs", open).await, 403, "she starts nothing");
    assert_eq!(post("services/s1/ack", json!({ "reason": "r" })).await, 403);
    assert_eq!(post("services/s0/ack", json!({ "reason": "r" })).await, 409, "hers, and nothing to be seen");
    assert_eq!(post("breaker/reset", json!({ "reason": "r" })).await, 403, "that concerns every service");
    assert!(!yard.moved("s1"));
}

#[tokio::test]
async fn who_asks_for_a_run_does_not_approve_it() {
    let yard = Yard::new(plot(ONE)).await;
    let bo = person_token(&yard, "bo");
    let url = format!("{}/api/v1/runs", yard.server.url);
    let body = json!({ "playbook": "move-s0", "reason": "a test" });
    let opened = reqwest::Client::new().post(url).bearer_auth(&bo).json(&body).send().await.unwrap();
    assert_eq!(opened.status().as_u16(), 201);
    let (id, digest) = waiting(&yard, 1).await;
    let (status, doc) = decide(&yard, &bo, &id, approve(&digest)).await;
    assert!(status == 403 && doc["failed"].to_string().contains("--solo"), "{doc}");
    let solo =
        json!({ "command": "approve", "digest": digest, "reason": "nobody else is awake", "solo": true });
    let (status, doc) = decide(&yard, &bo, &id, solo).await;
    assert!(status == 200 && doc["says"].to_string().contains("ALONE"), "{doc}");
    assert_eq!(yard.records("decided").await[0]["body"]["solo"], true);
    yard.until_finished(1).await;
}

/// The command line on the machine itself, with nothing but the socket.
fn on_socket(yard: &Yard, who: Option<&str>, words: &[&str]) -> Output {
    let server = format!("unix:{}", yard.data().join("pointsman.sock").display());
    let mut command = Command::new(BINARY);
    command.args(words).args(["--server", &server]).env_remove("POINTSMAN_TOKEN").env_remove("POINTSMAN_AS");
    if let Some(who) = who {
        command.args(["--as", who]);
    }
    command.output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_works_with_everything_else_down_and_says_who() {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    let yard = Yard::new(plot(ONE)).await;
    let (id, _) = asked(&yard).await;
    let socket = std::fs::metadata(yard.data().join("pointsman.sock")).unwrap();
    assert!(socket.file_type().is_socket() && socket.permissions().mode() & 0o777 == 0o600);
    let text = |out: &Output| {
        format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
    };
    let status = on_socket(&yard, Some("bo"), &["status"]);
    assert!(status.status.success() && text(&status).contains("YOU"), "{}", text(&status));
    assert!(text(&status).contains(&format!("pointsman approve {id}")), "{}", text(&status));
    let others = on_socket(&yard, Some("zoe"), &["status"]);
    assert!(others.status.success() && !text(&others).contains("YOU"), "{}", text(&others));
    for (who, why) in [(None, "nobody is named"), (Some("mallory"), "no person"), (Some("zoe"), "viewer")] {
        let refused = on_socket(&yard, who, &["approve", &id, "--reason", "r", "--confirm", "s0"]);
        assert!(refused.status.code() == Some(4) && text(&refused).contains(why), "{}", text(&refused));
    }
    let passed = on_socket(&yard, Some("eve"), &["pass", &id, "--reason", "I am on a train"]);
    assert!(passed.status.success(), "{}", text(&passed));
    let done = on_socket(&yard, Some("bo"), &["approve", &id, "--reason", "it is down", "--confirm", "s0"]);
    assert!(done.status.success(), "{}", text(&done));
    let by = yard.records("decided").await[0]["body"]["by"].clone();
    assert!(by["name"] == "bo" && by["via"] == "socket", "{by}");
    yard.until_finished(1).await;
    // Over the network the same header says nothing.
    let url = format!("{}/api/v1/status", yard.server.url);
    let reply = reqwest::Client::new().get(url).header("pointsman-as", "bo").send().await.unwrap();
    assert_eq!(reply.status().as_u16(), 401);
    assert!(PEOPLE.contains("[people.bo]"));
    // A server that was killed leaves its socket; the next one takes its place.
    let yard = yard.restart().await;
    assert!(on_socket(&yard, Some("bo"), &["status"]).status.success());
}

#[tokio::test]
async fn a_yes_that_is_cut_off_by_the_servers_death_is_kept_or_can_be_given_again() {
    for pause in [0_u64, 2, 5, 9] {
        let yard = Yard::new(plot(ONE)).await;
        let (id, digest) = asked(&yard).await;
        let bo = person_token(&yard, "bo");
        let url = format!("{}/api/v1/runs/{id}/decisions", yard.server.url);
        let request = reqwest::Client::new().post(url).bearer_auth(&bo).json(&approve(&digest)).send();
        let sent = tokio::spawn(request);
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        let yard = yard.restart().await;
        let _ = sent.await;
        if yard.records("decided").await.is_empty() {
            let (_, digest) = waiting(&yard, 1).await;
            assert_eq!(decide(&yard, &bo, &id, approve(&digest)).await.0, 200, "after {pause} ms");
        }
        yard.until_finished(1).await;
        assert!(yard.moved("s0"), "after {pause} ms");
        assert_eq!(yard.records("decided").await.len(), 1, "after {pause} ms");
        yard.verified();
    }
}

#[tokio::test]
async fn nobody_in_time_is_never_a_yes_and_who_comes_late_is_told() {
    let yard = Yard::new(plot("approval: { need: 1, from: [oncall], expires: 2s, on_expiry: reject }")).await;
    let (id, digest) = asked(&yard).await;
    let bo = person_token(&yard, "bo");
    yard.until_finished(1).await;
    let outcome = yard.records("finished").await[0]["body"]["outcome"].clone();
    assert_eq!(outcome, "cancelled");
    for body in [approve(&digest), json!({ "command": "reject", "reason": "late" })] {
        let (status, doc) = decide(&yard, &bo, &id, body).await;
        assert!(status == 409 && doc["failed"].to_string().contains("finished"), "{doc}");
    }
    assert!(yard.records("decided").await.is_empty() && !yard.moved("s0"));
    // Where it escalates, the plan is made and asked for again, and still nothing happens by itself.
    let yard = Yard::new(plot("approval: { need: 1, from: [oncall], expires: 5s }")).await;
    let (id, _) = asked(&yard).await;
    let (_, digest) = waiting(&yard, 2).await;
    let again = yard.records("asked").await.pop().unwrap();
    assert_eq!(again["body"]["level"], 1, "{again}");
    assert!(yard.records("decided").await.is_empty() && !yard.moved("s0"));
    let bo = person_token(&yard, "bo");
    assert_eq!(decide(&yard, &bo, &id, approve(&digest)).await.0, 200);
    yard.until_finished(1).await;
    assert!(yard.moved("s0"));
}
