//! What Slack sends when somebody presses a button. Signed over the very bytes, of our workspace and app, and fresh; answered at
//! once. A button carries an id and no right: who pressed it is looked up, and may or may not decide.

use super::Problem;
use crate::notify::slack::verify;
use crate::notify::wall_seconds;
use crate::worker::{App, Click};
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "type")]
    kind: String,
    user: User,
    team: Option<Team>,
    #[serde(default)]
    api_app_id: String,
    container: Option<Container>,
    #[serde(default)]
    actions: Vec<Action>,
}

#[derive(Deserialize)]
struct User {
    id: String,
    /// Of a guest from another workspace: theirs.
    team_id: Option<String>,
}

#[derive(Deserialize)]
struct Team {
    id: String,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    message_ts: String,
}

#[derive(Deserialize)]
struct Action {
    #[serde(default)]
    action_id: String,
    #[serde(default)]
    value: String,
}

/// Slack looks whether somebody is there.
pub async fn there() -> StatusCode {
    StatusCode::OK
}

pub async fn interact(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Problem> {
    let body = body.map_err(|_| unreadable("it cannot be read"))?;
    if field(&body, "ssl_check").as_deref() == Some("1") {
        return Ok(StatusCode::OK);
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (at, signature) = (text("x-slack-request-timestamp"), text("x-slack-signature"));
    let mut why = "no channel of the configuration is one of Slack".to_owned();
    let signed: Vec<_> = app
        .config
        .slacks()
        .filter(|(_, _, slack)| {
            let checked = slack.signing_secret.read().map_err(|e| e.to_string());
            let checked = checked.and_then(|secret| {
                verify(&secret, at, signature, &body, wall_seconds()).map_err(|e| e.to_string())
            });
            checked.map_err(|says| why = says).is_ok()
        })
        .collect();
    if signed.is_empty() {
        return Err(not_ours(why));
    }
    let payload = field(&body, "payload").ok_or_else(|| unreadable("it has no payload"))?;
    let payload: Payload = serde_json::from_str(&payload).map_err(|e| unreadable(&e.to_string()))?;
    let team = payload.team.map(|team| team.id).unwrap_or_default();
    let guest = payload.user.team_id.as_ref().is_some_and(|of| *of != team);
    let ours = signed.into_iter().find(|(_, _, slack)| slack.team == team && slack.app == payload.api_app_id);
    let Some((channel, _, _)) = ours.filter(|_| !guest) else {
        return Err(not_ours(format!("it comes from workspace {team}, app {}", payload.api_app_id)));
    };
    let action =
        payload.actions.into_iter().find(|action| ["approve", "reject"].contains(&action.action_id.as_str()));
    let Some(action) = action.filter(|_| payload.kind == "block_actions") else {
        // A button with a link says so too; there is nothing to do.
        return Ok(StatusCode::OK);
    };
    let click = Click {
        channel: channel.clone(),
        team,
        user: payload.user.id,
        ts: payload.container.map(|container| container.message_ts).unwrap_or_default(),
        ask: action.value,
        yes: action.action_id == "approve",
    };
    match app.clicked(click) {
        true => Ok(StatusCode::OK),
        false => Err(Problem::new(
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
