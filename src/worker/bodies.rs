//! The last deliveries that triage has read, by digest. Senders repeat themselves byte by byte, so a storm of repeats
//! costs no query and no parsing each.

use crate::intake::{self, Delivery, IntakeError};
use crate::kernel::domain::Digest;
use crate::kernel::journal::Journal;
use anyhow::Context;
use std::collections::VecDeque;
use std::sync::Arc;

const KEPT: usize = 16;
/// Larger ones are read each time: memory is bounded by both.
const LARGEST: usize = 64 << 10;

#[derive(Default)]
pub(super) struct Bodies(VecDeque<(Digest, Arc<Delivery>)>);

impl Bodies {
    /// The outer error: the journal could not give it, so far. The inner one: nobody can read it.
    pub async fn read(
        &mut self,
        journal: &Journal,
        digest: Digest,
    ) -> anyhow::Result<Result<Arc<Delivery>, IntakeError>> {
        if let Some((_, delivery)) = self.0.iter().find(|(known, _)| *known == digest) {
            return Ok(Ok(delivery.clone()));
        }
        let bytes = journal.backend().content(digest).await?;
        let bytes = bytes.with_context(|| format!("the body {digest} of a delivery is not there"))?;
        let delivery = match intake::alertmanager::parse(&bytes) {
            Ok(delivery) => Arc::new(delivery),
            Err(error) => return Ok(Err(error)),
        };
        if bytes.len() <= LARGEST {
            self.0.truncate(KEPT - 1);
            self.0.push_front((digest, delivery.clone()));
        }
        Ok(Ok(delivery))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::domain::Time;
    use crate::kernel::journal::{Batch, MemoryBackend, Row};

    async fn keep(journal: &Journal, name: &str) -> Digest {
        let alert =
            format!(r#"{{"status":"firing","startsAt":"2026-01-01T00:00:00Z","labels":{{"n":"{name}"}}}}"#);
        let bytes = format!(r#"{{"version":"4","alerts":[{alert}]}}"#).into_bytes();
        let digest = Digest::of(&bytes);
        journal.append(Batch::new(Time(1)).row(Row::Content { digest, bytes })).await.unwrap();
        digest
    }

    #[tokio::test]
    async fn a_repeat_costs_no_look_and_the_oldest_goes_first() {
        let (full, empty) = (memory(), memory());
        let mut bodies = Bodies::default();
        let first = keep(&full, "first").await;
        assert!(bodies.read(&empty, first).await.unwrap_err().to_string().contains("is not there"));
        let read = bodies.read(&full, first).await.unwrap().unwrap();
        assert_eq!(read.alerts[0].labels["n"], "first");
        for n in 1..KEPT {
            let other = keep(&full, &n.to_string()).await;
            bodies.read(&full, other).await.unwrap().unwrap();
        }
        assert_eq!(bodies.read(&empty, first).await.unwrap().unwrap(), read);
        let one_more = keep(&full, "one more").await;
        bodies.read(&full, one_more).await.unwrap().unwrap();
        assert!(bodies.read(&empty, first).await.is_err(), "sixteen others came since");
    }

    fn memory() -> Journal {
        Journal::new(Arc::new(MemoryBackend::new()))
    }
}
