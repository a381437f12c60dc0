//! Walks the records in order and stops at the first bad one.

use super::blame::pin_down;
use super::{BadRecord, Base, Column};
use crate::kernel::domain::{Digest, Position, Record, Seq, Stream, Time};
use crate::kernel::journal::{ChainLink, chain_hash};
use crate::store::StoreError;
use crate::store::fault::primary_code;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Records read at a time: no transaction stays open, so a running server's WAL is not held up.
const PAGE: i64 = 500;
/// SQLite's code for a file whose structure is damaged.
const SQLITE_CORRUPT: i64 = 11;

/// A record as stored, its columns readable.
pub(super) struct Stored {
    pub position: Position,
    pub stream: String,
    pub seq: Seq,
    pub at: Time,
    pub kind: String,
    pub version: u16,
    pub body: Vec<u8>,
    pub hash: Digest,
}

impl Stored {
    pub fn link<'a>(&'a self, prev: Digest) -> ChainLink<'a> {
        ChainLink {
            prev,
            position: self.position,
            stream: &self.stream,
            seq: self.seq,
            at: self.at,
            kind: &self.kind,
            version: self.version,
            body: &self.body,
        }
    }

    pub fn bad(&self, column: Column, says: impl Into<String>) -> BadRecord {
        BadRecord {
            position: self.position,
            stream: self.stream.clone(),
            seq: Some(self.seq),
            column,
            says: says.into(),
        }
    }
}

pub(super) struct Chain {
    base: Arc<Base>,
    from: Position,
    pub next: Position,
    pub checked: u64,
    pub bad: Option<BadRecord>,
    prev: Digest,
    last: Time,
    /// Last sequence of each stream in this segment.
    seqs: HashMap<String, Seq>,
    /// Raw deliveries of this segment that were found right.
    contents: HashSet<Digest>,
}

fn nowhere(position: Position, column: Column, says: String) -> BadRecord {
    BadRecord { position, stream: String::new(), seq: None, column, says }
}

impl Chain {
    pub async fn start(
        conn: &mut SqliteConnection,
        from: Position,
        base: Arc<Base>,
    ) -> Result<Chain, StoreError> {
        let (first, prev) = (base.before, base.hash);
        let mut chain = Chain {
            base,
            from,
            next: from,
            checked: 0,
            bad: None,
            prev,
            last: Time(i64::MIN),
            seqs: HashMap::new(),
            contents: HashSet::new(),
        };
        if from > first {
            match read(conn, from - 1, from - 1, 1).await?.pop() {
                Some(Ok(before)) => (chain.prev, chain.last) = (before.hash, before.at),
                Some(Err(bad)) => chain.bad = Some(bad),
                None => chain.bad = Some(nowhere(from - 1, Column::Position, "it is missing".into())),
            }
        }
        Ok(chain)
    }

    /// Of the last record that was found right.
    pub fn hash(&self) -> Digest {
        self.prev
    }

    pub async fn take_page(&mut self, conn: &mut SqliteConnection, to: Position) -> Result<(), StoreError> {
        let rows = read(conn, self.next, to, PAGE).await?;
        if rows.is_empty() {
            self.bad = Some(nowhere(self.next, Column::Position, "it is missing".into()));
        }
        for row in rows {
            let checked = match row {
                Ok(row) => self.check(conn, row).await?,
                Err(bad) => Some(bad),
            };
            if checked.is_some() {
                self.bad = checked;
                return Ok(());
            }
        }
        Ok(())
    }

    async fn check(
        &mut self,
        conn: &mut SqliteConnection,
        row: Stored,
    ) -> Result<Option<BadRecord>, StoreError> {
        if row.position != self.next {
            let says = format!("it is missing; the next record there is has position {}", row.position);
            return Ok(Some(nowhere(self.next, Column::Position, says)));
        }
        let computed = chain_hash(&row.link(self.prev));
        if computed != row.hash {
            let expected = self.seq_by_position(conn, &row).await?;
            let next = read(conn, row.position + 1, row.position + 1, 1).await?.pop().and_then(Result::ok);
            return Ok(Some(pin_down(&row, self.prev, computed, expected, next.as_ref())));
        }
        let expected = self.expected_seq(conn, &row).await?;
        if row.seq != expected {
            let says = format!("its sequence is {}, but {expected} comes next in that stream", row.seq);
            return Ok(Some(row.bad(Column::Seq, says)));
        }
        if row.at < self.last {
            return Ok(Some(row.bad(Column::At, "it is older than the record before it")));
        }
        if let Err(why) = Stream::try_from(row.stream.clone()) {
            return Ok(Some(row.bad(Column::Stream, why)));
        }
        if let Some(says) = self.content(conn, &row).await? {
            return Ok(Some(row.bad(Column::Content, says)));
        }
        (self.prev, self.last, self.next) = (row.hash, row.at, row.position + 1);
        self.checked += 1;
        self.seqs.insert(row.stream, row.seq);
        Ok(None)
    }

    /// By the index over streams and sequences alone: one step, however long the stream is. A gap gives another number
    /// than the record's own, and so does a record that stands before its predecessor.
    async fn expected_seq(&self, conn: &mut SqliteConnection, row: &Stored) -> Result<Seq, StoreError> {
        if let Some(last) = self.seqs.get(&row.stream) {
            return Ok(last + 1);
        }
        if row.seq == 1 {
            return self.seq_by_position(conn, row).await;
        }
        let before: Option<(i64, i64)> = sqlx::query_as(
            "SELECT seq, position FROM record WHERE stream = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT 1",
        )
        .bind(row.stream.clone())
        .bind(row.seq.cast_signed())
        .fetch_optional(conn)
        .await
        .map_err(|e| StoreError::unreadable(&e))?;
        let standing = before.filter(|(_, position)| position.cast_unsigned() < row.position);
        Ok(standing.map_or(self.base.seq(&row.stream), |(seq, _)| seq.cast_unsigned()) + 1)
    }

    /// By the records before it, whatever its own sequence says.
    async fn seq_by_position(&self, conn: &mut SqliteConnection, row: &Stored) -> Result<Seq, StoreError> {
        if let Some(last) = self.seqs.get(&row.stream) {
            return Ok(last + 1);
        }
        let gone = self.base.seq(&row.stream);
        if self.from == self.base.before {
            return Ok(gone + 1);
        }
        let last: i64 = sqlx::query_scalar(
            "SELECT coalesce(max(seq), 0) FROM record WHERE stream = ?1 AND position < ?2",
        )
        .bind(row.stream.clone())
        .bind(self.from.cast_signed())
        .fetch_one(conn)
        .await
        .map_err(|e| StoreError::unreadable(&e))?;
        Ok(last.cast_unsigned().max(gone) + 1)
    }

    /// Raw deliveries lie outside the chain; it holds their digest.
    async fn content(
        &mut self,
        conn: &mut SqliteConnection,
        row: &Stored,
    ) -> Result<Option<String>, StoreError> {
        if row.kind != "delivered" {
            return Ok(None);
        }
        let Ok(Record::Delivered(delivered)) = Record::decode(&row.kind, row.version, &row.body) else {
            return Ok(None);
        };
        if self.contents.contains(&delivered.digest) {
            return Ok(None);
        }
        let bytes: Option<Vec<u8>> = sqlx::query_scalar("SELECT bytes FROM content WHERE digest = ?1")
            .bind(delivered.digest.0.to_vec())
            .fetch_optional(conn)
            .await
            .map_err(|e| StoreError::unreadable(&e))?;
        Ok(match bytes {
            None => Some("the raw delivery that it names is missing".to_owned()),
            Some(bytes) if Digest::of(&bytes) != delivered.digest => {
                Some("the raw delivery that it names was changed".to_owned())
            }
            Some(_) => {
                self.contents.insert(delivered.digest);
                None
            }
        })
    }
}

/// What lies before the first record that is checked: nothing may stand before position 1.
pub(super) async fn before(
    conn: &mut SqliteConnection,
    from: Position,
) -> Result<Option<BadRecord>, StoreError> {
    if from == 1 { stray(conn).await } else { Ok(None) }
}

/// A record before the first position was moved there: no writer counts from below one.
async fn stray(conn: &mut SqliteConnection) -> Result<Option<BadRecord>, StoreError> {
    let sql = "SELECT position, CAST(stream AS BLOB), seq FROM record WHERE position < 1 LIMIT 1";
    let row = sqlx::query(sql).fetch_optional(conn).await.map_err(|e| StoreError::unreadable(&e))?;
    Ok(row.map(|row| {
        let position: i64 = row.try_get(0).unwrap_or(0);
        let stream: Vec<u8> = row.try_get(1).unwrap_or_default();
        BadRecord {
            position: 0,
            stream: String::from_utf8_lossy(&stream).into_owned(),
            seq: row.try_get::<i64, _>(2).ok().map(i64::cast_unsigned),
            column: Column::Position,
            says: format!("its position is {position}"),
        }
    }))
}

/// Rows of a range; one that cannot be decoded, or the place where the file is damaged, is a bad record and the last.
async fn read(
    conn: &mut SqliteConnection,
    from: Position,
    to: Position,
    max: i64,
) -> Result<Vec<Result<Stored, BadRecord>>, StoreError> {
    // Text as bytes: a changed byte may no longer be UTF-8, and that must be named, not fail the query.
    let sql = "SELECT position, CAST(stream AS BLOB), seq, at, CAST(kind AS BLOB), version, body, hash \
               FROM record WHERE position BETWEEN ?1 AND ?2 ORDER BY position LIMIT ?3";
    let query = |max: i64| sqlx::query(sql).bind(from.cast_signed()).bind(to.cast_signed()).bind(max);
    let rows = match query(max).fetch_all(&mut *conn).await {
        Ok(rows) => rows,
        Err(e) if primary_code(&e) == Some(SQLITE_CORRUPT) && max > 1 => {
            // Half as many, until the damaged place is the first row.
            return Box::pin(read(conn, from, to, max / 2)).await;
        }
        Err(e) if primary_code(&e) == Some(SQLITE_CORRUPT) => {
            return Ok(vec![Err(nowhere(from, Column::Covered, format!("the file is damaged there: {e}")))]);
        }
        Err(e) => return Err(StoreError::unreadable(&e)),
    };
    Ok(rows.iter().map(stored).collect())
}

fn stored(row: &SqliteRow) -> Result<Stored, BadRecord> {
    let position = row.try_get::<i64, _>(0).unwrap_or(0).cast_unsigned();
    let stream = text(row, 1);
    let seq = row.try_get::<i64, _>(2).map(i64::cast_unsigned);
    let fail = |column: Column, why: String| BadRecord {
        position,
        stream: stream.clone().unwrap_or_default(),
        seq: seq.as_ref().ok().copied(),
        column,
        says: why,
    };
    let sql = |column: Column| move |e: sqlx::Error| (column, format!("the column cannot be read: {e}"));
    let decode = || -> Result<Stored, (Column, String)> {
        let version: i64 = row.try_get(5).map_err(sql(Column::Version))?;
        let hash: Vec<u8> = row.try_get(7).map_err(sql(Column::Hash))?;
        let length = hash.len();
        Ok(Stored {
            position,
            stream: stream.clone().map_err(|why| (Column::Stream, why))?,
            seq: row.try_get::<i64, _>(2).map_err(sql(Column::Seq))?.cast_unsigned(),
            at: Time(row.try_get(3).map_err(sql(Column::At))?),
            kind: text(row, 4).map_err(|why| (Column::Kind, why))?,
            version: u16::try_from(version)
                .map_err(|_| (Column::Version, format!("its version is {version}")))?,
            body: row.try_get(6).map_err(sql(Column::Body))?,
            hash: Digest(
                hash.try_into().map_err(|_| (Column::Hash, format!("its hash has {length} bytes")))?,
            ),
        })
    };
    decode().map_err(|(column, why)| fail(column, why))
}

fn text(row: &SqliteRow, column: usize) -> Result<String, String> {
    let bytes: Vec<u8> = row.try_get(column).map_err(|e| e.to_string())?;
    String::from_utf8(bytes).map_err(|_| "the text is no longer UTF-8".to_owned())
}
