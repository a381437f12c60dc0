//! Many statements that go to the database together: each trip to SQLite's thread and back costs as much as the
//! work there. `group` writes them.

use super::fault::Fault;
use super::fault::classify;
use sqlx::sqlite::{Sqlite, SqliteArguments};
use sqlx::{Arguments, AssertSqlSafe, Encode, SqliteConnection, Type};

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
    arguments: SqliteArguments,
    /// The first value that could not be encoded; then nothing runs.
    failed: Option<String>,
}

impl Script {
    /// Text of ours with a question mark for each value that follows.
    pub fn add(&mut self, sql: &'static str) -> &mut Script {
        self.sql.push_str(sql);
        self.sql.push_str(";\n");
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
            self.sql.push_str(insert.tail);
            self.sql.push_str(";\n");
            chunk.iter().for_each(|row| bind(self, row));
            for _ in chunk.len() * insert.columns..size * insert.columns {
                self.bind(None::<i64>);
            }
        }
    }

    /// Until the first error; what the statements before it did is the transaction's to undo.
    pub async fn run(self, conn: &mut SqliteConnection) -> Result<(), Fault> {
        if let Some(why) = self.failed {
            return Err(Fault::Broken(why));
        }
        // Safe: constants and question marks only; every value is bound.
        let query = sqlx::query_with(AssertSqlSafe(self.sql), self.arguments);
        query.execute(conn).await.map(|_| ()).map_err(|e| classify(&e))
    }
}
