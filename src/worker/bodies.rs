//! The last deliveries that came in, by digest, as they were understood then. Intake leaves them here for triage and for
//! their copies and repeats, so that a storm costs no query and no second parsing for each. What is not here is read from
//! the journal.

use crate::intake::{Delivery, Format, IntakeError};
use crate::kernel::domain::{Digest, Name};
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
    /// The same bytes mean something else to another parser.
    known: HashMap<(Format, Digest), Arc<Delivery>>,
    /// With the length of each, oldest first.
    order: VecDeque<((Format, Digest), usize)>,
    bytes: usize,
}

impl Bodies {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().expect("invariant: no panic while holding the lock")
    }

    pub fn known(&self, format: Format, digest: Digest) -> Option<Arc<Delivery>> {
        self.lock().known.get(&(format, digest)).cloned()
    }

    /// `delivery` is what the format's parser says about `bytes` bytes with this digest.
    pub fn remember(&self, format: Format, digest: Digest, bytes: usize, delivery: Arc<Delivery>) {
        let key = (format, digest);
        let mut kept = self.lock();
        if bytes > KEPT_BYTES || kept.known.contains_key(&key) {
            return;
        }
        kept.known.insert(key, delivery);
        kept.order.push_back((key, bytes));
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
        format: &Name,
        digest: Digest,
    ) -> anyhow::Result<Result<Arc<Delivery>, IntakeError>> {
        let Some(format) = Format::of(format.as_str()) else {
            return Ok(Err(IntakeError::UnknownFormat { format: format.to_string() }));
        };
        if let Some(delivery) = self.known(format, digest) {
            return Ok(Ok(delivery));
        }
        let bytes = journal.backend().content(digest).await?;
        let bytes = bytes.with_context(|| format!("the body {digest} of a delivery is not there"))?;
        let delivery = match format.parse(&bytes) {
            Ok(delivery) => Arc::new(delivery),
            Err(error) => return Ok(Err(error)),
        };
        self.remember(format, digest, bytes.len(), delivery.clone());
        Ok(Ok(delivery))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::domain::Time;
    use crate::kernel::journal::{Batch, MemoryBackend, Row};

    const AM: &str = "alertmanager";

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
        assert!(
            bodies.read(&empty, &AM.into(), first).await.unwrap_err().to_string().contains("is not there")
        );
        let read = bodies.read(&full, &AM.into(), first).await.unwrap().unwrap();
        assert_eq!(read.alerts[0].labels["n"], "first");
        for n in 1..KEPT {
            let other = keep(&full, &n.to_string(), 0).await;
            bodies.read(&full, &AM.into(), other).await.unwrap().unwrap();
        }
        assert_eq!(bodies.read(&empty, &AM.into(), first).await.unwrap().unwrap(), read);
        let one_more = keep(&full, "one more", 0).await;
        bodies.read(&full, &AM.into(), one_more).await.unwrap().unwrap();
        assert!(bodies.read(&empty, &AM.into(), first).await.is_err(), "as many others came since");
        assert!(bodies.read(&empty, &AM.into(), one_more).await.is_ok());
    }

    #[tokio::test]
    async fn another_format_reads_the_same_bytes_by_itself() {
        let journal = memory();
        let bodies = Bodies::default();
        let body = keep(&journal, "one", 0).await;
        assert_eq!(bodies.read(&journal, &AM.into(), body).await.unwrap().unwrap().alerts.len(), 1);
        let code = async |format: &str| {
            bodies.read(&journal, &format.into(), body).await.unwrap().unwrap_err().code()
        };
        assert_eq!(code("zabbix").await, "PM1306");
        assert_eq!(code("of tomorrow").await, "PM1307");
    }

    #[tokio::test]
    async fn large_bodies_push_out_more_and_the_largest_is_never_kept() {
        let (full, empty) = (memory(), memory());
        let bodies = Bodies::default();
        let small = keep(&full, "small", 0).await;
        bodies.read(&full, &AM.into(), small).await.unwrap().unwrap();
        let huge = keep(&full, "huge", KEPT_BYTES).await;
        bodies.read(&full, &AM.into(), huge).await.unwrap().unwrap();
        assert!(bodies.read(&empty, &AM.into(), huge).await.is_err());
        assert!(bodies.read(&empty, &AM.into(), small).await.is_ok(), "it was not pushed out for nothing");
        let large = keep(&full, "large", KEPT_BYTES - 200).await;
        bodies.read(&full, &AM.into(), large).await.unwrap().unwrap();
        assert!(bodies.read(&empty, &AM.into(), large).await.is_ok());
        assert!(bodies.read(&empty, &AM.into(), small).await.is_err(), "both together are too much");
    }

    fn memory() -> Journal {
        Journal::new(Arc::new(MemoryBackend::new()))
    }
}
