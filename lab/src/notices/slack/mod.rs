//! A fake of Slack's Web API, its buttons, forms and Socket Mode: checks token and blocks as documented, answers `ok: false` with 200, limits
//! with `Retry-After`, keeps messages as they are seen; and sends what Slack sends when somebody presses a button, signed.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Desk;
pub use press::{Form, Press, Sent};
use sound::{form, sound};

mod press;
mod socket;
mod sound;

pub const TOKEN: &str = "xoxb-lab-0123456789";
pub const APP_TOKEN: &str = "xapp-lab-0123456789";
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
    forms: Vec<Form>,
    no_forms: bool,
    recent: Vec<Instant>,
    limited: u32,
    error: Option<String>,
    lose_replies: u32,
    count: u32,
    sockets: socket::Sockets,
}

pub struct Slack {
    pub listen: SocketAddr,
    pub desk: Arc<Desk>,
    world: Arc<Mutex<World>>,
}

type Shared = (Arc<Desk>, Arc<Mutex<World>>);

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

    /// Forms that were opened, oldest first.
    pub fn forms(&self) -> Vec<Form> {
        self.world().forms.clone()
    }

    /// Presses come too late for a form, as it says.
    pub fn open_no_forms(&self, so: bool) {
        self.world().no_forms = so;
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
    let token = if method == "apps.connections.open" { APP_TOKEN } else { TOKEN };
    if given != format!("Bearer {token}") {
        return no("invalid_auth");
    }
    if let Some(answer) = desk.answer(&body.to_string()).await {
        return answer;
    }
    let mut world = world.lock().expect("invariant: no panic while holding the lock");
    if let Some(error) = &world.error {
        return no(error);
    }
    if method == "apps.connections.open" {
        return socket::open(&mut world);
    }
    if method == "views.open" {
        return open_form(&desk, &mut world, &body);
    }
    // A person's id opens the conversation with the app; it is no name of one that can be changed.
    let to_person =
        body["channel"].as_str().is_some_and(|id| id.starts_with("U0")) && method == "chat.postMessage";
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

/// For who pressed within the last three seconds.
fn open_form(desk: &Desk, world: &mut World, body: &Value) -> Response {
    let trigger = body["trigger_id"].as_str().unwrap_or_default();
    let Some(user) = press::of_trigger(trigger).filter(|_| !world.no_forms) else {
        return no("expired_trigger_id");
    };
    if let Err(why) = form(&body["view"]) {
        desk.refuse(format!("views.open: {why}: {body}"));
        return no("invalid_arguments");
    }
    world.forms.push(Form { user, view: body["view"].clone() });
    Json(json!({ "ok": true, "view": { "id": "V0LAB0001" } })).into_response()
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
