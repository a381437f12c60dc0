//! What the cached rows should be: each stream folded by itself, a page at a time, so that a long journal costs no
//! memory. `cache` compares.

use super::claims::Claims;
use crate::kernel::domain::{Position, Record, Stamped, Stream, Time};
use crate::kernel::engine::{Run, alerts_cached};
use crate::store::StoreError;
use serde_json::Value;
use sqlx::{Row, SqliteConnection};
use std::collections::BTreeMap;

/// Records of one stream read at a time; a run's look can be large.
const PAGE: i64 = 50;

/// What the summary of one stream should hold.
pub(super) enum Wanted {
    /// This stream has none.
    None,
    Row {
        value: Value,
        position: Position,
    },
    /// The records do not fold.
    Broken(String),
}

/// Locks and epochs as all runs and claims together say: as many as there are open runs and services.
#[derive(Default)]
pub(super) struct Held {
    pub locks: BTreeMap<String, String>,
    /// An epoch that was seen at a target raises the counter as a run does.
    pub claims: Claims,
}

impl Held {
    fn count(&mut self, run: &Run) {
        self.claims.raise(run.spec.service.to_string(), run.epoch);
        if run.finished.is_none() {
            let keys = run.spec.lock_keys().into_iter();
            self.locks.extend(keys.map(|key| (key, run.id().to_string())));
        }
    }
}

pub(super) async fn wanted(
    conn: &mut SqliteConnection,
    name: &str,
    held: &mut Held,
) -> Result<Wanted, StoreError> {
    match Stream::try_from(name.to_owned()) {
        Ok(stream @ Stream::Run(_)) => run(conn, &stream, held).await,
        Ok(stream @ Stream::Alerts(_)) => alerts(conn, &stream).await,
        Ok(Stream::Service(_) | Stream::Source(_) | Stream::Playbook(_) | Stream::Instance) | Err(_) => {
            Ok(Wanted::None)
        }
    }
}

async fn run(conn: &mut SqliteConnection, stream: &Stream, held: &mut Held) -> Result<Wanted, StoreError> {
    let mut so_far: Option<(Run, Position)> = None;
    loop {
        let after = so_far.as_ref().map_or(0, |(run, _)| run.seq);
        let page = page(conn, stream, "seq > ?2 ORDER BY seq LIMIT ?3", after, PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        for stamped in page {
            let folded = stamped.and_then(|stamped| {
                let run = match so_far.take() {
                    None => Run::open(&stamped),
                    Some((mut run, _)) => run.apply(&stamped).map(|()| run),
                };
                Ok((run.map_err(|e| e.to_string())?, stamped.position))
            });
            match folded {
                Ok(folded) => so_far = Some(folded),
                Err(why) => return Ok(Wanted::Broken(format!("the records do not fold: {why}"))),
            }
        }
        if is_last {
            break;
        }
    }
    let Some((run, position)) = so_far else { return Ok(Wanted::None) };
    held.count(&run);
    Ok(Wanted::Row { value: run.summary().cached(), position })
}

async fn alerts(conn: &mut SqliteConnection, stream: &Stream) -> Result<Wanted, StoreError> {
    let last = page(conn, stream, "seq > ?2 ORDER BY seq DESC LIMIT ?3", 0, 1).await?.pop();
    Ok(match last {
        None => Wanted::None,
        Some(Err(why)) => Wanted::Broken(why),
        Some(Ok(last)) => match alerts_cached(&last.record) {
            Some(value) => Wanted::Row { value, position: last.position },
            None => Wanted::Broken(format!("{} is no record of alerts", last.record.kind())),
        },
    })
}

/// `which` is text of ours.
fn select(which: &str) -> String {
    format!("SELECT position, seq, at, kind, version, body FROM record WHERE stream = ?1 AND {which}")
}

async fn page(
    conn: &mut SqliteConnection,
    stream: &Stream,
    which: &'static str,
    seq: u64,
    max: i64,
) -> Result<Vec<Result<Stamped, String>>, StoreError> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(select(which)))
        .bind(stream.to_string())
        .bind(seq.cast_signed())
        .bind(max)
        .fetch_all(conn)
        .await
        .map_err(|e| StoreError::unreadable(&e))?;
    let stamped = |row: &sqlx::sqlite::SqliteRow| -> Result<Stamped, String> {
        let say = |e: sqlx::Error| e.to_string();
        let version = u16::try_from(row.try_get::<i64, _>(4).map_err(say)?).map_err(|e| e.to_string())?;
        let (kind, body): (String, Vec<u8>) = (row.try_get(3).map_err(say)?, row.try_get(5).map_err(say)?);
        Ok(Stamped {
            position: row.try_get::<i64, _>(0).map_err(say)?.cast_unsigned(),
            stream: stream.clone(),
            seq: row.try_get::<i64, _>(1).map_err(say)?.cast_unsigned(),
            at: Time(row.try_get(2).map_err(say)?),
            record: Record::decode(&kind, version, &body)?,
        })
    };
    Ok(rows.iter().map(stamped).collect())
}
