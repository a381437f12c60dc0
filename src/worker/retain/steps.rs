//! The steps of a cut, each durable before the next. Killed after any of them, `finish` goes on: what was decided is on
//! record, and what has not gone yet lies in front of it.

use super::{Counted, Cut, Parted, Parting, RetainError, Terms};
use crate::config::Config;
use crate::kernel::domain::{Actor, Digest, Name, Position, Record, Seq, Stamped, Stream, Time};
use crate::kernel::journal::{AppendError, Backend as _, Batch, Journal, ReadError};
use crate::store::{Checkpoints, Decided, SqliteStore, StoreError};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Records read at a time.
const PAGE: u32 = 1_000;
/// Races for the end of the instance's stream before giving up.
const RACES: u32 = 20;
/// One record alone is not worth a cut; and while the last one is kept to the end, something has to go before it.
const LEAST: u64 = 2;

#[derive(Debug, thiserror::Error)]
pub enum CutError {
    #[error(transparent)]
    Refused(#[from] RetainError),
    /// Nothing was decided; what was decided before stays so.
    #[error("something else came first: {0}")]
    Stopped(String),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asked between two bounded pieces of work: whoever has something more urgent takes its time, or stops it.
pub trait Pace: Send + Sync {
    fn next(&self) -> BoxFuture<'_, Result<(), CutError>>;
}

/// Nobody else is there.
pub struct Unhurried;

impl Pace for Unhurried {
    fn next(&self) -> BoxFuture<'_, Result<(), CutError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What a cut works with.
pub struct Cutter {
    pub store: Arc<SqliteStore>,
    pub checkpoints: Arc<Checkpoints>,
}

/// What the whole journal lets go.
pub async fn count(store: &SqliteStore, terms: Terms, pace: &dyn Pace) -> Result<Cut, CutError> {
    let mut counted = Counted::new(terms)?;
    let (first, end) = (store.first_position().await?, store.end().await?.position);
    walk(store, first..end + 1, pace, &mut |stamped, _| counted.apply(stamped)).await?;
    Ok(counted.cut())
}

/// Who has to have read a record before it may go, and where they are.
pub async fn readers(store: &SqliteStore, config: &Config) -> Result<Vec<(String, Position)>, ReadError> {
    let mut readers = store.cursors().await?;
    for name in config.channels.keys() {
        let told = store.told(name).await?;
        readers.extend(told.map(|told| (format!("the channel {name}"), told.position)));
    }
    Ok(readers)
}

type Each<'a> = &'a mut (dyn FnMut(&Stamped, Digest) -> Result<(), RetainError> + Send);

async fn walk(
    store: &SqliteStore,
    range: Range<Position>,
    pace: &dyn Pace,
    each: Each<'_>,
) -> Result<(), CutError> {
    let mut next = range.start;
    while next < range.end {
        pace.next().await?;
        let page = store.stamped(next, PAGE).await?;
        if page.is_empty() {
            return Err(ReadError(format!("the journal has no record {next}")).into());
        }
        for (stamped, hash) in page.iter().take_while(|(stamped, _)| stamped.position < range.end) {
            each(stamped, *hash)?;
            next = stamped.position + 1;
        }
    }
    Ok(())
}

impl Cutter {
    /// Writes down that the cut is made: step 1. Nothing goes before it is signed. `None`: nothing is to go.
    pub async fn decide(
        &self,
        cut: &Cut,
        by: Option<&Actor>,
        now: Time,
        pace: &dyn Pace,
    ) -> Result<Option<Decided>, CutError> {
        if self.pending().await?.is_some() {
            return Err(CutError::Stopped("the cut before this one is not finished".into()));
        }
        let Some(mut parting) = Parting::new(cut, by.cloned()).filter(|_| cut.goes() >= LEAST) else {
            return Ok(None);
        };
        let goes = cut.first..cut.before;
        walk(&self.store, goes, pace, &mut |stamped, hash| parting.apply(stamped, hash)).await?;
        let Parted { sealed, loaded } = parting.parted()?;
        let journal = Journal::new(self.store.clone());
        for _ in 0..RACES {
            let seq = self.store.last_seq(&Stream::Instance).await?;
            let record = Record::Sealed(Box::new(sealed.clone()));
            let mut batch = Batch::new(now).part(Stream::Instance, Some(seq), vec![record]);
            for (name, (seq, record)) in self.untold(&loaded).await? {
                batch = batch.part(Stream::Playbook(name), Some(seq), vec![record]);
            }
            match journal.append(batch).await {
                Ok(receipt) => {
                    let position = receipt.stamped.first().map_or(0, |stamped| stamped.position);
                    return Ok(Some(Decided { position, sealed }));
                }
                Err(AppendError::Moved { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CutError::Stopped("too many others write at the same time".into()))
    }

    /// Playbooks of which nothing newer stays: a start must find which form of them is in force.
    async fn untold(
        &self,
        loaded: &BTreeMap<Name, (Seq, Record)>,
    ) -> Result<Vec<(Name, (Seq, Record))>, ReadError> {
        let mut untold = vec![];
        for (name, (seq, record)) in loaded {
            if self.store.last_seq(&Stream::Playbook(name.clone())).await? == *seq {
                untold.push((name.clone(), (*seq, record.clone())));
            }
        }
        Ok(untold)
    }

    /// A cut that is on record, and of which something is still there.
    pub async fn pending(&self) -> Result<Option<Decided>, ReadError> {
        let first = self.store.first_position().await?;
        Ok(self.store.decided().await?.filter(|decided| first < decided.sealed.before))
    }

    /// Step 2: the head file, and a signature that covers the decision. Without both nothing goes.
    pub async fn sign(&self, decided: &Decided) -> Result<(), CutError> {
        self.store.write_head().await?;
        let (head, checkpoints) = (self.store.end().await?, self.checkpoints.clone());
        let written = tokio::task::spawn_blocking(move || checkpoints.write(head)).await;
        written.expect("invariant: writing a file does not panic")?;
        // Another task may have signed an earlier end a moment later.
        match head.position >= decided.position {
            true => Ok(()),
            false => Err(CutError::Stopped(format!("the journal ends at position {}", head.position))),
        }
    }

    /// Steps 2 to 4 of what was decided, here or before a crash; how many records went.
    pub async fn finish(&self, pace: &dyn Pace) -> Result<u64, CutError> {
        let Some(decided) = self.pending().await? else { return Ok(0) };
        self.sign(&decided).await?;
        // The last one stays until the contents have gone: as long as it is there, whoever comes next goes on here.
        let last = decided.sealed.before - 1;
        let mut gone = self.take_away(&decided, last, pace).await?;
        let contents = self.store.take_contents(decided.sealed.before).await?;
        gone += self.take_away(&decided, decided.sealed.before, pace).await?;
        tracing::info!(
            before = decided.sealed.before,
            gone,
            contents,
            "records and contents that were sealed have gone"
        );
        Ok(gone)
    }

    /// Step 3, a bounded number at a time.
    pub async fn take_away(&self, decided: &Decided, to: Position, pace: &dyn Pace) -> Result<u64, CutError> {
        let mut gone = 0;
        loop {
            pace.next().await?;
            match self.store.take_away(decided, to).await? {
                0 => return Ok(gone),
                some => gone += some,
            }
        }
    }
}
