//! A fake of OVHcloud's zone API. It checks each signature over the bytes that came, with its own clock, or the token
//! that it gave out; and it serves nothing of what was changed before `refresh`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::IntoResponse;
use axum::routing::any;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::{Book, Kept, PowerDns, ZONE};
use crate::net;

/// Its clock is not ours.
const CLOCK_AHEAD: i64 = 4_000;

struct World {
    staged: Mutex<Book>,
    published: Mutex<Book>,
    server: Arc<PowerDns>,
}

pub struct Ovh {
    pub http: SocketAddr,
    pub application: &'static str,
    pub secret: &'static str,
    pub consumer: &'static str,
    pub client: &'static str,
    pub client_secret: &'static str,
    world: Arc<World>,
}

const APPLICATION: &str = "7kbG7Bk7S9Nt7ZSV";
const SECRET: &str = "lab-application-secret-19c4";
const CONSUMER: &str = "lab-consumer-key-b51f";
const CLIENT: &str = "EU.0a1b2c3d4e";
const CLIENT_SECRET: &str = "lab-client-secret-8841";
const TOKEN: &str = "lab-access-token-3377";

type Said = (StatusCode, Json<Value>);

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().expect("invariant: no panic while holding the lock")
}

fn no(status: StatusCode, says: &str) -> Said {
    (status, Json(json!({ "class": "Client::Error", "message": says })))
}

fn its_time() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs() as i64) + CLOCK_AHEAD
}

/// As the provider does it: the URL is the one that the client called.
fn signed(method: &Method, headers: &HeaderMap, path: &str, body: &str) -> Result<(), Said> {
    let text =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    if text("authorization") == format!("Bearer {TOKEN}") {
        return Ok(());
    }
    if text("x-ovh-application") != APPLICATION {
        return Err(no(StatusCode::FORBIDDEN, "This application key is invalid"));
    }
    if text("x-ovh-consumer") != CONSUMER {
        return Err(no(StatusCode::FORBIDDEN, "This credential does not exist"));
    }
    let time = text("x-ovh-timestamp");
    if time.parse::<i64>().map_or(true, |time| (time - its_time()).abs() > 30) {
        return Err(no(StatusCode::BAD_REQUEST, "Query out of time"));
    }
    let url = format!("http://{}{path}", text("host"));
    let all = [SECRET, CONSUMER, method.as_str(), &url, body, &time].join("+");
    let ours = format!("$1${}", hex::encode(sha1(all.as_bytes())));
    if text("x-ovh-signature") != ours {
        return Err(no(StatusCode::FORBIDDEN, "Invalid signature"));
    }
    Ok(())
}

/// Written out here, so that the fake does not check the product with the product's own library.
fn sha1(data: &[u8]) -> [u8; 20] {
    let mut state: [u32; 5] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
    let mut bytes = data.to_vec();
    bytes.push(0x80);
    while bytes.len() % 64 != 56 {
        bytes.push(0);
    }
    bytes.extend_from_slice(&(data.len() as u64 * 8).to_be_bytes());
    for block in bytes.chunks(64) {
        let mut words = [0u32; 80];
        for (word, four) in words.iter_mut().zip(block.chunks(4)) {
            *word = four.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        for at in 16..80 {
            words[at] = (words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.iter().enumerate() {
            let (mix, constant) = match at {
                0..20 => ((b & c) | (!b & d), 0x5A82_7999),
                20..40 => (b ^ c ^ d, 0x6ED9_EBA1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8F1B_BCDC),
                _ => (b ^ c ^ d, 0xCA62_C1D6u32),
            };
            let next =
                a.rotate_left(5).wrapping_add(mix).wrapping_add(e).wrapping_add(constant).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, part) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(part);
        }
    }
    let mut digest = [0; 20];
    for (four, word) in digest.chunks_mut(4).zip(state) {
        four.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

fn head(name: &str) -> String {
    name.strip_suffix(&format!("{ZONE}.")).unwrap_or(name).trim_end_matches('.').to_owned()
}

fn shown(record: &Kept) -> Value {
    json!({ "id": record.id, "zone": ZONE, "subDomain": head(&record.name), "fieldType": record.kind,
            "target": record.content, "ttl": record.ttl })
}

fn fill(record: &mut Kept, given: &Value) -> Result<(), Said> {
    if let Some(kind) = given["fieldType"].as_str() {
        record.kind = kind.to_owned();
    }
    if let Some(sub) = given["subDomain"].as_str() {
        record.name = if sub.is_empty() { format!("{ZONE}.") } else { format!("{sub}.{ZONE}.") };
    }
    if let Some(target) = given["target"].as_str() {
        record.content = target.to_owned();
    }
    if let Some(ttl) = given["ttl"].as_u64() {
        record.ttl = u32::try_from(ttl).unwrap_or(u32::MAX);
    }
    let good = match record.kind.as_str() {
        "A" => record.content.parse::<std::net::Ipv4Addr>().is_ok(),
        "AAAA" => record.content.parse::<std::net::Ipv6Addr>().is_ok(),
        _ => !record.content.is_empty(),
    };
    match (good, record.ttl) {
        (false, _) => Err(no(StatusCode::BAD_REQUEST, "Invalid target")),
        (_, 1..60) => Err(no(StatusCode::BAD_REQUEST, "ttl must be at least 60")),
        _ => Ok(()),
    }
}

impl Ovh {
    pub async fn start(server: Arc<PowerDns>) -> anyhow::Result<Ovh> {
        let world = Arc::new(World { staged: Mutex::default(), published: Mutex::default(), server });
        let app = Router::new().fallback(any(answer)).with_state(world.clone());
        Ok(Ovh {
            http: super::serve(app).await?,
            application: APPLICATION,
            secret: SECRET,
            consumer: CONSUMER,
            client: CLIENT,
            client_secret: CLIENT_SECRET,
            world,
        })
    }

    /// Everything that it holds, by hand and published.
    pub async fn hold(&self, records: Vec<Kept>) -> anyhow::Result<()> {
        self.stage(records);
        let world = self.world.clone();
        net::on_lab(async move { world.refresh().await }).await
    }

    /// Everything that it holds, not published.
    pub fn stage(&self, records: Vec<Kept>) {
        let mut staged = lock(&self.world.staged);
        staged.records.clear();
        for record in records {
            staged.add(record);
        }
    }

    pub fn records(&self) -> Vec<Value> {
        lock(&self.world.staged).records.iter().map(shown).collect()
    }

    pub fn published(&self) -> Vec<Value> {
        lock(&self.world.published).records.iter().map(shown).collect()
    }
}

impl World {
    async fn refresh(&self) -> anyhow::Result<()> {
        let (staged, before) = (lock(&self.staged).clone(), lock(&self.published).clone());
        staged.publish(&before, &self.server).await?;
        *lock(&self.published) = staged;
        Ok(())
    }

    fn record(&self, method: &Method, id: u64, given: &Value) -> Said {
        let mut book = lock(&self.staged);
        let missing = || no(StatusCode::NOT_FOUND, "The requested object does not exist");
        match *method {
            Method::GET => book.get(id).map_or_else(missing, |record| (StatusCode::OK, Json(shown(record)))),
            Method::PUT => match book.get(id).map(|record| fill(record, given)) {
                None => missing(),
                Some(Ok(())) => (StatusCode::OK, Json(Value::Null)),
                Some(Err(said)) => said,
            },
            Method::DELETE if book.remove(id) => (StatusCode::OK, Json(Value::Null)),
            Method::DELETE => missing(),
            _ => no(StatusCode::METHOD_NOT_ALLOWED, "no such method"),
        }
    }

    fn records(&self, method: &Method, query: &str, given: &Value) -> Said {
        let mut book = lock(&self.staged);
        if *method == Method::POST {
            let mut record = super::set("", "", 0, "");
            if let Err(said) = fill(&mut record, given) {
                return said;
            }
            record.id = book.add(record.clone());
            return (StatusCode::OK, Json(shown(&record)));
        }
        let sub = query.split('&').find_map(|pair| pair.strip_prefix("subDomain="));
        // An empty one counts as none: all records.
        let sub = sub.filter(|sub| !sub.is_empty());
        let fits = |record: &&Kept| sub.is_none_or(|sub| head(&record.name) == sub);
        let ids: Vec<u64> = book.records.iter().filter(fits).map(|record| record.id).collect();
        (StatusCode::OK, Json(json!(ids)))
    }
}

async fn answer(State(world): State<Arc<World>>, request: Request) -> impl IntoResponse {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str()).to_owned();
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&body).into_owned();
    let (plain, query) = path.split_once('?').unwrap_or((&path, ""));
    if plain == "/1.0/auth/time" {
        return (StatusCode::OK, Json(json!(its_time())));
    }
    if plain == "/auth/oauth2/token" {
        let good = text.contains(&format!("client_id={CLIENT}")) && text.contains(CLIENT_SECRET);
        let given =
            json!({ "access_token": TOKEN, "token_type": "Bearer", "expires_in": 3599, "scope": "all" });
        return if good {
            (StatusCode::OK, Json(given))
        } else {
            no(StatusCode::UNAUTHORIZED, "invalid_client")
        };
    }
    if let Err(said) = signed(&parts.method, &parts.headers, &path, &text) {
        return said;
    }
    if plain == "/1.0/auth/currentCredential" {
        let rule = |method: &str| json!({ "method": method, "path": "/domain/zone/*" });
        let rules: Vec<Value> = ["GET", "PUT", "POST", "DELETE"].into_iter().map(rule).collect();
        let credential = json!({ "credentialId": 1, "applicationId": 2, "status": "validated", "rules": rules,
                                 "ovhSupport": false, "allowedIPs": null, "creation": "2026-01-01T00:00:00+00:00",
                                 "expiration": null, "lastUse": null });
        return (StatusCode::OK, Json(credential));
    }
    let given: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    let Some(rest) = plain.strip_prefix(&format!("/1.0/domain/zone/{ZONE}")) else {
        return no(StatusCode::NOT_FOUND, "This service does not exist");
    };
    match rest.split('/').collect::<Vec<_>>().as_slice() {
        ["", "record"] => world.records(&parts.method, query, &given),
        ["", "record", id] => world.record(&parts.method, id.parse().unwrap_or(0), &given),
        ["", "refresh"] => match world.refresh().await {
            Ok(()) => (StatusCode::OK, Json(Value::Null)),
            Err(e) => no(StatusCode::INTERNAL_SERVER_ERROR, &e.to_string()),
        },
        _ => no(StatusCode::NOT_FOUND, "Got an invalid (or empty) URL"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn sha1_is_sha1() {
        let empty = hex::encode(super::sha1(b""));
        assert_eq!(empty, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        let abc = hex::encode(super::sha1(b"abc"));
        assert_eq!(abc, "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
