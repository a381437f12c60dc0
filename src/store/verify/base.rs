//! Where the chain begins: at its first record, or right behind a prefix that was sealed away.

use super::{BadRecord, Column};
use crate::kernel::domain::{Digest, Epoch, Position, Seq};
use crate::store::StoreError;
use crate::store::seal;
use sqlx::SqliteConnection;
use std::collections::BTreeMap;

/// What stands in front of the first record that has to be there.
#[derive(Clone, Debug)]
pub(in crate::store) struct Base {
    pub before: Position,
    pub hash: Digest,
    /// Last sequences that went.
    seqs: BTreeMap<String, Seq>,
    pub epochs: BTreeMap<String, Epoch>,
    /// The record that says so.
    pub sealed_at: Option<Position>,
    /// Records that are sealed away and still there.
    pub leaving: u64,
}

impl Default for Base {
    /// Nothing went.
    fn default() -> Base {
        let (seqs, epochs) = (BTreeMap::new(), BTreeMap::new());
        Base { before: 1, hash: Digest::ZERO, seqs, epochs, sealed_at: None, leaving: 0 }
    }
}

impl Base {
    /// For whoever reads the report.
    pub fn notes(&self) -> Vec<String> {
        let Some(at) = self.sealed_at else { return vec![] };
        let before = self.before;
        let mut notes =
            vec![format!("records before position {before} were sealed away, says the one at position {at}")];
        if self.leaving > 0 {
            notes.push(format!("{} of them are still there; they were not checked", self.leaving));
        }
        notes
    }

    pub fn seq(&self, stream: &str) -> Seq {
        self.seqs.get(stream).copied().unwrap_or(0)
    }

    /// While the first record of all is there, nothing has gone, whatever was decided. The record that seals is itself
    /// in the chain that is walked: what is taken from it here is checked there.
    pub async fn load(conn: &mut SqliteConnection) -> Result<Result<Base, BadRecord>, StoreError> {
        let unreadable = |e: sqlx::Error| StoreError::unreadable(&e);
        let first: Option<i64> = sqlx::query_scalar("SELECT min(position) FROM record")
            .fetch_one(&mut *conn)
            .await
            .map_err(unreadable)?;
        let Some(first) = first.filter(|first| *first > 1) else { return Ok(Ok(Base::default())) };
        let seal = seal::begun(conn, first.cast_unsigned()).await.map_err(unreadable)?;
        let Some(seal) = seal else {
            return Ok(Ok(Base::default()));
        };
        let Some(sealed) = seal.holds() else {
            return Ok(Err(BadRecord {
                position: seal.position,
                stream: "instance".into(),
                seq: None,
                column: Column::Body,
                says: format!(
                    "records before position {} were removed, and this record does not say so",
                    seal.before
                ),
            }));
        };
        Ok(Ok(Base {
            before: sealed.before,
            hash: sealed.hash,
            seqs: sealed.streams.iter().map(|(stream, seq)| (stream.to_string(), *seq)).collect(),
            epochs: sealed.epochs.iter().map(|(service, epoch)| (service.to_string(), *epoch)).collect(),
            sealed_at: Some(seal.position),
            leaving: sealed.before.saturating_sub(first.cast_unsigned()),
        }))
    }
}
