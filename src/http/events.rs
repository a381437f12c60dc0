//! The journal as server-sent events. The event's id is the position, so a reconnect loses nothing.

use super::Problem;
use super::audit::Teller;
use super::auth::Viewer;
use crate::kernel::domain::Position;
use crate::worker::App;
use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream, StreamExt};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct From {
    from: Option<Position>,
}

const PAGE: u32 = 200;

pub async fn follow(
    State(app): State<Arc<App>>,
    _: Viewer,
    Query(query): Query<From>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let last_seen =
        headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<Position>().ok());
    let head = app.journal.backend().head().await.map_err(Problem::store)?;
    let from = last_seen.map(|p| p + 1).or(query.from).unwrap_or(head.position + 1).max(1);
    let bell = app.store.follow();
    let pages = stream::unfold((app, from, bell), |(app, from, mut bell)| async move {
        loop {
            let records = match app.journal.scan(from, PAGE).await {
                Ok(records) => records,
                Err(error) => {
                    tracing::warn!(%error, "a follower is let go");
                    return None;
                }
            };
            if records.is_empty() {
                bell.mark_unchanged();
                let again = app.journal.backend().head().await.ok()?;
                if again.position < from {
                    // A look every second, in case that a bell was missed.
                    let bounded =
                        tokio::time::timeout(std::time::Duration::from_secs(1), bell.changed()).await;
                    if matches!(bounded, Ok(Err(_))) {
                        return None;
                    }
                }
                continue;
            }
            let next = records.last().map_or(from, |r| r.position + 1);
            let mut teller = Teller::new(&app);
            let mut told: Vec<Value> = vec![];
            for record in records {
                told.push(teller.tell(record).await.ok()?);
            }
            drop(teller);
            return Some((told, (app, next, bell)));
        }
    });
    let events = pages.flat_map(|page| stream::iter(page.into_iter().map(event)));
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

fn event(record: Value) -> Result<Event, Infallible> {
    let id = record["position"].to_string();
    Ok(Event::default().id(id).data(record.to_string()))
}
