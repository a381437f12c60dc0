//! Rows beside the journal that are not history: lag samples, when a probe last succeeded, when a token was last
//! used. Written in batches, so a power cut may cost the last two seconds of them and nothing else. The samplers
//! and probes of `worker` write; a restarted instance reads.

use super::SqliteStore;
use super::notices::NoticeRows;
use super::open::digest;
use crate::kernel::domain::{Digest, Name, Time};
use crate::kernel::journal::ReadError;
use crate::kernel::port::Sample;
use sqlx::{Row, SqliteConnection};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use super::writer::Job;

/// Samples kept for each target: a quarter of an hour at one a second.
pub const SAMPLES_KEPT: u32 = 900;
/// Samples that wait for the disk; beyond it the oldest go.
const WAITING: usize = 10_000;

#[derive(Default)]
struct Waiting {
    samples: Vec<(Name, Sample)>,
    seen: HashMap<(Name, Name), Time>,
    used: HashMap<Digest, Time>,
    notices: NoticeRows,
}

/// What waits for the writer's next tick.
#[derive(Default)]
pub(super) struct Buffer(Mutex<Waiting>);

impl Buffer {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().expect("invariant: no panic while holding the lock")
    }

    pub fn is_empty(&self) -> bool {
        let waiting = self.lock();
        waiting.samples.is_empty()
            && waiting.seen.is_empty()
            && waiting.used.is_empty()
            && waiting.notices.is_empty()
    }

    pub fn sample(&self, target: Name, sample: Sample) {
        let mut waiting = self.lock();
        waiting.samples.push((target, sample));
        if waiting.samples.len() > WAITING {
            waiting.samples.drain(..WAITING / 10);
        }
    }

    pub fn seen(&self, probe: Name, vantage: Name, at: Time) {
        let mut waiting = self.lock();
        let last = waiting.seen.entry((probe, vantage)).or_insert(at);
        *last = at.max(*last);
    }

    pub fn used(&self, token: Digest, at: Time) {
        let mut waiting = self.lock();
        let last = waiting.used.entry(token).or_insert(at);
        *last = at.max(*last);
    }

    pub fn notices(&self, put: impl FnOnce(&mut NoticeRows)) {
        put(&mut self.lock().notices);
    }

    /// Puts back what could not be written, before what has come since.
    fn put_back(&self, failed: Waiting) {
        let mut waiting = self.lock();
        let newer = std::mem::replace(&mut *waiting, failed);
        waiting.samples.extend(newer.samples);
        let over = waiting.samples.len().saturating_sub(WAITING);
        waiting.samples.drain(..over);
        for (key, at) in newer.seen {
            let last = waiting.seen.entry(key).or_insert(at);
            *last = at.max(*last);
        }
        for (key, at) in newer.used {
            let last = waiting.used.entry(key).or_insert(at);
            *last = at.max(*last);
        }
        waiting.notices.extend(newer.notices);
    }
}

/// One transaction of its own: nothing here can hurt a record.
pub(super) async fn flush(conn: &mut SqliteConnection, buffer: &Buffer) -> Result<(), String> {
    let waiting = std::mem::take(&mut *buffer.lock());
    let written = write(conn, &waiting).await;
    if let Err(e) = written {
        let _ = sqlx::query("ROLLBACK").execute(conn).await;
        buffer.put_back(waiting);
        return Err(e.to_string());
    }
    Ok(())
}

async fn write(conn: &mut SqliteConnection, waiting: &Waiting) -> Result<(), sqlx::Error> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *conn).await?;
    let mut targets: Vec<&Name> = vec![];
    for (target, sample) in &waiting.samples {
        let value = serde_json::to_string(sample).map_err(|e| sqlx::Error::Encode(e.into()))?;
        sqlx::query("INSERT OR REPLACE INTO sample (target, at, value) VALUES (?1, ?2, ?3)")
            .bind(target.to_string())
            .bind(sample.at.0)
            .bind(value)
            .execute(&mut *conn)
            .await?;
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    for target in targets {
        sqlx::query(
            "DELETE FROM sample WHERE target = ?1 AND at <= \
             (SELECT at FROM sample WHERE target = ?1 ORDER BY at DESC LIMIT 1 OFFSET ?2)",
        )
        .bind(target.to_string())
        .bind(SAMPLES_KEPT)
        .execute(&mut *conn)
        .await?;
    }
    for ((probe, vantage), at) in &waiting.seen {
        sqlx::query(
            "INSERT INTO probe_seen (probe, vantage, last_up) VALUES (?1, ?2, ?3) \
             ON CONFLICT (probe, vantage) DO UPDATE SET last_up = max(last_up, excluded.last_up)",
        )
        .bind(probe.to_string())
        .bind(vantage.to_string())
        .bind(at.0)
        .execute(&mut *conn)
        .await?;
    }
    for (token, at) in &waiting.used {
        sqlx::query("UPDATE token SET last_used = max(coalesce(last_used, ?2), ?2) WHERE hash = ?1")
            .bind(token.0.to_vec())
            .bind(at.0)
            .execute(&mut *conn)
            .await?;
    }
    waiting.notices.write(conn).await?;
    sqlx::query("COMMIT").execute(conn).await.map(|_| ())
}

impl SqliteStore {
    /// Kept within two seconds; never waits.
    pub fn put_sample(&self, target: &Name, sample: Sample) {
        self.buffer.sample(target.clone(), sample);
    }

    /// Oldest first, at most [`SAMPLES_KEPT`]. For filling the sampler's ring after a start.
    pub async fn samples(&self, target: &Name) -> Result<Vec<Sample>, ReadError> {
        self.flush().await?;
        let sql = "SELECT value FROM sample WHERE target = ?1 ORDER BY at";
        let rows: Vec<String> = sqlx::query_scalar(sql)
            .bind(target.to_string())
            .fetch_all(&self.readers)
            .await
            .map_err(|e| ReadError(e.to_string()))?;
        let decode =
            |text: &String| serde_json::from_str(text).map_err(|e| ReadError(format!("sample: {e}")));
        rows.iter().map(decode).collect()
    }

    /// A probe succeeded. Kept within two seconds; never waits.
    pub fn put_probe_seen(&self, probe: &Name, vantage: &Name, at: Time) {
        self.buffer.seen(probe.clone(), vantage.clone(), at);
    }

    /// When each vantage last saw the probe succeed. A vantage that is not in the answer never did.
    pub async fn probe_seen(&self, probe: &Name) -> Result<Vec<(Name, Time)>, ReadError> {
        self.flush().await?;
        let failed = |e: sqlx::Error| ReadError(e.to_string());
        let sql = "SELECT vantage, last_up FROM probe_seen WHERE probe = ?1 ORDER BY vantage";
        let rows = sqlx::query(sql).bind(probe.to_string()).fetch_all(&self.readers).await.map_err(failed)?;
        rows.iter()
            .map(|row| {
                let vantage: String = row.try_get(0).map_err(failed)?;
                Ok((vantage.into(), Time(row.try_get(1).map_err(failed)?)))
            })
            .collect()
    }

    /// Writes what waits now.
    pub async fn flush(&self) -> Result<(), ReadError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        let closed = |_| ReadError("the store is closed, or too many wait".to_owned());
        self.jobs.try_send(Job::Flush(reply)).map_err(closed)?;
        self.answer(answer).await.map_err(ReadError)?.map_err(ReadError)
    }
}

pub(super) fn read_digest(row: &sqlx::sqlite::SqliteRow, column: usize) -> Result<Digest, sqlx::Error> {
    digest(row.try_get(column)?)
}
