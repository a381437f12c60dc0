//! Care of the file: a copy that is consistent while the server runs, and SQLite's own look at its pages. `pointsman db`
//! calls; neither needs the server nor stops it.

use super::open::{database_file, existing};
use super::{StoreError, code};
use crate::kernel::domain::Digest;
use sqlx::Row as _;
use std::path::Path;

/// What SQLite says about its own file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseCheck {
    /// The first of what is wrong; empty: the file is sound.
    pub problems: Vec<String>,
}

const PROBLEMS: i64 = 50;

/// Pages, indexes and constraints; not the chain, which `audit verify` checks.
pub async fn check_database(dir: &Path) -> Result<DatabaseCheck, StoreError> {
    let mut conn = existing(dir).await?;
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA integrity_check({PROBLEMS})")))
        .fetch_all(&mut conn)
        .await;
    let problems = match rows {
        Ok(rows) => {
            let lines = rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<Result<Vec<_>, _>>();
            lines.map_err(|e| StoreError::unreadable(&e))?
        }
        // A page that cannot even be walked over.
        Err(e) => vec![e.to_string()],
    };
    Ok(DatabaseCheck { problems: problems.into_iter().filter(|line| line != "ok").collect() })
}

impl DatabaseCheck {
    pub fn error(&self, dir: &Path) -> Option<StoreError> {
        let first = self.problems.first()?;
        Some(StoreError::new(
            code::DAMAGED,
            format!(
                "the database in {} is damaged: {first} ({} findings)",
                dir.display(),
                self.problems.len()
            ),
            "nothing was changed; records that can be read may still be sound: `pointsman audit verify` says which",
            "keep a copy of the data directory; restore the newest backup into another directory, and look at the disk",
        ))
    }
}

/// Gives room that records left back to the disk. The journal is the same afterwards: records are found by their position,
/// which is the key of their table. Without a server, which this makes sure of.
pub async fn compact(dir: &Path) -> Result<(), StoreError> {
    let _lock = super::DirLock::take(dir)?;
    let path = database_file(dir);
    let failed = |e: sqlx::Error| {
        StoreError::new(
            code::RETENTION,
            format!("the database {} could not be made smaller: {e}", path.display()),
            "the journal is as it was; room in the file is used again by new records",
            "see that the disk has room for a second copy of the journal, and run `pointsman db retain` again",
        )
    };
    let mut conn = super::open::writer(dir).await.map_err(failed)?;
    for sql in ["VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"] {
        sqlx::query(sql).execute(&mut conn).await.map_err(failed)?;
    }
    sqlx::Connection::close(conn).await.map_err(failed)
}

/// The journal's own name (the hash of its very first record), read beside whoever writes it.
pub async fn journal_name(dir: &Path) -> Result<Option<Digest>, StoreError> {
    let mut conn = existing(dir).await?;
    super::seal::origin(&mut conn).await.map_err(|e| StoreError::unreadable(&e))
}

/// A consistent copy of the journal into a new directory, with its head file. `to` must not hold a journal.
pub async fn backup(dir: &Path, to: &Path) -> Result<u64, StoreError> {
    let failed = |what: &Path, why: &dyn std::fmt::Display| {
        StoreError::new(
            code::BACKUP,
            format!("no backup was made: {}: {why}", what.display()),
            "the journal was only read; a file that was begun is not a backup",
            "name a directory that does not exist yet or is empty, on a disk with room for the whole journal",
        )
    };
    let target = database_file(to);
    if target.exists() {
        return Err(failed(&target, &"there is a journal already"));
    }
    let mut conn = existing(dir).await?;
    std::fs::create_dir_all(to).map_err(|e| failed(to, &e))?;
    super::create_private(&target).map_err(|e| failed(&target, &e))?;
    let name = target.to_str().ok_or_else(|| failed(&target, &"the name is not UTF-8"))?;
    let copied = sqlx::query("VACUUM INTO ?1").bind(name.to_owned()).execute(&mut conn).await;
    if let Err(e) = copied {
        // An empty or half file must not be taken for a backup.
        let _ = std::fs::remove_file(&target);
        return Err(failed(&target, &e));
    }
    let synced = std::fs::File::open(&target).and_then(|file| file.sync_all());
    synced.map_err(|e| failed(&target, &e))?;
    let mut copy = existing(to).await?;
    let head = super::open::load_head(&mut copy).await.map_err(|e| failed(&target, &e))?;
    super::head::write(to, head)?;
    Ok(head.position)
}
