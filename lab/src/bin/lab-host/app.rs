//! The shop: a small HTTP application that reads its env file once, at start, and writes an order through the
//! database every 50 ms. What users of the lab's regions would notice, this process counts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::app_db::{Orders, Settings};

const EVERY: Duration = Duration::from_millis(50);
/// A shop that has written nothing for this long does not serve.
const TOO_OLD: Duration = Duration::from_secs(2);
const DEEP: Duration = Duration::from_millis(2500);

struct Shop {
    orders: Orders,
    env_sha256: String,
    started: Instant,
}

#[derive(Default)]
struct Args {
    env: Option<PathBuf>,
    listen: Option<SocketAddr>,
    site: Option<String>,
    log: Option<PathBuf>,
}

pub fn run(words: &[&str]) -> anyhow::Result<ExitCode> {
    let mut args = Args::default();
    for pair in words.chunks(2) {
        match pair {
            ["--env", path] => args.env = Some(path.into()),
            ["--listen", addr] => args.listen = Some(addr.parse().context("--listen")?),
            ["--site", site] => args.site = Some((*site).to_owned()),
            ["--log", path] => args.log = Some(path.into()),
            _ => bail!("app: unknown argument {pair:?}"),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(serve(args))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let env = args.env.context("--env FILE is needed")?;
    let listen = args.listen.context("--listen ADDR is needed")?;
    let site = args.site.context("--site SITE is needed")?;
    let text = std::fs::read_to_string(&env).with_context(|| format!("reading {}", env.display()))?;
    let env_sha256 = hex::encode(Sha256::digest(&text));
    let orders = Orders::open(&site, Settings::parse(&text)?, &args.log.context("--log FILE is needed")?)?;
    let shop = Arc::new(Shop { orders, env_sha256, started: Instant::now() });
    let writer = tokio::spawn(write_forever(shop.clone()));
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/livez", get(livez))
        .route("/metrics", get(metrics))
        .route("/orders", post(order))
        .with_state(shop);
    let listener =
        tokio::net::TcpListener::bind(listen).await.with_context(|| format!("listening on {listen}"))?;
    tokio::select! {
        served = axum::serve(listener, router) => served.context("serving"),
        ended = writer => bail!("the writer ended: {ended:?}"),
    }
}

/// Ends with the process only.
async fn write_forever(shop: Arc<Shop>) {
    let mut last_error = String::new();
    loop {
        match shop.orders.write().await {
            Ok(_) => last_error.clear(),
            Err(e) => {
                let error = format!("{e:#}");
                if error != last_error {
                    eprintln!("no order written: {error}");
                    last_error = error;
                }
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

impl Shop {
    /// How long ago the last order was acknowledged; counts from the start while there is none.
    fn age(&self) -> Duration {
        self.orders.seen().last.unwrap_or(self.started).elapsed()
    }

    fn facts(&self) -> Value {
        json!({
            "site": self.orders.site(),
            "database_host": self.orders.database_host(),
            "orders": self.orders.seen().written,
            "last_write_age_seconds": self.age().as_secs_f64(),
            "env_sha256": self.env_sha256,
        })
    }

    /// One write now, within a bound; the answer says which site served it.
    async fn write_now(&self) -> Response {
        match tokio::time::timeout(DEEP, self.orders.write()).await {
            Ok(Ok(id)) => {
                let mut facts = self.facts();
                facts["order"] = json!(id);
                (StatusCode::OK, Json(facts)).into_response()
            }
            Ok(Err(e)) => self.cannot(&format!("{e:#}")),
            Err(_) => self.cannot("no acknowledgement in time"),
        }
    }

    fn cannot(&self, why: &str) -> Response {
        let mut facts = self.facts();
        facts["error"] = json!(why);
        (StatusCode::SERVICE_UNAVAILABLE, Json(facts)).into_response()
    }
}

#[derive(Deserialize)]
struct Depth {
    deep: Option<String>,
}

async fn healthz(State(shop): State<Arc<Shop>>, Query(depth): Query<Depth>) -> Response {
    if depth.deep.is_some_and(|deep| deep == "1") {
        return shop.write_now().await;
    }
    if shop.age() > TOO_OLD {
        return shop.cannot("no order was written for too long");
    }
    Json(shop.facts()).into_response()
}

async fn livez(State(shop): State<Arc<Shop>>) -> Json<Value> {
    Json(shop.facts())
}

async fn order(State(shop): State<Arc<Shop>>) -> Response {
    shop.write_now().await
}

async fn metrics(State(shop): State<Arc<Shop>>) -> Response {
    let (site, seen, age) = (shop.orders.site(), shop.orders.seen(), shop.age());
    let up = u8::from(age <= TOO_OLD);
    let text = format!(
        "# TYPE shop_up gauge\nshop_up{{site=\"{site}\"}} {up}\n\
         # TYPE shop_orders_total counter\nshop_orders_total{{site=\"{site}\"}} {}\n\
         # TYPE shop_last_write_age_seconds gauge\nshop_last_write_age_seconds{{site=\"{site}\"}} {}\n",
        seen.written,
        age.as_secs_f64(),
    );
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
