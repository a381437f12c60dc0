//! One transaction for a whole group of admitted appends, with as few statements as SQLite allows. The writer
//! calls; nobody else writes these tables.

use super::fault::{Fault, classify, commit_kept_nothing};
use super::ledger::{Admitted, RecordRow};
use crate::kernel::domain::{Digest, Position};
use crate::kernel::journal::Row;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments};
use sqlx::{AssertSqlSafe, SqliteConnection};
use std::collections::BTreeMap;

/// How a group ended that was not kept as a whole.
#[derive(Debug)]
pub(super) enum GroupError {
    /// Certainly nothing of it is in the database.
    NotKept(Fault),
    /// COMMIT was sent and its answer leaves it open.
    Unclear(String),
}

/// All of the group, durable, or nothing.
pub(super) async fn write_group(
    conn: &mut SqliteConnection,
    group: &[Admitted<'_>],
) -> Result<(), GroupError> {
    let not_kept = |e: sqlx::Error| GroupError::NotKept(classify(&e));
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *conn).await.map_err(not_kept)?;
    fill(conn, group).await.map_err(not_kept)?;
    match sqlx::query("COMMIT").execute(&mut *conn).await {
        Ok(_) => Ok(()),
        Err(e) if commit_kept_nothing(&e) => Err(not_kept(e)),
        Err(e) => Err(GroupError::Unclear(e.to_string())),
    }
}

async fn fill(conn: &mut SqliteConnection, group: &[Admitted<'_>]) -> Result<(), sqlx::Error> {
    let records: Vec<&RecordRow<'_>> = group.iter().flat_map(|a| &a.records).collect();
    insert_many(conn, RECORDS, &records, |query, r| {
        query
            .bind(r.position.cast_signed())
            .bind(r.stream.clone())
            .bind(r.seq.cast_signed())
            .bind(r.at.0)
            .bind(r.kind)
            .bind(i64::from(r.version))
            .bind(r.body.to_vec())
            .bind(r.hash.0.to_vec())
    })
    .await?;
    // The last of a group wins, so one row each is enough.
    let summaries: BTreeMap<&str, (String, Position)> = group
        .iter()
        .flat_map(|a| &a.summaries)
        .map(|(stream, value, position)| (stream.as_str(), (value.to_string(), *position)))
        .collect();
    let summaries: Vec<_> = summaries.into_iter().collect();
    insert_many(conn, SUMMARIES, &summaries, |query, (stream, (value, position))| {
        query.bind((*stream).to_owned()).bind(value.clone()).bind(position.cast_signed())
    })
    .await?;
    let rows = || group.iter().flat_map(|a| a.rows);
    let contents: BTreeMap<&Digest, &Vec<u8>> = rows()
        .filter_map(|row| if let Row::Content { digest, bytes } = row { Some((digest, bytes)) } else { None })
        .collect();
    let contents: Vec<_> = contents.into_iter().collect();
    insert_many(conn, CONTENTS, &contents, |query, (digest, bytes)| {
        query.bind(digest.0.to_vec()).bind((*bytes).clone())
    })
    .await?;
    for row in rows() {
        write_row(conn, row).await?;
    }
    Ok(())
}

async fn write_row(conn: &mut SqliteConnection, row: &Row) -> Result<(), sqlx::Error> {
    let query = match row {
        Row::Lock { key, run } => sqlx::query(
            // A run that holds it already keeps it; another holder breaks the unique key.
            "INSERT INTO lock (key, run) SELECT ?1, ?2 \
             WHERE NOT EXISTS (SELECT 1 FROM lock WHERE key = ?1 AND run = ?2)",
        )
        .bind(key.clone())
        .bind(run.to_string()),
        Row::Unlock { run } => sqlx::query("DELETE FROM lock WHERE run = ?1").bind(run.to_string()),
        Row::RaiseEpoch { service, to } => sqlx::query(
            "INSERT INTO epoch (service, epoch) VALUES (?1, ?2) \
             ON CONFLICT (service) DO UPDATE SET epoch = excluded.epoch",
        )
        .bind(service.to_string())
        .bind(to.cast_signed()),
        Row::Cursor { name, position } => sqlx::query(
            "INSERT INTO cursor (name, position) VALUES (?1, ?2) \
             ON CONFLICT (name) DO UPDATE SET position = excluded.position",
        )
        .bind(name.to_string())
        .bind(position.cast_signed()),
        Row::Content { .. } => return Ok(()),
    };
    query.execute(conn).await.map(|_| ())
}

/// Static text around the rows of one statement.
struct Statement {
    head: &'static str,
    columns: usize,
    tail: &'static str,
}

const RECORDS: Statement = Statement {
    head: "INSERT INTO record (position, stream, seq, at, kind, version, body, hash) VALUES ",
    columns: 8,
    tail: "",
};
const SUMMARIES: Statement = Statement {
    head: "INSERT INTO summary (stream, value, position) VALUES ",
    columns: 3,
    tail: " ON CONFLICT (stream) DO UPDATE SET value = excluded.value, position = excluded.position",
};
const CONTENTS: Statement = Statement {
    head: "INSERT INTO content (digest, bytes) VALUES ",
    columns: 2,
    tail: " ON CONFLICT (digest) DO NOTHING",
};

/// Largest number of rows in one statement.
const ROWS: usize = 128;

type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

/// Chunks are powers of two, so that a handful of prepared statements serves groups of every size.
async fn insert_many<T>(
    conn: &mut SqliteConnection,
    statement: Statement,
    mut rows: &[T],
    bind: impl for<'q> Fn(Bound<'q>, &T) -> Bound<'q>,
) -> Result<(), sqlx::Error> {
    while !rows.is_empty() {
        let size = if rows.len() >= ROWS { ROWS } else { 1 << rows.len().ilog2() };
        let (chunk, rest) = rows.split_at(size);
        let one = format!("({})", vec!["?"; statement.columns].join(","));
        let sql = format!("{}{}{}", statement.head, vec![one; size].join(","), statement.tail);
        // Safe: constants and question marks only; every value is bound.
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for row in chunk {
            query = bind(query, row);
        }
        query.execute(&mut *conn).await?;
        rows = rest;
    }
    Ok(())
}
