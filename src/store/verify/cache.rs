//! Compares every cached row with the fold of its records: summaries stream by stream, then locks, epochs and
//! cursors. All within one reading transaction, so that a running server's appends are seen whole or not at all.

use super::claims::Claims;
use super::fold::{Held, Wanted, wanted};
use super::{Base, DIFFERENCES_SHOWN, Difference, last_position};
use crate::kernel::domain::Position;
use crate::store::StoreError;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Caches {
    pub compared: u64,
    pub differences: Vec<Difference>,
}

/// `claims`: of the records up to `walked`. The transaction holds up a running server's checkpoints for as long as the fold takes,
/// and nothing else.
pub(super) async fn compare(
    conn: &mut SqliteConnection,
    base: &Base,
    (mut claims, walked): (Claims, Position),
) -> Result<Caches, StoreError> {
    run(conn, "BEGIN").await?;
    let compared = match claims.add_later(conn, walked).await {
        Ok(()) => all(conn, base, claims).await,
        Err(e) => Err(e),
    };
    // It has read only: where the end fails, the connection is closed right after.
    let ended = run(conn, "COMMIT").await;
    let caches = compared?;
    ended.map(|()| caches)
}

async fn run(conn: &mut SqliteConnection, sql: &'static str) -> Result<(), StoreError> {
    sqlx::query(sql).execute(conn).await.map(|_| ()).map_err(|e| StoreError::unreadable(&e))
}

async fn all(conn: &mut SqliteConnection, base: &Base, claims: Claims) -> Result<Caches, StoreError> {
    let mut caches = Caches::default();
    let mut held = Held { claims, ..Held::default() };
    base.epochs.iter().for_each(|(service, epoch)| held.claims.raise(service.clone(), *epoch));
    let mut name: Vec<u8> = vec![];
    // No stream is called nothing; the walk begins after it.
    caches.summary(String::new(), row_of(conn, &name).await?, Wanted::None);
    while let Some(next) = next_stream(conn, &name).await? {
        name = next;
        let shown = String::from_utf8_lossy(&name).into_owned();
        // Its records are on their way out, and what was made of them went with the first of them.
        let leaving = base.leaving > 0 && last_of(conn, &name).await? < base.before.cast_signed();
        let wanted = if leaving { Wanted::None } else { wanted(conn, &shown, &mut held).await? };
        caches.summary(shown, row_of(conn, &name).await?, wanted);
    }
    let locks = "SELECT CAST(key AS BLOB), CAST(run AS BLOB) FROM lock";
    caches.table("lock", pairs(conn, locks, text).await?, held.locks);
    let epochs = "SELECT CAST(service AS BLOB), epoch FROM epoch";
    let Claims { epochs: wanted, unread } = held.claims;
    let wanted = wanted.into_iter().map(|(service, epoch)| (service, epoch.to_string()));
    let unread =
        unread.into_iter().map(|(service, why)| (service, format!("a claim that cannot be read: {why}")));
    caches.table("epoch", pairs(conn, epochs, number).await?, wanted.chain(unread).collect());
    let last = last_position(conn).await?;
    let cursors = pairs(conn, "SELECT CAST(name AS BLOB), position FROM cursor", number).await?;
    for (key, at) in cursors {
        caches.compared += 1;
        // A reader may be anywhere up to the end; beyond it, records would be passed over unread.
        if !at.parse::<u64>().is_ok_and(|at| at <= last) {
            caches.differs(
                "cursor",
                key,
                Some(at),
                Some(format!("that the journal ends at position {last}")),
            );
        }
    }
    Ok(caches)
}

/// In order of their bytes: text of a changed row may no longer be UTF-8.
async fn next_stream(conn: &mut SqliteConnection, after: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let sql = "SELECT CAST(min(stream) AS BLOB) FROM (SELECT min(stream) AS stream FROM record \
               WHERE stream > CAST(?1 AS TEXT) UNION ALL SELECT min(stream) FROM summary \
               WHERE stream > CAST(?1 AS TEXT))";
    sqlx::query_scalar(sql).bind(after.to_vec()).fetch_one(conn).await.map_err(|e| StoreError::unreadable(&e))
}

async fn row_of(conn: &mut SqliteConnection, stream: &[u8]) -> Result<Option<(String, i64)>, StoreError> {
    let sql = "SELECT CAST(value AS BLOB), position FROM summary WHERE stream = CAST(?1 AS TEXT)";
    let row = sqlx::query(sql).bind(stream.to_vec()).fetch_optional(conn).await;
    let row = row.map_err(|e| StoreError::unreadable(&e))?;
    let read = |row: SqliteRow| Ok((text(&row, 0)?, row.try_get(1)?));
    row.map(read).transpose().map_err(|e: sqlx::Error| StoreError::unreadable(&e))
}

/// Position of the last record of a stream; far behind the end where there is none.
async fn last_of(conn: &mut SqliteConnection, stream: &[u8]) -> Result<i64, StoreError> {
    let sql = "SELECT position FROM record WHERE stream = CAST(?1 AS TEXT) ORDER BY seq DESC LIMIT 1";
    let last: Option<i64> = sqlx::query_scalar(sql)
        .bind(stream.to_vec())
        .fetch_optional(conn)
        .await
        .map_err(|e| StoreError::unreadable(&e))?;
    Ok(last.unwrap_or(i64::MAX))
}

type Reads = fn(&SqliteRow, usize) -> Result<String, sqlx::Error>;

async fn pairs(
    conn: &mut SqliteConnection,
    sql: &'static str,
    value: Reads,
) -> Result<BTreeMap<String, String>, StoreError> {
    let rows = sqlx::query(sql).fetch_all(conn).await.map_err(|e| StoreError::unreadable(&e))?;
    let pair = |row: &SqliteRow| Ok((text(row, 0)?, value(row, 1)?));
    rows.iter().map(pair).collect::<Result<_, sqlx::Error>>().map_err(|e| StoreError::unreadable(&e))
}

fn text(row: &SqliteRow, column: usize) -> Result<String, sqlx::Error> {
    Ok(String::from_utf8_lossy(&row.try_get::<Vec<u8>, _>(column)?).into_owned())
}

fn number(row: &SqliteRow, column: usize) -> Result<String, sqlx::Error> {
    row.try_get::<i64, _>(column).map(|n| n.to_string())
}

impl Caches {
    fn summary(&mut self, key: String, row: Option<(String, i64)>, wanted: Wanted) {
        self.compared += u64::from(row.is_some());
        let says = row.as_ref().map(|(value, position)| format!("{value} at position {position}"));
        let records = match wanted {
            Wanted::None if row.is_none() => return,
            Wanted::None => None,
            Wanted::Broken(why) => Some(why),
            Wanted::Row { value, position } => {
                let same = row.is_some_and(|(stored, at)| {
                    at == position.cast_signed()
                        && serde_json::from_str::<Value>(&stored).is_ok_and(|stored| stored == value)
                });
                if same {
                    return;
                }
                Some(format!("{value} at position {position}"))
            }
        };
        self.differs("summary", key, says, records);
    }

    fn table(
        &mut self,
        table: &'static str,
        rows: BTreeMap<String, String>,
        mut wanted: BTreeMap<String, String>,
    ) {
        self.compared += rows.len() as u64;
        for (key, row) in rows {
            let records = wanted.remove(&key);
            if records.as_ref() != Some(&row) {
                self.differs(table, key, Some(row), records);
            }
        }
        for (key, missing) in wanted {
            self.differs(table, key, None, Some(missing));
        }
    }

    fn differs(&mut self, table: &'static str, key: String, row: Option<String>, records: Option<String>) {
        if self.differences.len() < DIFFERENCES_SHOWN {
            self.differences.push(Difference { table, key, row, records });
        }
    }
}
