//! The epochs that services have claimed: taken from each record right after the chain has proven it. An index over them would be
//! believed without proof, and a claim that it hides would let a lower epoch pass.

use super::rows::Stored;
use crate::kernel::domain::{Epoch, Position, Record, Stream};
use crate::store::StoreError;
use serde::{Deserialize, Serialize};
use sqlx::{Row as _, SqliteConnection};
use std::collections::BTreeMap;

const CLAIMED: &str = "claimed";

/// As many as there are services.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claims {
    /// The highest of each service.
    pub epochs: BTreeMap<String, Epoch>,
    /// Services with a claim that cannot be read, and why.
    pub unread: BTreeMap<String, String>,
}

impl Claims {
    /// If it is a claim.
    #[inline]
    pub fn note(&mut self, row: &Stored<'_>) {
        if row.kind == CLAIMED.as_bytes() {
            self.read(row.stream, row.version, row.body);
        }
    }

    fn read(&mut self, stream: &[u8], version: u16, body: &[u8]) {
        let Ok(Stream::Service(service)) = Stream::try_from(String::from_utf8_lossy(stream).into_owned())
        else {
            return;
        };
        match Record::decode(CLAIMED, version, body) {
            Ok(Record::Claimed { epoch, .. }) => self.raise(service.to_string(), epoch),
            Ok(_) => {}
            Err(why) => drop(self.unread.insert(service.to_string(), why)),
        }
    }

    pub fn raise(&mut self, service: String, epoch: Epoch) {
        let known = self.epochs.entry(service).or_default();
        *known = epoch.max(*known);
    }

    pub fn merge(&mut self, other: Claims) {
        other.epochs.into_iter().for_each(|(service, epoch)| self.raise(service, epoch));
        self.unread.extend(other.unread);
    }

    /// What a running server has added behind the records that were walked over: few.
    pub async fn add_later(
        &mut self,
        conn: &mut SqliteConnection,
        walked: Position,
    ) -> Result<(), StoreError> {
        let sql = "SELECT CAST(stream AS BLOB), version, body FROM record WHERE position > ?1 AND kind = ?2";
        let query = sqlx::query(sql).bind(walked.cast_signed()).bind(CLAIMED);
        let rows = query.fetch_all(conn).await.map_err(|e| StoreError::unreadable(&e))?;
        for row in rows {
            let claim = || -> Result<(Vec<u8>, i64, Vec<u8>), sqlx::Error> {
                Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
            };
            let (stream, version, body) = claim().map_err(|e| StoreError::unreadable(&e))?;
            // Of a version beyond all that there can be the next check says what is wrong.
            self.read(&stream, u16::try_from(version).unwrap_or(u16::MAX), &body);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::domain::Time;
    use crate::kernel::journal::{Batch, Journal};
    use crate::store::{Opened, SqliteStore, open};

    fn claimed(epoch: Epoch) -> Record {
        Record::Claimed { owner: "a later state".into(), epoch }
    }

    #[tokio::test]
    async fn a_claim_that_comes_after_the_walk_is_read_then() {
        let dir = tempfile::tempdir().unwrap();
        let Opened { store, .. } = SqliteStore::open(dir.path()).await.unwrap();
        let journal = Journal::new(store.clone());
        for (seq, stream, epoch) in [(0, "shop", 7), (1, "shop", 9), (2, "shop", 8), (0, "blog", 3)] {
            let stream = Stream::Service(stream.into());
            let batch = Batch::new(Time(0)).part(stream, Some(seq), vec![claimed(epoch)]);
            journal.append(batch).await.unwrap();
        }
        let mut conn = open::existing(dir.path()).await.unwrap();
        for (walked, shop, blog) in [(0, 9, Some(&3)), (2, 8, Some(&3)), (3, 5, Some(&3)), (4, 5, None)] {
            let mut claims = Claims::default();
            claims.raise("shop".into(), 5);
            claims.add_later(&mut conn, walked).await.unwrap();
            assert_eq!((claims.epochs["shop"], claims.epochs.get("blog")), (shop, blog), "after {walked}");
        }
        store.close().await;
    }

    #[test]
    fn of_two_segments_the_highest_counts_and_what_cannot_be_read_is_kept() {
        let (mut first, mut second) = (Claims::default(), Claims::default());
        let body = claimed(4).encode();
        first.read(b"service:shop", 1, &body);
        second.raise("shop".into(), 3);
        second.read(b"service:blog", 9, &body);
        // A claim of anything else is none.
        second.read(b"run:A", 1, &body);
        first.merge(second);
        assert_eq!(first.epochs, BTreeMap::from([("shop".to_owned(), 4)]));
        assert_eq!(first.unread.keys().collect::<Vec<_>>(), ["blog"]);
    }
}
