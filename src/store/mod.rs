//! The journal on SQLite: one file, one writer task that commits waiting appends together, readers beside it.
//! `worker` opens it and hands it to the kernel as a `Backend`; `http` and `cli` use the few rows beside it.
//!
//! ```text
//! append ─▶ queue ─▶ writer: ledger (who may) ─▶ one transaction ─▶ COMMIT ─▶ answers
//!                                                      └─ error from COMMIT ─▶ doubt: open again, look, answer
//! ```

mod care;
mod checkpoint;
mod cut;
mod doubt;
mod error;
mod fault;
mod group;
mod head;
mod ledger;
mod link;
mod lock;
mod neighbour;
mod notices;
mod open;
mod people;
mod plan;
mod query;
mod read;
mod script;
mod seal;
mod slack;
mod span;
mod tail;
mod token;
mod verify;
mod writer;

pub use care::{DatabaseCheck, backup, check_database, compact, journal_name};
pub use checkpoint::{
    Checkpoint, CheckpointFiles, CheckpointReport, Checkpoints, Finding, PublicKey, SigningKey,
    check_checkpoint, verify_checkpoints,
};
pub use cut::Decided;
pub use error::{StoreError, code};
pub use head::{HeadBehind, HeadFile, HeadState};
pub use link::PersonalLink;
pub use lock::DirLock;
pub use neighbour::SAMPLES_KEPT;
pub use notices::Told;
pub use open::create_private;
pub use people::{CODE_LASTS, SESSION_LASTS, Session, make_codes};
pub use plan::KeptPlan;
pub use slack::Posted;
pub use span::JournalSpan;
pub use token::{Holder, Token, create_token, list_tokens, revoke_token};
pub use verify::{BadRecord, Column, Difference, Progress, VerifyReport, verify, verify_resuming};

use crate::kernel::domain::{Digest, Epoch, Name, Position, Seq, Stream};
use crate::kernel::journal::{AppendError, Backend, Entry, Head, RawBatch, ReadError, Summarised, Written};
use futures_util::future::BoxFuture;
use neighbour::Buffer;
use sqlx::SqlitePool;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tail::Tail;
use token::TokenCache;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use writer::{Job, QUEUE, Waiting, Writer};

/// Longest wait for the writer; longer than its own recovery.
const PATIENCE: Duration = Duration::from_secs(45);

/// An open store. Dropping it ends the writer; [`SqliteStore::close`] also waits for it.
pub struct SqliteStore {
    dir: PathBuf,
    readers: SqlitePool,
    jobs: mpsc::Sender<Job>,
    buffer: Arc<Buffer>,
    cache: Arc<TokenCache>,
    tail: Arc<Tail>,
    /// The journal ended behind its head file, and nobody has accepted that yet.
    behind: Mutex<Option<HeadBehind>>,
    /// Held while the head file is replaced: one at a time, and never by an older head.
    noting: tokio::sync::Mutex<()>,
    /// Taken by `close`; held until then.
    running: Mutex<Option<(JoinHandle<()>, DirLock)>>,
}

/// A store, and whether the journal ends where it was last seen to end.
pub struct Opened {
    pub store: Arc<SqliteStore>,
    /// `Behind`: the instance starts frozen.
    pub head: HeadState,
}

impl SqliteStore {
    /// Locks the directory, brings the tables up to date and starts the writer.
    #[expect(
        clippy::disallowed_methods,
        reason = "the writer belongs to the store, which waits for it in `close`"
    )]
    pub async fn open(dir: &Path) -> Result<Opened, StoreError> {
        let lock = DirLock::take(dir)?;
        // Read before the database, which may only have grown since.
        let noted = head::read(dir);
        open::create_file(dir)?;
        let path = open::database_file(dir);
        let mut conn = open::writer(dir).await.map_err(|e| StoreError::open(&path, &e))?;
        open::prepare(dir, &mut conn).await?;
        let ledger = open::load_ledger(&mut conn).await.map_err(|e| StoreError::unreadable(&e))?;
        let position = ledger.head.position;
        let (jobs, received) = mpsc::channel(QUEUE);
        let buffer = Arc::new(Buffer::default());
        let (cache, tail) = (Arc::new(TokenCache::default()), Arc::new(Tail::default()));
        let writer = Writer {
            dir: dir.to_owned(),
            open: Some((conn, ledger)),
            buffer: buffer.clone(),
            cache: cache.clone(),
            tail: tail.clone(),
            seen_version: 0,
            jobs: received,
        };
        let readers = open::readers(dir);
        let at_noted = match &noted {
            head::Noted::File(noted) => {
                read::hash_at(&readers, noted.position).await.map_err(|e| StoreError::unreadable(&e))?
            }
            head::Noted::None | head::Noted::Unreadable(_) => None,
        };
        let task = tokio::spawn(writer.work());
        let running = Mutex::new(Some((task, lock)));
        let head = head::compare(noted, position, at_noted);
        let behind =
            Mutex::new(if let HeadState::Behind(behind) = &head { Some(behind.clone()) } else { None });
        let dir = dir.to_owned();
        let noting = tokio::sync::Mutex::default();
        let store =
            Arc::new(SqliteStore { dir, readers, jobs, buffer, cache, tail, behind, noting, running });
        Ok(Opened { store, head })
    }

    /// Rung at each commit of records.
    pub fn follow(&self) -> watch::Receiver<Position> {
        self.tail.follow()
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Notes outside the database where the chain ends: at stop, at the end of a run, and every minute. Refused
    /// while the journal is behind the note: the note is the only trace of what was lost.
    pub async fn write_head(&self) -> Result<(), StoreError> {
        let behind = self.behind.lock().expect("invariant: no panic while holding the lock").clone();
        match behind {
            Some(behind) => Err(behind.error()),
            None => self.replace_head().await,
        }
    }

    /// A person has looked and goes on with the journal as it is: called when they thaw, after their record.
    pub async fn accept_head(&self) -> Result<(), StoreError> {
        self.replace_head().await?;
        *self.behind.lock().expect("invariant: no panic while holding the lock") = None;
        Ok(())
    }

    async fn replace_head(&self) -> Result<(), StoreError> {
        let _one = self.noting.lock().await;
        let head = self.head().await.map_err(|e| StoreError::unreadable(&e))?;
        let dir = self.dir.clone();
        let written = tokio::task::spawn_blocking(move || head::write(&dir, head)).await;
        written.expect("invariant: writing a file does not panic")
    }

    /// Finishes what waits, closes the file and frees the directory. Appends after this fail.
    pub async fn close(&self) {
        let running = self.running.lock().expect("invariant: no panic while holding the lock").take();
        let Some((task, lock)) = running else { return };
        // Readers first: the last connection to close moves the WAL into the file.
        let closing = async {
            self.readers.close().await;
            // Fails where the writer has ended already.
            let _ = self.jobs.send(Job::Close).await;
        };
        if tokio::time::timeout(PATIENCE, closing).await.is_err() {
            tracing::error!("the store did not take its end within {} s", PATIENCE.as_secs());
        }
        match tokio::time::timeout(PATIENCE, task).await {
            Ok(Ok(())) => drop(lock),
            Ok(Err(e)) => tracing::error!(error = %e, "the store's writer ended badly"),
            Err(_) => {
                tracing::error!(
                    "the disk does not answer; the directory stays locked until this process ends"
                );
                // The writer may still write: the lock must outlive it.
                std::mem::forget(lock);
            }
        }
    }

    /// Waits for the writer's answer, but not for ever: a disk may hang.
    async fn answer<T>(&self, answer: oneshot::Receiver<T>) -> Result<T, String> {
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err("the store's writer ended without an answer".to_owned()),
            Err(_) => Err(format!("the disk gave no answer within {} s", PATIENCE.as_secs())),
        }
    }

    async fn send(&self, batch: RawBatch) -> Result<Vec<Written>, AppendError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.try_send(Job::Append(Waiting { batch, reply })).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => AppendError::Busy(format!("{QUEUE} appends wait already")),
            mpsc::error::TrySendError::Closed(_) => AppendError::Unavailable("the store is closed".into()),
        })?;
        self.answer(answer).await.unwrap_or_else(|why| Err(AppendError::Doubt(why)))
    }
}

impl Backend for SqliteStore {
    fn append(&self, batch: RawBatch) -> BoxFuture<'_, Result<Vec<Written>, AppendError>> {
        Box::pin(self.send(batch))
    }
    fn read<'a>(&'a self, stream: &'a Stream, from: Seq) -> BoxFuture<'a, Result<Vec<Entry>, ReadError>> {
        Box::pin(read::stream(&self.readers, stream, from))
    }
    fn newest<'a>(
        &'a self,
        stream: &'a Stream,
        kinds: &'a [&'a str],
        max: u32,
    ) -> BoxFuture<'a, Result<Vec<Entry>, ReadError>> {
        Box::pin(read::newest(&self.readers, stream, kinds, max))
    }
    fn last_seq<'a>(&'a self, stream: &'a Stream) -> BoxFuture<'a, Result<Seq, ReadError>> {
        Box::pin(read::last_seq(&self.readers, stream))
    }
    fn scan(&self, from: Position, max: u32) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        Box::pin(async move {
            match self.tail.scan(from, max) {
                Some(entries) => Ok(entries),
                None => read::scan(&self.readers, from, max).await,
            }
        })
    }
    fn epoch<'a>(&'a self, service: &'a Name) -> BoxFuture<'a, Result<Epoch, ReadError>> {
        Box::pin(read::epoch(&self.readers, service))
    }
    fn cursor<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<Position, ReadError>> {
        Box::pin(read::cursor(&self.readers, name))
    }
    fn content(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Vec<u8>>, ReadError>> {
        Box::pin(read::content(&self.readers, digest))
    }
    fn summaries<'a>(
        &'a self,
        prefix: &'a str,
        max: u32,
    ) -> BoxFuture<'a, Result<Vec<Summarised>, ReadError>> {
        Box::pin(read::summaries(&self.readers, prefix, max))
    }
    fn head(&self) -> BoxFuture<'_, Result<Head, ReadError>> {
        Box::pin(read::head(&self.readers))
    }
}

#[cfg(test)]
mod seal_tests;
