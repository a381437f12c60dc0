//! What the writer knows by heart: head of the chain, last sequence of each stream, locks and epochs. It decides
//! who of a waiting group may write and what their rows are, without touching the database.
//!
//! This stands in for a savepoint per append: one that was refused has put nothing into the transaction, so it
//! cannot hurt the others. The unique keys of the tables are the second line. A ledger that ran ahead of a failed
//! commit is thrown away and read anew.

use crate::kernel::domain::{Digest, Position};
use crate::kernel::domain::{Epoch, Name, RunId, Seq, Time};
use crate::kernel::journal::{
    AppendError, ChainLink, Head, RawBatch, RawPart, Row, Written, chain_hash, next_time,
};
use serde_json::Value;
use std::collections::HashMap;

/// Streams remembered before the memory is emptied; forgetting costs one indexed look-up each.
const STREAMS_KEPT: usize = 50_000;

#[derive(Debug)]
pub(super) struct Ledger {
    pub head: Head,
    pub seqs: HashMap<String, Seq>,
    pub locks: HashMap<String, RunId>,
    pub epochs: HashMap<Name, Epoch>,
}

/// One row of the record table, borrowing the body from its batch.
pub(super) struct RecordRow<'a> {
    pub position: Position,
    pub stream: String,
    pub seq: Seq,
    pub at: Time,
    pub kind: &'static str,
    pub version: u16,
    pub body: &'a [u8],
    pub hash: Digest,
}

/// All that one admitted append puts into the database.
#[derive(Default)]
pub(super) struct Admitted<'a> {
    pub records: Vec<RecordRow<'a>>,
    pub summaries: Vec<(String, &'a Value, Position)>,
    pub rows: &'a [Row],
}

impl Admitted<'_> {
    pub fn written(&self) -> Vec<Written> {
        self.records.iter().map(|r| Written { position: r.position, seq: r.seq, at: r.at }).collect()
    }
}

impl Ledger {
    /// Streams of the batch whose last sequence is not known yet.
    pub fn unknown_streams(&self, batch: &RawBatch) -> Vec<String> {
        let names = batch.parts.iter().map(|p| p.stream.to_string());
        names.filter(|name| !self.seqs.contains_key(name)).collect()
    }

    pub fn forget_if_large(&mut self) {
        if self.seqs.len() > STREAMS_KEPT {
            self.seqs.clear();
        }
    }

    /// Refuses without a trace, or counts the batch as written.
    pub fn admit<'a>(&mut self, batch: &'a RawBatch) -> Result<Admitted<'a>, AppendError> {
        self.check(batch)?;
        let mut admitted = Admitted { rows: &batch.rows, ..Admitted::default() };
        for part in &batch.parts {
            self.write_part(batch.at, part, &mut admitted);
        }
        for row in &batch.rows {
            match row {
                Row::Lock { key, run } => drop(self.locks.insert(key.clone(), run.clone())),
                Row::Unlock { run } => self.locks.retain(|_, by| by != run),
                Row::RaiseEpoch { service, to } => drop(self.epochs.insert(service.clone(), *to)),
                Row::Cursor { .. } | Row::Content { .. } => {}
            }
        }
        Ok(admitted)
    }

    fn epoch(&self, service: &Name) -> Epoch {
        self.epochs.get(service).copied().unwrap_or(0)
    }

    fn check(&self, batch: &RawBatch) -> Result<(), AppendError> {
        if let Some((service, epoch)) = &batch.epoch
            && self.epoch(service) != *epoch
        {
            return Err(AppendError::Deposed { service: service.clone(), current: self.epoch(service) });
        }
        for part in &batch.parts {
            let stream = part.stream.to_string();
            let last = self.seqs.get(&stream).copied().expect("invariant: the writer has loaded the stream");
            if part.expect.is_some_and(|expected| expected != last) {
                return Err(AppendError::Moved { stream });
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
                    let current = self.epoch(service);
                    if *to <= current {
                        return Err(AppendError::Deposed { service: service.clone(), current });
                    }
                }
                Row::Unlock { .. } | Row::Cursor { .. } | Row::Content { .. } => {}
            }
        }
        Ok(())
    }

    fn write_part<'a>(&mut self, now: Time, part: &'a RawPart, admitted: &mut Admitted<'a>) {
        let stream = part.stream.to_string();
        for new in &part.entries {
            let (position, at) = (self.head.position + 1, next_time(self.head.at, now));
            let seq = self.seqs.get(&stream).copied().unwrap_or(0) + 1;
            let hash = chain_hash(&ChainLink {
                prev: self.head.hash,
                position,
                stream: stream.as_bytes(),
                seq,
                at,
                kind: new.kind.as_bytes(),
                version: new.version,
                body: &new.body,
            });
            let (kind, version, body) = (new.kind, new.version, new.body.as_slice());
            let stream_name = stream.clone();
            admitted.records.push(RecordRow {
                position,
                stream: stream_name,
                seq,
                at,
                kind,
                version,
                body,
                hash,
            });
            self.seqs.insert(stream.clone(), seq);
            self.head = Head { position, hash, at };
        }
        if let Some(summary) = &part.summary {
            admitted.summaries.push((stream, summary, self.head.position));
        }
    }
}
