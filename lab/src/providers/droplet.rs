//! A fake of one droplet at DigitalOcean: its status, and actions that take a while and exclude each other.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

/// How long an action takes.
const TAKES: Duration = Duration::from_millis(150);
const TOKEN: &str = "do-token-5c2e90";
const ID: u64 = 3_164_494;

struct Machine {
    status: &'static str,
    actions: Vec<Value>,
    /// The last action is under way until then, and ends like this.
    under_way: Option<(Instant, bool)>,
    fails: bool,
    /// Actions stay under way until somebody has carried them out.
    by_hand: bool,
}

type World = Arc<Mutex<Machine>>;
type Said = (StatusCode, Json<Value>);

pub struct Droplet {
    pub http: SocketAddr,
    pub token: &'static str,
    pub id: u64,
    world: World,
}

fn lock(world: &World) -> MutexGuard<'_, Machine> {
    let mut machine = world.lock().expect("invariant: no panic while holding the lock");
    if let Some((until, good)) = machine.under_way
        && until <= Instant::now()
        && !machine.by_hand
    {
        machine.end(good);
    }
    machine
}

impl Machine {
    fn end(&mut self, good: bool) {
        self.under_way = None;
        let action = self.actions.last_mut().expect("invariant: what is under way is listed");
        action["status"] = json!(if good { "completed" } else { "errored" });
        let off = action["type"] == "power_off";
        if good {
            self.status = if off { "off" } else { "active" };
        }
    }
}

fn no(status: StatusCode, id: &str, says: &str) -> Said {
    (status, Json(json!({ "id": id, "message": says })))
}

fn let_in(headers: &HeaderMap, id: u64) -> Result<(), Said> {
    let given = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if given != format!("Bearer {TOKEN}") {
        return Err(no(StatusCode::UNAUTHORIZED, "unauthorized", "Unable to authenticate you"));
    }
    if id != ID {
        let says = "The resource you were accessing could not be found.";
        return Err(no(StatusCode::NOT_FOUND, "not_found", says));
    }
    Ok(())
}

impl Droplet {
    pub async fn start() -> anyhow::Result<Droplet> {
        let machine =
            Machine { status: "active", actions: vec![], under_way: None, fails: false, by_hand: false };
        let world: World = Arc::new(Mutex::new(machine));
        let app = Router::new()
            .route("/v2/droplets/{id}", get(show))
            .route("/v2/droplets/{id}/actions", get(list).post(act))
            .with_state(world.clone());
        Ok(Droplet { http: super::serve(app).await?, token: TOKEN, id: ID, world })
    }

    /// In this status, with nothing under way.
    pub fn put(&self, status: &'static str) {
        let mut machine = lock(&self.world);
        (machine.status, machine.under_way, machine.fails) = (status, None, false);
        machine.actions.clear();
    }

    /// Actions are taken and end in an error.
    pub fn fail(&self) {
        lock(&self.world).fails = true;
    }

    /// From here on an action is under way until [`Droplet::carried_out`]: for a machine that really is there.
    pub fn by_hand(&self) {
        lock(&self.world).by_hand = true;
    }

    /// What is asked of the machine and not yet carried out.
    pub fn asked(&self) -> Option<String> {
        let machine = lock(&self.world);
        let action = machine.under_way.and_then(|_| machine.actions.last());
        action.and_then(|action| action["type"].as_str().map(str::to_owned))
    }

    /// The machine is as it was asked to be.
    pub fn carried_out(&self) {
        let mut machine = lock(&self.world);
        if machine.under_way.is_some() {
            machine.end(true);
        }
    }

    pub fn status(&self) -> &'static str {
        lock(&self.world).status
    }
}

async fn show(State(world): State<World>, Path(id): Path<u64>, headers: HeaderMap) -> Said {
    if let Err(said) = let_in(&headers, id) {
        return said;
    }
    let machine = lock(&world);
    let droplet = json!({ "id": ID, "name": "pg-gra-1", "status": machine.status, "region": { "slug": "fra1" },
                          "locked": machine.under_way.is_some() });
    (StatusCode::OK, Json(json!({ "droplet": droplet })))
}

async fn list(State(world): State<World>, Path(id): Path<u64>, headers: HeaderMap) -> Said {
    if let Err(said) = let_in(&headers, id) {
        return said;
    }
    let mut actions = lock(&world).actions.clone();
    actions.reverse();
    let total = actions.len();
    (StatusCode::OK, Json(json!({ "actions": actions, "links": {}, "meta": { "total": total } })))
}

async fn act(
    State(world): State<World>,
    Path(id): Path<u64>,
    headers: HeaderMap,
    Json(given): Json<Value>,
) -> Said {
    if let Err(said) = let_in(&headers, id) {
        return said;
    }
    let mut machine = lock(&world);
    let wrong = |says: &str| no(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable_entity", says);
    if machine.under_way.is_some() {
        return wrong("Droplet already has a pending event.");
    }
    let kind = match (given["type"].as_str(), machine.status) {
        (Some("power_off"), "active") => "power_off",
        (Some("power_on"), "off") => "power_on",
        (Some("power_off" | "power_on"), status) => return wrong(&format!("Droplet is {status}.")),
        _ => return wrong("The type of the action is not known."),
    };
    let number = 36_804_000 + machine.actions.len() as u64;
    let action = json!({ "id": number, "status": "in-progress", "type": kind, "resource_id": ID,
                         "resource_type": "droplet", "completed_at": null });
    machine.actions.push(action.clone());
    machine.under_way = Some((Instant::now() + TAKES, !machine.fails));
    (StatusCode::CREATED, Json(json!({ "action": action })))
}
