//! The memory backend with a fuse before and after every append.

use super::Fuse;
use crate::domain::{Actor, Digest, Epoch, Name, Position, Record, Role, Seq, Stamped, Stream, Time, Via};
use crate::engine::{Command, Run};
use crate::journal::{
    AppendError, Backend, Entry, Head, MemoryBackend, NewEntry, RawBatch, RawPart, ReadError, Summarised,
    Written,
};
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex};

pub struct FaultyBackend {
    pub inner: MemoryBackend,
    fuse: Arc<Fuse>,
    /// What a lying store has acknowledged and not stored.
    unstored: Mutex<Option<RawBatch>>,
}

impl FaultyBackend {
    pub fn new(fuse: Arc<Fuse>) -> FaultyBackend {
        FaultyBackend { inner: MemoryBackend::new(), fuse, unstored: Mutex::new(None) }
    }

    /// A new process opens the store: what was never stored is gone.
    pub fn reopen(&self) {
        *self.unstored.lock().expect("invariant: no panic while holding the lock") = None;
    }

    /// When the last record was written.
    pub(super) fn head_time(&self) -> Time {
        self.inner.entries().last().map_or(Time(0), |entry| entry.at)
    }

    /// A lying store writes one batch late.
    fn settle(&self) {
        let late = self.unstored.lock().expect("invariant: no panic while holding the lock").take();
        if let Some(batch) = late {
            let _ = self.inner.append_now(&batch);
        }
    }

    fn append_lying(&self, batch: RawBatch) -> Result<Vec<Written>, AppendError> {
        self.settle();
        // Asks a copy what it would answer, and keeps the batch for later.
        let model = MemoryBackend::new();
        for entry in self.inner.entries() {
            let part = RawPart {
                stream: entry.stream.clone(),
                expect: None,
                entries: vec![NewEntry {
                    kind: Record::decode(&entry.kind, entry.version, &entry.body)
                        .map_or("opened", |r| r.kind()),
                    version: entry.version,
                    body: entry.body.clone(),
                }],
                summary: None,
            };
            let raw = RawBatch { at: entry.at, parts: vec![part], epoch: None, rows: vec![] };
            let _ = model.append_now(&raw);
        }
        let unchecked = RawBatch { epoch: None, rows: vec![], ..batch.clone() };
        let written = model.append_now(&unchecked)?;
        *self.unstored.lock().expect("invariant: no panic while holding the lock") = Some(batch);
        Ok(written)
    }
}

impl FaultyBackend {
    /// Somebody's word comes in between: folded, decided and appended as a surface would, right before `batch`.
    fn interject(&self, batch: &RawBatch, command: &Command) {
        let is_run = |stream: &&Stream| matches!(stream, Stream::Run(_));
        let Some(stream) = batch.parts.iter().map(|part| &part.stream).find(is_run) else { return };
        let entries = self.inner.entries();
        let ours = entries.iter().filter(|entry| entry.stream == *stream);
        let records: Result<Vec<Stamped>, String> = ours.map(stamped).collect();
        let Some(run) = records.ok().and_then(|records| Run::fold(&records).ok()) else { return };
        let by = Actor::token("bo".into(), Role::ALL.to_vec(), Via::Cli);
        let Ok(record) = run.decide(command, &by, "said in between", batch.at) else { return };
        let entry = NewEntry { kind: record.kind(), version: record.version(), body: record.encode() };
        let part =
            RawPart { stream: stream.clone(), expect: Some(run.seq), entries: vec![entry], summary: None };
        let raw = RawBatch { at: batch.at, parts: vec![part], epoch: None, rows: vec![] };
        if self.inner.append_now(&raw).is_ok() {
            self.fuse.hear();
        }
    }
}

fn stamped(entry: &Entry) -> Result<Stamped, String> {
    Ok(Stamped {
        position: entry.position,
        stream: entry.stream.clone(),
        seq: entry.seq,
        at: entry.at,
        record: Record::decode(&entry.kind, entry.version, &entry.body)?,
    })
}

impl Backend for FaultyBackend {
    fn append(&self, batch: RawBatch) -> BoxFuture<'_, Result<Vec<Written>, AppendError>> {
        Box::pin(async move {
            self.fuse.boundary().await;
            for command in self.fuse.said() {
                self.interject(&batch, &command);
            }
            let written = match self.fuse.schedule().lying_store {
                true => self.append_lying(batch),
                false => self.inner.append_now(&batch),
            };
            let doubtful = self.fuse.doubtful_append();
            self.fuse.boundary().await;
            match (written, doubtful) {
                (Ok(_), true) => Err(AppendError::Doubt("the commit did not answer".into())),
                (written, _) => written,
            }
        })
    }
    fn read<'a>(&'a self, stream: &'a Stream, from: Seq) -> BoxFuture<'a, Result<Vec<Entry>, ReadError>> {
        self.settle();
        self.inner.read(stream, from)
    }
    fn scan(&self, from: Position, max: u32) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        self.inner.scan(from, max)
    }
    fn epoch<'a>(&'a self, service: &'a Name) -> BoxFuture<'a, Result<Epoch, ReadError>> {
        self.inner.epoch(service)
    }
    fn cursor<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<Position, ReadError>> {
        self.inner.cursor(name)
    }
    fn content(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Vec<u8>>, ReadError>> {
        self.inner.content(digest)
    }
    fn summaries<'a>(
        &'a self,
        prefix: &'a str,
        max: u32,
    ) -> BoxFuture<'a, Result<Vec<Summarised>, ReadError>> {
        self.inner.summaries(prefix, max)
    }
    fn head(&self) -> BoxFuture<'_, Result<Head, ReadError>> {
        self.inner.head()
    }
}
