//! The writer's part of a cut (decision 0021): what a record of the journal has sealed goes, oldest first, a bounded number
//! in each transaction. `worker/retain` decides, and calls one step after the other; each of them can be taken again.

use super::open::{existing, load_head};
use super::writer::Job;
use super::{SqliteStore, StoreError, code};
use crate::kernel::domain::{Digest, Position, Record, Sealed, Stream};
use crate::kernel::journal::{Backend as _, ReadError};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use std::collections::BTreeSet;
use tokio::sync::oneshot;

/// Records of one transaction: what waits behind it waits some ten milliseconds.
const AT_ONCE: u64 = 1_000;
/// Records that are looked through at a time for the contents they name.
const PAGE: i64 = 500;
const CONTENTS: i64 = 200;

/// A cut that is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Of the record that says so.
    pub position: Position,
    pub sealed: Sealed,
}

#[derive(Debug)]
pub(super) enum CutDeed {
    /// Records of this cut in front of `to`, the first of them.
    Records { position: Position, before: Position, hash: Digest, to: Position },
    /// Contents that no record up to `looked_to` names.
    Contents { digests: Vec<Digest>, looked_to: Position },
}

/// How many rows went.
pub(super) async fn carry_out(conn: &mut SqliteConnection, deed: CutDeed) -> Result<u64, sqlx::Error> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *conn).await?;
    let gone = match deed {
        CutDeed::Records { position, before, hash, to } => {
            seal(conn, position, before, hash).await?;
            records(conn, before, to.min(before)).await?
        }
        CutDeed::Contents { digests, looked_to } => contents(conn, digests, looked_to).await?,
    };
    sqlx::query("COMMIT").execute(conn).await?;
    Ok(gone)
}

/// The trigger of the table refuses a row that the journal does not bear out.
async fn seal(
    conn: &mut SqliteConnection,
    position: Position,
    before: Position,
    hash: Digest,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO seal (position, before, hash) SELECT ?1, ?2, ?3 \
               WHERE NOT EXISTS (SELECT 1 FROM seal WHERE position = ?1)";
    let query = sqlx::query(sql).bind(position.cast_signed()).bind(before.cast_signed());
    query.bind(hash.0.to_vec()).execute(conn).await.map(drop)
}

/// What was made of records goes with the first of them: half a run folds to nothing.
async fn records(conn: &mut SqliteConnection, before: Position, to: Position) -> Result<u64, sqlx::Error> {
    let to = to.min(first(&mut *conn).await?.saturating_add(AT_ONCE)).cast_signed();
    let gone = sqlx::query("DELETE FROM record WHERE position < ?1").bind(to).execute(&mut *conn).await?;
    if gone.rows_affected() > 0 {
        for table in ["summary", "slack_message"] {
            let sql = format!("DELETE FROM {table} WHERE position < ?1");
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(before.cast_signed()).execute(&mut *conn).await?;
        }
    }
    Ok(gone.rows_affected())
}

async fn contents(
    conn: &mut SqliteConnection,
    digests: Vec<Digest>,
    looked_to: Position,
) -> Result<u64, sqlx::Error> {
    let mut gone = 0;
    let sql = "SELECT position, kind, version, body FROM record WHERE position > ?1 AND kind IN ('delivered', 'loaded')";
    let since = sqlx::query(sql).bind(looked_to.cast_signed()).fetch_all(&mut *conn).await?;
    let mut named = BTreeSet::new();
    for row in &since {
        named.extend(names(row).map_err(|why| sqlx::Error::Decode(why.into()))?);
    }
    for digest in digests.iter().filter(|digest| !named.contains(digest)) {
        let sql = "DELETE FROM content WHERE digest = ?1";
        gone += sqlx::query(sql).bind(digest.0.to_vec()).execute(&mut *conn).await?.rows_affected();
    }
    Ok(gone)
}

/// Contents that a record names. One that cannot be read may name any.
fn names(row: &SqliteRow) -> Result<Vec<Digest>, String> {
    let say = |e: sqlx::Error| e.to_string();
    let position: i64 = row.try_get(0).map_err(say)?;
    let version = u16::try_from(row.try_get::<i64, _>(2).map_err(say)?).map_err(|e| e.to_string())?;
    let (kind, body): (String, Vec<u8>) = (row.try_get(1).map_err(say)?, row.try_get(3).map_err(say)?);
    match Record::decode(&kind, version, &body) {
        Ok(Record::Delivered(delivered)) => Ok(vec![delivered.digest]),
        Ok(Record::Loaded { digest, stays, .. }) => Ok([Some(digest), stays].into_iter().flatten().collect()),
        Ok(_) => Ok(vec![]),
        Err(why) => Err(format!("the record at position {position} cannot be read: {why}")),
    }
}

/// Of an empty journal, 1.
pub(super) async fn first<'e>(conn: impl sqlx::SqliteExecutor<'e>) -> Result<Position, sqlx::Error> {
    let first: i64 =
        sqlx::query_scalar("SELECT coalesce(min(position), 1) FROM record").fetch_one(conn).await?;
    Ok(first.cast_unsigned())
}

fn failed(why: impl std::fmt::Display) -> StoreError {
    StoreError::new(
        code::RETENTION,
        format!("the cut of the journal cannot go on: {why}"),
        "what was sealed is decided, and what has not gone yet is there and sound; nothing else was touched",
        "see the disk and `pointsman audit verify`; a restart of the server, or `pointsman db retain`, goes on with it",
    )
}

impl SqliteStore {
    /// Where the journal begins now.
    pub async fn first_position(&self) -> Result<Position, ReadError> {
        first(&self.readers).await.map_err(|e| ReadError(e.to_string()))
    }

    /// The newest cut on record, whether its records have gone or not.
    pub async fn decided(&self) -> Result<Option<Decided>, ReadError> {
        let Some(entry) = self.newest(&Stream::Instance, &["sealed"], 1).await?.pop() else {
            return Ok(None);
        };
        match Record::decode(&entry.kind, entry.version, &entry.body) {
            Ok(Record::Sealed(sealed)) => Ok(Some(Decided { position: entry.position, sealed: *sealed })),
            Ok(_) => Ok(None),
            Err(why) => Err(ReadError(format!("the record at position {}: {why}", entry.position))),
        }
    }

    /// What went: none while everything is there.
    pub async fn sealed_away(&self) -> Result<Option<Sealed>, ReadError> {
        match self.first_position().await? {
            1 => Ok(None),
            _ => Ok(self.decided().await?.map(|decided| decided.sealed)),
        }
    }

    /// The hash in front of a record, also where the record that had it was sealed away.
    pub async fn hash_before(&self, position: Position) -> Result<Option<Digest>, ReadError> {
        if position <= 1 {
            return Ok(Some(Digest::ZERO));
        }
        match self.hash_at(position - 1).await? {
            Some(hash) => Ok(Some(hash)),
            None => Ok(self.decided().await?.filter(|d| d.sealed.before == position).map(|d| d.sealed.hash)),
        }
    }

    /// The first of the records of a cut, up to and without `to`; how many of them went. None went: there are none.
    pub async fn take_away(&self, decided: &Decided, to: Position) -> Result<u64, StoreError> {
        let Sealed { before, hash, .. } = decided.sealed;
        self.cut(CutDeed::Records { position: decided.position, before, hash, to }).await
    }

    /// Raw deliveries and texts of playbooks that no record from `before` on names. One record that cannot be read keeps
    /// all of them.
    pub async fn take_contents(&self, before: Position) -> Result<u64, StoreError> {
        let mut conn = existing(&self.dir).await?;
        let looked_to = load_head(&mut conn).await.map_err(failed)?.position;
        note_names(&mut conn, before).await.map_err(failed)?;
        let (mut after, mut gone) = (0, 0);
        loop {
            let sql = "SELECT rowid, digest FROM content WHERE rowid > ?1 \
                       AND digest NOT IN (SELECT digest FROM named) ORDER BY rowid LIMIT ?2";
            let rows =
                sqlx::query(sql).bind(after).bind(CONTENTS).fetch_all(&mut conn).await.map_err(failed)?;
            let Some(last) = rows.last() else { return Ok(gone) };
            after = last.try_get(0).map_err(failed)?;
            let digests =
                rows.iter().map(|row| super::neighbour::read_digest(row, 1)).collect::<Result<_, _>>();
            let deed = CutDeed::Contents { digests: digests.map_err(failed)?, looked_to };
            gone += self.cut(deed).await?;
        }
    }

    async fn cut(&self, deed: CutDeed) -> Result<u64, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.jobs
            .try_send(Job::Cut(deed, reply))
            .map_err(|_| failed("the store is closed, or too many wait"))?;
        self.answer(answer).await.map_err(failed)?.map_err(failed)
    }
}

/// On disk beside the connection, not in memory: there may be millions.
async fn note_names(conn: &mut SqliteConnection, before: Position) -> Result<(), sqlx::Error> {
    let table = "CREATE TEMP TABLE named (digest BLOB PRIMARY KEY) WITHOUT ROWID";
    sqlx::query(table).execute(&mut *conn).await?;
    let mut next = before.cast_signed();
    loop {
        let sql = "SELECT position, kind, version, body FROM record WHERE position >= ?1 \
                   AND kind IN ('delivered', 'loaded') ORDER BY position LIMIT ?2";
        let rows = sqlx::query(sql).bind(next).bind(PAGE).fetch_all(&mut *conn).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        next = last.try_get::<i64, _>(0)? + 1;
        let mut named: Vec<String> = vec![];
        for row in &rows {
            let digests = names(row).map_err(|why| sqlx::Error::Decode(why.into()))?;
            named.extend(digests.iter().map(ToString::to_string));
        }
        let sql = "INSERT OR IGNORE INTO named SELECT unhex(value) FROM json_each(?1)";
        sqlx::query(sql).bind(serde_json::json!(named).to_string()).execute(&mut *conn).await?;
    }
}
