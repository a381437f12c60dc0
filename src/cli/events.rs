//! Server-sent events, read line by line and bounded. Used by `audit --follow`.

use serde_json::Value;
use std::time::Duration;

/// A server says something (at least a comment) more often than this, or the connection is taken for dead.
const SILENCE: Duration = Duration::from_secs(90);
const MAX_EVENT: usize = 8 << 20;

pub struct Events {
    response: reqwest::Response,
    buffer: Vec<u8>,
    data: String,
}

impl Events {
    pub fn new(response: reqwest::Response) -> Events {
        Events { response, buffer: vec![], data: String::new() }
    }

    /// The next event; an error when the stream ended, so that the caller connects again where it was.
    pub async fn next(&mut self) -> Result<Value, String> {
        loop {
            while let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                if let Some(event) = self.line(line.trim_end_matches(['\r', '\n']))? {
                    return Ok(event);
                }
            }
            if self.buffer.len() + self.data.len() > MAX_EVENT {
                return Err("an event is larger than 8 MiB".into());
            }
            match tokio::time::timeout(SILENCE, self.response.chunk()).await {
                Err(_) => return Err("the server was silent for 90 s".into()),
                Ok(Err(e)) => return Err(e.to_string()),
                Ok(Ok(None)) => return Err("the server ended the stream".into()),
                Ok(Ok(Some(chunk))) => self.buffer.extend_from_slice(&chunk),
            }
        }
    }

    fn line(&mut self, line: &str) -> Result<Option<Value>, String> {
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return match data.is_empty() {
                true => Ok(None),
                false => serde_json::from_str(&data).map(Some).map_err(|e| format!("an event: {e}")),
            };
        }
        if let Some(data) = line.strip_prefix("data:") {
            if !self.data.is_empty() {
                self.data.push('\n');
            }
            self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
        }
        Ok(None)
    }
}
