//! Keeps the index of the journal up to date, so that questions find it ready. Nothing waits for this task.

use super::App;
use crate::audit::{Index, IndexError};
use crate::kernel::domain::Span;
use crate::kernel::journal::Backend as _;
use crate::kernel::journal::Head;
use crate::store::{SqliteStore, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Records that come within this time are taken in together.
const TOGETHER: Span = Span::millis(500);
/// One round; the next begins where it ended.
const ROUND: Duration = Duration::from_millis(50);
/// Of the time at most one part in so many, so that a storm of alerts has the machine to itself. Whoever asks does not
/// wait for this task: a question brings the index up to date first.
const SHARE: u64 = 10;
/// After an error.
const AGAIN: Span = Span::secs(15);

pub async fn open_index(store: Arc<SqliteStore>) -> Option<Index> {
    match Index::open(store).await {
        Ok(index) => Some(index),
        Err(error) => {
            tracing::error!(%error, "the record cannot be searched until the next start; nothing else depends on it");
            None
        }
    }
}

/// The head file first: it is what a start compares with.
pub async fn write_head(app: &App) -> Result<(), StoreError> {
    app.store.write_head().await?;
    sign_head(app).await.map(|_| ())
}

/// Signs the journal's end as it is now.
pub async fn sign_head(app: &App) -> Result<Head, StoreError> {
    let head = app.store.end().await?;
    let checkpoints = app.checkpoints.clone();
    let written = tokio::task::spawn_blocking(move || checkpoints.write(head)).await;
    written.expect("invariant: writing a file does not panic")?;
    Ok(head)
}

pub async fn keep_index(app: Arc<App>, stop: CancellationToken) {
    let Some(index) = &app.audit else { return };
    let mut bell = app.store.follow();
    while !stop.is_cancelled() {
        bell.mark_unchanged();
        let begun = app.world.now();
        let pause = match round(&app, index).await {
            Ok(true) => TOGETHER,
            Ok(false) => Span(app.world.now().since(begun).0.saturating_mul(SHARE - 1)),
            Err(error) => {
                tracing::warn!(%error, "the index of the journal could not be brought up to date");
                AGAIN
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = app.world.sleep_until(app.world.now() + pause) => {}
        }
        if pause == TOGETHER {
            tokio::select! {
                () = stop.cancelled() => break,
                // In case that a bell was missed.
                () = app.world.sleep_until(app.world.now() + AGAIN) => {}
                _ = bell.changed() => {}
            }
        }
    }
    index.close().await;
}

/// Whether the end was reached.
async fn round(app: &App, index: &Index) -> Result<bool, IndexError> {
    let head = app.store.head().await?.position;
    match index.catch_up(head, ROUND).await {
        Ok(()) => Ok(true),
        Err(IndexError::Behind { at, of }) => {
            tracing::debug!(at, of, "the index of the journal is behind");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
