//! Intake: 200 when the delivery is durable, and not before. Nothing is matched or started in the request.

use super::auth::SourceToken;
use super::body::{Unread, read};
use super::sender::Sender;
use super::{HOOK_BODY_MAX, Problem};
use crate::intake::generic::{self, Mode, Understood};
use crate::intake::{Delivery, Format, IntakeError};
use crate::kernel::domain::{Delivered, Digest, Name, Position, Record, SourceKind, Stream};
use crate::kernel::journal::{Batch, Row};
use crate::worker::App;
use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts as _, Path, Request, State};
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
        // Those have names of their own, behind it.
        Some(SourceKind::Generic) | None => None,
    };
    let Some(format) = format else {
        app.metrics.hook_rejected("no such source");
        return Err(no_such(&path));
    };
    take(&app, format, sender, body).await
}

fn no_such(path: &str) -> Problem {
    const KNOWN: &str = "/hooks/alertmanager, /hooks/zabbix, /hooks/zabbix/stream, /hooks/generic/NAME";
    Problem::no_such(format!("hook {path:?}; this version knows {KNOWN}"))
}

/// What a source of the configuration sends, read as its mapping says.
pub async fn receive_generic(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Kept>, Problem> {
    let (mut parts, body) = request.into_parts();
    let named = app.config.sources.iter().find(|(known, _)| known.as_str() == name);
    let Some((name, source, generic)) = named.and_then(|(n, s)| Some((n, s, s.generic.as_ref()?))) else {
        // Which names there are is told to those who may deliver.
        SourceToken::from_request_parts(&mut parts, &app).await?;
        app.metrics.hook_rejected("no such source");
        let mut problem = no_such(&format!("generic/{name}"));
        problem.remedy = "write [sources.NAME] with a preset or a mapping, and restart".into();
        return Err(problem);
    };
    let sender = Sender::of_generic(&mut parts, &app, (name, source, generic)).await?;
    let mode = match generic.cloudevents {
        true => Mode::of(&parts.headers, sender.is_signed())
            .map_err(|error| not_understood(&app, Format::Generic, 0, &error))?,
        false => Mode::Plain,
    };
    let body =
        read(body, generic::MAX_BYTES).await.map_err(|unread| unreadable(&app, Format::Generic, &unread))?;
    sender.proven((name, source), &body)?;
    let (known, bytes) = (generic.clone(), body.clone());
    // Expressions may take a while.
    let mapped = tokio::task::spawn_blocking(move || generic::understand(&known, &bytes, &mode)).await;
    let understood = mapped
        .map_err(|error| IntakeError::Unmapped { place: "the body".into(), why: error.to_string() })
        .and_then(|understood| understood)
        .map_err(|error| not_understood(&app, Format::Generic, body.len(), &error))?;
    let Understood { delivery, kept, failed } = understood;
    let arrived = Arrived { source: name.clone(), format: Format::Generic, bytes: body.len(), kept };
    let told = keep(&app, arrived, Arc::new(delivery), failed.as_ref().map(ToString::to_string)).await?;
    let Some(error) = failed else { return Ok(told) };
    app.metrics.hook_rejected("unmapped");
    tracing::warn!(%error, source = %name, position = told.position, "a delivery cannot be read as its source is described");
    Err(Problem::new(
        StatusCode::BAD_REQUEST,
        "PM4005",
        error.to_string(),
        format!("its bytes are kept, in record {}; nothing was started", told.position),
        format!("correct [sources.{name}], and try it: pointsman match --source {name} BODY"),
    ))
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
    keep(app, Arrived { source, format, bytes: body.len(), kept: body.to_vec() }, delivery, None).await
}

struct Arrived {
    source: Name,
    format: Format,
    /// Of the body, as it came.
    bytes: usize,
    kept: Vec<u8>,
}

async fn keep(
    app: &App,
    arrived: Arrived,
    delivery: Arc<Delivery>,
    unread: Option<String>,
) -> Result<Json<Kept>, Problem> {
    let Arrived { source, format, bytes, kept } = arrived;
    let digest = Digest::of(&kept);
    // Before it is kept, so that triage finds it whenever it looks.
    app.bodies.remember(format, digest, kept.len(), delivery.clone());
    let record = Record::Delivered(Delivered {
        source: source.clone(),
        format: format.as_str().into(),
        digest,
        bytes: bytes as u64,
        alerts: u32::try_from(delivery.alerts.len()).unwrap_or(u32::MAX),
        truncated: delivery.truncated,
        peer: String::new(),
        unread,
    });
    let batch = Batch::new(app.world.now())
        .part(Stream::Source(source), None, vec![record])
        .row(Row::Content { digest, bytes: kept });
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
    format.parse(body).map_err(|error| not_understood(app, format, body.len(), &error))
}

fn not_understood(app: &App, format: Format, bytes: usize, error: &IntakeError) -> Problem {
    app.metrics.hook_rejected("unparseable");
    tracing::warn!(%error, format = format.as_str(), bytes, "a delivery cannot be understood");
    let (what, again, remedy) = expected(format);
    Problem::new(
        StatusCode::BAD_REQUEST,
        "PM4005",
        format!("the body is not {what}: {error}"),
        format!("nothing was kept of it; {again}"),
        remedy,
    )
}

/// What should have come, what the sender does now, and what to do.
fn expected(format: Format) -> (&'static str, &'static str, &'static str) {
    match format {
        Format::Alertmanager => (
            "a webhook of Alertmanager",
            "Alertmanager sends it again with the next group interval",
            "point only Alertmanager's webhook_configs here, without a `payload:` template",
        ),
        Format::Zabbix | Format::ZabbixFound => (
            "a message of Pointsman's media type",
            "Zabbix tries again as often as the media type says, and then marks it failed",
            "import deploy/zabbix/pointsman.yaml into Zabbix and leave its parameters as they are",
        ),
        Format::ZabbixStream => (
            "a connector's lines of events",
            "Zabbix tries again as often as the connector says, and then drops it",
            "set the connector's data type to Events and its protocol to Streaming 1.0",
        ),
        Format::Generic => (
            "what its source is described to send",
            "the sender may try again",
            "see the source's page in docs/sources",
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
                Format::Zabbix | Format::ZabbixFound => "leave the media type's parameters as they are",
                Format::ZabbixStream => "set the connector's records per message to at most 10000",
                Format::Generic => "let the sender put fewer alerts into one request",
            };
            let most = if format == Format::Generic { generic::MAX_BYTES } else { HOOK_BODY_MAX };
            Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "PM4006",
                format!("the body is larger than {} MiB", most >> 20),
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
