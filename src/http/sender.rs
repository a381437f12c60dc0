//! Who delivers: the holder of a token of role source, or whoever knows a source's signing secret. A claim is read before the
//! body is, and proven over its very bytes; only then is there a name.

use super::Problem;
use super::auth::SourceToken;
use crate::intake::Format;
use crate::intake::signature::{Claim, HEADER, Unsigned};
use crate::kernel::domain::Name;
use crate::notify::wall_seconds;
use crate::worker::App;
use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use std::sync::Arc;

pub enum Sender {
    Token(SourceToken),
    Signed(Claim),
}

impl FromRequestParts<Arc<App>> for Sender {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let mut headers = parts.headers.get_all(HEADER).iter();
        let Some(header) = headers.next() else {
            return SourceToken::from_request_parts(parts, app).await.map(Sender::Token);
        };
        if !app.config.sources.values().any(|source| source.signing_secrets().next().is_some()) {
            return Err(unsigned("no source of the configuration has a signing_secret"));
        }
        let text = header.to_str().ok().filter(|_| headers.next().is_none());
        let claim = text.ok_or(Unsigned::Malformed).and_then(|text| Claim::read(text, wall_seconds()));
        claim.map(Sender::Signed).map_err(|why| unsigned(&why.to_string()))
    }
}

impl Sender {
    /// The source's name; without one of its own it is called as what it sends.
    pub fn source(self, app: &App, format: Format, body: &[u8]) -> Result<Name, Problem> {
        let claim = match self {
            Sender::Token(token) => {
                return Ok(token.user.unwrap_or_else(|| Name::from(format.kind().as_str())));
            }
            Sender::Signed(claim) => claim,
        };
        let mut unread = None;
        for (name, source) in &app.config.sources {
            for secret in source.signing_secrets() {
                match secret.read() {
                    Ok(secret) if claim.verify(&secret, body).is_ok() => return Ok(name.clone()),
                    Ok(_) => {}
                    Err(error) => unread = Some(error),
                }
            }
        }
        // A secret that is away here is no fault of the sender: it tries again.
        Err(unread
            .map_or_else(|| unsigned(&Unsigned::Wrong.to_string()), |error| unknown(&error.to_string())))
    }
}

fn unsigned(why: &str) -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "PM4003",
        format!("the delivery is not proven to come from a source: {why}"),
        "nothing was kept of it",
        "compare the sender's secret with [sources.NAME] signing_secret, and both clocks",
    )
}

fn unknown(why: &str) -> Problem {
    tracing::error!(why, "deliveries cannot be checked: a signing secret cannot be read");
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "PM1101",
        "the delivery cannot be checked: a signing secret of this server cannot be read",
        "nothing was kept of it; the sender may try again",
        "see the server's log, and put the secret where the configuration says",
    )
}
