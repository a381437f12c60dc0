//! The one pen. Nothing happens that is not first written here, and a `Permit` to act exists only afterwards.
//!
//! `drive`, triage and people's commands append; every append names the sequence it expects in each stream it
//! touches. Backends know bytes only, so a new store cannot change a meaning.

mod backend;
mod batch;
mod chain;
mod memory;
#[cfg(test)]
mod memory_tests;
mod pair;
mod permit;

pub use backend::{Backend, Entry, Head, NewEntry, RawBatch, RawPart, Row, Summarised, Written};
pub use batch::{Batch, Part};
pub use chain::{ChainLink, chain_hash, link_hash, next_time};
pub use memory::MemoryBackend;
pub use pair::PairHash;
pub use permit::Permit;

use crate::domain::{Epoch, Name, Position, Record, Seq, Stamped, Stream, Time};
use std::sync::Arc;

/// Why an append did not happen, or is not known to have happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    #[error("somebody else wrote to {stream} first")]
    Moved { stream: String },
    #[error("the epoch of {service} is {current} by now; this runner was deposed")]
    Deposed { service: Name, current: Epoch },
    #[error("{key} is locked by run {by}")]
    Locked { key: String, by: String },
    #[error("the store is busy: {0}")]
    Busy(String),
    #[error("the store is full: {0}")]
    Full(String),
    #[error("the store cannot write: {0}")]
    Unavailable(String),
    #[error("it is not known whether the store kept the records: {0}")]
    Doubt(String),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal cannot be read: {0}")]
pub struct ReadError(pub String);

/// What an append gave: the stamped records, and one permit for each `Intended` among them.
pub struct Receipt {
    pub stamped: Vec<Stamped>,
    pub permits: Vec<Permit>,
}

/// Journal over any backend. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    backend: Arc<dyn Backend>,
}

impl Journal {
    pub fn new(backend: Arc<dyn Backend>) -> Journal {
        Journal { backend }
    }

    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// Appends all of `batch` or nothing. Permits are minted only after the backend has said "durable".
    pub async fn append(&self, batch: Batch) -> Result<Receipt, AppendError> {
        let epoch = batch.epoch.as_ref().map_or(0, |(_, epoch)| *epoch);
        let (raw, records) = batch.into_raw();
        let written = self.backend.append(raw).await?;
        let mut stamped = Vec::with_capacity(written.len());
        let mut permits = vec![];
        for ((stream, record), w) in records.into_iter().zip(written) {
            if let Record::Intended { call, spec, change } = &record {
                permits.push(Permit::mint(*call, spec.clone(), (**change).clone(), epoch, w.position));
            }
            stamped.push(Stamped { position: w.position, stream, seq: w.seq, at: w.at, record });
        }
        Ok(Receipt { stamped, permits })
    }

    /// Records of one stream from sequence `from` on, oldest first.
    pub async fn read(&self, stream: &Stream, from: Seq) -> Result<Vec<Stamped>, ReadError> {
        self.backend.read(stream, from).await?.into_iter().map(decode).collect()
    }

    /// Up to `max` of the newest records of one stream that are of these kinds (none named: of any), oldest first.
    pub async fn newest(&self, stream: &Stream, kinds: &[&str], max: u32) -> Result<Vec<Stamped>, ReadError> {
        self.backend.newest(stream, kinds, max).await?.into_iter().map(decode).collect()
    }

    /// Up to `max` records of the whole journal from position `from` on, oldest first.
    pub async fn scan(&self, from: Position, max: u32) -> Result<Vec<Stamped>, ReadError> {
        self.backend.scan(from, max).await?.into_iter().map(decode).collect()
    }

    /// Appends to one stream without anything else in the batch.
    pub async fn write(
        &self,
        at: Time,
        stream: Stream,
        expect: Option<Seq>,
        record: Record,
    ) -> Result<Receipt, AppendError> {
        self.append(Batch::new(at).part(stream, expect, vec![record])).await
    }
}

fn decode(entry: Entry) -> Result<Stamped, ReadError> {
    let record = Record::decode(&entry.kind, entry.version, &entry.body)
        .map_err(|e| ReadError(format!("position {}: {e}", entry.position)))?;
    Ok(Stamped { position: entry.position, stream: entry.stream, seq: entry.seq, at: entry.at, record })
}
