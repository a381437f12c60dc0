//! A receiver of Standard Webhooks, as its documents say one should be: the signature over the very bytes, the time not far
//! from its own, and only then a look into the body.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Desk;

/// What both sides know.
pub const SECRET: &str = "whsec_bGFiLXNlY3JldC1vZi0zMi1ieXRlcy1mb3ItdGVzdHM=";
const TOLERANCE: u64 = 300;

pub struct Receiver {
    pub listen: SocketAddr,
    pub desk: Arc<Desk>,
}

impl Receiver {
    pub async fn start() -> anyhow::Result<Receiver> {
        let desk = Arc::new(Desk::default());
        let listen = desk.open(None, app(&desk)).await?;
        Ok(Receiver { listen, desk })
    }

    /// Listens again after [`Desk::close`].
    pub async fn come_back(&self) -> anyhow::Result<()> {
        self.desk.open(Some(self.listen), app(&self.desk)).await.map(drop)
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.listen)
    }
}

fn app(desk: &Arc<Desk>) -> Router {
    Router::new().route("/hook", post(receive)).with_state(desk.clone())
}

async fn receive(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> Response {
    let (id, body) = match verified(&headers, &body) {
        Ok(good) => good,
        Err(why) => {
            desk.refuse(why);
            return StatusCode::UNAUTHORIZED.into_response();
        }
    };
    let answer = desk.answer(&body.to_string()).await;
    desk.note(&id, body, answer.is_none());
    answer.unwrap_or_else(|| StatusCode::OK.into_response())
}

fn verified(headers: &HeaderMap, body: &[u8]) -> Result<(String, Value), String> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).ok_or(format!("no {name}"));
    let (id, at, signatures) = (text("webhook-id")?, text("webhook-timestamp")?, text("webhook-signature")?);
    let sent: u64 = at.parse().map_err(|_| "the time is no number".to_owned())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if now.abs_diff(sent) > TOLERANCE {
        return Err(format!("{sent} is not now, {now}"));
    }
    let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).map_err(|e| e.to_string())?;
    let signed = [format!("{id}.{at}.").as_bytes(), body].concat();
    let wanted = format!("v1,{}", STANDARD.encode(hmac(&key, &signed)));
    if !signatures.split(' ').any(|signature| signature == wanted) {
        return Err(format!("signed {signatures}, not {wanted}"));
    }
    let body = serde_json::from_slice(body).map_err(|e| format!("no JSON: {e}"))?;
    Ok((id.to_owned(), body))
}

/// RFC 2104 over SHA-256, written anew: the product's own code would agree with itself.
pub(super) fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    match key.len() {
        0..=64 => block[..key.len()].copy_from_slice(key),
        _ => block[..32].copy_from_slice(&Sha256::digest(key)),
    }
    let pad = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = Sha256::digest([pad(0x36), message.to_vec()].concat());
    Sha256::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
}
