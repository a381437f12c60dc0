//! What Slack sends when somebody presses a button or sends a form in, signed as it signs; what a test changes is wrong on purpose.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde_json::{Value, json};

use super::{APP, CONVERSATION, Message, SIGNING_SECRET, TEAM};
use crate::net::on_lab;
use crate::notices::webhook::hmac;

/// What is pressed, by whom; what a test changes is wrong on purpose.
#[derive(Clone, Debug)]
pub struct Press {
    pub action: &'static str,
    pub ask: String,
    pub ts: String,
    pub user: String,
    pub team: String,
    /// Of a guest: another one.
    pub users_team: String,
    pub app: String,
    pub secret: String,
    /// Seconds that its clock is ahead.
    pub ahead: i64,
}

impl Press {
    pub fn of(message: &Message, action: &'static str, user: &str) -> Press {
        Press {
            action,
            ask: message.ask().unwrap_or_default(),
            ts: message.ts.clone(),
            user: user.to_owned(),
            team: TEAM.to_owned(),
            users_team: TEAM.to_owned(),
            app: APP.to_owned(),
            secret: SIGNING_SECRET.to_owned(),
            ahead: 0,
        }
    }

    /// What Slack says of it.
    pub fn payload(&self) -> Value {
        json!({
            "type": "block_actions", "user": { "id": self.user, "username": "bo", "team_id": self.users_team },
            "api_app_id": self.app, "token": "deprecated", "trigger_id": trigger(&self.user), "team": { "id": self.team, "domain": "lab" },
            "container": { "type": "message", "message_ts": self.ts, "channel_id": CONVERSATION },
            "channel": { "id": CONVERSATION, "name": "ops" }, "response_url": "http://127.0.0.1:9/never",
            "actions": [{ "action_id": self.action, "block_id": "decide", "type": "button", "value": self.ask,
                          "action_ts": "1596530385.194939" }],
        })
    }

    /// As Slack sends it: the status, and how long the answer took.
    pub async fn send(&self, to: &str) -> anyhow::Result<(u16, Duration)> {
        let sent = Signed { secret: &self.secret, ahead: self.ahead }.send(&self.payload(), to).await?;
        Ok((sent.status, sent.took))
    }
}

/// A form that somebody sees, as it was opened for them.
#[derive(Clone, Debug)]
pub struct Form {
    pub user: String,
    pub view: Value,
}

impl Form {
    /// Everything that can be read in it.
    pub fn words(&self) -> String {
        let blocks = self.view["blocks"].as_array().cloned().unwrap_or_default();
        let texts = blocks.iter().flat_map(|block| [&block["text"]["text"], &block["label"]["text"]]);
        let texts: Vec<&str> = texts.filter_map(Value::as_str).collect();
        format!("{}\n{}", self.view["title"]["text"].as_str().unwrap_or_default(), texts.join("\n"))
    }

    /// What Slack says when it is sent in, with these answers; a form without a choice has none to give.
    pub fn payload(&self, site: &str, reason: &str) -> Value {
        let mut values = json!({});
        for block in self.view["blocks"].as_array().into_iter().flatten().filter(|b| b["type"] == "input") {
            let (id, element) = (block["block_id"].as_str().unwrap_or_default(), &block["element"]);
            let action = element["action_id"].as_str().unwrap_or_default();
            values[id][action] = match element["type"].as_str() {
                Some("radio_buttons") => {
                    let options = element["options"].as_array().cloned().unwrap_or_default();
                    let chosen = options.into_iter().find(|option| option["value"] == site);
                    json!({ "type": "radio_buttons", "selected_option": chosen })
                }
                _ => json!({ "type": "plain_text_input", "value": reason }),
            };
        }
        let view = &self.view;
        json!({
            "type": "view_submission", "team": { "id": TEAM, "domain": "lab" }, "api_app_id": APP, "token": "deprecated",
            "user": { "id": self.user, "username": "bo", "team_id": TEAM }, "trigger_id": trigger(&self.user),
            "view": { "id": "V0LAB0001", "team_id": TEAM, "type": "modal", "blocks": view["blocks"], "title": view["title"],
                      "private_metadata": view["private_metadata"], "callback_id": view["callback_id"], "hash": "1.abc",
                      "state": { "values": values }, "app_id": APP, "bot_id": "B0LAB0001" },
            "response_urls": [], "is_enterprise_install": false, "enterprise": null,
        })
    }

    pub async fn send(&self, site: &str, reason: &str, to: &str) -> anyhow::Result<Sent> {
        Signed { secret: SIGNING_SECRET, ahead: 0 }.send(&self.payload(site, reason), to).await
    }
}

/// How a request of Slack's was answered.
#[derive(Clone, Debug)]
pub struct Sent {
    pub status: u16,
    pub body: Value,
    pub took: Duration,
}

struct Signed<'a> {
    secret: &'a str,
    ahead: i64,
}

impl Signed<'_> {
    async fn send(&self, payload: &Value, to: &str) -> anyhow::Result<Sent> {
        let body = format!("payload={}", encoded(&payload.to_string()));
        let at = seconds().saturating_add_signed(self.ahead);
        let signature = hex::encode(hmac(self.secret.as_bytes(), format!("v0:{at}:{body}").as_bytes()));
        let request = crate::net::http()?
            .post(to)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-slack-request-timestamp", at.to_string())
            .header("x-slack-signature", format!("v0={signature}"))
            .body(body);
        on_lab(async move {
            let began = Instant::now();
            let reply = request.send().await.context("what Slack sends")?;
            let status = reply.status().as_u16();
            let body = reply.bytes().await.unwrap_or_default();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            Ok(Sent { status, body, took: began.elapsed() })
        })
        .await
    }
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Good for three seconds from now, for one person.
fn trigger(user: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    format!("{now}.{user}")
}

/// Whose it is, while it is good.
pub(super) fn of_trigger(trigger: &str) -> Option<String> {
    let (at, user) = trigger.split_once('.')?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_millis();
    let age = now.checked_sub(at.parse().ok()?)?;
    (age <= 3_000).then(|| user.to_owned())
}

fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
