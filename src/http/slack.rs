//! What Slack sends when somebody presses a button or sends the form in. Signed over the very bytes, and fresh; answered at once.
//! A button carries an id and no right: who pressed it is looked up, and may or may not decide.

use super::Problem;
use crate::kernel::domain::Name;
use crate::notify::slack::verify;
use crate::notify::wall_seconds;
use crate::worker::{App, Heard};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use std::sync::Arc;

/// Slack looks whether somebody is there.
pub async fn there() -> StatusCode {
    StatusCode::OK
}

pub async fn interact(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(|_| unreadable("it cannot be read"))?;
    if field(&body, "ssl_check").as_deref() == Some("1") {
        return Ok(StatusCode::OK.into_response());
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (at, signature) = (text("x-slack-request-timestamp"), text("x-slack-signature"));
    let mut why = "no channel of the configuration is one of Slack with a signing_secret".to_owned();
    let signed: Vec<Name> = app
        .config
        .slacks()
        .filter(|(_, _, slack)| {
            let Some(secret) = &slack.signing_secret else { return false };
            let checked = secret.read().map_err(|e| e.to_string());
            let checked = checked.and_then(|secret| {
                verify(&secret, at, signature, &body, wall_seconds()).map_err(|e| e.to_string())
            });
            checked.map_err(|says| why = says).is_ok()
        })
        .map(|(name, _, _)| name.clone())
        .collect();
    if signed.is_empty() {
        return Err(not_ours(why));
    }
    let payload = field(&body, "payload").ok_or_else(|| unreadable("it has no payload"))?;
    match app.hear_slack(&signed, &payload).await {
        Heard::Taken => Ok(StatusCode::OK.into_response()),
        Heard::Wrong(errors) => Ok(Json(errors).into_response()),
        Heard::NotOurs(why) => Err(not_ours(why)),
        Heard::Unreadable(why) => Err(unreadable(&why)),
        Heard::TooMany => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "PM4021",
            "too many clicks wait",
            "nothing was decided",
            "press again, or decide on the approval page",
        )),
    }
}

fn field(body: &[u8], name: &str) -> Option<String> {
    url::form_urlencoded::parse(body).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn unreadable(why: &str) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "PM4021",
        format!("the request is none of Slack's: {why}"),
        "nothing was decided",
        "point only Slack's interactivity here",
    )
}

/// Said in the log, not to the sender: who tries learns nothing.
fn not_ours(why: String) -> Problem {
    tracing::warn!(%why, "a request that claims to be Slack's was refused");
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "PM4021",
        "the request is not signed by the Slack app of this Pointsman, or not now",
        "nothing was decided",
        "see the server's log; compare [channel.NAME] signing_secret, team and app, and the clock",
    )
}
