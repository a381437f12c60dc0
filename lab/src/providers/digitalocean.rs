//! A fake of DigitalOcean's domain records: single records, one call each, served at once by a real PowerDNS.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, patch};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::{Book, Kept, PowerDns, ZONE};
use crate::net;

struct World {
    book: Mutex<Book>,
    server: Arc<PowerDns>,
    token: String,
}

pub struct DigitalOcean {
    pub http: SocketAddr,
    pub token: String,
    world: Arc<World>,
}

type Said = (StatusCode, Json<Value>);

impl World {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("invariant: no panic while holding the lock")
    }

    fn let_in(&self, headers: &HeaderMap, domain: &str) -> Result<(), Said> {
        let given = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if given != format!("Bearer {}", self.token) {
            return Err(no(StatusCode::UNAUTHORIZED, "unauthorized", "Unable to authenticate you"));
        }
        if domain != ZONE {
            return Err(not_found());
        }
        Ok(())
    }

    /// The new state, published at once.
    async fn turn(&self, change: impl FnOnce(&mut Book) -> Result<Value, Said>) -> Result<Value, Said> {
        let before = self.book().clone();
        let mut after = before.clone();
        let said = change(&mut after)?;
        *self.book() = after.clone();
        let published = after.publish(&before, &self.server).await;
        published.map_err(|e| no(StatusCode::INTERNAL_SERVER_ERROR, "server_error", &e.to_string()))?;
        Ok(said)
    }
}

fn no(status: StatusCode, id: &str, says: &str) -> Said {
    (status, Json(json!({ "id": id, "message": says })))
}

fn not_found() -> Said {
    no(StatusCode::NOT_FOUND, "not_found", "The resource you were accessing could not be found.")
}

fn relative(name: &str) -> String {
    let head = name.strip_suffix(&format!("{ZONE}.")).unwrap_or(name).trim_end_matches('.');
    if head.is_empty() { "@".into() } else { head.to_owned() }
}

fn shown(record: &Kept) -> Value {
    json!({ "id": record.id, "type": record.kind, "name": relative(&record.name), "data": record.content,
            "ttl": record.ttl, "priority": null, "port": null, "weight": null, "flags": null, "tag": null })
}

fn fill(record: &mut Kept, given: &Value) -> Result<(), Said> {
    let wrong = |says: &str| no(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable_entity", says);
    let kind = given["type"].as_str().ok_or_else(|| wrong("type can't be blank"))?;
    record.kind = kind.to_owned();
    if let Some(name) = given["name"].as_str() {
        record.name = if name == "@" { format!("{ZONE}.") } else { format!("{name}.{ZONE}.") };
    }
    if let Some(data) = given["data"].as_str() {
        record.content = data.to_owned();
    }
    if let Some(ttl) = given["ttl"].as_u64() {
        record.ttl = u32::try_from(ttl).unwrap_or(u32::MAX);
    }
    let good = match kind {
        "A" => record.content.parse::<std::net::Ipv4Addr>().is_ok(),
        "AAAA" => record.content.parse::<std::net::Ipv6Addr>().is_ok(),
        _ => !record.content.is_empty(),
    };
    match (good, record.ttl) {
        (false, _) => Err(wrong("Data needs to be a valid address.")),
        (_, 0..30) => Err(wrong("Ttl must be at least 30")),
        _ => Ok(()),
    }
}

impl DigitalOcean {
    pub async fn start(server: Arc<PowerDns>) -> anyhow::Result<DigitalOcean> {
        let token = "do-token-77aa01".to_owned();
        let world = Arc::new(World { book: Mutex::default(), server, token: token.clone() });
        let records = "/v2/domains/{domain}/records";
        let app = Router::new()
            .route(records, get(list).post(create))
            .route(&format!("{records}/{{id}}"), patch(change).delete(remove))
            .route("/v2/account", get(account))
            .with_state(world.clone());
        Ok(DigitalOcean { http: super::serve(app).await?, token, world })
    }

    /// Everything that it holds, by hand and published.
    pub async fn hold(&self, records: Vec<Kept>) -> anyhow::Result<()> {
        let before = self.world.book().clone();
        let book = before.with(records);
        *self.world.book() = book.clone();
        let server = self.world.server.clone();
        net::on_lab(async move { book.publish(&before, &server).await }).await
    }

    pub fn records(&self) -> Vec<Value> {
        self.world.book().records.iter().map(shown).collect()
    }
}

async fn account(State(world): State<Arc<World>>, headers: HeaderMap) -> Said {
    if let Err(said) = world.let_in(&headers, ZONE) {
        return said;
    }
    let account = json!({ "uuid": "b6fr89dbf6d9156cace5f3c78dc9851d957381ef", "email_verified": true,
                          "status": "active", "status_message": "" });
    (StatusCode::OK, Json(json!({ "account": account })))
}

async fn list(
    State(world): State<Arc<World>>,
    Path(domain): Path<String>,
    Query(asked): Query<Map<String, Value>>,
    headers: HeaderMap,
) -> Said {
    if let Err(said) = world.let_in(&headers, &domain) {
        return said;
    }
    let name = asked.get("name").and_then(Value::as_str).map(|name| format!("{name}."));
    let book = world.book();
    let fits = |record: &&Kept| name.as_ref().is_none_or(|name| record.name == *name);
    let found: Vec<Value> = book.records.iter().filter(fits).map(shown).collect();
    let total = found.len();
    let found: Vec<Value> = found.into_iter().take(200).collect();
    (StatusCode::OK, Json(json!({ "domain_records": found, "links": {}, "meta": { "total": total } })))
}

async fn create(
    State(world): State<Arc<World>>,
    Path(domain): Path<String>,
    headers: HeaderMap,
    Json(given): Json<Value>,
) -> Said {
    if let Err(said) = world.let_in(&headers, &domain) {
        return said;
    }
    let turned = world.turn(|book| {
        let mut record = super::set("", "", 1800, "");
        fill(&mut record, &given)?;
        record.id = book.add(record.clone());
        Ok(shown(&record))
    });
    match turned.await {
        Ok(record) => (StatusCode::CREATED, Json(json!({ "domain_record": record }))),
        Err(said) => said,
    }
}

async fn change(
    State(world): State<Arc<World>>,
    Path((domain, id)): Path<(String, u64)>,
    headers: HeaderMap,
    Json(given): Json<Value>,
) -> Said {
    if let Err(said) = world.let_in(&headers, &domain) {
        return said;
    }
    let turned = world.turn(|book| {
        let record = book.get(id).ok_or_else(not_found)?;
        fill(record, &given)?;
        Ok(shown(record))
    });
    match turned.await {
        Ok(record) => (StatusCode::OK, Json(json!({ "domain_record": record }))),
        Err(said) => said,
    }
}

async fn remove(
    State(world): State<Arc<World>>,
    Path((domain, id)): Path<(String, u64)>,
    headers: HeaderMap,
) -> Said {
    if let Err(said) = world.let_in(&headers, &domain) {
        return said;
    }
    let turned = world.turn(|book| if book.remove(id) { Ok(Value::Null) } else { Err(not_found()) });
    match turned.await {
        Ok(_) => (StatusCode::NO_CONTENT, Json(Value::Null)),
        Err(said) => said,
    }
}
