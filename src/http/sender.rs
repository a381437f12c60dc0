//! Who delivers: the holder of a token of role source, or whoever knows a source's signing secret. A claim is read before the
//! body is, and proven over its very bytes; only then is there a name.

use super::Problem;
use super::auth::SourceToken;
use crate::config::{Generic, Source};
use crate::intake::Format;
use crate::intake::signature::{self, Claim, HEADER, Unsigned};
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
        if !signing(app).any(|(_, source)| source.signing_secrets().next().is_some()) {
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
        signer(signing(app), &claim, body)
    }

    /// Of a request to the hook of this source alone.
    pub async fn of_generic(
        parts: &mut Parts,
        app: &Arc<App>,
        (name, source, generic): (&Name, &Source, &Generic),
    ) -> Result<Sender, Problem> {
        if source.signing_secret.is_some() {
            let claim = signature::claim(&generic.signature, &parts.headers, wall_seconds());
            if let Some(claim) = claim.map_err(|why| unsigned(&why.to_string()))? {
                return Ok(Sender::Signed(claim));
            }
        }
        let token = SourceToken::from_request_parts(parts, app).await?;
        match token.user.as_ref().filter(|user| *user != name) {
            Some(user) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "PM4004",
                format!("{user} delivers to the hook of {name}"),
                "nothing was kept of it",
                "give the source's own name as the user of basic authentication, or a bearer token",
            )),
            None => Ok(Sender::Token(token)),
        }
    }

    /// A signature covers the body, and no header.
    pub fn is_signed(&self) -> bool {
        matches!(self, Sender::Signed(_))
    }

    /// Whoever it is, it is the source whose hook this is.
    pub fn proven(self, named: (&Name, &Source), body: &[u8]) -> Result<(), Problem> {
        match self {
            Sender::Token(_) => Ok(()),
            Sender::Signed(claim) => signer([named], &claim, body).map(drop),
        }
    }
}

/// Those that have a hook of their own sign for that one alone.
fn signing(app: &App) -> impl Iterator<Item = (&Name, &Source)> {
    app.config.sources.iter().filter(|(_, source)| source.generic.is_none())
}

/// Whose secret is good for it.
fn signer<'a>(
    sources: impl IntoIterator<Item = (&'a Name, &'a Source)>,
    claim: &Claim,
    body: &[u8],
) -> Result<Name, Problem> {
    let mut unread = None;
    for (name, source) in sources {
        for secret in source.signing_secrets() {
            match secret.read().map(|secret| claim.verify(&secret, body)) {
                Ok(Ok(())) => return Ok(name.clone()),
                Ok(Err(why @ Unsigned::NotWhsec)) => unread = Some(why.to_string()),
                Ok(Err(_)) => {}
                Err(error) => unread = Some(error.to_string()),
            }
        }
    }
    // A secret that is away here is no fault of the sender: it tries again.
    Err(unread.map_or_else(|| unsigned(&Unsigned::Wrong.to_string()), |why| unknown(&why)))
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
