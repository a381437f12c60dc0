//! A small client of Pointsman's API: what a program of the lab asks, with errors that carry the server's words.

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::Value;

use super::Record;
use crate::net;

#[derive(Clone)]
pub struct Client {
    base: String,
    token: String,
    http: reqwest::Client,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.base)
    }
}

/// The server said no.
#[derive(Clone, Debug)]
pub struct Refused {
    pub status: u16,
    pub body: Value,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the server answered {}: {}", self.status, self.body)
    }
}

impl std::error::Error for Refused {}

impl Client {
    pub fn new(address: std::net::SocketAddr, token: &str) -> anyhow::Result<Client> {
        Ok(Client { base: format!("http://{address}"), token: token.to_owned(), http: net::http()? })
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.ask(Method::POST, path, Some(body)).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.with_context(|| format!("asking {path}"))?;
        let status = answer.status();
        let text = answer.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        if !status.is_success() {
            return Err(Refused { status: status.as_u16(), body }.into());
        }
        Ok(body)
    }

    /// Says something to a run; a refusal comes back as [`Refused`].
    pub async fn decide(&self, run: &str, decision: &Value) -> anyhow::Result<Value> {
        self.post(&format!("/api/v1/runs/{run}/decisions"), decision).await
    }

    /// Ready: the store can be written and playbooks are loaded.
    pub async fn is_ready(&self) -> anyhow::Result<bool> {
        let answer = self.http.get(format!("{}/readyz", self.base)).send().await?;
        if answer.status().is_success() {
            return Ok(true);
        }
        bail!("{}: {}", answer.status(), answer.text().await?)
    }

    /// The records from that position on.
    pub async fn journal(&self, from: u64) -> anyhow::Result<Vec<Record>> {
        let mut records = Vec::new();
        let mut from = Some(from);
        while let Some(position) = from {
            let page = self.get(&format!("/api/v1/audit?from={position}&limit=1000")).await?;
            let part: Vec<Record> = serde_json::from_value(page["records"].clone())
                .with_context(|| format!("records that cannot be read: {page}"))?;
            records.extend(part);
            from = page["next"].as_u64();
        }
        Ok(records)
    }

    /// Records as they are written, from that position on.
    pub async fn follow(&self, from: u64) -> anyhow::Result<Follower> {
        let url = format!("{}/api/v1/events?from={from}", self.base);
        // The answer never ends: this client must not give up on it after a time.
        let http = reqwest::Client::builder().no_proxy().build().context("building the HTTP client")?;
        let answer = http.get(url).bearer_auth(&self.token).send().await?.error_for_status()?;
        Ok(Follower { answer, buffer: Vec::new() })
    }
}

/// The journal as server-sent events.
#[derive(Debug)]
pub struct Follower {
    answer: reqwest::Response,
    buffer: Vec<u8>,
}

impl Follower {
    /// The next record; `None` when the server has closed the stream. Wrap it in a time-out.
    pub async fn next(&mut self) -> anyhow::Result<Option<Record>> {
        loop {
            if let Some(record) = self.take()? {
                return Ok(Some(record));
            }
            match self.answer.chunk().await? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }

    /// One whole event of the buffer; comments, which keep the connection alive, are passed over.
    fn take(&mut self) -> anyhow::Result<Option<Record>> {
        while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = self.buffer.drain(..end + 2).collect();
            let event = String::from_utf8(event).context("an event that is no text")?;
            if let Some(data) = event.lines().find_map(|line| line.strip_prefix("data:")) {
                let record = serde_json::from_str(data.trim_start());
                return Ok(Some(record.with_context(|| format!("an event that is no record: {data}"))?));
            }
        }
        Ok(None)
    }
}
