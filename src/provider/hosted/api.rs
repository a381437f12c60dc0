//! One request to a provider's HTTP API, and what its end proves. Nothing is sent twice. When a provider says that it
//! takes no more requests, none is sent to it until the time that it named has passed: a loop of looks must not lock
//! the failover out.

use super::port::Written;
use crate::config::SecretRef;
use crate::kernel::domain::Span;
use crate::provider::dns::NoAnswer;
use crate::provider::http::{Clients, Layer, failed, words};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;
use tokio::time::Instant;

/// A whole zone of a hundred thousand records fits.
const MAX_BODY: usize = 32 << 20;
/// Each request has a shorter time of its own.
const LONGEST: Duration = Duration::from_secs(60);
/// When a provider limits and does not say for how long.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Default)]
pub struct Api {
    clients: Clients,
    /// To make one costs more than a call. It keeps no connection, so that none is used twice.
    client: OnceLock<reqwest::Client>,
    /// Base URL → no request before this.
    closed: Mutex<BTreeMap<String, Instant>>,
}

pub struct Request<'a> {
    pub method: Method,
    /// Of the account; what a limit is about.
    pub base: &'a str,
    pub url: String,
    /// Sensitive; never shown.
    pub headers: Vec<(&'static str, String)>,
    /// JSON, as signed.
    pub body: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// 2xx with this body; `Null` when empty.
    Good(Value),
    /// 4xx: the provider proved that nothing happened.
    No {
        status: u16,
        says: String,
    },
    Limited {
        after: Option<Span>,
        says: String,
    },
    NotSent {
        retry: bool,
        says: String,
    },
    /// 5xx, a lost connection, an answer that cannot be read.
    Doubt(String),
}

impl Api {
    fn closed(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        self.closed.lock().expect("invariant: no panic while holding the lock")
    }

    pub async fn call(&self, request: Request<'_>, within: Duration) -> Answer {
        self.call_for_header(request, "", within).await.0
    }

    /// The answer, and one header of it.
    pub async fn call_for_header(
        &self,
        request: Request<'_>,
        header: &str,
        within: Duration,
    ) -> (Answer, Option<String>) {
        if let Some(left) = self.still_closed(request.base) {
            let says = format!("it takes no requests for another {} s; none was sent", left.as_secs() + 1);
            return (Answer::Limited { after: Some(span(left)), says }, None);
        }
        let (answer, found) = match self.send(&request, within).await {
            Ok((status, headers, body)) => {
                let found = headers.get(header).and_then(|value| value.to_str().ok()).map(str::to_owned);
                (read(status, retry_after(&headers), &body), found)
            }
            Err(answer) => (answer, None),
        };
        if let Answer::Limited { after, .. } = &answer {
            let pause = after.map_or(PAUSE, |after| after.as_duration());
            self.closed().insert(request.base.to_owned(), Instant::now() + pause);
        }
        (answer, found)
    }

    /// Status and text as they came, of what answers in words and not in JSON. `Err`: there was no such answer.
    pub async fn told(&self, request: Request<'_>, within: Duration) -> Result<(u16, String), Written> {
        let (status, _, body) = self.send(&request, within).await.map_err(Answer::no_good)?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    fn client(&self) -> Result<&reqwest::Client, String> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let builder = self.clients.builder(LONGEST).map_err(|failed| failed.says)?;
        let made = builder.build().map_err(|e| words(&e))?;
        Ok(self.client.get_or_init(|| made))
    }

    fn still_closed(&self, base: &str) -> Option<Duration> {
        let until = *self.closed().get(base)?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Status, headers and body; else what the lack of them proves.
    async fn send(
        &self,
        request: &Request<'_>,
        within: Duration,
    ) -> Result<(u16, HeaderMap, Vec<u8>), Answer> {
        let client = self.client().map_err(|says| Answer::NotSent { retry: false, says })?;
        let mut out = client.request(request.method.clone(), &request.url).timeout(within);
        for (name, value) in &request.headers {
            out = out.header(*name, value);
        }
        if let Some(body) = &request.body {
            out = out.header("content-type", "application/json").body(body.clone());
        }
        let mut response = match out.send().await {
            Ok(response) => response,
            Err(e) if e.is_builder() => {
                return Err(Answer::NotSent { retry: false, says: words(&e.without_url()) });
            }
            Err(e) => {
                let connecting = e.is_connect();
                let lost = failed(e);
                let says = format!("{}: {}", lost.layer.as_str(), lost.says);
                return Err(match lost.layer {
                    _ if !connecting => Answer::Doubt(says),
                    Layer::Tls => Answer::NotSent { retry: false, says },
                    _ => Answer::NotSent { retry: true, says },
                });
            }
        };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = vec![];
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(e) => {
                    let says = format!("its answer broke off: {}", words(&e.without_url()));
                    return Err(Answer::Doubt(says));
                }
            }
            if body.len() > MAX_BODY {
                return Err(Answer::Doubt(format!("its answer is longer than {MAX_BODY} bytes")));
            }
        }
        Ok((status, headers, body))
    }
}

fn read(status: u16, after: Option<Span>, body: &[u8]) -> Answer {
    let text = || excerpt(&String::from_utf8_lossy(body));
    match status {
        200..=299 if body.iter().all(u8::is_ascii_whitespace) => Answer::Good(Value::Null),
        200..=299 => match serde_json::from_slice(body) {
            Ok(value) => Answer::Good(value),
            Err(e) => Answer::Doubt(format!("it answered {status} with what is not JSON: {e}")),
        },
        429 => Answer::Limited { after, says: format!("it limits our requests: {}", text()) },
        408 | 425 => Answer::Doubt(format!("it answered {status}: {}", text())),
        400..=499 => Answer::No { status, says: format!("it answered {status}: {}", text()) },
        _ => Answer::Doubt(format!("it answered {status}: {}", text())),
    }
}

/// Seconds, as every provider here sends it.
fn retry_after(headers: &HeaderMap) -> Option<Span> {
    let seconds: u64 = headers.get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Span::secs(seconds.clamp(1, 3600)))
}

fn span(duration: Duration) -> Span {
    Span::secs(duration.as_secs() + 1)
}

/// The first words of an answer, in one line.
pub fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { "without a word".into() } else { line.chars().take(300).collect() }
}

impl Answer {
    /// As the end of a read.
    pub fn read(self) -> Result<Value, NoAnswer> {
        let (layer, says) = match self {
            Answer::Good(value) => return Ok(value),
            Answer::No { status: 401 | 403, says } => ("auth", says),
            Answer::No { says, .. } => ("api", says),
            Answer::Limited { says, .. } => ("limit", says),
            Answer::NotSent { says, .. } => ("connection", says),
            Answer::Doubt(says) => ("http", says),
        };
        Err(NoAnswer { layer, says })
    }

    /// As the end of a write. `Err`: it is no success.
    pub fn written(self) -> Result<Value, Written> {
        match self {
            Answer::Good(value) => Ok(value),
            other => Err(other.no_good()),
        }
    }

    /// A success that nobody asked about here is none to stand on.
    fn no_good(self) -> Written {
        match self {
            Answer::No { says, .. } => Written::Refused { says },
            Answer::Limited { after, says } => Written::Limited { after, says },
            Answer::NotSent { retry, says } => Written::NotSent { retry, says },
            Answer::Doubt(says) => Written::Doubt(says),
            Answer::Good(value) => Written::Doubt(format!("it answered {value}")),
        }
    }
}

/// The credential, read now and kept nowhere; the trouble is one of ours.
pub fn secret(reference: &SecretRef) -> Result<crate::kernel::domain::Secret, Answer> {
    reference.read().map_err(|e| Answer::NotSent { retry: false, says: e.to_string() })
}

/// Calls done before this one have changed something: what came of the whole is not known.
pub fn in_the_middle(done: usize, end: Written) -> Written {
    if done == 0 {
        return end;
    }
    let says = match end {
        Written::Refused { says } | Written::Limited { says, .. } | Written::NotSent { says, .. } => says,
        Written::Doubt(says) => says,
        Written::Done(_) => return end,
    };
    Written::Doubt(format!("{done} calls were done, and then: {says}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_proves() {
        assert_eq!(read(204, None, b""), Answer::Good(Value::Null));
        assert!(matches!(read(200, None, b"<html>"), Answer::Doubt(_)));
        assert!(matches!(read(403, None, b"no"), Answer::No { status: 403, .. }));
        assert!(matches!(read(503, None, b""), Answer::Doubt(_)));
        assert!(matches!(read(302, None, b""), Answer::Doubt(_)));
        let limited = read(429, Some(Span::secs(3)), b"slow down");
        assert!(matches!(limited, Answer::Limited { after: Some(after), .. } if after == Span::secs(3)));
    }

    #[test]
    fn a_failure_in_the_middle_is_never_a_clean_no() {
        let no = || Written::Refused { says: "no".into() };
        assert_eq!(in_the_middle(0, no()), no());
        assert!(matches!(in_the_middle(1, no()), Written::Doubt(_)));
    }
}
