//! A bundle held against itself and against a public key: offline, with nothing else at hand.

use super::{Bundle, Link, OURS, SCHEMA};
use crate::kernel::domain::{Digest, Position, Record, RunId, Stamped, Stream};
use crate::kernel::journal::{ChainLink, link_hash};
use crate::store::{PublicKey, StoreError, check_checkpoint, code};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::Path;

/// Larger than any that `make_bundle` makes of its bounds.
const LARGEST: u64 = 2 << 30;

pub struct BundleReport {
    pub run: RunId,
    pub from: Position,
    pub to: Position,
    pub links: usize,
    pub records: usize,
    /// The key that signed it.
    pub key: String,
    pub problems: Vec<StoreError>,
    pub notes: Vec<String>,
}

fn problem(what: impl Into<String>) -> StoreError {
    StoreError::new(
        code::BUNDLE,
        format!("the bundle does not hold: {}", what.into()),
        "it proves nothing about what happened; the journal it was made from may be sound",
        "ask for the file again over another way, or make it anew with `pointsman audit export`",
    )
}

pub fn read_bundle(file: &Path) -> Result<Bundle, StoreError> {
    let unreadable = |why: &dyn std::fmt::Display| {
        StoreError::new(
            code::BUNDLE,
            format!("{} cannot be read as a bundle: {why}", file.display()),
            "nothing was checked and nothing was changed",
            "name a file that `pointsman audit export --run ID` has written",
        )
    };
    let length = std::fs::metadata(file).map_err(|e| unreadable(&e))?.len();
    if length > LARGEST {
        return Err(unreadable(&"it is larger than 2 GiB"));
    }
    let bytes = std::fs::read(file).map_err(|e| unreadable(&e))?;
    let bundle: Bundle = serde_json::from_slice(&bytes).map_err(|e| unreadable(&e))?;
    match bundle.schema.as_str() {
        SCHEMA => Ok(bundle),
        other => Err(unreadable(&format!("its schema is {other:?}, not {SCHEMA}"))),
    }
}

/// `key`: a public key that came another way. Without it the bundle's own is used, and that is said.
pub fn verify_bundle(file: &Path, key: Option<&Path>) -> Result<BundleReport, StoreError> {
    let bundle = read_bundle(file)?;
    let own = PublicKey::from_pem(&bundle.key);
    let public = match key {
        Some(path) => Some(PublicKey::read(path)?),
        None => own,
    };
    let (mut problems, mut notes) = (vec![], vec![]);
    if key.is_none() {
        notes.push(
            "the public key is the bundle's own: compare it with a copy that came another way (--key)"
                .to_owned(),
        );
    }
    problems.extend(parts(&bundle));
    problems.extend(chain(&bundle));
    problems.extend(signature(&bundle, public.as_ref()));
    problems.extend(contents(&bundle));
    problems.extend(readable(&bundle, &mut notes));
    let end = |link: Option<&Link>| link.map_or(0, |link| link.position);
    Ok(BundleReport {
        from: end(bundle.links.first()),
        to: end(bundle.links.last()),
        links: bundle.links.len(),
        records: bundle.bodies.len(),
        key: public.map_or("none".to_owned(), |key| key.id()),
        run: bundle.run,
        problems,
        notes,
    })
}

fn parts(bundle: &Bundle) -> Vec<StoreError> {
    let found = bundle.parts();
    let differ = found.iter().filter(|(name, digest)| bundle.manifest.get(*name) != Some(*digest));
    let mut problems: Vec<StoreError> = differ
        .map(|(name, _)| problem(format!("its part {name:?} is not the one of its manifest")))
        .collect();
    if bundle.manifest.len() != found.len() {
        problems.push(problem("its manifest names other parts"));
    }
    problems
}

/// Every link follows from the one before it.
fn chain(bundle: &Bundle) -> Option<StoreError> {
    let first = bundle.links.first().map(|link| link.position);
    if first == Some(1) && bundle.before != Digest::ZERO {
        return Some(problem("nothing can stand before position 1"));
    }
    let mut prev = bundle.before;
    for (expected, link) in (first.unwrap_or(0)..).zip(&bundle.links) {
        if link.position != expected {
            return Some(problem(format!("the link at position {expected} is missing")));
        }
        if link_hash(&of(link, prev), link.body) != link.hash {
            return Some(problem(format!("the link at position {expected} was changed")));
        }
        prev = link.hash;
    }
    None
}

fn of(link: &Link, prev: Digest) -> ChainLink<'_> {
    ChainLink {
        prev,
        position: link.position,
        stream: link.stream.as_bytes(),
        seq: link.seq,
        at: link.at,
        kind: link.kind.as_bytes(),
        version: link.version,
        body: &[],
    }
}

fn signature(bundle: &Bundle, key: Option<&PublicKey>) -> Option<StoreError> {
    let Some(key) = key else { return Some(problem("it has no public key that can be read")) };
    if let Err(says) = check_checkpoint(&bundle.checkpoint, key) {
        return Some(problem(format!("its checkpoint does not hold: {says}")));
    }
    let signed = (bundle.checkpoint.position, bundle.checkpoint.hash);
    match bundle.links.last() {
        Some(link) if (link.position, link.hash) == signed => None,
        _ => Some(problem("its checkpoint signs another end of the chain")),
    }
}

/// Bodies and deliveries are those whose digests the chain holds.
fn contents(bundle: &Bundle) -> Vec<StoreError> {
    let first = bundle.links.first().map_or(0, |link| link.position);
    let mut problems = vec![];
    for (position, body) in &bundle.bodies {
        let at = position.checked_sub(first).and_then(|at| usize::try_from(at).ok());
        let link = at.and_then(|at| bundle.links.get(at));
        let Some(link) = link.filter(|link| link.body == Digest::of(body.as_bytes())) else {
            problems.push(problem(format!("the record at position {position} is not the one of the chain")));
            continue;
        };
        let Ok(Record::Delivered(delivered)) = Record::decode(&link.kind, link.version, body.as_bytes())
        else {
            continue;
        };
        let bytes = bundle.deliveries.get(&delivered.digest).and_then(|text| STANDARD.decode(text).ok());
        if bytes.is_none_or(|bytes| Digest::of(&bytes) != delivered.digest) {
            problems
                .push(problem(format!("the raw delivery of position {position} is missing or was changed")));
        }
    }
    problems
}

impl Bundle {
    /// The records with their bodies, as the journal would give them.
    pub fn stamped(&self) -> Result<Vec<Stamped>, String> {
        let wanted = self.links.iter().filter_map(|link| Some((link, self.bodies.get(&link.position)?)));
        wanted
            .map(|(link, body)| {
                Ok(Stamped {
                    position: link.position,
                    stream: Stream::try_from(link.stream.clone())?,
                    seq: link.seq,
                    at: link.at,
                    record: Record::decode(&link.kind, link.version, body.as_bytes())?,
                })
            })
            .collect()
    }

    /// The run's own, from its first to its last without a gap.
    pub fn run_records(&self) -> Result<Vec<Stamped>, String> {
        let stream = Stream::Run(self.run.clone());
        let own: Vec<Stamped> = self.stamped()?.into_iter().filter(|r| r.stream == stream).collect();
        let links = self.links.iter().filter(|link| link.stream == stream.to_string()).count();
        let gapless = (1..).zip(&own).all(|(seq, stamped)| stamped.seq == seq);
        match gapless && links == own.len() && !own.is_empty() {
            true => Ok(own),
            false => Err("records of the run are left out".to_owned()),
        }
    }
}

/// What is written for people says what the records say. Words change from version to version: where another one wrote
/// them, they can only be left unjudged, and that is said. The records themselves are held by the chain either way.
fn readable(bundle: &Bundle, notes: &mut Vec<String>) -> Vec<StoreError> {
    let records = match bundle.run_records() {
        Ok(records) => records,
        Err(why) => return vec![problem(why)],
    };
    let mut problems = vec![];
    match super::report(&records) {
        Ok(report) if super::markdown(&report) == bundle.report => {}
        Ok(_) if bundle.version != OURS => notes.push(format!(
            "its readable report was not compared with the records: {:?} wrote it, this is {OURS}, and words differ \
             between versions; nothing signs the report, believe the records",
            bundle.version
        )),
        Ok(_) => problems.push(problem("its report does not say what its records say")),
        Err(why) => problems.push(problem(format!("its records do not fold: {why}"))),
    }
    if let Some(Record::Opened(spec)) = records.first().map(|r| &r.record) {
        let named = (&spec.text, &spec.service, &spec.playbook);
        if named != (&bundle.playbook_text, &bundle.service, &bundle.playbook) {
            problems.push(problem("its playbook, service or text is not the one that ran"));
        }
    }
    problems
}
