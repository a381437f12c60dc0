//! A fake of OVHcloud's OpenStack: a Keystone that checks who asks and names the Nova of the region, and a Nova with one
//! machine whose tasks take a while and exclude each other.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

const TAKES: Duration = Duration::from_millis(150);
const PROJECT: &str = "8f7a5c21d0b34e6f";

struct Machine {
    status: &'static str,
    vm_state: &'static str,
    power_state: u64,
    /// The task, and when it ends; `None`: it never does, as on a host that is dead.
    task: Option<(&'static str, Option<Instant>)>,
    host_is_dead: bool,
    tokens: BTreeSet<String>,
    given: u32,
}

type World = Arc<Mutex<Machine>>;
type Said = (StatusCode, Json<Value>);

pub struct Openstack {
    pub http: SocketAddr,
    pub region: &'static str,
    pub id: &'static str,
    /// The application credential, and the user.
    pub application: (&'static str, &'static str),
    pub user: (&'static str, &'static str),
    pub project: &'static str,
    world: World,
}

const APPLICATION: (&str, &str) = ("cred-91ab", "app-secret-7d31c8");
const USER: (&str, &str) = ("user-pointsman", "user-password-44e1");
const ID: &str = "6f70656e-7374-4163-6b31-766d00000001";

fn lock(world: &World) -> MutexGuard<'_, Machine> {
    let mut machine = world.lock().expect("invariant: no panic while holding the lock");
    if let Some((task, Some(until))) = machine.task
        && until <= Instant::now()
    {
        machine.task = None;
        (machine.status, machine.vm_state, machine.power_state) =
            if task == "powering-off" { ("SHUTOFF", "stopped", 4) } else { ("ACTIVE", "active", 1) };
    }
    machine
}

fn no(status: StatusCode, key: &str, says: &str) -> Said {
    (status, Json(json!({ key: { "code": status.as_u16(), "message": says } })))
}

impl Openstack {
    pub async fn start() -> anyhow::Result<Openstack> {
        let world: World = Arc::new(Mutex::new(Machine {
            status: "ACTIVE",
            vm_state: "active",
            power_state: 1,
            task: None,
            host_is_dead: false,
            tokens: BTreeSet::new(),
            given: 0,
        }));
        let app = Router::new()
            .route("/v3/auth/tokens", post(token))
            .route("/v2.1/{project}/servers/{id}", get(show))
            .route("/v2.1/{project}/servers/{id}/action", post(act))
            .with_state(world.clone());
        let http = super::serve(app).await?;
        let (application, user, project) = (APPLICATION, USER, PROJECT);
        Ok(Openstack { http, region: "GRA11", id: ID, application, user, project, world })
    }

    /// Status, vm_state and power_state, with no task under way.
    pub fn put(&self, status: &'static str, vm_state: &'static str, power_state: u64) {
        let mut machine = lock(&self.world);
        (machine.status, machine.vm_state, machine.power_state) = (status, vm_state, power_state);
        (machine.task, machine.host_is_dead) = (None, false);
    }

    /// Tasks are taken, and nobody carries them out.
    pub fn kill_host(&self) {
        lock(&self.world).host_is_dead = true;
    }

    /// No token that was given is valid any longer.
    pub fn expire(&self) {
        lock(&self.world).tokens.clear();
    }

    pub fn tokens_given(&self) -> u32 {
        lock(&self.world).given
    }

    pub fn state(&self) -> (&'static str, &'static str, u64) {
        let machine = lock(&self.world);
        (machine.status, machine.vm_state, machine.power_state)
    }
}

fn is_known(identity: &Value, scope: &Value) -> bool {
    let application = &identity["application_credential"];
    let user = &identity["password"]["user"];
    match identity["methods"][0].as_str() {
        Some("application_credential") => {
            application["id"] == APPLICATION.0 && application["secret"] == APPLICATION.1 && scope.is_null()
        }
        Some("password") => {
            let named = user["name"] == USER.0 && user["domain"]["name"] == "Default";
            named && user["password"] == USER.1 && scope["project"]["id"] == PROJECT
        }
        _ => false,
    }
}

async fn token(State(world): State<World>, headers: HeaderMap, Json(given): Json<Value>) -> Response {
    if !is_known(&given["auth"]["identity"], &given["auth"]["scope"]) {
        return no(StatusCode::UNAUTHORIZED, "error", "The request you have made requires authentication.")
            .into_response();
    }
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let token = {
        let mut machine = lock(&world);
        machine.given += 1;
        let token = format!("gAAAA-lab-{}", machine.given);
        machine.tokens.insert(token.clone());
        token
    };
    let nova = |region: &str, url: String| json!({ "interface": "public", "region": region, "region_id": region, "url": url });
    let compute = json!({ "type": "compute", "name": "nova", "endpoints": [
        nova("SBG5", "http://127.0.0.1:9/v2.1/elsewhere".to_owned()),
        nova("GRA11", format!("http://{host}/v2.1/{PROJECT}")),
    ] });
    let body = json!({ "token": { "catalog": [compute], "project": { "id": PROJECT } } });
    (StatusCode::CREATED, [("x-subject-token", token)], Json(body)).into_response()
}

fn let_in(world: &World, headers: &HeaderMap, project: &str, id: &str) -> Result<(), Said> {
    let token = headers.get("x-auth-token").and_then(|token| token.to_str().ok()).unwrap_or_default();
    if !lock(world).tokens.contains(token) {
        return Err(no(
            StatusCode::UNAUTHORIZED,
            "error",
            "The request you have made requires authentication.",
        ));
    }
    if (project, id) != (PROJECT, ID) {
        return Err(no(StatusCode::NOT_FOUND, "itemNotFound", &format!("Instance {id} could not be found.")));
    }
    Ok(())
}

async fn show(
    State(world): State<World>,
    Path((project, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Err(said) = let_in(&world, &headers, &project, &id) {
        return said.into_response();
    }
    let machine = lock(&world);
    let server = json!({ "id": ID, "name": "pg-gra-1", "status": machine.status,
                         "OS-EXT-STS:vm_state": machine.vm_state, "OS-EXT-STS:power_state": machine.power_state,
                         "OS-EXT-STS:task_state": machine.task.map(|(task, _)| task) });
    Json(json!({ "server": server })).into_response()
}

async fn act(
    State(world): State<World>,
    Path((project, id)): Path<(String, String)>,
    headers: HeaderMap,
    Json(given): Json<Value>,
) -> Response {
    if let Err(said) = let_in(&world, &headers, &project, &id) {
        return said.into_response();
    }
    let mut machine = lock(&world);
    let verb = given.as_object().and_then(|all| all.keys().next()).cloned().unwrap_or_default();
    let task = match (verb.as_str(), machine.vm_state) {
        _ if machine.task.is_some() => None,
        ("os-stop", "active") => Some("powering-off"),
        ("os-start", "stopped") => Some("powering-on"),
        _ => None,
    };
    let Some(task) = task else {
        let says = format!("Cannot '{verb}' instance {ID} while it is in vm_state {}", machine.vm_state);
        return no(StatusCode::CONFLICT, "conflictingRequest", &says).into_response();
    };
    let until = (!machine.host_is_dead).then(|| Instant::now() + TAKES);
    machine.task = Some((task, until));
    StatusCode::ACCEPTED.into_response()
}
