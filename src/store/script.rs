//! Many statements that go to the database together: each trip to SQLite's thread and back costs as much as the
//! work there. `group` writes them.

use super::fault::Fault;
use super::fault::classify;
use futures_util::TryStreamExt;
use sqlx::sqlite::{Sqlite, SqliteArguments};
use sqlx::{Arguments, AssertSqlSafe, Either, Encode, Executor, SqliteConnection, Type};

/// Static text around the rows of one statement. The first column is never NULL in a real row.
pub(super) struct Insert {
    pub head: &'static str,
    pub columns: usize,
    pub tail: &'static str,
}

/// Largest number of rows in one statement.
const ROWS: usize = 128;

#[derive(Default)]
pub(super) struct Script {
    sql: String,
    /// How many there are.
    statements: usize,
    arguments: SqliteArguments,
    /// The first value that could not be encoded; then nothing runs.
    failed: Option<String>,
}

/// Where a script ended that did not get to its end.
pub(super) enum Stopped {
    /// Before its last statement was begun.
    Before(Fault),
    /// In its last statement, or nobody knows where.
    Last(sqlx::Error),
}

impl Script {
    /// Text of ours, one statement, with a question mark for each value that follows.
    pub fn add(&mut self, sql: &'static str) -> &mut Script {
        self.sql.push_str(sql);
        self.sql.push_str(";\n");
        self.statements += 1;
        self
    }

    pub fn bind<'t, T: Encode<'t, Sqlite> + Type<Sqlite>>(&mut self, value: T) -> &mut Script {
        if let Err(e) = self.arguments.add(value) {
            self.failed.get_or_insert(e.to_string());
        }
        self
    }

    /// Numbers of rows are rounded up to powers of two, and rows of NULL are left out again by SQLite: so a handful
    /// of prepared statements serves groups of every size.
    pub fn insert<T>(&mut self, insert: &Insert, rows: &[T], mut bind: impl FnMut(&mut Script, &T)) {
        for chunk in rows.chunks(ROWS) {
            let size = chunk.len().next_power_of_two();
            self.sql.push_str(insert.head);
            self.sql.push_str(" SELECT * FROM (VALUES ");
            for row in 0..size {
                self.sql.push_str(if row == 0 { "(?" } else { ",(?" });
                (1..insert.columns).for_each(|_| self.sql.push_str(",?"));
                self.sql.push(')');
            }
            self.sql.push_str(") WHERE column1 IS NOT NULL ");
            self.add(insert.tail);
            chunk.iter().for_each(|row| bind(self, row));
            for _ in chunk.len() * insert.columns..size * insert.columns {
                self.bind(None::<i64>);
            }
        }
    }

    /// Until the first error; what the statements before it did is the transaction's to undo. Each statement is
    /// counted, since a thread of SQLite that died also ends the stream, without an error.
    pub async fn run(self, conn: &mut SqliteConnection) -> Result<(), Stopped> {
        if let Some(why) = self.failed {
            return Err(Stopped::Before(Fault::Broken(why)));
        }
        // Safe: constants and question marks only; every value is bound.
        let query = sqlx::query_with(AssertSqlSafe(self.sql), self.arguments);
        let mut results = conn.fetch_many(query);
        let mut done = 0;
        loop {
            match results.try_next().await {
                Ok(Some(Either::Left(_))) => done += 1,
                Ok(Some(Either::Right(_row))) => {}
                Ok(None) if done == self.statements => return Ok(()),
                Ok(None) => return Err(Stopped::Last(sqlx::Error::WorkerCrashed)),
                Err(e) if done + 1 < self.statements => return Err(Stopped::Before(classify(&e))),
                Err(e) => return Err(Stopped::Last(e)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::Connection;

    async fn run(statements: &[&'static str]) -> Result<(), Stopped> {
        let mut conn = SqliteConnection::connect(":memory:").await.unwrap();
        let mut script = Script::default();
        for sql in statements {
            script.add(sql);
        }
        script.run(&mut conn).await
    }

    #[tokio::test]
    async fn an_error_of_the_last_statement_is_told_from_one_before_it() {
        assert!(run(&["BEGIN IMMEDIATE", "CREATE TABLE t (a)", "COMMIT"]).await.is_ok());
        assert!(matches!(
            run(&["BEGIN", "INSERT INTO t VALUES (1)", "COMMIT"]).await,
            Err(Stopped::Before(_))
        ));
        // No transaction is open, so this COMMIT fails where a failing disk would make it fail.
        assert!(matches!(run(&["CREATE TABLE t (a)", "COMMIT"]).await, Err(Stopped::Last(_))));
    }
}
