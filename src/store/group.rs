//! One transaction for a whole group of admitted appends, in one trip to SQLite. The writer
//! calls; nobody else writes these tables.

use super::fault::{Fault, classify, commit_kept_nothing};
use super::ledger::{Admitted, RecordRow};
use super::script::{Insert, Script, Stopped};
use crate::kernel::domain::{Digest, Position};
use crate::kernel::journal::Row;
use serde_json::Value;
use sqlx::SqliteConnection;
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
    let mut script = Script::default();
    script.add("BEGIN IMMEDIATE");
    fill(&mut script, group);
    script.add("COMMIT");
    match script.run(conn).await {
        Ok(()) => Ok(()),
        Err(Stopped::Before(fault)) => Err(GroupError::NotKept(fault)),
        // Only an error of COMMIT leaves open what was kept.
        Err(Stopped::Last(e)) if commit_kept_nothing(&e) => Err(GroupError::NotKept(classify(&e))),
        Err(Stopped::Last(e)) => Err(GroupError::Unclear(e.to_string())),
    }
}

fn fill(script: &mut Script, group: &[Admitted<'_>]) {
    let records: Vec<&RecordRow<'_>> = group.iter().flat_map(|a| &a.records).collect();
    script.insert(&RECORDS, &records, |script, r| {
        script.bind(r.position.cast_signed()).bind(r.stream.clone()).bind(r.seq.cast_signed());
        script.bind(r.at.0).bind(r.kind).bind(i64::from(r.version));
        script.bind(r.body.to_vec()).bind(r.hash.0.to_vec());
    });
    // The last of a group wins, so one row each is enough.
    let summaries: BTreeMap<&str, (&Value, Position)> = group
        .iter()
        .flat_map(|a| &a.summaries)
        .map(|(stream, value, position)| (stream.as_str(), (*value, *position)))
        .collect();
    let summaries: Vec<_> = summaries.into_iter().collect();
    script.insert(&SUMMARIES, &summaries, |script, (stream, (value, position))| {
        script.bind((*stream).to_owned()).bind(value.to_string()).bind(position.cast_signed());
    });
    let rows = || group.iter().flat_map(|a| a.rows);
    let contents: BTreeMap<&Digest, &Vec<u8>> = rows()
        .filter_map(|row| if let Row::Content { digest, bytes } = row { Some((digest, bytes)) } else { None })
        .collect();
    let contents: Vec<_> = contents.into_iter().collect();
    script.insert(&CONTENTS, &contents, |script, (digest, bytes)| {
        script.bind(digest.0.to_vec()).bind((*bytes).clone());
    });
    rows().for_each(|row| write_row(script, row));
}

fn write_row(script: &mut Script, row: &Row) {
    match row {
        Row::Lock { key, run } => script
            .add(
                // A run that holds it already keeps it; another holder breaks the unique key.
                "INSERT INTO lock (key, run) SELECT column1, column2 FROM (VALUES (?, ?)) WHERE NOT EXISTS \
                 (SELECT 1 FROM lock WHERE lock.key = column1 AND lock.run = column2)",
            )
            .bind(key.clone())
            .bind(run.to_string()),
        Row::Unlock { run } => script.add("DELETE FROM lock WHERE run = ?").bind(run.to_string()),
        Row::RaiseEpoch { service, to } => script
            .add(
                "INSERT INTO epoch (service, epoch) VALUES (?, ?) \
                 ON CONFLICT (service) DO UPDATE SET epoch = excluded.epoch",
            )
            .bind(service.to_string())
            .bind(to.cast_signed()),
        Row::Cursor { name, position } => script
            .add(
                "INSERT INTO cursor (name, position) VALUES (?, ?) \
                 ON CONFLICT (name) DO UPDATE SET position = excluded.position",
            )
            .bind(name.to_string())
            .bind(position.cast_signed()),
        Row::Content { .. } => script,
    };
}

const RECORDS: Insert = Insert {
    head: "INSERT INTO record (position, stream, seq, at, kind, version, body, hash)",
    columns: 8,
    tail: "",
};
const SUMMARIES: Insert = Insert {
    head: "INSERT INTO summary (stream, value, position)",
    columns: 3,
    tail: "ON CONFLICT (stream) DO UPDATE SET value = excluded.value, position = excluded.position",
};
const CONTENTS: Insert = Insert {
    head: "INSERT INTO content (digest, bytes)",
    columns: 2,
    tail: "ON CONFLICT (digest) DO NOTHING",
};
