//! A fake of Slack's Web API and of its buttons: checks token and blocks as documented, answers `ok: false` with 200, limits
//! with `Retry-After`, keeps messages as they are seen; and sends what Slack sends when somebody presses a button, signed.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Desk;
use super::webhook::hmac;
use crate::net::on_lab;

pub const TOKEN: &str = "xoxb-lab-0123456789";
pub const SIGNING_SECRET: &str = "lab0signing0secret0of0slack00000";
pub const TEAM: &str = "T0LAB0001";
pub const APP: &str = "A0LAB0001";
pub const CONVERSATION: &str = "C0LAB0001";
/// Messages within a second that it takes of one conversation.
const BURST: usize = 2;

/// One message as people see it now.
#[derive(Clone, Debug, Default)]
pub struct Message {
    pub ts: String,
    /// The conversation; of one person with the app, the person's id.
    pub to: String,
    pub thread: Option<String>,
    pub text: String,
    pub blocks: Vec<Value>,
    pub updates: u32,
}

impl Message {
    /// The id that its buttons carry.
    pub fn ask(&self) -> Option<String> {
        let elements = self.blocks.iter().find(|b| b["type"] == "actions")?["elements"].as_array()?;
        elements.first()?["value"].as_str().map(str::to_owned)
    }
    /// Everything that can be read in it.
    pub fn words(&self) -> String {
        let texts = |block: &Value| {
            let own = block["text"]["text"].as_str().map(str::to_owned);
            let elements = block["elements"].as_array().cloned().unwrap_or_default();
            let more =
                elements.iter().filter_map(|e| e["text"].as_str().map(str::to_owned)).collect::<Vec<_>>();
            own.into_iter().chain(more).collect::<Vec<_>>().join("\n")
        };
        self.blocks.iter().map(texts).collect::<Vec<_>>().join("\n")
    }
}

#[derive(Default)]
struct World {
    messages: Vec<Message>,
    whispers: Vec<(String, String)>,
    recent: Vec<Instant>,
    limited: u32,
    error: Option<String>,
    lose_replies: u32,
    count: u32,
}

pub struct Slack {
    pub listen: SocketAddr,
    pub desk: Arc<Desk>,
    world: Arc<Mutex<World>>,
}

type Shared = (Arc<Desk>, Arc<Mutex<World>>);

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

    /// As Slack sends it: the status, and how long the answer took.
    pub async fn send(&self, to: &str) -> anyhow::Result<(u16, Duration)> {
        let payload = json!({
            "type": "block_actions", "user": { "id": self.user, "username": "bo", "team_id": self.users_team },
            "api_app_id": self.app, "token": "deprecated", "trigger_id": "1.2.3", "team": { "id": self.team, "domain": "lab" },
            "container": { "type": "message", "message_ts": self.ts, "channel_id": CONVERSATION },
            "channel": { "id": CONVERSATION, "name": "ops" }, "response_url": "http://127.0.0.1:9/never",
            "actions": [{ "action_id": self.action, "block_id": "decide", "type": "button", "value": self.ask,
                          "action_ts": "1596530385.194939" }],
        });
        let body = format!("payload={}", encoded(&payload.to_string()));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let at = now.saturating_add_signed(self.ahead);
        let signature = hex::encode(hmac(self.secret.as_bytes(), format!("v0:{at}:{body}").as_bytes()));
        let request = crate::net::http()?
            .post(to)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-slack-request-timestamp", at.to_string())
            .header("x-slack-signature", format!("v0={signature}"))
            .body(body);
        on_lab(async move {
            let began = Instant::now();
            let status = request.send().await.context("pressing a button")?.status().as_u16();
            Ok((status, began.elapsed()))
        })
        .await
    }
}

fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

impl Slack {
    pub async fn start() -> anyhow::Result<Slack> {
        let (desk, world) = (Arc::new(Desk::default()), Arc::new(Mutex::new(World::default())));
        let app = Router::new().route("/api/{method}", post(call)).with_state((desk.clone(), world.clone()));
        let listen = desk.open(None, app).await?;
        Ok(Slack { listen, desk, world })
    }

    pub fn url(&self) -> String {
        format!("http://{}/api", self.listen)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("invariant: no panic while holding the lock")
    }

    /// Those of the conversation.
    pub fn messages(&self) -> Vec<Message> {
        self.sent_to(CONVERSATION)
    }

    /// Those to one person, or of one conversation.
    pub fn sent_to(&self, to: &str) -> Vec<Message> {
        self.world().messages.iter().filter(|message| message.to == to).cloned().collect()
    }

    /// To whom something was said that nobody else sees.
    pub fn whispers(&self) -> Vec<(String, String)> {
        self.world().whispers.clone()
    }

    /// How often it said 429 by itself.
    pub fn limited(&self) -> u32 {
        self.world().limited
    }

    /// 200 with this error to everything, until told otherwise.
    pub fn error(&self, error: Option<&str>) {
        self.world().error = error.map(str::to_owned);
    }

    /// The next messages are posted, and nobody hears of it.
    pub fn lose_replies(&self, count: u32) {
        self.world().lose_replies = count;
    }
}

fn no(error: &str) -> Response {
    Json(json!({ "ok": false, "error": error })).into_response()
}

async fn call(
    State((desk, world)): State<Shared>,
    Path(method): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let given = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if given != format!("Bearer {TOKEN}") {
        return no("invalid_auth");
    }
    if let Some(answer) = desk.answer(&body.to_string()).await {
        return answer;
    }
    let mut world = world.lock().expect("invariant: no panic while holding the lock");
    if let Some(error) = &world.error {
        return no(error);
    }
    // A person's id opens the conversation with the app; it is no name of one that can be changed.
    let to_person = body["channel"].as_str().is_some_and(|id| id.starts_with("U0")) && method == "chat.postMessage";
    if body["channel"] != CONVERSATION && !to_person {
        return no("channel_not_found");
    }
    if let Err(why) = sound(&body) {
        desk.refuse(format!("{method}: {why}: {body}"));
        return no("invalid_blocks");
    }
    world.recent.retain(|at| at.elapsed() < Duration::from_secs(1));
    if method == "chat.postMessage" && !to_person && world.recent.len() >= BURST {
        world.limited += 1;
        let headers = [("retry-after", HeaderValue::from(1))];
        return (
            StatusCode::TOO_MANY_REQUESTS,
            headers,
            Json(json!({ "ok": false, "error": "ratelimited" })),
        )
            .into_response();
    }
    desk.note(&method, body.clone(), true);
    happen(&mut world, &method, &body)
}

fn happen(world: &mut World, method: &str, body: &Value) -> Response {
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    let blocks = body["blocks"].as_array().cloned().unwrap_or_default();
    match method {
        "chat.postMessage" => {
            if body["channel"] == CONVERSATION {
                world.recent.push(Instant::now());
            }
            world.count += 1;
            let ts = format!("17637{:05}.{:06}", world.count, world.count);
            let (thread, text) = (text("thread_ts"), text("text").unwrap_or_default());
            let to = body["channel"].as_str().unwrap_or_default().to_owned();
            world.messages.push(Message { ts: ts.clone(), to: to.clone(), thread, text, blocks, updates: 0 });
            if world.lose_replies > 0 {
                world.lose_replies -= 1;
                return StatusCode::BAD_GATEWAY.into_response();
            }
            let channel = if to == CONVERSATION { to } else { format!("D{}", to.trim_start_matches('U')) };
            Json(json!({ "ok": true, "channel": channel, "ts": ts })).into_response()
        }
        "chat.update" => match world.messages.iter_mut().find(|m| body["ts"] == m.ts.as_str()) {
            None => no("message_not_found"),
            Some(message) => {
                (message.blocks, message.updates) = (blocks, message.updates + 1);
                Json(json!({ "ok": true, "channel": CONVERSATION, "ts": message.ts })).into_response()
            }
        },
        "chat.postEphemeral" => {
            world.whispers.push((text("user").unwrap_or_default(), text("text").unwrap_or_default()));
            Json(json!({ "ok": true, "message_ts": "1.1" })).into_response()
        }
        _ => no("unknown_method"),
    }
}

/// What the documents say about blocks, as far as they are used.
fn sound(body: &Value) -> Result<(), String> {
    let blocks = body["blocks"].as_array().cloned().unwrap_or_default();
    if blocks.len() > 50 {
        return Err("more than 50 blocks".into());
    }
    let text = |value: &Value, most: usize| -> Result<(), String> {
        let kind = value["type"].as_str().unwrap_or_default();
        let letters = value["text"].as_str().map_or(0, |text| text.chars().count());
        match ["plain_text", "mrkdwn"].contains(&kind) && (1..=most).contains(&letters) {
            true => Ok(()),
            false => Err(format!("a text of type {kind:?} and {letters} letters, at most {most}")),
        }
    };
    for block in &blocks {
        let elements = block["elements"].as_array().cloned().unwrap_or_default();
        match block["type"].as_str().unwrap_or_default() {
            "header" if block["text"]["type"] != "plain_text" => return Err("a header is plain text".into()),
            "header" => text(&block["text"], 150)?,
            "section" => text(&block["text"], 3_000)?,
            "context" => elements.iter().take(11).try_for_each(|element| text(element, 3_000))?,
            "actions" => {
                for button in &elements {
                    text(&button["text"], 75)?;
                    text(&button["confirm"]["title"], 100)?;
                    text(&button["confirm"]["text"], 300)?;
                    text(&button["confirm"]["confirm"], 30)?;
                    text(&button["confirm"]["deny"], 30)?;
                    let long = |name: &str, most: usize| {
                        button[name].as_str().is_none_or(|t| t.is_empty() || t.len() > most)
                    };
                    if long("value", 2_000) || long("action_id", 255) {
                        return Err("a button without value or action_id".into());
                    }
                }
            }
            other => return Err(format!("a block of type {other:?}")),
        }
    }
    Ok(())
}
