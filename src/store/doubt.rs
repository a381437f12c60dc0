//! After an error from COMMIT nobody knows whether the records will be there after a power cut. Syncing the same
//! pages again proves nothing: the kernel reports a failed write once and then forgets it. So the writer drops its
//! connection, opens a new one and comes here.

use crate::kernel::domain::{Digest, Position};
use sqlx::{Row, SqliteConnection};

/// Moves what the WAL holds into fresh pages of the database file, syncs those, and empties the WAL. Afterwards
/// what can be read is durable, and what cannot be read will not come back at the next start.
pub(super) async fn settle(conn: &mut SqliteConnection) -> Result<(), String> {
    let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .fetch_one(conn)
        .await
        .map_err(|e| format!("the WAL could not be moved into the database: {e}"))?;
    let busy: i64 = row.try_get(0).map_err(|e| e.to_string())?;
    if busy == 0 { Ok(()) } else { Err("the WAL is in use by a long reader".to_owned()) }
}

pub(super) async fn is_there(
    conn: &mut SqliteConnection,
    position: Position,
    hash: Digest,
) -> Result<bool, String> {
    let found: Option<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM record WHERE position = ?1")
        .bind(position.cast_signed())
        .fetch_optional(conn)
        .await
        .map_err(|e| e.to_string())?;
    Ok(found.is_some_and(|found| found == hash.0))
}
