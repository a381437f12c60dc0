//! A road to Zabbix' API on which answers can be lost on request: what was asked has happened then, and who asked does not know.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::task::AbortHandle;

use crate::net::{http, on_lab};

/// Gone when dropped.
#[derive(Debug)]
pub struct Gate {
    listen: SocketAddr,
    road: Arc<Road>,
    serving: AbortHandle,
}

#[derive(Debug)]
struct Road {
    to: String,
    losing: AtomicBool,
    closed: AtomicBool,
    lost: AtomicUsize,
}

impl Gate {
    /// Before the API at this address.
    pub async fn before(api: &str) -> anyhow::Result<Gate> {
        let road = Arc::new(Road {
            to: api.to_owned(),
            losing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            lost: AtomicUsize::new(0),
        });
        let app = Router::new().route("/api_jsonrpc.php", post(pass)).with_state(road.clone());
        let (listen, serving) = on_lab(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            let listen = listener.local_addr()?;
            let serving = tokio::spawn(async move { axum::serve(listener, app).await });
            Ok((listen, serving.abort_handle()))
        })
        .await?;
        Ok(Gate { listen, road, serving })
    }

    pub fn url(&self) -> String {
        format!("http://{}/api_jsonrpc.php", self.listen)
    }

    /// From now on, or no longer: whoever writes something about an event gets no answer.
    pub fn loses(&self, losing: bool) {
        self.road.losing.store(losing, Ordering::SeqCst);
    }

    /// From now on, or no longer: nothing gets through.
    pub fn closes(&self, closed: bool) {
        self.road.closed.store(closed, Ordering::SeqCst);
    }

    /// Answers that were lost though it had happened.
    pub fn lost(&self) -> usize {
        self.road.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass(State(road): State<Arc<Road>>, headers: HeaderMap, body: Bytes) -> Response {
    if road.closed.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let writes = String::from_utf8_lossy(&body).contains("event.acknowledge");
    match passed(&road.to, &headers, body).await {
        Ok(answer) if writes && road.losing.load(Ordering::SeqCst) && answer.contains("\"result\"") => {
            road.lost.fetch_add(1, Ordering::SeqCst);
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
        Ok(answer) => ([("content-type", "application/json")], answer).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

async fn passed(to: &str, headers: &HeaderMap, body: Bytes) -> anyhow::Result<String> {
    let mut request = http()?.post(to).header("content-type", "application/json").body(body);
    if let Some(who) = headers.get("authorization") {
        request = request.header("authorization", who);
    }
    Ok(request.send().await?.text().await?)
}
