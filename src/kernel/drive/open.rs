//! How a run begins: its first record, its row, its epoch and its locks, in one batch or not at all. Called by
//! whoever opens runs: triage, people's `run`, the simulator.

use crate::domain::{Record, Resolved, Stamped, Stream, Time};
use crate::engine::{Illegal, Run};
use crate::journal::{Batch, Row};

pub fn opening(spec: &Resolved, at: Time) -> Result<Batch, Illegal> {
    let (run, stream) = (spec.run.clone(), Stream::Run(spec.run.clone()));
    let record = Record::Opened(Box::new(spec.clone()));
    let first = Stamped { position: 0, stream: stream.clone(), seq: 1, at, record: record.clone() };
    let summary = Run::open(&first)?.summary().cached();
    let mut batch = Batch::new(at)
        .part(stream, Some(0), vec![record])
        .summary(summary)
        .row(Row::RaiseEpoch { service: spec.service.clone(), to: spec.epoch });
    for key in spec.lock_keys() {
        batch = batch.row(Row::Lock { key, run: run.clone() });
    }
    Ok(batch)
}
