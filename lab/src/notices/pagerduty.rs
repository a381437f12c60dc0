//! A fake of PagerDuty's Events API v2: checks events as documented, answers 202, 400 and 429, and keeps incidents: one for
//! each key that is open. What is triggered while it is acknowledged wakes nobody, as there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Desk;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incident {
    pub state: String,
    /// How often somebody was woken.
    pub woke: u32,
    pub summary: String,
}

type Incidents = Arc<Mutex<BTreeMap<String, Incident>>>;

pub struct Pagerduty {
    pub listen: SocketAddr,
    pub desk: Arc<Desk>,
    pub key: String,
    incidents: Incidents,
}

#[derive(Clone)]
struct World {
    desk: Arc<Desk>,
    key: String,
    incidents: Incidents,
}

impl Pagerduty {
    pub async fn start() -> anyhow::Result<Pagerduty> {
        let desk = Arc::new(Desk::default());
        let key = "0123456789abcdef0123456789abcdef".to_owned();
        let incidents = Incidents::default();
        let world = World { desk: desk.clone(), key: key.clone(), incidents: incidents.clone() };
        let app = Router::new().route("/v2/enqueue", post(enqueue)).with_state(world);
        let listen = desk.open(None, app).await?;
        Ok(Pagerduty { listen, desk, key, incidents })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    pub fn incidents(&self) -> BTreeMap<String, Incident> {
        self.incidents.lock().expect("invariant: no panic while holding the lock").clone()
    }
}

async fn enqueue(State(world): State<World>, body: Bytes) -> Response {
    let event: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let errors = mistakes(&event, &world.key);
    if !errors.is_empty() {
        world.desk.refuse(errors.join("; "));
        let says =
            json!({ "status": "invalid event", "message": "Event object is invalid", "errors": errors });
        return (StatusCode::BAD_REQUEST, Json(says)).into_response();
    }
    let key = event["dedup_key"].as_str().unwrap_or_default().to_owned();
    let answer = world.desk.answer(&event.to_string()).await;
    world.desk.note(&key, event.clone(), answer.is_none());
    if let Some(answer) = answer {
        return answer;
    }
    happen(&mut world.incidents.lock().expect("invariant: no panic while holding the lock"), &key, &event);
    let says = json!({ "status": "success", "message": "Event processed", "dedup_key": key });
    (StatusCode::ACCEPTED, Json(says)).into_response()
}

fn mistakes(event: &Value, key: &str) -> Vec<String> {
    let mut errors = vec![];
    if event["routing_key"] != *key {
        errors.push("Invalid routing key".to_owned());
    }
    let action = event["event_action"].as_str().unwrap_or_default();
    if !["trigger", "acknowledge", "resolve"].contains(&action) {
        errors.push("'event_action' is missing or invalid".to_owned());
    }
    if !event["dedup_key"].as_str().is_some_and(|key| (1..=255).contains(&key.len())) {
        errors.push("'dedup_key' is missing or too long".to_owned());
    }
    if action == "trigger" {
        let payload = &event["payload"];
        if !payload["summary"].as_str().is_some_and(|text| (1..=1024).contains(&text.chars().count())) {
            errors.push("'payload.summary' is missing, blank or too long".to_owned());
        }
        if payload["source"].as_str().is_none_or(str::is_empty) {
            errors.push("'payload.source' is missing or blank".to_owned());
        }
        let severity = payload["severity"].as_str().unwrap_or_default();
        if !["critical", "warning", "error", "info"].contains(&severity) {
            errors.push("'payload.severity' is invalid".to_owned());
        }
        if !payload["timestamp"].as_str().is_some_and(|text| text.contains('T')) {
            errors.push("'payload.timestamp' is not ISO 8601".to_owned());
        }
    }
    errors
}

fn happen(incidents: &mut BTreeMap<String, Incident>, key: &str, event: &Value) {
    let action = event["event_action"].as_str().unwrap_or_default();
    let known = incidents.contains_key(key);
    // What was never triggered can be neither taken nor resolved.
    if !known && action != "trigger" {
        return;
    }
    let incident = incidents.entry(key.to_owned()).or_default();
    match action {
        "trigger" => {
            if !known || incident.state == "resolved" {
                incident.woke += 1;
                incident.state = "triggered".to_owned();
            }
            incident.summary = event["payload"]["summary"].as_str().unwrap_or_default().to_owned();
        }
        "acknowledge" if incident.state == "triggered" => incident.state = "acknowledged".to_owned(),
        "resolve" => incident.state = "resolved".to_owned(),
        _ => {}
    }
}
