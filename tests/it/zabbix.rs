//! Zabbix's messages at the real server: signed or with a token, as the media type and as a connector send them; one problem
//! is at most one run, whoever tells of it and however often.

use crate::limits::yard::{Plot, Yard};
use crate::serve::rig::{Server, pointsman};
use aws_lc_rs::hmac;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::tempdir;

const PROBLEM: &str = include_str!("../fixtures/zabbix-6.0/zbx-001.body.json");
const UPDATE: &str = include_str!("../fixtures/zabbix-6.0/zbx-002.body.json");
const RECOVERY: &str = include_str!("../fixtures/zabbix-6.0/zbx-004.body.json");
const NEXT: &str = include_str!("../fixtures/zabbix-6.0/zbx-005.body.json");
const SECRET: &str = "as long as a secret should be";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn signed(secret: &str, at: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("t={at},v1={}", hex::encode(hmac::sign(&key, format!("{at}.{body}").as_bytes())))
}

async fn tell_signed(server: &Server, path: &str, body: &str) -> (u16, Value) {
    server.deliver_to(path, body.to_owned(), &[("x-pointsman-signature", &signed(SECRET, now(), body))]).await
}

fn config(folder: &Path) -> String {
    let secret = folder.join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    format!("[sources.zabbix]\nsigning_secret = {{ file = {secret:?} }}\n")
}

fn retold(changes: Value) -> String {
    let mut body: Value = serde_json::from_str(PROBLEM).unwrap();
    body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    body.to_string()
}

#[tokio::test]
async fn a_problem_of_zabbix_moves_its_service_once() {
    let folder = tempdir().unwrap();
    let trigger = "zabbix: { tag.cluster: shop, tag.region: '!=us-east', host: db1, severity: '>=high' }";
    let plot = Plot { trigger, config: &config(folder.path()), ..Plot::default() };
    let yard = Yard::new(plot).await;
    let tell = async |body: &str| {
        let (status, answer) = tell_signed(&yard.server, "/hooks/zabbix", body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    };
    // What is too mild, elsewhere, only an update, or a test starts nothing.
    tell(&retold(json!({ "event_id": "7", "event_nseverity": "3" }))).await;
    tell(&retold(json!({ "event_id": "8", "event_tags_json": "*UNKNOWN*" }))).await;
    let test = tell(&retold(json!({ "event_id": "{EVENT.ID}" }))).await;
    assert_eq!((&test["alerts"], test["note"].as_str().unwrap().contains("test")), (&json!(0), true));
    assert_eq!(tell(UPDATE).await["note"], "an update of a known problem: acknowledged and commented");
    yard.until("refusals", 2, 20, async || yard.records("not_started").await.len()).await;
    let refused: Vec<String> =
        yard.records("not_started").await.iter().map(|r| r["body"]["why"].to_string()).collect();
    assert!(refused[0].contains("severity is \\\"average\\\", wanted severity>=high"), "{refused:?}");
    assert!(refused[1].contains("tag.cluster is not known"), "{refused:?}");
    assert_eq!((yard.records("opened").await.len(), yard.moved("s0")), (0, false));
    // The problem, a step of its escalation, an update, and another problem of the same trigger.
    for body in [PROBLEM, &retold(json!({ "event_age": "1h" })), UPDATE, NEXT] {
        tell(body).await;
    }
    yard.until_finished(1).await;
    assert!(yard.moved("s0"));
    assert_eq!(yard.records("finished").await[0]["body"]["outcome"], "succeeded");
    for body in [RECOVERY, PROBLEM] {
        tell(body).await;
    }
    yard.until("ends", 1, 20, async || yard.records("occurrence_closed").await.len()).await;
    let opened = yard.records("occurrence_opened").await;
    let events: Vec<&str> = opened.iter().map(|r| r["body"]["fingerprint"].as_str().unwrap()).collect();
    assert_eq!(events, ["7", "8", "10", "12"], "each once");
    assert!(opened.iter().all(|r| r["body"]["kind"] == "zabbix"));
    assert_eq!(yard.records("opened").await.len(), 1, "one run");
    yard.verified();
}

#[tokio::test]
async fn only_who_knows_the_secret_or_holds_a_token_is_heard() {
    let (folder, data, playbooks) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let file = folder.path().join("pointsman.toml");
    std::fs::write(&file, config(folder.path())).unwrap();
    let more = ["--config", file.to_str().unwrap()];
    let server = Server::start(data.path(), playbooks.path(), &more).await;
    let bad = [
        (signed("another secret", now(), PROBLEM), "signature is not good"),
        (signed(SECRET, now(), UPDATE), "signature is not good"),
        (signed(SECRET, now() - 400, PROBLEM), "compare the clocks"),
        (signed(SECRET, now() + 400, PROBLEM), "compare the clocks"),
        ("v1=00".to_owned(), "not written as"),
    ];
    for (signature, says) in bad {
        let headers = [("x-pointsman-signature", signature.as_str())];
        let (status, problem) = server.deliver_to("/hooks/zabbix", PROBLEM.to_owned(), &headers).await;
        assert_eq!((status, problem["code"].as_str()), (401, Some("PM4003")), "{problem}");
        assert!(problem["failed"].as_str().unwrap().contains(says), "{problem}");
    }
    assert_eq!(server.deliver_to("/hooks/zabbix", PROBLEM.to_owned(), &[]).await.0, 401);
    assert!(!server.kinds().await.contains(&"delivered".to_owned()), "nothing was kept");

    let bearer = server.bearer().unwrap();
    let with_token = [("authorization", bearer.as_str())];
    let (status, answer) = server.deliver_to("/hooks/zabbix", PROBLEM.to_owned(), &with_token).await;
    assert_eq!((status, &answer["alerts"]), (200, &json!(1)), "{answer}");
    let (status, problem) = server.deliver_to("/hooks/zabbix", "{}".to_owned(), &with_token).await;
    assert_eq!((status, problem["code"].as_str()), (400, Some("PM4005")), "{problem}");
    assert!(problem["failed"].as_str().unwrap().contains("PM1306"), "{problem}");

    // While the secret is away nobody is refused for good.
    std::fs::remove_file(folder.path().join("secret")).unwrap();
    let (status, problem) = tell_signed(&server, "/hooks/zabbix", RECOVERY).await;
    assert_eq!((status, problem["code"].as_str()), (503, Some("PM1101")), "{problem}");
    std::fs::write(folder.path().join("secret"), SECRET).unwrap();
    assert_eq!(tell_signed(&server, "/hooks/zabbix", RECOVERY).await.0, 200);
    let closed = server.until_kind("occurrence_closed").await;
    assert_eq!(closed["stream"], "alerts:zabbix", "both are the same source: {closed}");
    server.stop().await;
}

#[tokio::test]
async fn a_connector_and_the_media_type_tell_of_the_same_problem() {
    let (folder, data, playbooks) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let file = folder.path().join("pointsman.toml");
    std::fs::write(&file, config(folder.path())).unwrap();
    let more = ["--config", file.to_str().unwrap()];
    let server = Server::start(data.path(), playbooks.path(), &more).await;
    let lines = concat!(
        r#"{"clock":1795219979,"ns":1,"value":1,"name":"Primary is down","severity":5,"eventid":10,"tags":[]}"#,
        "\n",
        r#"{"clock":1795219980,"ns":1,"value":1,"name":"Mail is slow","severity":2,"eventid":11,"tags":[]}"#,
        "\n",
    );
    assert_eq!(tell_signed(&server, "/hooks/zabbix/stream", lines).await.0, 200);
    assert_eq!(tell_signed(&server, "/hooks/zabbix", PROBLEM).await.0, 200);
    let ends = r#"{"clock":1795219999,"ns":1,"value":0,"eventid":13,"p_eventid":10}"#;
    assert_eq!(tell_signed(&server, "/hooks/zabbix/stream", ends).await.0, 200);
    assert_eq!(tell_signed(&server, "/hooks/zabbix", RECOVERY).await.0, 200);
    let closed = server.until_kind("occurrence_closed").await;
    assert_eq!(closed["body"]["occurrence"], "zabbix/10/1", "{closed}");
    let kinds = server.kinds().await;
    let count = |kind: &str| kinds.iter().filter(|k| *k == kind).count();
    assert_eq!((count("occurrence_opened"), count("occurrence_closed")), (2, 1), "{kinds:?}");
    let (status, problem) = tell_signed(&server, "/hooks/zabbix/stream", r#"{"itemid":1,"clock":1}"#).await;
    assert_eq!(status, 400, "{problem}");
    server.stop().await;
}

#[test]
fn a_captured_body_is_matched_without_a_server() {
    let folder = tempdir().unwrap();
    let playbook = folder.path().join("p.yaml");
    let body = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/zabbix-6.0/zbx-001.body.json");
    let text = "playbook: p\nservice: s\nkind: other\nmode: observe\n\
        sites: { gra: { at: 1 }, sbg: { at: 2 } }\nfrom: gra\nto: sbg\n\
        triggers:\n  - zabbix: { tag.cluster: shop, severity: '>=high' }\n\
        steps:\n  - name: look\n    manual: Look.\n";
    std::fs::write(&playbook, text).unwrap();
    let matched = |from: &[&str]| {
        let base = ["match", "--playbooks", playbook.to_str().unwrap()];
        let out = pointsman(&[&base[..], from].concat());
        (out.status.code(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
    };
    let (code, said) = matched(&["--from", "zabbix", body.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = matched(&["--from", "zabbix", "-l", "tag.cluster=shop", "-l", "severity=warning"]);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("wanted severity>=high"), "{said}");
    let (code, said) = matched(&["-l", "tag.cluster=shop", "-l", "severity=high"]);
    assert_eq!(code, Some(5), "an Alertmanager is no Zabbix: {said}");
}

/// The script stands in its own file to be read, and in the one that is imported.
#[test]
fn the_media_type_holds_the_script_that_is_shown() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/zabbix");
    let script = std::fs::read_to_string(folder.join("pointsman.js")).unwrap();
    let media_type = std::fs::read_to_string(folder.join("pointsman.yaml")).unwrap();
    let lines = script.lines().filter(|line| !line.starts_with("//"));
    let indented: String = lines.map(|line| format!("        {line}\n")).collect();
    assert!(indented.lines().count() > 30 && media_type.contains(&indented));
}
