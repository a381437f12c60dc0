//! A real Zabbix is asked and told over its API: what was never delivered is found, what is over is closed, nothing is done twice,
//! and what Pointsman does stands at the problem once.

use crate::limits::yard::{Plot, Yard};
use crate::serve::rig::BINARY;
use lab::Zabbix;
use lab::zabbix::{Gate, Item, Watched};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const SECRET: &str = "as long as a secret should be";
/// Nobody listens there: the media type reaches nobody.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A Zabbix with its API behind a gate, and the files of the configuration.
struct Scene {
    zabbix: Zabbix,
    gate: Gate,
    watched: Watched,
    /// Of a user who may see and write.
    token: String,
    folder: TempDir,
}

impl Scene {
    async fn new() -> Scene {
        let zabbix = Zabbix::start().await.unwrap();
        let gate = Gate::before(&zabbix.url()).await.unwrap();
        let every = Duration::from_secs(60);
        let watched = zabbix.tells(NOWHERE, SECRET, Item::Told, &[("service", "s0")], every).await.unwrap();
        let token = zabbix.token().await.unwrap();
        let scene = Scene { zabbix, gate, watched, token, folder: tempfile::tempdir().unwrap() };
        scene.gives(&scene.token);
        scene
    }

    fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    fn gives(&self, token: &str) {
        std::fs::write(self.token_file(), token).unwrap();
    }

    fn config(&self, more: &str) -> String {
        let (file, url) = (self.token_file(), self.gate.url());
        format!("[sources.zabbix]\nzabbix = [{url:?}]\nbearer = {{ file = {file:?} }}\n{more}\n")
    }

    async fn yard(&self, more: &str) -> Yard {
        let config = self.config(more);
        let trigger = "zabbix: { tag.service: $S, severity: '>=high' }";
        let limits = "cooldown: 1s, per_day: 9";
        Yard::new(Plot { trigger, limits, config: &config, ..Plot::default() }).await
    }

    async fn sick(&self) {
        self.zabbix.send(&self.watched, 0).await.unwrap();
    }

    async fn well(&self) {
        self.zabbix.send(&self.watched, 1).await.unwrap();
    }

    /// The event of the problem that stands, once there is one.
    async fn event(&self, yard: &Yard) -> String {
        let problems = async || self.zabbix.problems(&self.watched).await.unwrap();
        yard.until("a problem", 1, 30, async || problems().await.as_array().unwrap().len()).await;
        problems().await[0]["eventid"].as_str().unwrap().to_owned()
    }
}

async fn found(yard: &Yard) -> Vec<Value> {
    let mut all = yard.records("delivered").await;
    all.retain(|record| record["body"]["format"] == "zabbix_found");
    all
}

async fn until_closed(yard: &Yard, count: usize) {
    yard.until("ends", count, 30, async || yard.records("occurrence_closed").await.len()).await;
}

/// A person has seen the last run, so that another one may begin by itself.
async fn seen(yard: &Yard) {
    let answer = yard.server.post("/api/v1/services/s0/ack", json!({ "reason": "looked" })).await;
    assert_eq!(answer.0, 200, "{}", answer.1);
}

/// As the media type would have told of it.
async fn tell(yard: &Yard, event: &str) {
    let bearer = yard.server.bearer().unwrap();
    let mut body: Value =
        serde_json::from_str(include_str!("../fixtures/zabbix-6.0/zbx-001.body.json")).unwrap();
    body["event_id"] = json!(event);
    let (status, answer) = yard
        .server
        .deliver_to("/hooks/zabbix", body.to_string(), &[("authorization", bearer.as_str())])
        .await;
    assert_eq!((status, &answer["alerts"]), (200, &json!(1)), "{answer}");
}

fn ready(yard: &Yard) -> String {
    let mut words = Command::new(BINARY);
    words
        .args(["ready", "--all"])
        .env("POINTSMAN_SERVER", &yard.server.url)
        .env("POINTSMAN_TOKEN", yard.token("viewer"));
    String::from_utf8_lossy(&words.output().unwrap().stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_message_told_of_is_found_by_asking_and_starts_one_run() {
    let scene = Scene::new().await;
    let mut yard = scene.yard("reconcile = \"1s\"").await;
    scene.well().await;
    // Pointsman is dead, and the media type is off: nobody will ever tell of it.
    scene.zabbix.use_media_type(false).await.unwrap();
    yard = {
        let dead = yard;
        dead.server.dies();
        scene.sick().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        dead.restart().await
    };
    let event = scene.event(&yard).await;
    yard.until_finished(1).await;
    assert!(yard.moved("s0"));
    let opened = yard.records("occurrence_opened").await;
    assert_eq!((opened.len(), &opened[0]["body"]["fingerprint"]), (1, &json!(event)));
    let labels = &opened[0]["body"]["labels"];
    assert_eq!((&labels["severity"], &labels["host"]), (&json!("disaster"), &json!("db1")), "{labels}");
    assert_eq!(opened[0]["body"]["annotations"]["note"], "found by asking Zabbix");
    let record = &found(&yard).await[0];
    assert!(record["says"].as_str().unwrap().contains("that no message told of"), "{record}");
    assert!(yard.metric("pointsman_source_found_total{source=\"zabbix\"} 1").await);
    let says = ready(&yard);
    assert!(says.contains("no message came: its webhook may not work"), "{says}");
    assert!(says.contains("what no message told of would be found"), "{says}");
    // Told late after all, and again, and asked again: it is the same problem.
    tell(&yard, &event).await;
    tell(&yard, &event).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    yard = yard.restart().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((yard.records("occurrence_opened").await.len(), yard.records("opened").await.len()), (1, 1));
    assert_eq!(found(&yard).await.len(), 1, "it is asked each second, and on record once");

    // Whoever may not see it, or does not answer, says nothing about its end.
    scene.gives(&scene.zabbix.blind_token().await.unwrap());
    scene.gate.closes(true);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let says = ready(&yard);
    assert!(says.contains("PM5817") && says.contains("what no message told of would not be found"), "{says}");
    scene.well().await;
    scene.gate.closes(false);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(yard.records("occurrence_closed").await.is_empty(), "silence is no end");
    // It was over while we were dead.
    yard = {
        let dead = yard;
        dead.server.dies();
        scene.gives(&scene.token);
        dead.restart().await
    };
    until_closed(&yard, 1).await;
    let closed = yard.records("occurrence_closed").await;
    assert_eq!(closed[0]["body"]["occurrence"], format!("zabbix/{event}/1"));

    // Alive, and the media type fails: found within seconds, and its end too.
    seen(&yard).await;
    yard.move_back("s0");
    scene.sick().await;
    yard.until_finished(2).await;
    assert!(yard.moved("s0"));
    scene.well().await;
    until_closed(&yard, 2).await;
    assert_eq!(yard.records("opened").await.len(), 2);
    yard.verified();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_stands_at_the_problem_once_even_when_answers_are_lost() {
    let scene = Scene::new().await;
    let more = "write_back = true\nreconcile = \"1s\"\n[web]\nurl = \"https://pointsman.example\"";
    let mut yard = scene.yard(more).await;
    let status = async |yard: &Yard| {
        yard.server.get("/api/v1/status").await.1["channels"]["write-back to zabbix"].clone()
    };
    assert!(status(&yard).await.is_object(), "it is shown as a channel");
    assert!(ready(&yard).contains("may acknowledge problems"));
    scene.well().await;
    scene.sick().await;
    yard.until_finished(1).await;
    let event = scene.event(&yard).await;
    let said = async |event: &str| scene.zabbix.said(event).await.unwrap();
    yard.until("words", 2, 30, async || said(&event).await.0.len()).await;
    let (words, acknowledged) = said(&event).await;
    let run =
        yard.records("opened").await[0]["stream"].as_str().unwrap().trim_start_matches("run:").to_owned();
    assert!(
        acknowledged
            && words[0] == format!("Pointsman: run {run} ended: succeeded: s0 is served from sbg, verified"),
        "{words:?}"
    );
    let wanted = format!(
        "Pointsman: run {run} opened for s0: move-s0 from gra to sbg (alert zabbix/{event}/1). https://pointsman.example/approvals/{run}/"
    );
    assert!(words[1].starts_with(&wanted), "{words:?}");
    scene.well().await;
    until_closed(&yard, 1).await;

    // Each answer is lost, though it has happened; and Pointsman is killed in the middle.
    scene.gate.loses(true);
    seen(&yard).await;
    yard.move_back("s0");
    scene.sick().await;
    yard.until("a lost answer", 1, 30, async || scene.gate.lost()).await;
    yard = yard.restart().await;
    yard.until_finished(2).await;
    let event = scene.event(&yard).await;
    yard.until("words", 2, 30, async || said(&event).await.0.len()).await;
    yard = yard.restart().await;
    scene.gate.loses(false);
    yard.until("nothing that waits", 1, 30, async || usize::from(status(&yard).await["waiting"] == 0)).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (words, _) = said(&event).await;
    assert!(words.len() == 2 && words[0].contains(" ended: ") && words[1].contains(" opened "), "{words:?}");
    assert!(scene.gate.lost() >= 2, "each of them was in doubt");

    // Without the rights it is a warning, and nothing is held up by it.
    scene.gives(&scene.zabbix.blind_token().await.unwrap());
    let says = ready(&yard);
    assert!(
        says.contains("PM5816") && says.contains("lacks acknowledge_problems, add_problem_comments"),
        "{says}"
    );
    yard.verified();
}
