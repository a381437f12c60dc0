//! A fake of Cloudflare's DNS API: lists by name and content, batches that happen whole or not at all, answers of 200
//! with `success: false`. Served by a real PowerDNS, proxied names are not.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::{Book, Kept, PowerDns, ZONE};
use crate::net;

pub const ZONE_ID: &str = "023e105f4ecef8ad9ca31a8372d0c353";

struct World {
    book: Mutex<Book>,
    server: Arc<PowerDns>,
    token: String,
}

pub struct Cloudflare {
    pub http: SocketAddr,
    pub zone_id: &'static str,
    pub token: String,
    world: Arc<World>,
}

pub(super) type Said = (StatusCode, Json<Value>);

impl World {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("invariant: no panic while holding the lock")
    }

    fn let_in(&self, headers: &HeaderMap, zone: &str) -> Result<(), Said> {
        let given = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if given != format!("Bearer {}", self.token) {
            return Err(no(StatusCode::FORBIDDEN, 9109, "Invalid access token"));
        }
        if zone != ZONE_ID {
            return Err(no(StatusCode::NOT_FOUND, 7003, "Could not route to the zone"));
        }
        Ok(())
    }
}

pub(super) fn no(status: StatusCode, code: u32, says: &str) -> Said {
    let errors = json!([{ "code": code, "message": says }]);
    (status, Json(json!({ "success": false, "errors": errors, "messages": [], "result": null })))
}

pub(super) fn yes(result: Value, total: usize) -> Said {
    let info = json!({ "page": 1, "per_page": 100, "count": total, "total_count": total, "total_pages": 1 });
    (
        StatusCode::OK,
        Json(json!({ "success": true, "errors": [], "messages": [], "result": result, "result_info": info })),
    )
}

fn id(record: &Kept) -> String {
    format!("{:032x}", record.id)
}

fn shown(record: &Kept) -> Value {
    let of = |key: &str, usual: Value| record.more.get(key).cloned().unwrap_or(usual);
    let content = if record.kind == "CNAME" { record.content.trim_end_matches('.') } else { &record.content };
    json!({ "id": id(record), "name": record.name.trim_end_matches('.'), "type": record.kind, "content": content,
            "ttl": record.ttl, "proxied": of("proxied", json!(false)), "proxiable": record.kind != "TXT",
            "comment": of("comment", Value::Null), "tags": of("tags", json!([])), "settings": {}, "meta": {},
            "created_on": "2026-01-01T00:00:00Z", "modified_on": "2026-01-01T00:00:00Z" })
}

/// What the documents say about a record's fields.
fn check(record: &Kept) -> Result<(), String> {
    let good = match record.kind.as_str() {
        "A" => record.content.parse::<std::net::Ipv4Addr>().is_ok(),
        "AAAA" => record.content.parse::<std::net::Ipv6Addr>().is_ok(),
        _ => !record.content.is_empty(),
    };
    let proxied = record.more.get("proxied") == Some(&json!(true));
    if record.more.get("comment").is_some_and(|comment| !comment.is_string()) {
        return Err("comment: a string is expected".into());
    }
    match record.ttl {
        _ if !good => Err(format!("Content for {} record is invalid", record.kind)),
        1 => Ok(()),
        _ if proxied => Err("TTL must be set to automatic on proxied records".into()),
        60..=86_400 => Ok(()),
        ttl => Err(format!("TTL {ttl} must be 1 or between 60 and 86400")),
    }
}

fn fill(record: &mut Kept, given: &Value) {
    let text = |key: &str| given[key].as_str().map(str::to_owned);
    record.name = text("name").map_or(record.name.clone(), |name| format!("{}.", name.trim_end_matches('.')));
    record.kind = text("type").unwrap_or(record.kind.clone());
    record.content = text("content").unwrap_or(record.content.clone());
    if record.kind == "CNAME" {
        record.content = format!("{}.", record.content.trim_end_matches('.'));
    }
    record.ttl = given["ttl"].as_u64().and_then(|ttl| u32::try_from(ttl).ok()).unwrap_or(record.ttl);
    for key in ["proxied", "comment", "tags"] {
        if let Some(value) = given.get(key) {
            record.more.insert(key.to_owned(), value.clone());
        }
    }
}

impl Cloudflare {
    pub async fn start(server: Arc<PowerDns>) -> anyhow::Result<Cloudflare> {
        let token = "cf-token-5f2c9a".to_owned();
        let world = Arc::new(World { book: Mutex::default(), server, token: token.clone() });
        let records = "/client/v4/zones/{zone}/dns_records";
        let app = Router::new()
            .route(records, get(list))
            .route(&format!("{records}/batch"), post(batch))
            .route("/client/v4/user/tokens/verify", get(verify))
            .route("/client/v4/zones/{zone}", get(zone))
            .with_state(world.clone());
        let http = super::serve(app).await?;
        Ok(Cloudflare { http, zone_id: ZONE_ID, token, world })
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

async fn list(
    State(world): State<Arc<World>>,
    Path(zone): Path<String>,
    Query(asked): Query<Map<String, Value>>,
    headers: HeaderMap,
) -> Said {
    if let Err(said) = world.let_in(&headers, &zone) {
        return said;
    }
    let text = |key: &str| asked.get(key).and_then(Value::as_str).map(str::to_ascii_lowercase);
    let (name, content) = (text("name.exact"), text("content.exact"));
    let book = world.book();
    let fits = |record: &&Kept| {
        name.as_ref().is_none_or(|name| record.name.trim_end_matches('.') == name)
            && content.as_ref().is_none_or(|content| record.content.to_ascii_lowercase() == *content)
    };
    let found: Vec<Value> = book.records.iter().filter(fits).map(shown).collect();
    let total = found.len();
    yes(Value::Array(found.into_iter().take(100).collect()), total)
}

async fn verify(State(world): State<Arc<World>>, headers: HeaderMap) -> Said {
    if let Err(said) = world.let_in(&headers, ZONE_ID) {
        return said;
    }
    yes(json!({ "id": "ed17574386854bf78a67040be0a770b0", "status": "active" }), 1)
}

async fn zone(State(world): State<Arc<World>>, Path(zone): Path<String>, headers: HeaderMap) -> Said {
    if let Err(said) = world.let_in(&headers, &zone) {
        return said;
    }
    let may = ["#dns_records:edit", "#dns_records:read", "#zone:read"];
    yes(json!({ "id": zone, "name": ZONE, "status": "active", "paused": false, "permissions": may }), 1)
}

/// In the documented order, in one transaction.
fn apply(book: &mut Book, given: &Value) -> Result<(), Said> {
    let list = |key: &str| given[key].as_array().cloned().unwrap_or_default();
    let missing = || no(StatusCode::NOT_FOUND, 81044, "Record does not exist.");
    let find = |book: &Book, item: &Value| {
        book.records
            .iter()
            .find(|record| item["id"] == json!(id(record)))
            .map(|record| record.id)
            .ok_or_else(missing)
    };
    for item in list("deletes") {
        let id = find(book, &item)?;
        book.remove(id);
    }
    for item in list("patches") {
        let id = find(book, &item)?;
        let record = book.get(id).ok_or_else(missing)?;
        fill(record, &item);
        check(record).map_err(|says| no(StatusCode::BAD_REQUEST, 9005, &says))?;
    }
    for item in list("posts") {
        let mut record = super::set("", "", 1, "");
        fill(&mut record, &item);
        check(&record).map_err(|says| no(StatusCode::BAD_REQUEST, 9005, &says))?;
        if !format!(".{}", record.name).ends_with(&format!(".{ZONE}.")) {
            return Err(no(StatusCode::BAD_REQUEST, 1004, "DNS Validation Error"));
        }
        book.add(record);
    }
    Ok(())
}

async fn batch(
    State(world): State<Arc<World>>,
    Path(zone): Path<String>,
    headers: HeaderMap,
    Json(given): Json<Value>,
) -> Said {
    if let Err(said) = world.let_in(&headers, &zone) {
        return said;
    }
    let before = world.book().clone();
    let mut after = before.clone();
    if let Err(said) = apply(&mut after, &given) {
        return said;
    }
    *world.book() = after.clone();
    if let Err(e) = after.publish(&before, &world.server).await {
        return no(StatusCode::INTERNAL_SERVER_ERROR, 10000, &e.to_string());
    }
    yes(json!({ "posts": [], "patches": [], "deletes": [] }), 0)
}
