//! The three servers of the comparison, each a process of its own that is up for all rounds.

use crate::load::{NUMBER, Post};
use crate::process::{Server, free_addr, serve, source_token};
use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use http::StatusCode;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// Name of the peer, and the word with which this program becomes it.
pub const NOOP: &str = "noop";
pub const OURS: &str = "pointsman";
pub const WEBHOOK: &str = "webhook";

pub struct Peer {
    pub server: Server,
    /// The same body each time.
    pub same: Arc<Post>,
    /// The same alert each time, in a body of its own.
    pub differing: Arc<Post>,
}

impl Peer {
    fn new(server: Server, token: Option<&str>, body: &[u8]) -> anyhow::Result<Peer> {
        let post =
            |body: &str| Arc::new(Post::new(server.addr, "/hooks/alertmanager", token, body.as_bytes()));
        let body = std::str::from_utf8(body)?;
        let summary = r#""summary":"one"#;
        anyhow::ensure!(body.contains(summary), "the fixture has another shape");
        let numbered = body.replacen(summary, &format!("{summary} {NUMBER}"), 1);
        Ok(Peer { same: post(body), differing: post(&numbered), server })
    }
}

pub fn start(dir: &Path, body: &[u8]) -> anyhow::Result<Vec<Peer>> {
    let mut peers = vec![noop(dir, body)?, ours(dir, body)?, webhook(dir, body)?];
    for peer in &mut peers {
        peer.server.wait_listening()?;
    }
    Ok(peers)
}

fn noop(dir: &Path, body: &[u8]) -> anyhow::Result<Peer> {
    let addr = free_addr()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(NOOP).arg(addr.port().to_string());
    let server = Server::spawn(NOOP, addr, &mut command, &dir.join("noop.log"))?;
    Peer::new(server, None, body)
}

fn ours(dir: &Path, body: &[u8]) -> anyhow::Result<Peer> {
    let (data, playbooks, addr) = (dir.join("data"), dir.join("playbooks"), free_addr()?);
    std::fs::create_dir_all(&data)?;
    std::fs::create_dir_all(&playbooks)?;
    let token = source_token(&data)?;
    let server = Server::spawn(OURS, addr, &mut serve(&data, &playbooks, addr), &dir.join("pointsman.log"))?;
    Peer::new(server, Some(&token), body)
}

/// Debian's `webhook`: answers, then starts `/bin/true`; it keeps nothing.
fn webhook(dir: &Path, body: &[u8]) -> anyhow::Result<Peer> {
    let (hooks, addr) = (dir.join("hooks.json"), free_addr()?);
    std::fs::write(&hooks, r#"[{ "id": "alertmanager", "execute-command": "/bin/true" }]"#)?;
    let mut command = Command::new("webhook");
    command.arg("-hooks").arg(&hooks).args(["-ip", "127.0.0.1", "-port", &addr.port().to_string()]);
    let server = Server::spawn(WEBHOOK, addr, &mut command, &dir.join("webhook.log"))?;
    Peer::new(server, None, body)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "reading the fields is the work that is measured")]
struct Message {
    receiver: String,
    status: String,
    alerts: Vec<Alert>,
    group_labels: BTreeMap<String, String>,
    common_labels: BTreeMap<String, String>,
    common_annotations: BTreeMap<String, String>,
    #[serde(rename = "externalURL")]
    external_url: String,
    version: String,
    group_key: String,
    truncated_alerts: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "reading the fields is the work that is measured")]
struct Alert {
    status: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    fingerprint: String,
}

/// The same HTTP library, the same body read into typed fields, and nothing else.
pub fn serve_noop(port: u16) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        let hook = post(|body: Bytes| async move {
            match serde_json::from_slice::<Message>(&body) {
                Ok(message) if !message.alerts.is_empty() => StatusCode::OK,
                Ok(_) | Err(_) => StatusCode::BAD_REQUEST,
            }
        });
        Ok(axum::serve(listener, Router::new().route("/hooks/alertmanager", hook)).await?)
    })
}
