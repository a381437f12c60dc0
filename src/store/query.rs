//! Records for those who only read, with their hashes: the index and the surfaces of the audit log. Beside the
//! kernel's `Backend`, since a journal in memory is never asked these.

use super::{SqliteStore, StoreError, read};
use crate::kernel::domain::{Digest, Position, Record, Stamped, Stream, Time};
use crate::kernel::journal::{Backend as _, Entry, Head, ReadError};

fn decode(entry: Entry) -> Result<(Stamped, Digest), ReadError> {
    let record = Record::decode(&entry.kind, entry.version, &entry.body)
        .map_err(|e| ReadError(format!("position {}: {e}", entry.position)))?;
    let Entry { position, stream, seq, at, hash, .. } = entry;
    Ok((Stamped { position, stream, seq, at, record }, hash))
}

impl SqliteStore {
    /// Up to `max` records from `from` on, each with its hash.
    pub async fn stamped(&self, from: Position, max: u32) -> Result<Vec<(Stamped, Digest)>, ReadError> {
        self.scan(from, max).await?.into_iter().map(decode).collect()
    }

    /// The records at these positions, which are in order; oldest first.
    pub async fn records(&self, positions: &[Position]) -> Result<Vec<(Stamped, Digest)>, ReadError> {
        // One beside the other they need no list.
        if let (Some(first), Some(last), Ok(count)) =
            (positions.first(), positions.last(), u32::try_from(positions.len()))
            && last.saturating_sub(*first) + 1 == u64::from(count)
        {
            let mut found = self.stamped(*first, count).await?;
            // The first of them may have gone meanwhile; what comes behind the last was not asked for.
            found.retain(|(stamped, _)| stamped.position <= *last);
            return Ok(found);
        }
        read::at(&self.readers, positions).await?.into_iter().map(decode).collect()
    }

    /// Up to `max` records between these positions, both included, and these times; the newest first, or the oldest.
    pub async fn within(
        &self,
        positions: (Position, Position),
        times: (Option<Time>, Option<Time>),
        newest: bool,
        max: u32,
    ) -> Result<Vec<(Stamped, Digest)>, ReadError> {
        let found = read::within(&self.readers, positions, times, newest, max).await?;
        found.into_iter().map(decode).collect()
    }

    /// All records of one stream, oldest first.
    pub async fn stream(&self, stream: &Stream) -> Result<Vec<Stamped>, ReadError> {
        let entries = self.read(stream, 1).await?;
        entries.into_iter().map(|entry| decode(entry).map(|(stamped, _)| stamped)).collect()
    }

    pub async fn first(&self, stream: &Stream) -> Result<Option<Stamped>, ReadError> {
        Ok(read::first(&self.readers, stream).await?.map(decode).transpose()?.map(|(stamped, _)| stamped))
    }

    /// Up to `max` records from `from` on as they are kept: bytes, not meanings.
    pub async fn entries(&self, from: Position, max: u32) -> Result<Vec<Entry>, ReadError> {
        self.scan(from, max).await
    }

    /// The end of the chain, for those who sign it.
    pub async fn end(&self) -> Result<Head, StoreError> {
        self.head().await.map_err(|e| StoreError::unreadable(&e))
    }

    /// The hash of the very first record that there was: the journal's own name, also in every copy of it and after that
    /// record went.
    pub async fn origin(&self) -> Result<Option<Digest>, ReadError> {
        read::origin(&self.readers).await
    }

    /// Readers that keep their place in the journal, by name.
    pub async fn cursors(&self) -> Result<Vec<(String, Position)>, ReadError> {
        read::cursors(&self.readers).await
    }

    pub async fn hash_at(&self, position: Position) -> Result<Option<Digest>, ReadError> {
        read::hash_at(&self.readers, position).await
    }
}
