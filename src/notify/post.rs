//! One request of ours to somebody else's address, and what came back. Bounded in time and size; an error never shows the
//! address, which may be a credential.

use super::Delivery;
use crate::config::Address;
use crate::kernel::domain::Span;
use crate::provider::http::{Clients, Failed, failed, words};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longer than any of them takes when it is well.
pub const WITHIN: Duration = Duration::from_secs(10);
const MAX_BODY: usize = 64 << 10;
/// However long somebody wants us to wait.
const MAX_PAUSE: u64 = 600;

#[derive(Default)]
pub struct Poster(Clients);

pub struct Letter<'a> {
    pub url: &'a str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// What was answered.
pub struct Answer {
    pub status: u16,
    pub after: Option<Span>,
    pub body: Vec<u8>,
}

impl Poster {
    pub async fn post(&self, letter: Letter<'_>) -> Result<Answer, Delivery> {
        let mut request = self.client()?.post(letter.url).header("content-type", "application/json");
        for (name, value) in letter.headers {
            request = request.header(name, value);
        }
        answer(request.body(letter.body)).await
    }

    /// For a connection of another kind, with the same authorities.
    pub fn tls(&self) -> Result<rustls::ClientConfig, Failed> {
        self.0.tls()
    }

    fn client(&self) -> Result<reqwest::Client, Delivery> {
        let built = self.0.builder(WITHIN).map_err(|failed| failed.says);
        built.and_then(|builder| builder.build().map_err(|e| words(&e))).map_err(Delivery::unreachable)
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Answer, Delivery> {
    let lost = |error: reqwest::Error| {
        let lost = failed(error);
        Delivery::unreachable(format!("{}: {}", lost.layer.as_str(), lost.says))
    };
    let mut response = request.send().await.map_err(lost)?;
    let (status, after) = (response.status().as_u16(), pause(response.headers()));
    let mut body = vec![];
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY {
            break;
        }
    }
    Ok(Answer { status, after, body })
}

fn pause(headers: &reqwest::header::HeaderMap) -> Option<Span> {
    let seconds: u64 = headers.get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Span::secs(seconds.clamp(1, MAX_PAUSE)))
}

impl Answer {
    /// By its status alone. What says that this one message is wrong is final; what says that we are (401, 404) is not:
    /// people mend that, and then everything that waits arrives.
    pub fn judged(&self) -> Delivery {
        let says = format!("it answered {}", self.status);
        match self.status {
            200..=299 => Delivery::Done,
            400 | 413 | 414 | 415 | 422 => Delivery::Refused(says),
            _ => Delivery::Failed { says, after: self.after, answered: true },
        }
    }
}

/// Who checks or makes a signature has a clock on the wall, not that of our journal.
#[expect(clippy::disallowed_methods, reason = "signatures are about the clock on the wall")]
pub fn wall_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The heartbeat's one call: whatever is answered, but for an error, is fine.
pub async fn sign_of_life(poster: &Poster, to: &Address) -> Result<(), String> {
    let url = to.read().map_err(|e| e.to_string())?;
    let said = match poster.client() {
        Ok(client) => answer(client.get(url.expose())).await.map_or_else(|failed| failed, |a| a.judged()),
        Err(failed) => failed,
    };
    match said {
        Delivery::Done => Ok(()),
        Delivery::Refused(says) | Delivery::Failed { says, .. } => Err(says),
    }
}
