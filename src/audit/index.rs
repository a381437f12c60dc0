//! The index of the journal, in a file of its own: `audit.db` beside the journal. All of it can be made again, so it
//! never holds up an append, is not in backups, and is thrown away whenever it does not fit the journal or cannot be
//! read. A question first brings it up to the journal's end; so its answer is never older than the question.

mod bitmap;
mod fill;
mod lead;
mod look;
mod meeting;
mod search;
mod segment;
mod statement;
#[cfg(test)]
mod tests;
mod wanted;

pub use search::{Found, Page};

use crate::kernel::domain::{Digest, Position, Resolved, RunId};
use crate::kernel::journal::ReadError;
use crate::store::SqliteStore;
use bitmap::Frequent;
use look::Budget;
use segment::Segment;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqliteConnection};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, watch};

const FILE: &str = "audit.db";
/// Raised with every change of what is kept, or of the words that `tell` says: older files are made again. A test of
/// `facets` holds one record of each kind against what was kept when this number was given.
pub(super) const VERSION: i64 = 5;
const BUSY: Duration = Duration::from_secs(5);
/// One for each of the segments that are asked at once, for two questions at a time.
const READERS: u32 = 4;
/// Before a record that is not readable yet is looked for again.
const UNREAD: Duration = Duration::from_millis(2);

#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It is being made; how far it is, and how far it has to get.
    #[error("the index of the journal is being made: {at} of {of} records")]
    Behind { at: Position, of: Position },
    #[error("the index of the journal cannot be used: {0}")]
    Broken(String),
    #[error(transparent)]
    Journal(#[from] ReadError),
}

impl From<sqlx::Error> for IndexError {
    fn from(error: sqlx::Error) -> Self {
        IndexError::Broken(error.to_string())
    }
}

/// What the one that fills it knows by heart.
struct Filler {
    conn: SqliteConnection,
    /// The last record that is in it.
    at: Position,
    /// A page was begun and not ended.
    begun: bool,
    /// The last segment that has its table of words.
    segment: Option<Segment>,
    frequent: watch::Sender<Arc<Frequent>>,
    terms: HashMap<(i64, String), i64>,
    runs: HashMap<RunId, Option<Arc<Resolved>>>,
}

pub struct Index {
    store: Arc<SqliteStore>,
    /// How often it was made anew since it was opened.
    made: AtomicU64,
    filler: Mutex<Filler>,
    /// As of the last page that was committed.
    frequent: watch::Receiver<Arc<Frequent>>,
    readers: SqlitePool,
    budget: Budget,
}

impl Index {
    /// Opens the index of this store's journal, or begins it anew.
    pub async fn open(store: Arc<SqliteStore>) -> Result<Index, IndexError> {
        let path = store.dir().join(FILE);
        let filler = match Filler::open(&path, &store).await {
            Ok(Some(filler)) => filler,
            other => {
                if let Err(error) = other {
                    tracing::warn!(%error, "the index of the journal is made anew");
                }
                remove(&path)?;
                let made = Filler::open(&path, &store).await?;
                made.ok_or_else(|| IndexError::Broken("a new index does not fit its journal".into()))?
            }
        };
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(BUSY)
            .test_before_acquire(false)
            .connect_lazy_with(options(&path).read_only(true));
        let frequent = filler.frequent.subscribe();
        let filler = Mutex::new(filler);
        Ok(Index { store, made: AtomicU64::new(0), filler, frequent, readers, budget: Budget::default() })
    }

    /// Takes in records up to `to`, or as many as it gets to within that time.
    pub async fn catch_up(&self, to: Position, within: Duration) -> Result<(), IndexError> {
        let deadline = tokio::time::Instant::now() + within;
        // Whoever comes second finds the work done.
        let Ok(mut filler) = tokio::time::timeout(within, self.filler.lock()).await else {
            return Err(IndexError::Behind { at: 0, of: to });
        };
        filler.recover().await?;
        while filler.at < to {
            match filler.take_page(&self.store).await {
                Ok(true) => {}
                Ok(false) => tokio::time::sleep(UNREAD).await,
                Err(error) => {
                    filler.recover().await?;
                    return Err(error);
                }
            }
            if filler.at < to && tokio::time::Instant::now() >= deadline {
                return Err(IndexError::Behind { at: filler.at, of: to });
            }
        }
        Ok(())
    }

    /// The journal begins somewhere else now: what went must not be found, nor lie here. Its text index keeps no text to
    /// delete by, so all of it is made again.
    pub async fn begin_anew(&self) -> Result<(), IndexError> {
        let mut filler = self.filler.lock().await;
        filler.recover().await?;
        // Before it is empty: a question that has seen the old number asks again.
        self.made.fetch_add(1, Ordering::SeqCst);
        filler.begin_anew().await
    }

    pub async fn close(&self) {
        self.readers.close().await;
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).busy_timeout(BUSY).disable_statement_logging()
}

/// Without a server: what is gone from the journal must not lie here. The next start makes it again.
pub fn discard(dir: &Path) -> Result<(), IndexError> {
    remove(&dir.join(FILE))
}

fn remove(path: &Path) -> Result<(), IndexError> {
    for end in ["", "-wal", "-shm"] {
        let file = PathBuf::from(format!("{}{end}", path.display()));
        match std::fs::remove_file(&file) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(IndexError::Broken(format!("{} cannot be removed: {e}", file.display())));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

impl Filler {
    /// None: it is of another version, of another journal, or of a time before records of it went.
    async fn open(path: &Path, store: &SqliteStore) -> Result<Option<Filler>, IndexError> {
        crate::store::create_private(path).map_err(|e| IndexError::Broken(e.to_string()))?;
        // It can be made again, so a power cut may cost its last second.
        let options = options(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .pragma("trusted_schema", "ON");
        let mut conn = options.connect().await?;
        let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut conn).await?;
        if version == 0 {
            // The number last: a file whose making was interrupted fails at the next one, and is made anew.
            sqlx::raw_sql(include_str!("index/schema.sql")).execute(&mut conn).await?;
            let number = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {VERSION}"));
            sqlx::query(number).execute(&mut conn).await?;
        } else if version != VERSION {
            conn.close().await?;
            return Ok(None);
        }
        let row = sqlx::query("SELECT position, hash, first FROM reached").fetch_one(&mut conn).await?;
        let (at, hash, first): (i64, Vec<u8>, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let (at, first) = (at.cast_unsigned(), first.cast_unsigned());
        let is = |found: Option<Digest>| found.is_some_and(|found| found.0.to_vec() == hash);
        let fits = at == 0 || (is(store.hash_at(at).await?) && store.first_position().await? == first);
        match fits {
            true => {
                let (terms, runs) = (HashMap::new(), HashMap::new());
                let frequent = watch::Sender::new(Arc::default());
                let mut filler = Filler { conn, at, begun: false, segment: None, frequent, terms, runs };
                let known = filler.known_bits().await?;
                filler.frequent.send_replace(Arc::new(known));
                Ok(Some(filler))
            }
            false => {
                conn.close().await?;
                Ok(None)
            }
        }
    }
}
