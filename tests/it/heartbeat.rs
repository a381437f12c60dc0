//! An alert that never stops while its source is well: its silence is told once, its return is told once, and it starts nothing.

use crate::limits::yard::{Plot, Yard};
use crate::notices::scene::Keys;
use crate::serve::rig::BINARY;
use lab::notices::{Got, Pagerduty, Receiver};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

const SILENT: &str = "pointsman_source_silent{source=\"alertmanager\"} 1";
const HEARD: &str = "pointsman_source_silent{source=\"alertmanager\"} 0";

/// As Alertmanager sends its watchdog; every label that a playbook waits for is on it too.
async fn beat(yard: &Yard) {
    let mut body = yard.body("s0");
    yard.quiet_at_the_source();
    body["alerts"][0]["fingerprint"] = json!("00000000000000ff");
    body["alerts"][0]["labels"]["beat"] = json!("1");
    yard.deliver(&body).await;
}

async fn beats(yard: &Yard, silent: bool) -> usize {
    let all = yard.records("heartbeat").await;
    all.iter().filter(|record| record["body"]["silent"] == silent).count()
}

async fn until_silent(yard: &Yard, count: usize) {
    yard.until("silences", count, 20, async || beats(yard, true).await).await;
}

fn ready(yard: &Yard) -> (i32, String) {
    let mut words = Command::new(BINARY);
    words
        .args(["ready"])
        .env("POINTSMAN_SERVER", &yard.server.url)
        .env("POINTSMAN_TOKEN", yard.token("viewer"));
    let out = words.output().unwrap();
    (out.status.code().unwrap(), String::from_utf8_lossy(&out.stdout).into_owned())
}

fn told(receiver: &Receiver) -> Vec<Value> {
    let title = |got: &Got| got.body["data"]["title"].as_str().unwrap_or_default().to_owned();
    let mut all = receiver.desk.taken();
    // A process that was killed may have told it and not kept that: the same one comes again, with the same id.
    let mut known = BTreeSet::new();
    all.retain(|got| title(got).contains("source alertmanager") && known.insert(got.id.clone()));
    all.iter().map(|got| got.body["data"]["pull"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_of_a_source_is_told_once_and_its_return_is_told_once_across_restarts() {
    let keys = Keys::new();
    let (receiver, pager) = (Receiver::start().await.unwrap(), Pagerduty::start().await.unwrap());
    let config = format!(
        "heartbeat = {{ within = \"5s\", alert = {{ beat = \"1\" }} }}\n{}{}",
        keys.hook(&receiver, ""),
        keys.pager(&pager)
    );
    let mut yard = Yard::new(Plot { config: &config, ..Plot::default() }).await;
    // This process has just begun to listen: neither heard nor silent.
    let (code, out) = ready(&yard);
    assert!(code == 0 && out.contains("no heartbeat since Pointsman started"), "{code}: {out}");
    assert!(!yard.metric("pointsman_source_heartbeat_age_seconds{").await, "never heard is no age");
    // Nothing ever came: that is silence as well.
    until_silent(&yard, 1).await;
    assert!(yard.metric(SILENT).await);
    // What was told is not told again by the next process, and a start is no heartbeat.
    yard = yard.restart().await;
    yard.until("silent still", 1, 10, async || usize::from(yard.metric(SILENT).await)).await;
    let (code, out) = ready(&yard);
    assert!(code == 21 && out.contains("PM5814") && out.contains("none was ever heard"), "{code}: {out}");
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!((beats(&yard, true).await, beats(&yard, false).await), (1, 0));

    beat(&yard).await;
    yard.until("returns", 1, 20, async || beats(&yard, false).await).await;
    assert!(yard.metric(HEARD).await && yard.metric("pointsman_source_heartbeat_age_seconds{").await);
    // Heard by one process and dead for longer than it may be silent: the next one listens first.
    tokio::time::sleep(Duration::from_secs(1)).await;
    yard = yard.restart().await;
    let (code, out) = ready(&yard);
    assert!(code == 0 && !out.contains("PM5814"), "heard by the process before: {code}: {out}");
    beat(&yard).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((beats(&yard, true).await, beats(&yard, false).await), (1, 1), "while it beats");
    until_silent(&yard, 2).await;
    let last = yard.records("heartbeat").await.pop().unwrap();
    assert!(last["body"]["last"].is_number(), "{last}");
    assert!(
        last["says"].as_str().unwrap().contains("is SILENT: no heartbeat for 5.0 s, the last came at"),
        "{last}"
    );
    let notices = async || told(&receiver).len();
    yard.until("notices", 3, 20, notices).await;
    assert_eq!(told(&receiver), ["raise", "clear", "raise"]);
    let incidents = pager.incidents();
    let keys: Vec<&String> =
        incidents.keys().filter(|key| key.ends_with("source:alertmanager/heartbeat")).collect();
    assert_eq!(keys.len(), 1, "one thing for the pager: {incidents:?}");
    // The heartbeat never was an alert; the same alert without its mark is.
    assert!(yard.records("occurrence_opened").await.is_empty() && yard.records("opened").await.is_empty());
    yard.fire("s0").await;
    yard.until_finished(1).await;
    assert!(yard.moved("s0"));
    yard.verified();
}

#[tokio::test]
async fn whatever_kind_of_source_can_have_a_heartbeat_and_one_that_takes_all_alerts_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "as long as a secret should be").unwrap();
    let config = format!(
        "[sources.zabbix]\nsigning_secret = {{ file = {secret:?} }}\n\
         heartbeat = {{ within = \"2s\", alert = {{ \"tag.cluster\" = \"shop\" }} }}\n\
         [sources.watch]\nheartbeat = {{ within = \"2s\", alert = {{ alertname = \"alive\" }} }}\n\
         [sources.watch.mapping]\nfingerprint = \"body.id\"\nstatus = \"body.state\"\nfiring = [\"down\"]\n\
         resolved = [\"up\"]\nonce = true\nlabels = {{ alertname = \"body.id\" }}\n"
    );
    let yard = Yard::new(Plot { config: &config, ..Plot::default() }).await;
    let bearer = yard.server.bearer().unwrap();
    let auth = [("authorization", bearer.as_str())];
    let zabbix = include_str!("../fixtures/zabbix-6.0/zbx-001.body.json");
    let alive = json!({ "id": "alive", "state": "down" }).to_string();
    for (path, body) in [("/hooks/zabbix", zabbix), ("/hooks/generic/watch", alive.as_str())] {
        let (status, answer) = yard.server.deliver_to(path, body.to_owned(), &auth).await;
        assert_eq!((status, &answer["alerts"]), (200, &json!(1)), "{answer}");
    }
    until_silent(&yard, 2).await;
    for record in yard.records("heartbeat").await {
        assert!(record["body"]["last"].is_number(), "both were heard: {record}");
    }
    assert!(yard.records("occurrence_opened").await.is_empty());

    let file = folder.path().join("pointsman.toml");
    std::fs::write(
        &file,
        "[sources.a]\nheartbeat = { within = \"5m\", alert = { severity = \"!=none\" } }\n",
    )
    .unwrap();
    let book = yard.playbook_file("s0");
    let words = ["check", "--config", file.to_str().unwrap(), book.to_str().unwrap()];
    let out = Command::new(BINARY).args(words).output().unwrap();
    let says = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && says.contains("other alerts than a heartbeat"), "{says}");
}
