//! The whole API as one list. Handlers are thin: authenticate, ask the journal or the engine, answer.

mod audit;
mod auth;
mod body;
mod channels;
mod detail;
mod error;
mod events;
mod evidence;
mod health;
mod hooks;
mod limits;
pub mod listen;
mod pages;
mod plans;
mod playbooks;
mod ready;
mod replays;
mod retentions;
mod runs;
mod scorecard;
mod sealed;
mod sender;
mod slack;
mod status;
mod watches;
mod why;

pub use auth::AS;
pub use error::Problem;

use crate::worker::App;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

/// A storm of alerts in one body; larger is refused with 413.
pub const HOOK_BODY_MAX: usize = 8 << 20;
const API_BODY_MAX: usize = 64 << 10;
const FORM_MAX: usize = 8 << 10;
/// A plan observes remotes, each with its own deadline below this.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Of a request. What a personal link carries stands in no log.
fn span(request: &http::Request<axum::body::Body>) -> tracing::Span {
    let path = request.uri().path();
    let path = if path.starts_with("/links/") { "/links/…" } else { path };
    tracing::debug_span!("request", method = %request.method(), path)
}

pub fn router(app: Arc<App>) -> Router {
    let hooks = Router::new()
        .route("/hooks/{source}", post(hooks::receive))
        .route("/hooks/zabbix/stream", post(hooks::receive_zabbix_stream))
        .route("/hooks/generic/{name}", post(hooks::receive_generic));
    let slack = Router::new()
        .route("/slack/interactions", get(slack::there).post(slack::interact))
        .layer(DefaultBodyLimit::max(API_BODY_MAX));
    let api = Router::new()
        .route("/api/v1/status", get(status::show))
        .route("/api/v1/plans", post(plans::create))
        .route("/api/v1/plans/{named}", get(plans::show))
        .route("/api/v1/ready", get(ready::last).post(ready::look))
        .route("/api/v1/playbooks", get(playbooks::list))
        .route("/api/v1/playbooks/{name}", get(playbooks::show))
        .route("/api/v1/playbooks/{name}/history", get(playbooks::history))
        .route("/api/v1/playbooks/{name}/scorecard", get(scorecard::show))
        .route("/api/v1/playbooks/{name}/disable", post(playbooks::disable))
        .route("/api/v1/playbooks/{name}/enable", post(playbooks::enable))
        .route("/api/v1/runs", get(runs::list).post(runs::open))
        .route("/api/v1/runs/{id}", get(runs::show))
        .route("/api/v1/runs/{id}/report", get(evidence::show_report))
        .route("/api/v1/runs/{id}/bundle", get(evidence::bundle))
        .route("/api/v1/replays", post(replays::create))
        .route("/api/v1/runs/{id}/decisions", post(runs::decide))
        .route("/api/v1/fence-watches/{target}/close", post(watches::close))
        .route("/api/v1/freeze", post(limits::freeze))
        .route("/api/v1/thaw", post(limits::thaw))
        .route("/api/v1/overrides", post(limits::lift))
        .route("/api/v1/overrides/end", post(limits::enforce))
        .route("/api/v1/services/{service}/ack", post(limits::acknowledge))
        .route("/api/v1/breaker/reset", post(limits::reset_breaker))
        .route("/api/v1/channels/{name}/test", post(channels::test))
        .route("/api/v1/why", get(why::show))
        .route("/api/v1/audit", get(audit::list))
        .route("/api/v1/audit/{position}", get(audit::show))
        .layer(DefaultBodyLimit::max(API_BODY_MAX))
        .layer(TimeoutLayer::with_status_code(http::StatusCode::GATEWAY_TIMEOUT, ANSWER_WITHIN));
    let pages = Router::new()
        .route("/sign-in", get(pages::sign_in::show).post(pages::sign_in::enter))
        .route("/sign-in/code", post(pages::sign_in::send_code))
        .route("/sign-out", post(pages::sign_in::leave))
        .route("/approvals", get(pages::approval::list))
        .route("/approvals/{run}", get(pages::approval::show).post(pages::approval::decide))
        .route("/approvals/{run}/{locator}", get(pages::approval::located))
        .route("/links/{link}", get(pages::link::show).post(pages::link::decide))
        .layer(DefaultBodyLimit::max(FORM_MAX))
        .layer(TimeoutLayer::with_status_code(http::StatusCode::GATEWAY_TIMEOUT, ANSWER_WITHIN));
    let open = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        // Counts the whole journal: as long as that takes.
        .route("/api/v1/retentions", post(retentions::create).layer(DefaultBodyLimit::max(API_BODY_MAX)))
        .route("/api/v1/events", get(events::follow));
    let layers = ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::new([http::header::AUTHORIZATION, http::header::COOKIE]))
        .layer(TraceLayer::new_for_http().make_span_with(span))
        .layer(CatchPanicLayer::new());
    Router::new()
        .merge(hooks)
        .merge(slack)
        .merge(api)
        .merge(open)
        .merge(pages)
        .fallback(error::no_such_page)
        .layer(layers)
        .with_state(app)
}
