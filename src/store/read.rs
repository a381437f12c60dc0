//! Reading records and the rows beside them. Short statements on the pool of readers; the writer is never waited for.

use super::open::{digest, load_head};
use super::seal;
use super::span::first_at;
use crate::kernel::domain::{Digest, Epoch, Name, Position, Seq, Stream, Time};
use crate::kernel::journal::{Entry, Head, ReadError, Summarised};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Row};

fn failed(error: &sqlx::Error) -> ReadError {
    ReadError(error.to_string())
}

pub(super) async fn stream(pool: &SqlitePool, name: &Stream, from: Seq) -> Result<Vec<Entry>, ReadError> {
    let sql = "SELECT position, stream, seq, at, kind, version, body, hash FROM record \
               WHERE stream = ?1 AND seq >= ?2 ORDER BY seq";
    let query = sqlx::query(sql).bind(name.to_string()).bind(signed(from));
    query.fetch_all(pool).await.map_err(|e| failed(&e))?.iter().map(entry).collect()
}

/// Walks the stream's index from its end, and stops at the bound.
pub(super) async fn newest(
    pool: &SqlitePool,
    name: &Stream,
    kinds: &[&str],
    max: u32,
) -> Result<Vec<Entry>, ReadError> {
    let sql = "SELECT position, stream, seq, at, kind, version, body, hash FROM record \
               WHERE stream = ?1 AND (?2 = '[]' OR kind IN (SELECT value FROM json_each(?2))) \
               ORDER BY seq DESC LIMIT +?3";
    let query = sqlx::query(sql).bind(name.to_string()).bind(serde_json::json!(kinds).to_string()).bind(max);
    let rows = query.fetch_all(pool).await.map_err(|e| failed(&e))?;
    rows.iter().rev().map(entry).collect()
}

pub(super) async fn scan(pool: &SqlitePool, from: Position, max: u32) -> Result<Vec<Entry>, ReadError> {
    // The plus: SQLite compiles a statement anew each time that a bare parameter of LIMIT is bound.
    let sql = "SELECT position, stream, seq, at, kind, version, body, hash FROM record \
               WHERE position >= ?1 ORDER BY position LIMIT +?2";
    let query = sqlx::query(sql).bind(signed(from)).bind(max);
    query.fetch_all(pool).await.map_err(|e| failed(&e))?.iter().map(entry).collect()
}

/// A bound beyond what SQLite can count means the same as the largest that it can.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn entry(row: &SqliteRow) -> Result<Entry, ReadError> {
    let position: i64 = row.try_get(0).map_err(|e| failed(&e))?;
    let decode = || -> Result<Entry, String> {
        let say = |e: sqlx::Error| e.to_string();
        let seq: i64 = row.try_get(2).map_err(say)?;
        let version: i64 = row.try_get(5).map_err(say)?;
        Ok(Entry {
            position: position.cast_unsigned(),
            stream: Stream::try_from(row.try_get::<String, _>(1).map_err(say)?)?,
            seq: seq.cast_unsigned(),
            at: Time(row.try_get(3).map_err(say)?),
            kind: row.try_get(4).map_err(say)?,
            version: u16::try_from(version).map_err(|e| format!("version {version}: {e}"))?,
            body: row.try_get(6).map_err(say)?,
            hash: digest(row.try_get(7).map_err(say)?).map_err(say)?,
        })
    };
    decode().map_err(|why| ReadError(format!("the record at position {position} is damaged: {why}")))
}

/// The records at these positions, oldest first; those that are not there are left out.
pub(super) async fn at(pool: &SqlitePool, positions: &[Position]) -> Result<Vec<Entry>, ReadError> {
    let sql = "SELECT position, stream, seq, at, kind, version, body, hash FROM record \
               WHERE position IN (SELECT value FROM json_each(?1)) ORDER BY position";
    let wanted = serde_json::json!(positions).to_string();
    sqlx::query(sql).bind(wanted).fetch_all(pool).await.map_err(|e| failed(&e))?.iter().map(entry).collect()
}

/// Up to `max` records between these positions, both included, and these times; the newest first, or the oldest.
pub(super) async fn within(
    pool: &SqlitePool,
    (first, last): (Position, Position),
    (since, until): (Option<Time>, Option<Time>),
    newest: bool,
    max: u32,
) -> Result<Vec<Entry>, ReadError> {
    let sql = format!(
        "SELECT position, stream, seq, at, kind, version, body, hash FROM record \
         WHERE position >= max(?1, coalesce({}, ?1)) AND position <= min(?2, coalesce({} - 1, ?2)) \
         ORDER BY position {} LIMIT +?5",
        first_at("?3"),
        first_at("?4"),
        if newest { "DESC" } else { "" }
    );
    let micros = |time: Option<Time>| time.map(|Time(micros)| micros);
    let query = sqlx::query(AssertSqlSafe(sql)).bind(signed(first)).bind(signed(last));
    let query = query.bind(micros(since)).bind(micros(until)).bind(max);
    query.fetch_all(pool).await.map_err(|e| failed(&e))?.iter().map(entry).collect()
}

/// The first record of a stream, without the others.
pub(super) async fn first(pool: &SqlitePool, name: &Stream) -> Result<Option<Entry>, ReadError> {
    let sql = "SELECT position, stream, seq, at, kind, version, body, hash FROM record \
               WHERE stream = ?1 AND seq = 1";
    let found = sqlx::query(sql).bind(name.to_string()).fetch_optional(pool).await.map_err(|e| failed(&e))?;
    found.as_ref().map(entry).transpose()
}

pub(super) async fn epoch(pool: &SqlitePool, service: &Name) -> Result<Epoch, ReadError> {
    number(pool, "SELECT epoch FROM epoch WHERE service = ?1", service).await
}

pub(super) async fn cursor(pool: &SqlitePool, name: &Name) -> Result<Position, ReadError> {
    number(pool, "SELECT position FROM cursor WHERE name = ?1", name).await
}

/// Every reader of the journal and where it is.
pub(super) async fn cursors(pool: &SqlitePool) -> Result<Vec<(String, Position)>, ReadError> {
    let rows = sqlx::query("SELECT name, position FROM cursor ORDER BY name").fetch_all(pool).await;
    let read = |row: &SqliteRow| Ok((row.try_get(0)?, row.try_get::<i64, _>(1)?.cast_unsigned()));
    rows.and_then(|rows| rows.iter().map(read).collect()).map_err(|e| failed(&e))
}

async fn number(pool: &SqlitePool, sql: &'static str, name: &Name) -> Result<u64, ReadError> {
    let found: Option<i64> =
        sqlx::query_scalar(sql).bind(name.to_string()).fetch_optional(pool).await.map_err(|e| failed(&e))?;
    Ok(found.map_or(0, i64::cast_unsigned))
}

/// The bytes, checked against their digest: damaged content is an error, not content.
pub(super) async fn content(pool: &SqlitePool, wanted: Digest) -> Result<Option<Vec<u8>>, ReadError> {
    let found: Option<Vec<u8>> = sqlx::query_scalar("SELECT bytes FROM content WHERE digest = ?1")
        .bind(wanted.0.to_vec())
        .fetch_optional(pool)
        .await
        .map_err(|e| failed(&e))?;
    match found {
        Some(bytes) if Digest::of(&bytes) != wanted => {
            Err(ReadError(format!("the content {wanted} is damaged: its bytes have another digest")))
        }
        other => Ok(other),
    }
}

pub(super) async fn summaries(
    pool: &SqlitePool,
    prefix: &str,
    max: u32,
) -> Result<Vec<Summarised>, ReadError> {
    // Text compares by bytes, and no name contains the last code point.
    let sql = "SELECT s.stream, s.value, first.at, last.at FROM summary s \
               LEFT JOIN record first ON first.stream = s.stream AND first.seq = 1 \
               LEFT JOIN record last ON last.position = s.position \
               WHERE s.stream >= ?1 AND s.stream < ?2 ORDER BY s.position DESC, s.stream LIMIT ?3";
    let query = sqlx::query(sql).bind(prefix.to_owned()).bind(format!("{prefix}\u{10FFFF}")).bind(max);
    let rows = query.fetch_all(pool).await.map_err(|e| failed(&e))?;
    rows.iter().map(summarised).collect()
}

fn summarised(row: &SqliteRow) -> Result<Summarised, ReadError> {
    let name: String = row.try_get(0).map_err(|e| failed(&e))?;
    let text: String = row.try_get(1).map_err(|e| failed(&e))?;
    let time = |column: usize| row.try_get::<Option<i64>, _>(column).map_err(|e| failed(&e));
    Ok(Summarised {
        value: serde_json::from_str(&text).map_err(|e| ReadError(format!("summary of {name}: {e}")))?,
        stream: Stream::try_from(name).map_err(ReadError)?,
        first: time(2)?.map(Time),
        last: time(3)?.map(Time),
    })
}

pub(super) async fn head(pool: &SqlitePool) -> Result<Head, ReadError> {
    load_head(pool).await.map_err(|e| failed(&e))
}

pub(super) async fn last_seq(pool: &SqlitePool, stream: &Stream) -> Result<Seq, ReadError> {
    let mut conn = pool.acquire().await.map_err(|e| failed(&e))?;
    seal::last_seq(&mut conn, &stream.to_string()).await.map_err(|e| failed(&e))
}

/// The hash of the very first record that there was, none in an empty journal.
pub(super) async fn origin(pool: &SqlitePool) -> Result<Option<Digest>, ReadError> {
    let mut conn = pool.acquire().await.map_err(|e| failed(&e))?;
    seal::origin(&mut conn).await.map_err(|e| failed(&e))
}

pub(super) async fn hash_at(pool: &SqlitePool, position: Position) -> Result<Option<Digest>, ReadError> {
    let found: Option<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM record WHERE position = ?1")
        .bind(signed(position))
        .fetch_optional(pool)
        .await
        .map_err(|e| failed(&e))?;
    found.map(digest).transpose().map_err(|e| failed(&e))
}
