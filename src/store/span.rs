//! Where the journal begins and ends now, and where times lie in it: one statement, so that the answers fit each other.

use super::SqliteStore;
use crate::kernel::domain::{Position, Time};
use crate::kernel::journal::ReadError;
use sqlx::{AssertSqlSafe, Row as _};

/// The journal as it stood for one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalSpan {
    /// 1 in an empty journal.
    pub first: Position,
    /// 0 in an empty journal.
    pub last: Position,
    /// The first position whose record is not older than that time; one past the end where there is none. None: nothing
    /// was asked.
    pub since: Option<Position>,
    pub until: Option<Position>,
}

/// Times of records never go back, so halving finds them without an index; some 20 steps for a million records.
pub(super) fn first_at(time: &str) -> String {
    format!(
        "CASE WHEN {time} IS NOT NULL THEN (WITH RECURSIVE half (low, high) AS (\
           SELECT (SELECT coalesce(min(position), 1) FROM record), (SELECT coalesce(max(position), 0) + 1 FROM record) \
           UNION ALL \
           SELECT iif(at < {time}, (low + high) / 2 + 1, low), iif(at < {time}, high, (low + high) / 2) \
           FROM half LEFT JOIN record ON position = (low + high) / 2 WHERE low < high\
         ) SELECT max(low) FROM half) END"
    )
}

impl SqliteStore {
    /// Where the journal begins and ends, and where these times lie. Without times it is mostly known without the database.
    pub async fn span(&self, since: Option<Time>, until: Option<Time>) -> Result<JournalSpan, ReadError> {
        let ends = self.tail.ends();
        match ends {
            Ok((first, last)) if since.is_none() && until.is_none() => {
                return Ok(JournalSpan { first, last, since: None, until: None });
            }
            Ok(_) | Err(_) => {}
        }
        let span = self.look_up(since, until).await?;
        if let Err(emptied) = ends {
            self.tail.begins(span.first, emptied);
        }
        Ok(span)
    }

    async fn look_up(&self, since: Option<Time>, until: Option<Time>) -> Result<JournalSpan, ReadError> {
        let sql = format!(
            "SELECT (SELECT coalesce(min(position), 1) FROM record), (SELECT coalesce(max(position), 0) FROM record), \
             {}, {}",
            first_at("?1"),
            first_at("?2")
        );
        let micros = |time: Option<Time>| time.map(|Time(micros)| micros);
        let read = async {
            let query = sqlx::query(AssertSqlSafe(sql)).bind(micros(since)).bind(micros(until));
            let row = query.fetch_one(&self.readers).await?;
            let position = |column: usize| row.try_get::<Option<i64>, _>(column);
            let certain = |column: usize| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
            Ok::<_, sqlx::Error>(JournalSpan {
                first: certain(0)?,
                last: certain(1)?,
                since: position(2)?.map(i64::cast_unsigned),
                until: position(3)?.map(i64::cast_unsigned),
            })
        };
        read.await.map_err(|e| ReadError(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::domain::{Record, Stream};
    use crate::kernel::journal::{Batch, Journal};
    use crate::store::{Opened, SqliteStore};

    #[tokio::test]
    async fn times_are_found_as_by_walking() {
        let dir = tempfile::tempdir().unwrap();
        let Opened { store, .. } = SqliteStore::open(dir.path()).await.unwrap();
        let empty = store.span(Some(Time(7)), None).await.unwrap();
        assert_eq!(empty, JournalSpan { first: 1, last: 0, since: Some(1), until: None });

        let journal = Journal::new(store.clone());
        let times = [10, 10, 20, 20, 20, 30, 40, 40, 41, 60];
        for at in times {
            let record = Record::Thawed { service: None, by: None, reason: "looked at".into() };
            journal.append(Batch::new(Time(at)).part(Stream::Instance, None, vec![record])).await.unwrap();
        }
        for at in 5..65 {
            let walked = 1 + times.iter().filter(|time| **time < at).count() as u64;
            let span = store.span(Some(Time(at)), Some(Time(at + 1))).await.unwrap();
            let after = 1 + times.iter().filter(|time| **time <= at).count() as u64;
            assert_eq!((span.since, span.until), (Some(walked), Some(after)), "{at}");
            assert_eq!((span.first, span.last), (1, 10));
        }
        store.close().await;
    }
}
