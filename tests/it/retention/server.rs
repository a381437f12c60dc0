//! Retention at the real server and on the command line: asked beside it, and in its place.

use super::book::{Past, with_a_past};
use super::{complete, sound};
use crate::serve::rig::{BINARY, Server};
use pointsman::store::verify;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Waits for the fixtures' alert, and would only observe.
const PLAYBOOK: &str = "playbook: look\nservice: shop\nkind: other\nmode: observe\n\
                        sites: { gra: { at: 1 }, sbg: { at: 2 } }\nfrom: gra\nto: sbg\n\
                        triggers:\n  - alertmanager: { alertname: SiteDown }\n\
                        steps:\n  - name: by hand\n    manual: look at it\n";

fn folder(dir: &Path) -> std::path::PathBuf {
    let playbooks = dir.join("playbooks");
    std::fs::create_dir(&playbooks).unwrap();
    std::fs::write(playbooks.join("look.yaml"), PLAYBOOK).unwrap();
    playbooks
}

async fn retain(server: Option<&Server>, data: &Path, playbooks: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(["db", "retain", "--data", data.to_str().unwrap()]).args(more);
    command.args(["--playbooks", playbooks.to_str().unwrap()]).env("LC_ALL", "C.UTF-8");
    if let Some(server) = server {
        command.env("POINTSMAN_SERVER", &server.url).env("POINTSMAN_TOKEN", &server.admin);
    }
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn said(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

async fn until_gone(server: &Server, data: &Path, past: &Past) {
    let until = Instant::now() + Duration::from_secs(20);
    while verify(data, 1..=1, |_| {}).await.unwrap().from != past.before {
        assert!(Instant::now() < until, "they do not go: {}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    while server.get("/api/v1/audit?from=1&limit=1").await.1["begins"] != past.before {
        assert!(Instant::now() < until, "the last of them do not go: {}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn alert(fingerprint: &str, starts: &str) -> String {
    let labels = json!({ "alertname": "SiteDown", "n": fingerprint });
    json!({
        "receiver": "r", "status": "firing", "version": "4", "groupKey": fingerprint, "truncatedAlerts": 0,
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am.test",
        "alerts": [{
            "status": "firing", "labels": labels, "annotations": {}, "startsAt": starts,
            "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": fingerprint,
        }],
    })
    .to_string()
}

async fn not_started(server: &Server, fingerprint: &str) -> Value {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let all = server.journal().await;
        let found = all.iter().find(|r| {
            let of = r["body"]["occurrence"].as_str().unwrap_or_default();
            r["kind"] == "not_started" && of.contains(&format!("/{fingerprint}/"))
        });
        match found {
            Some(found) => return found.clone(),
            None => assert!(Instant::now() < until, "{fingerprint}: {all:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_asked_lets_them_go_and_says_so_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let (data, playbooks) = (dir.path().join("data"), folder(dir.path()));
    let past = with_a_past(&data, 4).await;
    let server = Server::start(&data, &playbooks, &[]).await;
    let (_, found) = server.get("/api/v1/audit?q=run:OLD0").await;
    assert_eq!(found["records"].as_array().unwrap().len(), 2, "{found}");

    let (status, problem) = server.post("/api/v1/retentions", json!({ "older_than": "34d" })).await;
    assert_eq!((status, &problem["code"]), (400, &json!("PM2713")), "{problem}");
    let other = json!({ "older_than": "100d", "journal": "00".repeat(32) });
    assert_eq!(server.post("/api/v1/retentions", other).await.0, 409, "another journal is meant");
    let out = retain(Some(&server), &data, &playbooks, &["--older-than", "100d", "--dry-run"]).await;
    let goes = past.before - 1;
    assert!(
        said(&out).contains(&format!("{goes} records would go, positions 1 to {goes}")),
        "{}",
        said(&out)
    );
    assert_eq!(server.get("/api/v1/audit/1").await.0, 200, "nothing has");
    let out = retain(Some(&server), &data, &playbooks, &["--older-than", "100d"]).await;
    assert!(said(&out).contains("the server takes them away now"), "{}", said(&out));
    until_gone(&server, &data, &past).await;

    // Found no more, and said so.
    let (_, found) = server.get("/api/v1/audit?q=run:OLD0").await;
    assert_eq!(
        (found["records"].as_array().unwrap().len(), &found["begins"]),
        (0, &json!(past.before)),
        "{found}"
    );
    let (_, found) = server.get("/api/v1/audit?q=run:NEW").await;
    assert_eq!(found["records"].as_array().unwrap().len(), 2, "{found}");
    for path in ["/api/v1/audit/1", "/api/v1/runs/OLD0/report", "/api/v1/why?of=alertmanager/f/1"] {
        let (status, problem) = server.get(path).await;
        assert_eq!((status, &problem["code"]), (404, &json!("PM2714")), "{path}: {problem}");
    }
    let (status, problem) = server.post("/api/v1/replays", json!({ "of": "alertmanager/f/1" })).await;
    assert_eq!((status, &problem["code"]), (404, &json!("PM2714")), "{problem}");
    let sealed = server.until_kind("sealed").await;
    assert_eq!(sealed["columns"]["actor"], "admin", "{sealed}");
    assert!(server.get("/api/v1/runs/NEW/bundle").await.0 == 200, "evidence of what stays");

    held_for_a_person(&server).await;
    let server = {
        server.kill9();
        Server::start(&data, &playbooks, &[]).await
    };
    let (_, found) = server.get("/api/v1/audit?q=action:finished").await;
    assert_eq!(found["records"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(server.deliver(alert("late2", "2025-10-02T00:00:00Z"), server.bearer()).await.0, 200);
    assert_eq!(not_started(&server, "late2").await["body"]["why"][0]["why"]["code"], "PM5419");
    server.stop().await;
    sound(&data, "stopped").await;
}

/// An alert that began before what went: it may have been dealt with then. One that began since is an ordinary one.
async fn held_for_a_person(server: &Server) {
    let am = server.bearer();
    for (fingerprint, starts, code) in
        [("late1", "2025-10-01T00:00:00Z", "PM5419"), ("f-new", "2026-11-20T00:00:00Z", "PM5404")]
    {
        assert_eq!(server.deliver(alert(fingerprint, starts), am.clone()).await.0, 200);
        let why = not_started(server, fingerprint).await["body"]["why"][0].clone();
        assert_eq!((&why["why"]["code"], &why["matched"]), (&json!(code), &json!(true)), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_the_command_does_every_step() {
    let dir = tempfile::tempdir().unwrap();
    let (data, playbooks) = (dir.path().join("data"), folder(dir.path()));
    let out = retain(None, &data, &playbooks, &["--older-than", "100d"]).await;
    assert!(said(&out).contains("PM2009") && !data.exists(), "{}", said(&out));
    let past = with_a_past(&data, 40).await;
    let size = || std::fs::metadata(data.join("pointsman.db")).unwrap().len();
    let out = retain(None, &data, &playbooks, &["--older-than", "34d"]).await;
    assert!(said(&out).contains("PM2713") && said(&out).contains("35 days at least"), "{}", said(&out));
    let elsewhere = data.join("nowhere.key");
    let key = ["--older-than", "100d", "--checkpoint-key", elsewhere.to_str().unwrap()];
    let out = retain(None, &data, &playbooks, &key).await;
    assert!(said(&out).contains("PM2713") && !elsewhere.exists(), "no other key signs: {}", said(&out));
    let before = size();
    let out = retain(None, &data, &playbooks, &["--older-than", "100d", "-o", "json"]).await;
    let document: Value =
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(&out)));
    assert_eq!((&document["gone"], &document["before"]), (&json!(past.before - 1), &json!(past.before)));
    assert!(size() < before, "the disk has the room back: {} of {before}", size());
    complete(&data, &past, "without a server").await;
    let out = retain(None, &data, &playbooks, &["--older-than", "100d"]).await;
    assert!(said(&out).contains("nothing goes"), "{}", said(&out));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_does_it_by_itself_and_finishes_what_a_death_left() {
    let dir = tempfile::tempdir().unwrap();
    let (data, playbooks) = (dir.path().join("data"), folder(dir.path()));
    let past = with_a_past(&data, 4).await;
    let config = dir.path().join("pointsman.toml");
    std::fs::write(&config, "[retention]\nolder_than = \"100d\"\n").unwrap();
    let serve = ["--config", config.to_str().unwrap()];
    let server = Server::start(&data, &playbooks, &serve).await;
    until_gone(&server, &data, &past).await;
    assert_eq!(
        server.until_kind("sealed").await["says"],
        format!("records before {} were sealed", past.before)
    );
    server.stop().await;
    sound(&data, "by itself").await;

    let dir = tempfile::tempdir().unwrap();
    let (data, playbooks) = (dir.path().join("data"), folder(dir.path()));
    let past = with_a_past(&data, 4).await;
    let path = data.clone();
    tokio::task::spawn_blocking(move || super::steps::killed_after(&path, "some")).await.unwrap();
    let server = Server::start(&data, &playbooks, &[]).await;
    until_gone(&server, &data, &past).await;
    server.stop().await;
    sound(&data, "finished by a start").await;
}
