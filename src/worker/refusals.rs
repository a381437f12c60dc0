//! Counts every "no" that the journal holds, whoever wrote it: triage, a run, a person's surface. One reader of the
//! journal, so that no writer has to remember it.

use super::App;
use crate::kernel::domain::Record;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const PAGE: u32 = 500;
/// In case that a bell was missed.
const LOOK: Duration = Duration::from_secs(1);
/// The code of an alert that no playbook waits for.
const UNMATCHED: &str = "PM5409";

/// Counts from the head at start on, until `stop`.
pub async fn count_refusals(app: Arc<App>, stop: CancellationToken) {
    let mut bell = app.store.follow();
    let mut from = None;
    loop {
        if let Err(error) = page(&app, &mut from).await {
            tracing::warn!(%error, "refusals are not counted now");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tokio::time::timeout(LOOK, bell.changed()) => {}
        }
    }
}

async fn page(app: &App, from: &mut Option<u64>) -> anyhow::Result<()> {
    let mut at = match *from {
        Some(at) => at,
        None => app.journal.backend().head().await?.position + 1,
    };
    loop {
        let records = app.journal.scan(at, PAGE).await?;
        records.iter().for_each(|stamped| codes(&stamped.record).iter().for_each(|c| app.metrics.refused(c)));
        at = records.last().map_or(at, |last| last.position + 1);
        *from = Some(at);
        if records.len() < PAGE as usize {
            return Ok(());
        }
    }
}

/// The codes of the reasons in a record that says no; each once.
fn codes(record: &Record) -> Vec<&str> {
    let mut codes: Vec<&str> = match record {
        Record::Held { why, .. }
        | Record::Parked { why, .. }
        | Record::NotOpened { why, .. }
        | Record::Finished { why, .. }
        | Record::BreakerTripped { why } => why.iter().map(|r| r.code.as_str()).collect(),
        Record::NotStarted { why, .. } => {
            let matched: Vec<&str> = why.iter().filter(|v| v.matched).map(|v| v.why.code.as_str()).collect();
            if matched.is_empty() { vec![UNMATCHED] } else { matched }
        }
        _ => vec![],
    };
    codes.sort_unstable();
    codes.dedup();
    codes
}
