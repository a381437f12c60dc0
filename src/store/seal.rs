//! The newest cut of the journal, as its own record tells it. The writer and readers ask where streams go on from, the
//! checks where the chain begins now.

use super::open::digest;
use crate::kernel::domain::{Digest, Position, Record, Sealed, Seq};
use sqlx::{Row, SqliteConnection};

/// A row of `seal`, and the record that it names, if that is there and is one.
pub(super) struct Seal {
    pub position: Position,
    pub before: Position,
    pub hash: Digest,
    record: Option<Sealed>,
}

impl Seal {
    /// What the record says, where row and record say the same.
    pub fn holds(&self) -> Option<&Sealed> {
        self.record.as_ref().filter(|sealed| (sealed.before, sealed.hash) == (self.before, self.hash))
    }

    fn certain(&self) -> Result<&Sealed, sqlx::Error> {
        let doubt = || format!("the record at position {} does not say what its seal says", self.position);
        self.holds().ok_or_else(|| sqlx::Error::Decode(doubt().into()))
    }
}

/// Where a stream goes on from, also one all of whose records went. A sequence that began anew would be given twice: in
/// doubt there is none.
pub(super) async fn last_seq(conn: &mut SqliteConnection, stream: &str) -> Result<Seq, sqlx::Error> {
    let last: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM record WHERE stream = ?1")
        .bind(stream.to_owned())
        .fetch_one(&mut *conn)
        .await?;
    if let Some(last) = last {
        return Ok(last.cast_unsigned());
    }
    let Some(seal) = newest(conn).await? else { return Ok(0) };
    let gone = seal.certain()?.streams.iter().find(|(name, _)| name.to_string() == stream);
    Ok(gone.map_or(0, |(_, seq)| *seq))
}

/// The hash of the very first record that there was.
pub(super) async fn origin(conn: &mut SqliteConnection) -> Result<Option<Digest>, sqlx::Error> {
    let first: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT hash FROM record WHERE position = 1").fetch_optional(&mut *conn).await?;
    if let Some(hash) = first {
        return digest(hash).map(Some);
    }
    let Some(seal) = newest(conn).await? else { return Ok(None) };
    Ok(seal.certain()?.origin)
}

pub(super) async fn newest(conn: &mut SqliteConnection) -> Result<Option<Seal>, sqlx::Error> {
    // Above every position that is given.
    of(conn, Position::MAX >> 1).await
}

/// The cut behind which the journal begins now: one that was decided, and of which nothing has gone yet, is not it.
pub(super) async fn begun(conn: &mut SqliteConnection, first: Position) -> Result<Option<Seal>, sqlx::Error> {
    of(conn, first).await
}

/// The oldest cut that reaches up to `first`; the newest where none does.
async fn of(conn: &mut SqliteConnection, first: Position) -> Result<Option<Seal>, sqlx::Error> {
    let sql = "SELECT seal.position, before, seal.hash, kind, version, body FROM seal \
               LEFT JOIN record ON record.position = seal.position \
               ORDER BY before >= ?1 DESC, CASE WHEN before >= ?1 THEN seal.position ELSE -seal.position END LIMIT 1";
    let found = sqlx::query(sql).bind(first.cast_signed()).fetch_optional(conn).await?;
    let Some(row) = found else { return Ok(None) };
    let number = |column: usize| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
    let kind: Option<String> = row.try_get(3)?;
    let record = match kind {
        None => None,
        Some(kind) => {
            let version = u16::try_from(row.try_get::<i64, _>(4)?).unwrap_or(0);
            match Record::decode(&kind, version, &row.try_get::<Vec<u8>, _>(5)?) {
                Ok(Record::Sealed(sealed)) => Some(*sealed),
                Ok(_) | Err(_) => None,
            }
        }
    };
    Ok(Some(Seal { position: number(0)?, before: number(1)?, hash: digest(row.try_get(2)?)?, record }))
}
