//! What one append carries: parts of several streams, and rows that live and die with them.

use super::{NewEntry, RawBatch, RawPart, Row};
use crate::domain::{Epoch, Name, Record, Seq, Stream, Time};
use serde_json::Value;

/// Records for one stream. `expect` is the last sequence the writer has seen there (0: none); only deliveries
/// leave it out, since they commute.
#[derive(Clone, Debug)]
pub struct Part {
    pub stream: Stream,
    pub expect: Option<Seq>,
    pub records: Vec<Record>,
    /// The stream's cached summary, replaced in the same transaction.
    pub summary: Option<Value>,
}

#[derive(Clone, Debug)]
pub struct Batch {
    pub at: Time,
    pub parts: Vec<Part>,
    /// The writer's epoch; another current epoch refuses the batch.
    pub epoch: Option<(Name, Epoch)>,
    pub rows: Vec<Row>,
}

impl Batch {
    /// `at` is the writer's clock; the store never goes back behind its last record.
    pub fn new(at: Time) -> Batch {
        Batch { at, parts: vec![], epoch: None, rows: vec![] }
    }

    pub fn part(mut self, stream: Stream, expect: Option<Seq>, records: Vec<Record>) -> Batch {
        self.parts.push(Part { stream, expect, records, summary: None });
        self
    }

    pub fn summary(mut self, summary: Value) -> Batch {
        if let Some(part) = self.parts.last_mut() {
            part.summary = Some(summary);
        }
        self
    }

    pub fn epoch(mut self, service: Name, epoch: Epoch) -> Batch {
        self.epoch = Some((service, epoch));
        self
    }

    pub fn row(mut self, row: Row) -> Batch {
        self.rows.push(row);
        self
    }

    /// What the store takes, and the records for those who asked; a body of megabytes is not copied.
    pub(super) fn into_raw(self) -> (RawBatch, Vec<(Stream, Record)>) {
        let mut records = vec![];
        let mut part = |p: Part| {
            let entries = p.records.iter().map(NewEntry::of).collect();
            records.extend(p.records.into_iter().map(|record| (p.stream.clone(), record)));
            RawPart { stream: p.stream, expect: p.expect, entries, summary: p.summary }
        };
        let parts = self.parts.into_iter().map(&mut part).collect();
        (RawBatch { at: self.at, parts, epoch: self.epoch, rows: self.rows }, records)
    }
}
