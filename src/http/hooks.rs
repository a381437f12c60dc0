//! Intake: 200 when the delivery is durable, and not before. Nothing is matched or started in the request.

use super::auth::SourceToken;
use super::body::{Unread, read};
use super::{HOOK_BODY_MAX, Problem};
use crate::intake::{self, Delivery};
use crate::kernel::domain::{Delivered, Digest, Name, Position, Record, Stream};
use crate::kernel::journal::{Batch, Row};
use crate::worker::App;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What the sender is told; it looks at the status only.
#[derive(Serialize)]
pub struct Kept {
    schema: &'static str,
    position: Position,
    alerts: usize,
}

pub async fn receive(
    State(app): State<Arc<App>>,
    Path(path): Path<String>,
    token: SourceToken,
    body: Body,
) -> Result<Json<Kept>, Problem> {
    if path != "alertmanager" {
        app.metrics.hook_rejected("no such source");
        return Err(Problem::no_such(format!("hook {path:?}; this version knows /hooks/alertmanager")));
    }
    let body = read(body, HOOK_BODY_MAX).await.map_err(|unread| unreadable(&app, &unread))?;
    let digest = Digest::of(&body);
    let delivery = match app.bodies.known(digest) {
        Some(delivery) => delivery,
        None => Arc::new(understood(&app, &body)?),
    };
    let source = token.user.unwrap_or_else(|| Name::from("alertmanager"));
    // Before it is kept, so that triage finds it whenever it looks.
    app.bodies.remember(digest, body.len(), delivery.clone());
    let record = Record::Delivered(Delivered {
        source: source.clone(),
        format: "alertmanager".into(),
        digest,
        bytes: body.len() as u64,
        alerts: u32::try_from(delivery.alerts.len()).unwrap_or(u32::MAX),
        truncated: delivery.truncated,
        peer: String::new(),
    });
    let batch = Batch::new(app.world.now())
        .part(Stream::Source(source), None, vec![record])
        .row(Row::Content { digest, bytes: body.to_vec() });
    let appended = app.journal.append(batch).await;
    app.store_failing.store(appended.is_err(), Ordering::Relaxed);
    let receipt = appended.map_err(|error| {
        app.metrics.hook_rejected("not persisted");
        tracing::error!(%error, "a delivery cannot be kept; the sender is told to send it again");
        Problem::store(error)
    })?;
    let position = receipt.stamped.last().map_or(0, |s| s.position);
    app.metrics.delivered(&delivery);
    app.wakes.triage.notify_one();
    Ok(Json(Kept { schema: "pointsman.delivery/v1", position, alerts: delivery.alerts.len() }))
}

fn understood(app: &App, body: &[u8]) -> Result<Delivery, Problem> {
    intake::alertmanager::parse(body).map_err(|error| {
        app.metrics.hook_rejected("unparseable");
        tracing::warn!(%error, bytes = body.len(), "a delivery cannot be understood");
        Problem::new(
            StatusCode::BAD_REQUEST,
            "PM4005",
            format!("the body is not a webhook of Alertmanager: {error}"),
            "nothing was kept of it; Alertmanager sends it again with the next group interval",
            "point only Alertmanager's webhook_configs here, without a `payload:` template",
        )
    })
}

fn unreadable(app: &App, unread: &Unread) -> Problem {
    match unread {
        Unread::TooLarge => {
            app.metrics.hook_rejected("too large");
            Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "PM4006",
                format!("the body is larger than {} MiB", HOOK_BODY_MAX >> 20),
                "nothing was kept of it",
                "group alerts more finely in Alertmanager (group_by); do not set max_alerts, which hides alerts",
            )
        }
        Unread::Broken(why) => {
            app.metrics.hook_rejected("unreadable");
            Problem::new(
                StatusCode::BAD_REQUEST,
                "PM4005",
                format!("the body could not be read: {why}"),
                "nothing was kept of it",
                "the sender tries again",
            )
        }
    }
}
