//! Connections, migrations and the version checks. `SqliteStore::open`, the writer's recovery and the offline
//! readers come here.

use super::ledger::Ledger;
use super::{StoreError, code};
use crate::kernel::domain::{Digest, Name, RunId, Time};
use crate::kernel::journal::Head;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Row, SqliteConnection};
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Embedded; a new file in `migrations/` needs this file touched to be seen by the compiler.
static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

const FILE: &str = "pointsman.db";
/// Older ones can corrupt a WAL database when a reset meets a writer.
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);
const BUSY: Duration = Duration::from_secs(5);
const READERS: u32 = 4;

pub(super) fn database_file(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

fn common(dir: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(database_file(dir))
        .busy_timeout(BUSY)
        .pragma("trusted_schema", "OFF")
        // Makes REPLACE ask the delete trigger as well.
        .pragma("recursive_triggers", "ON")
        .disable_statement_logging()
}

/// The one connection that writes.
pub(super) async fn writer(dir: &Path) -> Result<SqliteConnection, sqlx::Error> {
    common(dir).journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full).connect().await
}

/// For a process beside the server that writes one row: the journal mode is left as it is.
pub(super) async fn guest(dir: &Path) -> Result<SqliteConnection, sqlx::Error> {
    common(dir).synchronous(SqliteSynchronous::Full).connect().await
}

pub(super) fn readers(dir: &Path) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(BUSY)
        // The other side is a file: asking it whether it is still there costs as much as a question.
        .test_before_acquire(false)
        .connect_lazy_with(common(dir).read_only(true))
}

/// One reading connection for `audit verify`. On a read-only medium without a WAL the file cannot change either.
pub(super) async fn reader(dir: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let first = async {
        let mut conn = common(dir).read_only(true).connect().await?;
        sqlx::query("SELECT count(*) FROM sqlite_schema").fetch_one(&mut conn).await?;
        Ok::<_, sqlx::Error>(conn)
    };
    match first.await {
        Ok(conn) => Ok(conn),
        Err(_) if !dir.join("pointsman.db-wal").exists() => {
            common(dir).read_only(true).immutable(true).connect().await
        }
        Err(e) => Err(e),
    }
}

/// For those who only look, with or without a server: the database that is there, of this program's version.
pub(super) async fn existing(dir: &Path) -> Result<SqliteConnection, StoreError> {
    let path = database_file(dir);
    if !path.exists() {
        return Err(StoreError::new(
            code::NO_DATABASE,
            format!("there is no journal in {}", dir.display()),
            "nothing was read or changed",
            "name the data directory of the server with --data",
        ));
    }
    let mut conn = reader(dir).await.map_err(|e| StoreError::open(&path, &e))?;
    require_current(dir, &mut conn).await?;
    Ok(conn)
}

/// Makes the file for our user alone before SQLite does; its WAL takes the same rights.
pub(super) fn create_file(dir: &Path) -> Result<(), StoreError> {
    create_private(&database_file(dir)).map_err(|e| StoreError::directory(dir, "write into", &e))
}

/// An empty file for our user alone, unless it is there.
pub fn create_private(path: &Path) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
    }
}

/// Checks the library, then brings the tables to this program's version.
pub(super) async fn prepare(dir: &Path, conn: &mut SqliteConnection) -> Result<(), StoreError> {
    check_library(conn).await?;
    MIGRATIONS.run(&mut *conn).await.map_err(|e| migration_error(dir, &e))
}

/// For those who do not migrate: refuses tables of another version than this program's.
pub(super) async fn require_current(dir: &Path, conn: &mut SqliteConnection) -> Result<(), StoreError> {
    let ours = MIGRATIONS.iter().map(|m| m.version).max().unwrap_or(0);
    let theirs: Result<Vec<i64>, _> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version")
            .fetch_all(conn)
            .await;
    match theirs {
        Ok(versions) => match versions.last() {
            Some(version) if *version > ours => Err(newer(dir, *version)),
            // Numbers leave gaps for work that came in later: each step counts, not the last one alone.
            Some(_) if MIGRATIONS.iter().all(|m| versions.contains(&m.version)) => Ok(()),
            last => Err(older(dir, last.copied().unwrap_or(0), ours)),
        },
        Err(e) => Err(StoreError::open(&database_file(dir), &e)),
    }
}

async fn check_library(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(conn)
        .await
        .map_err(|e| StoreError::unreadable(&e))?;
    if recent_enough(&version) {
        return Ok(());
    }
    let (major, minor, patch) = OLDEST_SQLITE;
    Err(StoreError::new(
        code::SQLITE,
        format!("this program was built with SQLite {version}; {major}.{minor}.{patch} or newer is needed"),
        "nothing was changed; older versions can corrupt the journal",
        "install a build of pointsman that bundles its SQLite",
    ))
}

fn recent_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map(|n| n.parse::<u32>().ok());
    let mut next = || numbers.next().flatten();
    let (Some(major), Some(minor), patch) = (next(), next(), next()) else { return false };
    (major, minor, patch.unwrap_or(0)) >= OLDEST_SQLITE
}

fn newer(dir: &Path, version: i64) -> StoreError {
    StoreError::new(
        code::NEWER,
        format!("the database in {} has version {version}, which is newer than this program", dir.display()),
        "nothing was changed",
        "start the newer pointsman that wrote it, or restore a backup from before the upgrade",
    )
}

fn older(dir: &Path, theirs: i64, ours: i64) -> StoreError {
    StoreError::new(
        code::MIGRATION,
        format!("the database in {} has version {theirs}; this program needs {ours}", dir.display()),
        "nothing was changed",
        "start `pointsman serve` of this version once: it brings the database up to date",
    )
}

fn migration_error(dir: &Path, error: &MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) => newer(dir, *version),
        MigrateError::VersionMismatch(version) => StoreError::new(
            code::MIGRATION,
            format!("step {version} that made the database in {} is not the one we ship", dir.display()),
            "nothing was changed",
            "use the released program that made this database; it may come from a development build",
        ),
        other => StoreError::new(
            code::MIGRATION,
            format!("cannot bring the database in {} up to date: {other}", dir.display()),
            "each step is one transaction: the database has its old or a complete newer version",
            "see whether the disk is full, read-only or failing, then start again",
        ),
    }
}

/// What the writer must know; `seqs` fills up as streams are used.
pub(super) async fn load_ledger(conn: &mut SqliteConnection) -> Result<Ledger, sqlx::Error> {
    let mut locks = HashMap::new();
    for row in sqlx::query("SELECT key, run FROM lock").fetch_all(&mut *conn).await? {
        locks.insert(row.try_get(0)?, RunId::new(row.try_get::<String, _>(1)?));
    }
    let mut epochs = HashMap::new();
    for row in sqlx::query("SELECT service, epoch FROM epoch").fetch_all(&mut *conn).await? {
        let epoch: i64 = row.try_get(1)?;
        epochs.insert(Name::new(row.try_get::<String, _>(0)?), epoch.cast_unsigned());
    }
    Ok(Ledger { head: load_head(conn).await?, seqs: HashMap::new(), locks, epochs })
}

pub(super) async fn load_head<'e>(conn: impl sqlx::SqliteExecutor<'e>) -> Result<Head, sqlx::Error> {
    let row = sqlx::query("SELECT position, hash, at FROM record ORDER BY position DESC LIMIT 1")
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(Head::EMPTY) };
    let position: i64 = row.try_get(0)?;
    Ok(Head { position: position.cast_unsigned(), hash: digest(row.try_get(1)?)?, at: Time(row.try_get(2)?) })
}

pub(super) fn digest(bytes: Vec<u8>) -> Result<Digest, sqlx::Error> {
    let length = bytes.len();
    let bytes =
        bytes.try_into().map_err(|_| sqlx::Error::Decode(format!("a hash of {length} bytes").into()))?;
    Ok(Digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::recent_enough;

    #[test]
    fn library_versions_compare_as_numbers() {
        assert!(recent_enough("3.51.3"));
        assert!(recent_enough("3.100.0"));
        assert!(recent_enough("4.0"));
        assert!(!recent_enough("3.51.2"));
        assert!(!recent_enough("3.9.99"));
        assert!(!recent_enough("three"));
    }
}
