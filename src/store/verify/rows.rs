//! Records as SQLite gives them, one borrowed row after another: what `pages` cannot prove is read here, and judged by it. In
//! `audit verify` alone the file is read by rusqlite, since sqlx copies each value and carries each row to another thread
//! (decision 0022). `chain` walks over both.

use super::{BadRecord, Column};
use crate::kernel::domain::{Digest, Position, Seq, Time};
use crate::kernel::journal::ChainLink;
use crate::store::StoreError;
use crate::store::open::database_file;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, Rows, Statement};
use std::path::Path;
use std::time::Duration;

pub(super) const NOT_TEXT: &str = "the text is no longer UTF-8";
const BUSY: Duration = Duration::from_secs(5);

/// A record as stored, its columns readable. What comes from a page is not known to be text until somebody looks: that would
/// take a fifth of the time that a check has beside the hash (decision 0098).
pub(super) struct Stored<'r> {
    pub position: Position,
    pub stream: &'r [u8],
    pub seq: Seq,
    pub at: Time,
    pub kind: &'r [u8],
    pub version: u16,
    pub body: &'r [u8],
    pub hash: &'r [u8; 32],
}

impl Stored<'_> {
    pub fn link(&self, prev: Digest) -> ChainLink<'_> {
        ChainLink {
            prev,
            position: self.position,
            stream: self.stream,
            seq: self.seq,
            at: self.at,
            kind: self.kind,
            version: self.version,
            body: self.body,
        }
    }

    pub fn bad(&self, column: Column, says: impl Into<String>) -> BadRecord {
        BadRecord {
            position: self.position,
            stream: String::from_utf8_lossy(self.stream).into_owned(),
            seq: Some(self.seq),
            column,
            says: says.into(),
        }
    }
}

pub(super) fn nowhere(position: Position, column: Column, says: impl Into<String>) -> BadRecord {
    BadRecord { position, stream: String::new(), seq: None, column, says: says.into() }
}

pub(super) fn unreadable(e: &rusqlite::Error) -> StoreError {
    StoreError::unreadable(e)
}

/// The structure of the file is damaged, not only what is in it.
pub(super) fn damaged(e: &rusqlite::Error) -> bool {
    e.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

/// For reading alone. On a read-only medium without a WAL the file cannot change either.
pub(super) fn connect(dir: &Path) -> Result<Connection, StoreError> {
    let path = database_file(dir);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let first = Connection::open_with_flags(&path, flags).and_then(ready);
    let opened = match first {
        Err(_) if !dir.join("pointsman.db-wal").exists() => {
            let uri = format!("file:{}?immutable=1", escaped(&path));
            Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI).and_then(ready)
        }
        opened => opened,
    };
    opened.map_err(|e| unreadable(&e))
}

fn ready(conn: Connection) -> rusqlite::Result<Connection> {
    conn.busy_timeout(BUSY)?;
    conn.pragma_update(None, "trusted_schema", "OFF")?;
    conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(conn)
}

/// Of a path, what means something else in a URI.
fn escaped(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-".contains(&b);
    let byte = |b: &u8| if plain(*b) { char::from(*b).to_string() } else { format!("%{b:02x}") };
    path.as_os_str().as_bytes().iter().map(byte).collect()
}

/// Give it to [`read`].
pub(super) fn statement(conn: &Connection) -> Result<Statement<'_>, StoreError> {
    let sql = "SELECT position, stream, seq, at, kind, version, body, hash FROM record \
               WHERE position BETWEEN ?1 AND ?2 ORDER BY position LIMIT ?3";
    conn.prepare(sql).map_err(|e| unreadable(&e))
}

pub(super) fn read<'s>(
    statement: &'s mut Statement<'_>,
    from: Position,
    to: Position,
    max: i64,
) -> Result<Rows<'s>, StoreError> {
    statement.query((from.cast_signed(), to.cast_signed(), max)).map_err(|e| unreadable(&e))
}

fn integer(row: &Row<'_>, column: usize) -> Result<i64, String> {
    let value = row.get_ref(column).map_err(|e| e.to_string())?;
    value.as_i64().map_err(|e| format!("the column cannot be read: {e}"))
}

fn blob<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r [u8], String> {
    let value = row.get_ref(column).map_err(|e| e.to_string())?;
    value.as_blob().map_err(|e| format!("the column cannot be read: {e}"))
}

/// The same bytes as a blob are found by no question for a text, and a changed byte may no longer be UTF-8.
fn text<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r [u8], String> {
    match row.get_ref(column).map_err(|e| e.to_string())? {
        ValueRef::Text(bytes) if std::str::from_utf8(bytes).is_ok() => Ok(bytes),
        ValueRef::Text(_) => Err(NOT_TEXT.to_owned()),
        other => Err(format!("the column is no longer text, but {}", other.data_type())),
    }
}

/// The stream as far as it can be read.
fn name(row: &Row<'_>) -> String {
    row.get_ref(1)
        .ok()
        .and_then(|name| name.as_bytes().ok())
        .map_or(String::new(), |name| String::from_utf8_lossy(name).into_owned())
}

/// One that cannot be decoded is bad.
pub(super) fn stored<'r>(row: &'r Row<'_>) -> Result<Stored<'r>, BadRecord> {
    let position = integer(row, 0).unwrap_or(0).cast_unsigned();
    let of = |column: Column| move |says: String| (column, says);
    let decode = || -> Result<Stored<'r>, (Column, String)> {
        let version = integer(row, 5).map_err(of(Column::Version))?;
        let hash = blob(row, 7).map_err(of(Column::Hash))?;
        Ok(Stored {
            position,
            stream: text(row, 1).map_err(of(Column::Stream))?,
            seq: integer(row, 2).map_err(of(Column::Seq))?.cast_unsigned(),
            at: Time(integer(row, 3).map_err(of(Column::At))?),
            kind: text(row, 4).map_err(of(Column::Kind))?,
            version: u16::try_from(version)
                .map_err(|_| (Column::Version, format!("its version is {version}")))?,
            body: blob(row, 6).map_err(of(Column::Body))?,
            hash: hash
                .try_into()
                .map_err(|_| (Column::Hash, format!("its hash has {} bytes", hash.len())))?,
        })
    };
    decode().map_err(|(column, says)| BadRecord {
        position,
        stream: name(row),
        seq: integer(row, 2).ok().map(i64::cast_unsigned),
        column,
        says,
    })
}

/// A record before the first position was moved there: no writer counts from below one.
pub(super) fn stray(conn: &Connection) -> Result<Option<BadRecord>, StoreError> {
    let sql = "SELECT position, stream, seq FROM record WHERE position < 1 LIMIT 1";
    let found = conn.query_row(sql, [], |row| {
        Ok(BadRecord {
            position: 0,
            stream: name(row),
            seq: integer(row, 2).ok().map(i64::cast_unsigned),
            column: Column::Position,
            says: format!("its position is {}", integer(row, 0).unwrap_or(0)),
        })
    });
    match found {
        Ok(bad) => Ok(Some(bad)),
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
        Err(e) => Err(unreadable(&e)),
    }
}
