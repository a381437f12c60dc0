//! A server with as many services as a test wants, each moved by touching a file; and a world that answers its guards.

use crate::serve::rig::{Server, pointsman, token};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What guards and the source's API see.
#[derive(Default)]
pub struct World {
    pub sick: AtomicBool,
    /// How far its clock is ahead, in seconds, for the header `Date`.
    pub ahead: AtomicI64,
    /// Services whose alert fires, for Alertmanager's API.
    firing: Mutex<Vec<String>>,
    pub asked: AtomicU32,
    /// Looks of guards.
    pub looks: AtomicU32,
}

pub struct Yard {
    pub server: Server,
    pub world: Arc<World>,
    pub url: String,
    folder: TempDir,
    count: AtomicU32,
}

/// How the services of a yard are made.
pub struct Plot<'a> {
    pub services: usize,
    pub limits: &'a str,
    /// Further lines of each playbook.
    pub more: &'a str,
    pub storm: &'a str,
    /// Who is asked whether alerts still fire: `api` or `prometheus`.
    pub source: &'a str,
    /// All services write the same target.
    pub shared: bool,
    pub mode: &'a str,
    /// What each playbook waits for; `$S` is its service.
    pub trigger: &'a str,
    /// Further lines of the configuration.
    pub config: &'a str,
    /// How far the world's clock is ahead at the start, in seconds.
    pub ahead: i64,
}

impl Default for Plot<'_> {
    fn default() -> Self {
        Plot {
            services: 1,
            limits: "cooldown: 1h, per_day: 3",
            more: "",
            storm: "concurrent = 100\nper_hour = 1000\nsick_share = \"100%\"",
            source: "api",
            trigger: "alertmanager: { alertname: SiteDown, service: $S }",
            shared: false,
            mode: "auto",
            config: "",
            ahead: 0,
        }
    }
}

impl Yard {
    pub async fn new(plot: Plot<'_>) -> Yard {
        let (world, url) = answer().await;
        world.ahead.store(plot.ahead, Ordering::SeqCst);
        let folder = tempfile::tempdir().unwrap();
        let playbooks = folder.path().join("playbooks");
        std::fs::create_dir(&playbooks).unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let mut config = format!(
            "site = \"par\"\n[limits.storm]\n{}\n[sources.alertmanager]\n{} = [{url:?}]\n{}\n",
            plot.storm, plot.source, plot.config
        );
        for n in 0..plot.services {
            let target = if plot.shared { 0 } else { n };
            if target == n {
                let _ = write!(
                    config,
                    "[targets.box{n}]\nkind = \"host\"\nsite = \"sbg\"\nlocal = true\n[targets.box{n}.commands]\n"
                );
            }
            if !plot.shared || n == 0 {
                let services = if plot.shared { 0..plot.services } else { n..n + 1 };
                for s in services {
                    let file = folder.path().join(format!("s{s}"));
                    let _ = write!(
                        config,
                        "move-s{s} = [\"touch\", {file:?}]\nmoved-s{s} = [\"test\", \"-e\", {file:?}]\nunmove-s{s} = [\"rm\", {file:?}]\n"
                    );
                }
            }
            let (from, to) = if n % 2 == 0 { ("gra", "sbg") } else { ("sbg", "gra") };
            let trigger = plot.trigger.replace("$S", &format!("s{n}"));
            let playbook = format!(
                "playbook: move-s{n}\nservice: s{n}\nkind: other\nmode: {}\n\
                 sites: {{ gra: {{ at: 1 }}, sbg: {{ at: 2 }} }}\nfrom: {from}\nto: {to}\n\
                 triggers:\n  - {trigger}\n\
                 limits: {{ {} }}\n{}\n\
                 guards:\n  - name: origin is sick\n    http.expect: {{ url: \"{url}/guard\" }}\n\
                 steps:\n  - name: move it\n    action: command.run\n    commit_point: true\n\
                 \x20   with: {{ target: box{target}, run: move-s{n}, check: moved-s{n}, undo: unmove-s{n}, timeout: 5s }}\n\
                 verify:\n  - action: http.expect\n    with: {{ url: \"{url}/verify\" }}\n",
                plot.mode, plot.limits, plot.more,
            );
            std::fs::write(playbooks.join(format!("s{n}.yaml")), playbook).unwrap();
        }
        std::fs::write(folder.path().join("pointsman.toml"), config).unwrap();
        let server = start(folder.path()).await;
        let yard = Yard { server, world, url, folder, count: AtomicU32::new(0) };
        let (_, status) = yard.server.get("/api/v1/status").await;
        let problems: Vec<&Value> =
            status["playbooks"].as_array().unwrap().iter().filter(|p| p["active"] != true).collect();
        assert!(problems.is_empty(), "{problems:?}");
        yard
    }

    /// The process is killed, and another one takes its place.
    pub async fn restart(self) -> Yard {
        let Yard { server, world, url, folder, count } = self;
        server.kill9();
        let server = start(folder.path()).await;
        Yard { server, world, url, folder, count }
    }

    /// One new occurrence of the service's alert, at the source and delivered.
    pub async fn fire(&self, service: &str) -> Value {
        let body = self.body(service);
        self.deliver(&body).await;
        body
    }

    pub fn body(&self, service: &str) -> Value {
        let n = self.count.fetch_add(1, Ordering::SeqCst);
        self.world.firing.lock().unwrap().push(service.to_owned());
        let labels = json!({ "alertname": "SiteDown", "service": service, "n": n.to_string() });
        let started = format!("2026-11-20T{:02}:{:02}:00Z", n / 60 % 24, n % 60);
        json!({
            "receiver": "r", "status": "firing", "version": "4", "groupKey": format!("g{n}"), "truncatedAlerts": 0,
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am.test",
            "alerts": [{
                "status": "firing", "labels": labels, "annotations": {}, "startsAt": started,
                "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": format!("{:016x}", n + 1),
            }],
        })
    }

    pub async fn deliver(&self, body: &Value) {
        let (status, answer) = self.server.deliver(body.to_string(), self.server.bearer()).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// The occurrence is over, at the source and delivered.
    pub async fn resolve(&self, mut body: Value) {
        let service = body["alerts"][0]["labels"]["service"].as_str().unwrap().to_owned();
        self.world.firing.lock().unwrap().retain(|s| *s != service);
        body["status"] = json!("resolved");
        body["alerts"][0]["status"] = json!("resolved");
        body["alerts"][0]["endsAt"] = json!("2026-11-21T08:00:00Z");
        self.deliver(&body).await;
    }

    pub fn quiet_at_the_source(&self) {
        self.world.firing.lock().unwrap().clear();
    }

    pub async fn records(&self, kind: &str) -> Vec<Value> {
        let mut all = self.journal().await;
        all.retain(|r| r["kind"] == kind);
        all
    }

    pub async fn journal(&self) -> Vec<Value> {
        let (mut all, mut from) = (vec![], 1);
        loop {
            let (_, page) = self.server.get(&format!("/api/v1/audit?from={from}&limit=1000")).await;
            all.extend(page["records"].as_array().unwrap().iter().cloned());
            match page["next"].as_u64() {
                Some(next) => from = next,
                None => return all,
            }
        }
    }

    /// Records of a service's stream that hold back, with this code.
    pub async fn held(&self, service: &str, code: &str) -> Vec<Value> {
        let mut all = self.records("held").await;
        let stream = format!("service:{service}");
        all.retain(|r| r["stream"] == stream && r["body"]["why"].to_string().contains(code));
        all
    }

    pub async fn until(&self, what: &str, count: usize, secs: u64, found: impl AsyncFn() -> usize) {
        let until = Instant::now() + Duration::from_secs(secs);
        loop {
            let seen = found().await;
            if seen >= count {
                return;
            }
            if Instant::now() > until {
                let says: Vec<String> = self.journal().await.iter().map(|r| r["says"].to_string()).collect();
                panic!("{what}: {seen} of {count}\n{}\n{}", says.join("\n"), self.server.log());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub async fn until_finished(&self, count: usize) {
        self.until("finished runs", count, 30, async || self.records("finished").await.len()).await;
    }

    pub async fn until_held(&self, service: &str, code: &str, count: usize) {
        let what = format!("{service} held for {code}");
        self.until(&what, count, 30, async || self.held(service, code).await.len()).await;
    }

    pub fn moved(&self, service: &str) -> bool {
        self.folder.path().join(service).exists()
    }

    /// Every hash, and every cached row against its fold.
    pub fn verified(&self) {
        self.verified_in("data");
    }

    pub fn verified_in(&self, data: &str) {
        let data = self.folder.path().join(data);
        let out = pointsman(&["audit", "verify", "--data", data.to_str().unwrap()]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Killed; another server takes its place with the data directory of that name.
    pub async fn restart_with(self, data: &str) -> Yard {
        let Yard { server, world, url, folder, count } = self;
        server.kill9();
        let config = folder.path().join("pointsman.toml");
        let more = ["--config", config.to_str().unwrap()];
        let server = Server::start(&folder.path().join(data), &folder.path().join("playbooks"), &more).await;
        Yard { server, world, url, folder, count }
    }

    pub fn playbook_file(&self, service: &str) -> std::path::PathBuf {
        self.folder.path().join("playbooks").join(format!("{service}.yaml"))
    }

    pub fn playbook(&self, service: &str) -> String {
        std::fs::read_to_string(self.playbook_file(service)).unwrap()
    }

    /// The server takes it within seconds.
    pub fn write_playbook(&self, service: &str, text: &str) {
        std::fs::write(self.playbook_file(service), text).unwrap();
    }

    /// What `pointsman check` says of this text; nothing, if it is good.
    pub fn check(&self, text: &str) -> String {
        let file = self.folder.path().join("checked.yaml");
        std::fs::write(&file, text).unwrap();
        let config = self.folder.path().join("pointsman.toml");
        let out = pointsman(&["check", "--config", config.to_str().unwrap(), file.to_str().unwrap()]);
        match out.status.success() {
            true => String::new(),
            false => {
                String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
            }
        }
    }

    pub fn move_back(&self, service: &str) {
        std::fs::remove_file(self.folder.path().join(service)).unwrap();
    }

    pub fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    pub fn token(&self, role: &str) -> String {
        token(&self.folder.path().join("data"), role)
    }

    pub async fn metric(&self, line: &str) -> bool {
        let text = reqwest::get(format!("{}/metrics", self.server.url)).await.unwrap().text().await.unwrap();
        crate::canary::none_in("/metrics", &text);
        text.lines().any(|l| l.starts_with(line))
    }
}

async fn start(folder: &Path) -> Server {
    let config = folder.join("pointsman.toml");
    let more = ["--config", config.to_str().unwrap()];
    Server::start(&folder.join("data"), &folder.join("playbooks"), &more).await
}

/// A web server on loopback: 200 or 503 for guards, the list of alerts for the source's API.
async fn answer() -> (Arc<World>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let world = Arc::new(World::default());
    let shared = world.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let world = shared.clone();
            tokio::spawn(async move {
                let mut bytes = vec![0; 8192];
                let read = stream.read(&mut bytes).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&bytes[..read]).into_owned();
                let (status, body) = world.reply(&head);
                let head = format!(
                    "HTTP/1.1 {status} X\r\ndate: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    world.date(),
                    body.len()
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            });
        }
    });
    (world, url)
}

impl World {
    fn date(&self) -> String {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(self.ahead.load(Ordering::SeqCst));
        at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    fn reply(&self, head: &str) -> (u16, String) {
        let line = head.lines().next().unwrap_or_default();
        if line.contains("/api/v2/alerts") {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let asked: String =
                url::form_urlencoded::parse(line.split(['?', ' ']).nth(2).unwrap_or("").as_bytes())
                    .filter(|(key, _)| key == "filter")
                    .map(|(_, value)| format!("{value} "))
                    .collect();
            let label = |name: &str| {
                let rest = asked.split(&format!("{name}=\"")).nth(1).unwrap_or_default();
                rest.split('"').next().unwrap_or_default().to_owned()
            };
            let (service, n) = (label("service"), label("n"));
            let fires = self.firing.lock().unwrap().contains(&service);
            let alert = json!({
                "labels": { "alertname": "SiteDown", "service": service, "n": n }, "status": { "state": "active" },
            });
            return (200, if fires { json!([alert]) } else { json!([]) }.to_string());
        }
        if line.contains("/api/v1/alerts") {
            let one = |service: &String| json!({ "labels": { "alertname": "SiteDown", "service": service }, "state": "firing" });
            let alerts: Vec<Value> = self.firing.lock().unwrap().iter().map(one).collect();
            return (200, json!({ "status": "success", "data": { "alerts": alerts } }).to_string());
        }
        if line.contains("/guard") {
            self.looks.fetch_add(1, Ordering::SeqCst);
        }
        (if self.sick.load(Ordering::SeqCst) { 503 } else { 200 }, "fine".to_owned())
    }
}
