//! Intake: 200 when the delivery is durable, and not before. Nothing is matched or started in the request.

use super::body::{Unread, read};
use super::sender::Sender;
use super::{HOOK_BODY_MAX, Problem};
use crate::intake::{Delivery, Format};
use crate::kernel::domain::{Delivered, Digest, Position, Record, SourceKind, Stream};
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
    /// Why none of it is an alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

pub async fn receive(
    State(app): State<Arc<App>>,
    Path(path): Path<String>,
    sender: Sender,
    body: Body,
) -> Result<Json<Kept>, Problem> {
    let format = match SourceKind::of(&path) {
        Some(SourceKind::Alertmanager) => Some(Format::Alertmanager),
        Some(SourceKind::Zabbix) => Some(Format::Zabbix),
        None => None,
    };
    let Some(format) = format else {
        app.metrics.hook_rejected("no such source");
        let known = SourceKind::ALL.map(|kind| format!("/hooks/{kind}")).join(", ");
        return Err(Problem::no_such(format!(
            "hook {path:?}; this version knows {known}, /hooks/zabbix/stream"
        )));
    };
    take(&app, format, sender, body).await
}

/// What a connector of Zabbix sends.
pub async fn receive_zabbix_stream(
    State(app): State<Arc<App>>,
    sender: Sender,
    body: Body,
) -> Result<Json<Kept>, Problem> {
    take(&app, Format::ZabbixStream, sender, body).await
}

async fn take(app: &App, format: Format, sender: Sender, body: Body) -> Result<Json<Kept>, Problem> {
    let body = read(body, HOOK_BODY_MAX).await.map_err(|unread| unreadable(app, format, &unread))?;
    let source = sender.source(app, format, &body)?;
    let digest = Digest::of(&body);
    let delivery = match app.bodies.known(format, digest) {
        Some(delivery) => delivery,
        None => Arc::new(understood(app, format, &body)?),
    };
    // Before it is kept, so that triage finds it whenever it looks.
    app.bodies.remember(format, digest, body.len(), delivery.clone());
    let record = Record::Delivered(Delivered {
        source: source.clone(),
        format: format.as_str().into(),
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
    let note = delivery.reason.clone().filter(|_| delivery.alerts.is_empty());
    Ok(Json(Kept { schema: "pointsman.delivery/v1", position, alerts: delivery.alerts.len(), note }))
}

fn understood(app: &App, format: Format, body: &[u8]) -> Result<Delivery, Problem> {
    format.parse(body).map_err(|error| {
        app.metrics.hook_rejected("unparseable");
        tracing::warn!(%error, format = format.as_str(), bytes = body.len(), "a delivery cannot be understood");
        let (what, again, remedy) = expected(format);
        Problem::new(
            StatusCode::BAD_REQUEST,
            "PM4005",
            format!("the body is not {what}: {error}"),
            format!("nothing was kept of it; {again}"),
            remedy,
        )
    })
}

/// What should have come, what the sender does now, and what to do.
fn expected(format: Format) -> (&'static str, &'static str, &'static str) {
    match format {
        Format::Alertmanager => (
            "a webhook of Alertmanager",
            "Alertmanager sends it again with the next group interval",
            "point only Alertmanager's webhook_configs here, without a `payload:` template",
        ),
        Format::Zabbix => (
            "a message of Pointsman's media type",
            "Zabbix tries again as often as the media type says, and then marks it failed",
            "import deploy/zabbix/pointsman.yaml into Zabbix and leave its parameters as they are",
        ),
        Format::ZabbixStream => (
            "a connector's lines of events",
            "Zabbix tries again as often as the connector says, and then drops it",
            "set the connector's data type to Events and its protocol to Streaming 1.0",
        ),
    }
}

fn unreadable(app: &App, format: Format, unread: &Unread) -> Problem {
    match unread {
        Unread::TooLarge => {
            app.metrics.hook_rejected("too large");
            let remedy = match format {
                Format::Alertmanager => {
                    "group alerts more finely in Alertmanager (group_by); do not set max_alerts, which hides alerts"
                }
                Format::Zabbix => "leave the media type's parameters as they are",
                Format::ZabbixStream => "set the connector's records per message to at most 10000",
            };
            Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "PM4006",
                format!("the body is larger than {} MiB", HOOK_BODY_MAX >> 20),
                "nothing was kept of it",
                remedy,
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
