//! A server of its own for one test, in a folder of its own, gone when the test ends.

use crate::canary;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

pub const BINARY: &str = env!("CARGO_BIN_EXE_pointsman");
pub const ONE_ALERT: &str = include_str!("../../fixtures/alertmanager-0.25/single-001.body.json");

pub struct Server {
    child: Child,
    pub url: String,
    pub data: PathBuf,
    pub admin: String,
    pub source: String,
    client: reqwest::Client,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        canary::sweep(&canary::left_by(&self.data));
    }
}

pub fn token(data: &Path, role: &str) -> String {
    let out = pointsman(&["token", "create", "--data", data.to_str().unwrap(), "--role", role]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "the token alone: {text:?}");
    canary::plant(text.trim());
    text.trim().to_owned()
}

/// The answer, read for secrets.
async fn answer(what: &str, reply: reqwest::Response) -> (u16, Value) {
    let (status, text) = (reply.status().as_u16(), reply.text().await.unwrap_or_default());
    canary::none_in(what, &text);
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

pub fn pointsman(words: &[&str]) -> Output {
    Command::new(BINARY).args(words).env_remove("POINTSMAN_SERVER").output().unwrap()
}

/// Where it listens, as it says itself: a port that was looked up before could be somebody else's by now.
pub async fn announced(child: &mut Child, stdout: &Path) -> String {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let said = std::fs::read_to_string(stdout).unwrap_or_default();
        let whole_lines = said.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        for line in whole_lines {
            if let Some((_, rest)) = line.split_once(" listens on ") {
                return rest.split_whitespace().next().unwrap().to_owned();
            }
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended before it listened: {said}");
        assert!(Instant::now() < until, "it does not listen: {said}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Server {
    /// `more`: further arguments of `serve`.
    pub async fn start(data: &Path, playbooks: &Path, more: &[&str]) -> Server {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (admin, source) = (token(data, "admin"), token(data, "source"));
        let stdout = data.with_extension("out");
        let mut child = Command::new(BINARY)
            .args(["serve", "--data", data.to_str().unwrap(), "--playbooks", playbooks.to_str().unwrap()])
            .args(["--listen", "127.0.0.1:0"])
            .args(more)
            .stdout(std::fs::File::create(&stdout).unwrap())
            .stderr(std::fs::File::create(data.with_extension("log")).unwrap())
            .spawn()
            .unwrap();
        let url = announced(&mut child, &stdout).await;
        // A refused body ends its connection; the next request must not be sent down the same road.
        let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        let mut server = Server { child, url, data: data.to_owned(), admin, source, client };
        let until = Instant::now() + Duration::from_secs(10);
        while server.client.get(format!("{}/healthz", server.url)).send().await.is_err() {
            assert!(Instant::now() < until, "not up: {}", server.log());
            assert!(server.child.try_wait().unwrap().is_none(), "ended: {}", server.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data.with_extension("log")).unwrap_or_default()
    }

    /// Delivers `body` with the Authorization header `auth`.
    pub async fn deliver(&self, body: impl Into<reqwest::Body>, auth: Option<String>) -> (u16, Value) {
        let headers: Vec<(&str, &str)> = auth.iter().map(|auth| ("authorization", auth.as_str())).collect();
        self.deliver_to("/hooks/alertmanager", body, &headers).await
    }

    /// Delivers `body` there, with these headers.
    pub async fn deliver_to(
        &self,
        path: &str,
        body: impl Into<reqwest::Body>,
        headers: &[(&str, &str)],
    ) -> (u16, Value) {
        let mut request = self.client.post(format!("{}{path}", self.url)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer("a delivery", request.send().await.unwrap()).await
    }

    pub fn bearer(&self) -> Option<String> {
        Some(format!("Bearer {}", self.source))
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.admin);
        answer(path, request.send().await.unwrap()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(&self.admin).json(&body);
        answer(path, request.send().await.unwrap()).await
    }

    /// All records, oldest first.
    pub async fn journal(&self) -> Vec<Value> {
        let (status, page) = self.get("/api/v1/audit?from=1&limit=1000").await;
        assert_eq!(status, 200, "{page}");
        page["records"].as_array().unwrap().clone()
    }

    pub async fn kinds(&self) -> Vec<String> {
        self.journal().await.iter().map(|r| r["kind"].as_str().unwrap().to_owned()).collect()
    }

    /// Until triage has had its say about something.
    pub async fn until_kind(&self, kind: &str) -> Value {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(found) = self.journal().await.into_iter().find(|r| r["kind"] == kind) {
                return found;
            }
            assert!(Instant::now() < until, "no {kind}: {:?}", self.kinds().await);
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// The word to read its playbooks now.
    pub fn hang_up(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }

    /// As an init system does: SIGTERM, and a bounded wait.
    pub async fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let until = Instant::now() + Duration::from_secs(10);
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "it does not stop: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Its exit code, once it ends by itself.
    pub async fn ended(&mut self) -> Option<i32> {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "it does not end: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Dead at once, and still named.
    pub fn dies(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    }

    pub fn kill9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
