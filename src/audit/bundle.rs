//! The evidence of one run in one file, which can be checked with nothing else at hand: its records as they are kept, the
//! deliveries that caused it, and every link of the chain from the first of them to a signed checkpoint. Links of other
//! records carry the digest of their body only, so nothing of other runs is given away.

mod check;

pub use check::{BundleReport, read_bundle, verify_bundle};

use super::report::{markdown, report};
use crate::kernel::domain::{
    Cause, Digest, Name, OccurrenceId, Position, Record, Resolved, RunId, Seq, Stamped, Stream, Time,
};
use crate::kernel::journal::{Backend as _, Entry, Head, ReadError};
use crate::store::{Checkpoint, PublicKey, SqliteStore};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub const SCHEMA: &str = "pointsman.bundle/v1";
/// Version of this program: whose words the readable part is in.
const OURS: &str = env!("CARGO_PKG_VERSION");
/// Longest stretch of the chain in one bundle.
const LINKS: u64 = 1_000_000;
const PAGE: u32 = 1_000;

/// One record of the chain without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    pub position: Position,
    pub stream: String,
    pub seq: Seq,
    pub at: Time,
    pub kind: String,
    pub version: u16,
    /// SHA-256 of the body.
    pub body: Digest,
    pub hash: Digest,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    pub schema: String,
    pub run: RunId,
    pub service: Name,
    pub playbook: Name,
    /// Program that made it.
    pub version: String,
    /// SHA-256 of each part below, by its name, over its canonical JSON.
    pub manifest: BTreeMap<String, Digest>,
    /// The playbook's text as it ran.
    pub playbook_text: String,
    /// For people, in Markdown: what the records say.
    pub report: String,
    /// Bodies of the records that concern the run, by position, byte for byte.
    pub bodies: BTreeMap<Position, String>,
    /// Hash of the record before the first link.
    pub before: Digest,
    pub links: Vec<Link>,
    /// Raw deliveries, in base64, by their SHA-256.
    pub deliveries: BTreeMap<Digest, String>,
    /// Signs the last link.
    pub checkpoint: Checkpoint,
    /// The public key as it was at the server; compare it with a copy of your own.
    pub key: String,
}

#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    #[error("there is no run {0}")]
    NoSuchRun(RunId),
    #[error(
        "from the run's first record to the journal's end there are {0} records, more than a bundle may hold"
    )]
    TooLong(u64),
    #[error("the run's records do not fold: {0}")]
    Illegal(String),
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// `head` is the end that `sign` signs; every record of the run so far lies before it.
pub async fn make_bundle(
    store: &SqliteStore,
    id: &RunId,
    head: Head,
    checkpoint: Checkpoint,
    key: &PublicKey,
) -> Result<Bundle, MakeError> {
    let (spec, wanted) = records_of(store, id, head.position).await?;
    let first = wanted.keys().next().copied().ok_or_else(|| MakeError::NoSuchRun(id.clone()))?;
    let length = head.position + 1 - first;
    if length > LINKS {
        return Err(MakeError::TooLong(length));
    }
    let before = store.hash_before(first).await?;
    let before = before.ok_or_else(|| ReadError(format!("no record {}", first - 1)))?;
    let (mut links, mut bodies, mut deliveries) = (vec![], BTreeMap::new(), BTreeMap::new());
    let mut next = first;
    while next <= head.position {
        let page = store.entries(next, PAGE).await?;
        if page.is_empty() {
            return Err(ReadError(format!("the journal has no record {next}")).into());
        }
        for entry in page.into_iter().take_while(|entry| entry.position <= head.position) {
            next = entry.position + 1;
            links.push(link(&entry));
            if wanted.contains_key(&entry.position) {
                let text = String::from_utf8(entry.body).map_err(|e| ReadError(e.to_string()))?;
                bodies.insert(entry.position, text);
            }
        }
    }
    for stamped in wanted.values() {
        if let Record::Delivered(delivered) = &stamped.record
            && let Some(bytes) = store.content(delivered.digest).await?
        {
            deliveries.insert(delivered.digest, STANDARD.encode(bytes));
        }
    }
    let stream = Stream::Run(id.clone());
    let own: Vec<Stamped> = wanted.into_values().filter(|r| r.stream == stream).collect();
    let report = markdown(&report(&own).map_err(MakeError::Illegal)?);
    let mut bundle = Bundle {
        schema: SCHEMA.into(),
        run: id.clone(),
        service: spec.service.clone(),
        playbook: spec.playbook.clone(),
        version: OURS.into(),
        manifest: BTreeMap::new(),
        playbook_text: spec.text.clone(),
        report,
        bodies,
        before,
        links,
        deliveries,
        checkpoint,
        key: key.as_pem(),
    };
    bundle.manifest = bundle.parts();
    Ok(bundle)
}

impl Bundle {
    /// What the manifest should say.
    fn parts(&self) -> BTreeMap<String, Digest> {
        let digest = |value: Result<Value, serde_json::Error>| {
            Digest::of_json(&value.expect("invariant: a bundle is plain data"))
        };
        BTreeMap::from([
            ("playbook_text".to_owned(), Digest::of(self.playbook_text.as_bytes())),
            ("report".to_owned(), Digest::of(self.report.as_bytes())),
            ("bodies".to_owned(), digest(serde_json::to_value(&self.bodies))),
            ("links".to_owned(), digest(serde_json::to_value(&self.links))),
            ("deliveries".to_owned(), digest(serde_json::to_value(&self.deliveries))),
            ("checkpoint".to_owned(), digest(serde_json::to_value(&self.checkpoint))),
            ("key".to_owned(), Digest::of(self.key.as_bytes())),
        ])
    }
}

fn link(entry: &Entry) -> Link {
    Link {
        position: entry.position,
        stream: entry.stream.to_string(),
        seq: entry.seq,
        at: entry.at,
        kind: entry.kind.clone(),
        version: entry.version,
        body: Digest::of(&entry.body),
        hash: entry.hash,
    }
}

/// The run's own records, what was said about its alerts, and the deliveries that they came with.
async fn records_of(
    store: &SqliteStore,
    id: &RunId,
    head: Position,
) -> Result<(Resolved, BTreeMap<Position, Stamped>), MakeError> {
    let mut wanted = BTreeMap::new();
    let mut take = |records: Vec<Stamped>| {
        wanted.extend(records.into_iter().filter(|r| r.position <= head).map(|r| (r.position, r)));
    };
    let own = store.stream(&Stream::Run(id.clone())).await?;
    let Some(Record::Opened(spec)) = own.first().map(|r| r.record.clone()) else {
        return Err(MakeError::NoSuchRun(id.clone()));
    };
    take(own);
    let service = store.stream(&Stream::Service(spec.service.clone())).await?;
    let mut occurrences: BTreeSet<OccurrenceId> = match &spec.cause {
        Cause::Alert { occurrences, .. } => occurrences.iter().cloned().collect(),
        Cause::Person { .. } => BTreeSet::new(),
    };
    occurrences.extend(service.iter().filter_map(|r| match &r.record {
        Record::Joined { occurrence, run, .. } if run == id => Some(occurrence.clone()),
        _ => None,
    }));
    let about = |record: &Record| match record {
        Record::Joined { occurrence, .. }
        | Record::NotStarted { occurrence, .. }
        | Record::OccurrenceOpened { occurrence, .. }
        | Record::OccurrenceClosed { occurrence, .. } => occurrences.contains(occurrence),
        Record::Held { occurrence, .. } => occurrence.as_ref().is_some_and(|o| occurrences.contains(o)),
        _ => false,
    };
    take(service.into_iter().filter(|r| about(&r.record)).collect());
    let sources: BTreeSet<&str> = occurrences.iter().filter_map(|o| o.as_str().split('/').next()).collect();
    let mut deliveries = vec![];
    for source in sources {
        let alerts = store.stream(&Stream::Alerts(source.into())).await?;
        let ours: Vec<Stamped> = alerts.into_iter().filter(|r| about(&r.record)).collect();
        deliveries.extend(ours.iter().filter_map(|r| match &r.record {
            Record::OccurrenceOpened { delivery, .. } | Record::NotStarted { delivery, .. } => {
                Some(*delivery)
            }
            Record::OccurrenceClosed { delivery, .. } => *delivery,
            _ => None,
        }));
        take(ours);
    }
    take(store.records(&deliveries).await?.into_iter().map(|(stamped, _)| stamped).collect());
    Ok((*spec, wanted))
}
