//! The last deliveries that came in, by digest, as they were understood then. Intake leaves them here for triage and for
//! their copies and repeats, so that a storm costs no query and no second parsing for each. What is not here is read from
//! the journal.

use crate::intake::{self, Delivery, IntakeError};
use crate::kernel::domain::Digest;
use crate::kernel::journal::Journal;
use anyhow::Context;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

const KEPT: usize = 512;
/// Of bodies as they came; what was understood takes about three times as much.
const KEPT_BYTES: usize = 2 << 20;

#[derive(Default)]
pub struct Bodies(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    known: HashMap<Digest, Arc<Delivery>>,
    /// With the length of each, oldest first.
    order: VecDeque<(Digest, usize)>,
    bytes: usize,
}

impl Bodies {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().expect("invariant: no panic while holding the lock")
    }

    pub fn known(&self, digest: Digest) -> Option<Arc<Delivery>> {
        self.lock().known.get(&digest).cloned()
    }

    /// `delivery` is what the parser says about `bytes` bytes with this digest.
    pub fn remember(&self, digest: Digest, bytes: usize, delivery: Arc<Delivery>) {
        let mut kept = self.lock();
        if bytes > KEPT_BYTES || kept.known.contains_key(&digest) {
            return;
        }
        kept.known.insert(digest, delivery);
        kept.order.push_back((digest, bytes));
        kept.bytes += bytes;
        while kept.order.len() > KEPT || kept.bytes > KEPT_BYTES {
            let Some((oldest, bytes)) = kept.order.pop_front() else { return };
            kept.known.remove(&oldest);
            kept.bytes -= bytes;
        }
    }

    /// The outer error: the journal could not give it, so far. The inner one: nobody can read it.
    pub async fn read(
        &self,
        journal: &Journal,
        digest: Digest,
    ) -> anyhow::Result<Result<Arc<Delivery>, IntakeError>> {
        if let Some(delivery) = self.known(digest) {
            return Ok(Ok(delivery));
        }
        let bytes = journal.backend().content(digest).await?;
        let bytes = bytes.with_context(|| format!("the body {digest} of a delivery is not there"))?;
        let delivery = match intake::alertmanager::parse(&bytes) {
            Ok(delivery) => Arc::new(delivery),
            Err(error) => return Ok(Err(error)),
        };
        self.remember(digest, bytes.len(), delivery.clone());
        Ok(Ok(delivery))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::domain::Time;
    use crate::kernel::journal::{Batch, MemoryBackend, Row};

    /// A body that names `name` and has `padding` spaces at its end.
    async fn keep(journal: &Journal, name: &str, padding: usize) -> Digest {
        let alert =
            format!(r#"{{"status":"firing","startsAt":"2026-01-01T00:00:00Z","labels":{{"n":"{name}"}}}}"#);
        let body = format!(r#"{{"version":"4","alerts":[{alert}]}}{}"#, " ".repeat(padding));
        let (digest, bytes) = (Digest::of(body.as_bytes()), body.into_bytes());
        journal.append(Batch::new(Time(1)).row(Row::Content { digest, bytes })).await.unwrap();
        digest
    }

    #[tokio::test]
    async fn a_repeat_costs_no_look_and_the_oldest_goes_first() {
        let (full, empty) = (memory(), memory());
        let bodies = Bodies::default();
        let first = keep(&full, "first", 0).await;
        assert!(bodies.read(&empty, first).await.unwrap_err().to_string().contains("is not there"));
        let read = bodies.read(&full, first).await.unwrap().unwrap();
        assert_eq!(read.alerts[0].labels["n"], "first");
        for n in 1..KEPT {
            let other = keep(&full, &n.to_string(), 0).await;
            bodies.read(&full, other).await.unwrap().unwrap();
        }
        assert_eq!(bodies.read(&empty, first).await.unwrap().unwrap(), read);
        let one_more = keep(&full, "one more", 0).await;
        bodies.read(&full, one_more).await.unwrap().unwrap();
        assert!(bodies.read(&empty, first).await.is_err(), "as many others came since");
        assert!(bodies.read(&empty, one_more).await.is_ok());
    }

    #[tokio::test]
    async fn large_bodies_push_out_more_and_the_largest_is_never_kept() {
        let (full, empty) = (memory(), memory());
        let bodies = Bodies::default();
        let small = keep(&full, "small", 0).await;
        bodies.read(&full, small).await.unwrap().unwrap();
        let huge = keep(&full, "huge", KEPT_BYTES).await;
        bodies.read(&full, huge).await.unwrap().unwrap();
        assert!(bodies.read(&empty, huge).await.is_err());
        assert!(bodies.read(&empty, small).await.is_ok(), "it was not pushed out for nothing");
        let large = keep(&full, "large", KEPT_BYTES - 200).await;
        bodies.read(&full, large).await.unwrap().unwrap();
        assert!(bodies.read(&empty, large).await.is_ok());
        assert!(bodies.read(&empty, small).await.is_err(), "both together are too much");
    }

    fn memory() -> Journal {
        Journal::new(Arc::new(MemoryBackend::new()))
    }
}
