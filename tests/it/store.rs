//! The store: one contract for every backend, and what a real disk does to it.

mod caches;
mod contract;
mod evidence;
mod faults;
pub mod helper;
mod model;
mod neighbours;
mod tamper;
mod trouble;

use pointsman::kernel::domain::{Name, RunId, Stream, Time};
use pointsman::kernel::journal::{NewEntry, RawBatch, RawPart, Row};

pub fn entry(body: impl Into<Vec<u8>>) -> NewEntry {
    NewEntry { kind: "clock", version: 1, body: body.into() }
}

pub fn run(id: &str) -> Stream {
    Stream::Run(RunId::from(id))
}

pub fn source(name: &str) -> Stream {
    Stream::Source(Name::from(name))
}

/// One record for one stream.
pub fn one(at: i64, stream: Stream, expect: Option<u64>, body: &str) -> RawBatch {
    batch(at, vec![part(stream, expect, &[body])])
}

pub fn part(stream: Stream, expect: Option<u64>, bodies: &[&str]) -> RawPart {
    RawPart { stream, expect, entries: bodies.iter().map(|b| entry(*b)).collect(), summary: None }
}

pub fn batch(at: i64, parts: Vec<RawPart>) -> RawBatch {
    RawBatch { at: Time(at), parts, epoch: None, rows: vec![] }
}

pub fn with_rows(mut batch: RawBatch, rows: Vec<Row>) -> RawBatch {
    batch.rows = rows;
    batch
}
