//! A real Zabbix tells a real Pointsman: a problem becomes a run, its end ends it, and what Pointsman could not take while it was
//! dead is told again.

use crate::limits::yard::{Plot, Yard};
use lab::zabbix::{Item, Message, Watched};
use lab::{Proxy, Zabbix};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::tempdir;

const SECRET: &str = "as long as a secret should be";

/// Where Zabbix finds Pointsman, whichever port that has in this life.
struct Door {
    listens: SocketAddr,
    proxy: Option<Arc<Proxy>>,
}

impl Door {
    async fn open(&mut self, yard: &Yard) {
        self.proxy = None;
        let upstream = yard.server.url.trim_start_matches("http://").parse().unwrap();
        self.proxy = Some(Proxy::start(self.listens, upstream).await.unwrap());
    }
}

async fn delivered(zabbix: &Zabbix, wanted: usize, yard: &Yard) -> Vec<Message> {
    let count = async || zabbix.messages().await.unwrap().iter().filter(|m| m.status == 1).count();
    yard.until("messages delivered", wanted, 60, count).await;
    zabbix.messages().await.unwrap()
}

async fn problem(zabbix: &Zabbix, watched: &Watched) -> String {
    let problems = zabbix.problems(watched).await.unwrap();
    problems[0]["eventid"].as_str().unwrap_or_else(|| panic!("no problem: {problems}")).to_owned()
}

#[tokio::test]
async fn a_real_zabbix_starts_a_run_and_tells_again_what_a_dead_pointsman_missed() {
    let zabbix = Zabbix::start().await.unwrap();
    let folder = tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let (secret, token) = (write("secret", SECRET), write("token", &zabbix.token().await.unwrap()));
    let config = format!(
        "[sources.zabbix]\nsigning_secret = {{ file = {secret:?} }}\nzabbix = [{:?}]\nbearer = {{ file = {token:?} }}\n\
         reconcile = \"never\"\n",
        zabbix.url()
    );
    // It is confirmed by asking Zabbix itself.
    let trigger = "zabbix: { tag.service: $S, severity: '>=high' }\n    confirmed_for: 1s";
    let limits = "cooldown: 1s, per_day: 9";
    let plot = Plot { trigger, limits, config: &config, ..Plot::default() };
    let mut yard = Yard::new(plot).await;
    let listens = SocketAddr::new([127, 0, 0, 1].into(), zabbix.spare_port());
    let mut door = Door { listens, proxy: None };
    door.open(&yard).await;
    let (hook, every) = (format!("http://{listens}"), Duration::from_secs(2));
    let watched =
        zabbix.tells(&hook, SECRET, Item::Told, &[("service", "s0"), ("region", "eu")], every).await.unwrap();

    zabbix.send(&watched, 1).await.unwrap();
    zabbix.send(&watched, 0).await.unwrap();
    yard.until("runs finished", 1, 60, async || yard.records("finished").await.len()).await;
    assert_eq!(yard.records("finished").await[0]["body"]["outcome"], "succeeded");
    assert!(yard.moved("s0"));
    let event = problem(&zabbix, &watched).await;
    let opened = yard.records("occurrence_opened").await;
    assert_eq!(opened[0]["body"]["fingerprint"], event.as_str());
    let labels = &opened[0]["body"]["labels"];
    assert_eq!((&labels["severity"], &labels["host"]), (&"disaster".into(), &"db1".into()), "{labels}");
    assert_eq!(labels["host_name"], "Primary – Größe 1", "letters of all kinds are signed alike");
    zabbix.send(&watched, 1).await.unwrap();
    yard.until("ends", 1, 60, async || yard.records("occurrence_closed").await.len()).await;
    delivered(&zabbix, 2, &yard).await;

    let (status, answer) = yard.server.post("/api/v1/services/s0/ack", json!({ "reason": "looked" })).await;
    assert_eq!(status, 200, "{answer}");

    // Pointsman is killed; the next problem comes while nobody listens.
    door.proxy = None;
    yard.move_back("s0");
    let before = yard.records("occurrence_opened").await.len();
    yard = {
        let dead = yard;
        dead.server.dies();
        zabbix.send(&watched, 0).await.unwrap();
        let waiting = async || {
            let messages = zabbix.messages().await.unwrap();
            messages.iter().filter(|m| m.status == 0 && m.retries >= 2).count()
        };
        dead.until("attempts that failed", 1, 60, waiting).await;
        dead.restart().await
    };
    door.open(&yard).await;
    yard.until("runs finished", 2, 60, async || yard.records("finished").await.len()).await;
    assert!(yard.moved("s0"));
    assert_eq!(yard.records("occurrence_opened").await.len(), before + 1);
    let messages = delivered(&zabbix, 3, &yard).await;
    let last = messages.iter().rfind(|m| m.recovery_of == "0").unwrap();
    assert!(last.retries >= 2, "{messages:?}");
    assert_eq!(last.event, problem(&zabbix, &watched).await);
    yard.verified();
}
