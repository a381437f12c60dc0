//! What a store must do: keep bytes in order, compare before it writes, all or nothing.

use super::{AppendError, ReadError};
use crate::domain::{Digest, Epoch, Name, Position, Record, RunId, Seq, Stream, Time};
use futures_util::future::BoxFuture;
use serde_json::Value;

/// A record to be stored: its canonical bytes, made once.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEntry {
    pub kind: &'static str,
    pub version: u16,
    pub body: Vec<u8>,
}

impl NewEntry {
    pub fn of(record: &Record) -> NewEntry {
        NewEntry { kind: record.kind(), version: record.version(), body: record.encode() }
    }
}

#[derive(Clone, Debug)]
pub struct RawPart {
    pub stream: Stream,
    pub expect: Option<Seq>,
    pub entries: Vec<NewEntry>,
    pub summary: Option<Value>,
}

#[derive(Clone, Debug)]
pub struct RawBatch {
    pub at: Time,
    pub parts: Vec<RawPart>,
    pub epoch: Option<(Name, Epoch)>,
    pub rows: Vec<Row>,
}

/// Rows beside the chain. Locks and epochs can be rebuilt from the runs; cursors and texts cannot hurt.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// Unique: a second holder makes the append fail as `Locked`. Keys: `service:NAME`, `target:NAME`.
    Lock { key: String, run: RunId },
    /// Frees every lock of the run.
    Unlock { run: RunId },
    /// Raises the service's epoch to exactly `to`; fails as `Deposed` unless it was lower. By more than one only where
    /// a target has seen an epoch that this journal lacks.
    RaiseEpoch { service: Name, to: Epoch },
    /// Where a reader of the journal has got to.
    Cursor { name: Name, position: Position },
    /// Content by digest: raw deliveries, playbook texts.
    Content { digest: Digest, bytes: Vec<u8> },
}

/// Where one record of a batch went, in the order of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    pub position: Position,
    pub seq: Seq,
    pub at: Time,
}

/// A stored record, still as bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub position: Position,
    pub stream: Stream,
    pub seq: Seq,
    pub at: Time,
    pub kind: String,
    pub version: u16,
    pub body: Vec<u8>,
    pub hash: Digest,
}

/// A cached summary with the times of its stream, which are the records' to say. `None`: no such record.
#[derive(Clone, Debug, PartialEq)]
pub struct Summarised {
    pub stream: Stream,
    pub value: Value,
    /// Of the stream's first record.
    pub first: Option<Time>,
    /// Of the record that it was written with.
    pub last: Option<Time>,
}

/// The end of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub position: Position,
    pub hash: Digest,
    pub at: Time,
}

impl Head {
    pub const EMPTY: Head = Head { position: 0, hash: Digest::ZERO, at: Time(0) };
}

pub trait Backend: Send + Sync {
    /// All of the batch, durable, or an error. `Doubt` only when the commit itself is unclear.
    fn append(&self, batch: RawBatch) -> BoxFuture<'_, Result<Vec<Written>, AppendError>>;
    fn read<'a>(&'a self, stream: &'a Stream, from: Seq) -> BoxFuture<'a, Result<Vec<Entry>, ReadError>>;
    /// The newest records of one stream, of these kinds (none named: of any), oldest first. A long stream is not read for
    /// what its end says; a store that has an index reads from there.
    fn newest<'a>(
        &'a self,
        stream: &'a Stream,
        kinds: &'a [&'a str],
        max: u32,
    ) -> BoxFuture<'a, Result<Vec<Entry>, ReadError>> {
        Box::pin(async move {
            let mut found = self.read(stream, 1).await?;
            found.retain(|entry| kinds.is_empty() || kinds.contains(&entry.kind.as_str()));
            Ok(found.split_off(found.len().saturating_sub(max as usize)))
        })
    }
    /// Where a stream goes on from: the sequence of its last record, also where retention has taken that record.
    fn last_seq<'a>(&'a self, stream: &'a Stream) -> BoxFuture<'a, Result<Seq, ReadError>> {
        Box::pin(async move { Ok(self.newest(stream, &[], 1).await?.last().map_or(0, |entry| entry.seq)) })
    }
    fn scan(&self, from: Position, max: u32) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>>;
    fn epoch<'a>(&'a self, service: &'a Name) -> BoxFuture<'a, Result<Epoch, ReadError>>;
    fn cursor<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<Position, ReadError>>;
    fn content(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Vec<u8>>, ReadError>>;
    /// Cached summaries of all streams whose name begins with `prefix`, newest first.
    fn summaries<'a>(
        &'a self,
        prefix: &'a str,
        max: u32,
    ) -> BoxFuture<'a, Result<Vec<Summarised>, ReadError>>;
    fn head(&self) -> BoxFuture<'_, Result<Head, ReadError>>;
}
