//! The journal as server-sent events. The event's id is the position, so a reconnect loses nothing.

use super::Problem;
use super::audit::{self, Teller};
use super::auth::Viewer;
use super::sealed;
use crate::audit::{Filter, Page};
use crate::kernel::domain::{Position, Stamped};
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
    /// Only what fits this filter.
    q: Option<String>,
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
    let filter = query.q.as_deref().map(audit::filter).transpose()?;
    let first = sealed::begins(&app).await?.filter(|first| from < *first);
    let follower = Follower { app, from, bell, filter };
    let pages = stream::unfold(follower, |mut follower| async move {
        let page = follower.next_page().await?;
        Some((page, follower))
    });
    let gone = first.map(|first| {
        Ok(Event::default().comment(format!("records before position {first} were sealed away")))
    });
    let events = stream::iter(gone).chain(pages.flat_map(|page| stream::iter(page.into_iter().map(event))));
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// One who follows, and where they are.
struct Follower {
    app: Arc<App>,
    from: Position,
    bell: tokio::sync::watch::Receiver<Position>,
    filter: Option<Filter>,
}

impl Follower {
    /// Waits for records. None ends the stream: who follows connects again with the last position.
    async fn next_page(&mut self) -> Option<Vec<Value>> {
        loop {
            self.bell.mark_unchanged();
            let (records, next) = match self.look().await {
                Ok(found) => found,
                Err(why) => {
                    tracing::warn!(%why, "a follower is let go");
                    return None;
                }
            };
            self.from = next;
            if !records.is_empty() {
                let mut teller = Teller::new(&self.app);
                let mut told: Vec<Value> = vec![];
                for record in records {
                    told.push(teller.tell(record).await.ok()?);
                }
                return Some(told);
            }
            if self.app.journal.backend().head().await.ok()?.position < self.from {
                // A look every second, in case that a bell was missed.
                let bounded =
                    tokio::time::timeout(std::time::Duration::from_secs(1), self.bell.changed()).await;
                if matches!(bounded, Ok(Err(_))) {
                    return None;
                }
            }
        }
    }

    /// Records that are there, and where to go on.
    async fn look(&self) -> Result<(Vec<Stamped>, Position), String> {
        let Some(filter) = &self.filter else {
            let records = self.app.journal.scan(self.from, PAGE).await.map_err(|e| e.to_string())?;
            let next = records.last().map_or(self.from, |r| r.position + 1);
            return Ok((records, next));
        };
        let found =
            audit::found(&self.app, filter, Page::From(self.from), PAGE).await.map_err(|p| p.failed)?;
        let next = found.rest.unwrap_or(found.head + 1);
        Ok((found.records.into_iter().map(|(stamped, _)| stamped).collect(), self.from.max(next)))
    }
}

fn event(record: Value) -> Result<Event, Infallible> {
    let id = record["position"].to_string();
    Ok(Event::default().id(id).data(record.to_string()))
}
