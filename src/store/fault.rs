//! What an error of SQLite means for an append: certainly not kept, or in doubt. The writer asks.

/// Kinds of failure *before* COMMIT, or of a COMMIT that certainly kept nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// No room on the disk. SQLite writes before it syncs, so nothing was kept.
    Full(String),
    /// Another process holds the write lock for longer than the busy time-out.
    Busy(String),
    /// A row is there already: somebody else has written to the file.
    Conflict(String),
    /// Everything else: read-only, input/output, too large.
    Broken(String),
}

const SQLITE_BUSY: i64 = 5;
const SQLITE_LOCKED: i64 = 6;
const SQLITE_FULL: i64 = 13;
const SQLITE_CONSTRAINT: i64 = 19;

/// SQLite's primary result code; extended codes keep it in the low byte.
pub(super) fn primary_code(error: &sqlx::Error) -> Option<i64> {
    let extended: i64 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

pub(super) fn classify(error: &sqlx::Error) -> Fault {
    let says = error.to_string();
    match primary_code(error) {
        Some(SQLITE_FULL) => Fault::Full(says),
        Some(SQLITE_BUSY | SQLITE_LOCKED) => Fault::Busy(says),
        Some(SQLITE_CONSTRAINT) => Fault::Conflict(says),
        Some(_) | None => Fault::Broken(says),
    }
}

/// Of a COMMIT's errors only these prove that nothing was kept: the commit frame was never written. After any
/// other, above all a failed sync, the frame may or may not be on the disk.
pub(super) fn commit_kept_nothing(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(SQLITE_FULL | SQLITE_BUSY))
}
