//! A backend in memory: for dry plans, for `test`, and as the model that every other backend is compared with.

use super::{
    AppendError, Backend, ChainLink, Entry, Head, RawBatch, ReadError, Row, Summarised, Written, chain_hash,
    next_time,
};
use crate::domain::{Digest, Epoch, Name, Position, RunId, Seq, Stream};
use futures_util::future::{BoxFuture, ready};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};

#[derive(Default)]
struct Inner {
    entries: Vec<Entry>,
    seqs: HashMap<Stream, Seq>,
    locks: BTreeMap<String, RunId>,
    epochs: BTreeMap<Name, Epoch>,
    cursors: BTreeMap<Name, Position>,
    contents: HashMap<Digest, Vec<u8>>,
    summaries: BTreeMap<String, (Stream, Value, Position)>,
}

#[derive(Default)]
pub struct MemoryBackend(Mutex<Inner>);

impl MemoryBackend {
    pub fn new() -> MemoryBackend {
        MemoryBackend::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("invariant: no panic while holding the lock")
    }

    /// Everything stored, for tests and dry runs.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries.clone()
    }

    /// The append itself, for wrappers that inject faults around it.
    pub fn append_now(&self, batch: &RawBatch) -> Result<Vec<Written>, AppendError> {
        let mut inner = self.lock();
        inner.check(batch)?;
        Ok(inner.write(batch))
    }
}

impl Inner {
    fn head(&self) -> Head {
        self.entries.last().map_or(Head::EMPTY, |e| Head { position: e.position, hash: e.hash, at: e.at })
    }

    fn check(&self, batch: &RawBatch) -> Result<(), AppendError> {
        if let Some((service, epoch)) = &batch.epoch {
            let current = self.epochs.get(service).copied().unwrap_or(0);
            if current != *epoch {
                return Err(AppendError::Deposed { service: service.clone(), current });
            }
        }
        for part in &batch.parts {
            let last = self.seqs.get(&part.stream).copied().unwrap_or(0);
            if part.expect.is_some_and(|expected| expected != last) {
                return Err(AppendError::Moved { stream: part.stream.to_string() });
            }
        }
        for row in &batch.rows {
            match row {
                Row::Lock { key, run } => {
                    let rival = |row: &'_ Row| match row {
                        Row::Lock { key: other, run: by } if other == key && by != run => Some(by.clone()),
                        _ => None,
                    };
                    let held = self.locks.get(key).filter(|by| *by != run).cloned();
                    // Two runs of one batch cannot share a lock either.
                    if let Some(by) = held.or_else(|| batch.rows.iter().find_map(rival)) {
                        return Err(AppendError::Locked { key: key.clone(), by: by.to_string() });
                    }
                }
                Row::RaiseEpoch { service, to } => {
                    let current = self.epochs.get(service).copied().unwrap_or(0);
                    if *to <= current {
                        return Err(AppendError::Deposed { service: service.clone(), current });
                    }
                }
                Row::Unlock { .. } | Row::Cursor { .. } | Row::Content { .. } => {}
            }
        }
        Ok(())
    }

    fn write(&mut self, batch: &RawBatch) -> Vec<Written> {
        let mut written = vec![];
        for part in &batch.parts {
            for new in &part.entries {
                let head = self.head();
                let (position, at) = (head.position + 1, next_time(head.at, batch.at));
                let seq = self.seqs.entry(part.stream.clone()).or_insert(0);
                *seq += 1;
                let hash = chain_hash(&ChainLink {
                    prev: head.hash,
                    position,
                    stream: part.stream.to_string().as_bytes(),
                    seq: *seq,
                    at,
                    kind: new.kind.as_bytes(),
                    version: new.version,
                    body: &new.body,
                });
                written.push(Written { position, seq: *seq, at });
                self.entries.push(Entry {
                    position,
                    stream: part.stream.clone(),
                    seq: *seq,
                    at,
                    kind: new.kind.to_owned(),
                    version: new.version,
                    body: new.body.clone(),
                    hash,
                });
            }
            if let Some(summary) = &part.summary {
                let position = self.head().position;
                self.summaries
                    .insert(part.stream.to_string(), (part.stream.clone(), summary.clone(), position));
            }
        }
        for row in &batch.rows {
            match row.clone() {
                Row::Lock { key, run } => drop(self.locks.insert(key, run)),
                Row::Unlock { run } => self.locks.retain(|_, by| *by != run),
                Row::RaiseEpoch { service, to } => drop(self.epochs.insert(service, to)),
                Row::Cursor { name, position } => drop(self.cursors.insert(name, position)),
                Row::Content { digest, bytes } => drop(self.contents.insert(digest, bytes)),
            }
        }
        written
    }
}

impl Backend for MemoryBackend {
    fn append(&self, batch: RawBatch) -> BoxFuture<'_, Result<Vec<Written>, AppendError>> {
        Box::pin(ready(self.append_now(&batch)))
    }
    fn read<'a>(&'a self, stream: &'a Stream, from: Seq) -> BoxFuture<'a, Result<Vec<Entry>, ReadError>> {
        let inner = self.lock();
        let found = inner.entries.iter().filter(|e| e.stream == *stream && e.seq >= from).cloned().collect();
        Box::pin(ready(Ok(found)))
    }
    fn scan(&self, from: Position, max: u32) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        let inner = self.lock();
        let found = inner.entries.iter().filter(|e| e.position >= from).take(max as usize).cloned().collect();
        Box::pin(ready(Ok(found)))
    }
    fn epoch<'a>(&'a self, service: &'a Name) -> BoxFuture<'a, Result<Epoch, ReadError>> {
        Box::pin(ready(Ok(self.lock().epochs.get(service).copied().unwrap_or(0))))
    }
    fn cursor<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<Position, ReadError>> {
        Box::pin(ready(Ok(self.lock().cursors.get(name).copied().unwrap_or(0))))
    }
    fn content(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Vec<u8>>, ReadError>> {
        Box::pin(ready(Ok(self.lock().contents.get(&digest).cloned())))
    }
    fn summaries<'a>(
        &'a self,
        prefix: &'a str,
        max: u32,
    ) -> BoxFuture<'a, Result<Vec<Summarised>, ReadError>> {
        let inner = self.lock();
        let mut found: Vec<_> = inner.summaries.iter().filter(|(k, _)| k.starts_with(prefix)).collect();
        found.sort_by_key(|(_, (_, _, position))| std::cmp::Reverse(*position));
        let first = |stream: &Stream| inner.entries.iter().find(|e| e.stream == *stream).map(|e| e.at);
        let at = |position: Position| inner.entries.iter().find(|e| e.position == position).map(|e| e.at);
        let found = found.into_iter().take(max as usize).map(|(_, (stream, value, position))| Summarised {
            stream: stream.clone(),
            value: value.clone(),
            first: first(stream),
            last: at(*position),
        });
        let found = found.collect();
        Box::pin(ready(Ok(found)))
    }
    fn head(&self) -> BoxFuture<'_, Result<Head, ReadError>> {
        Box::pin(ready(Ok(self.lock().head())))
    }
}
