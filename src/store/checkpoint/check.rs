//! Checkpoints held against the journal: signature, order of the lines, and the record that each one names.

use super::{Checkpoint, CheckpointFiles, PublicKey, SCHEMA, digest_of, lines, unusable};
use crate::kernel::domain::{Digest, Position};
use crate::store::open::{digest, existing};
use crate::store::verify::Base;
use crate::store::{StoreError, code};
use sqlx::SqliteConnection;
use std::path::{Path, PathBuf};

/// What is wrong with one line, or what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The journal ends before a position that was signed.
    Cut { line: u64, signed: Position, head: Position },
    /// Another record stands at a position that was signed.
    Rewritten { line: u64, position: Position, signed: Digest, found: Digest },
    /// The line itself was changed, or a line before it taken away.
    Line { line: u64, says: String },
}

impl Finding {
    pub fn error(&self) -> StoreError {
        let keep = "keep a copy of the data directory and of the checkpoints as evidence; compare with a copy of the \
                    checkpoints from the log; go on with the newest backup that verifies";
        match self {
            Finding::Cut { line, signed, head } => StoreError::new(
                code::CUT,
                format!(
                    "the journal ends at position {head}, but checkpoint {line} was signed at position {signed}"
                ),
                "the end of the journal was cut off, or an old copy was put back; what is there may be sound",
                keep,
            ),
            Finding::Rewritten { line, position, signed, found } => StoreError::new(
                code::REWRITTEN,
                format!(
                    "the record at position {position} has hash {}, but checkpoint {line} signed {}",
                    found.short(),
                    signed.short()
                ),
                format!(
                    "the journal was written anew somewhere up to position {position}, even if its chain fits"
                ),
                keep,
            ),
            Finding::Line { line, says } => StoreError::new(
                code::BAD_CHECKPOINT,
                format!("checkpoint {line} does not hold: {says}"),
                "this line proves nothing; the others say what they say",
                "compare the file with the same lines in the log; name the right public key with --key",
            ),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointReport {
    /// Lines that were read.
    pub lines: u64,
    /// The last position that a good signature covers.
    pub signed_to: Position,
    /// Lines that hold, however many there are beyond it, are counted only; findings are the first of them.
    pub findings: Vec<Finding>,
    /// Which key they were checked with.
    pub key: String,
    pub notes: Vec<String>,
}

const FINDINGS_SHOWN: usize = 20;

/// Signature alone.
pub fn check_checkpoint(checkpoint: &Checkpoint, key: &PublicKey) -> Result<(), String> {
    if checkpoint.schema != SCHEMA {
        return Err(format!("its schema is {:?}", checkpoint.schema));
    }
    match key.verifies(checkpoint.message().as_bytes(), &checkpoint.signature) {
        true => Ok(()),
        false => Err(format!("its signature is not by the key {}", key.id())),
    }
}

/// Every line of the file against the journal in `dir`. None: there is no such file, and none was named.
pub async fn verify_checkpoints(
    dir: &Path,
    file: Option<&Path>,
    key: Option<&Path>,
) -> Result<Option<CheckpointReport>, StoreError> {
    let path = file.map_or_else(|| CheckpointFiles::default().file(dir), PathBuf::from);
    if file.is_none() && !path.exists() {
        return Ok(None);
    }
    let key_path = key.map_or_else(|| CheckpointFiles::public(dir), PathBuf::from);
    let public = PublicKey::read(&key_path)?;
    let mut notes = vec![];
    if key.is_none() {
        notes.push(format!(
            "the public key {} was taken from the data directory; whoever can write there can replace it (--key)",
            public.id()
        ));
    }
    let mut conn = existing(dir).await?;
    // A base in doubt is `audit verify`'s to name; without one, what went is missing here.
    let base = Base::load(&mut conn).await?.unwrap_or_default();
    let mut report = CheckpointReport { lines: 0, signed_to: 0, findings: vec![], key: public.id(), notes };
    let mut previous: Option<Digest> = None;
    for line in lines(&path).map_err(|e| unusable(&path, &e))? {
        let line = line.map_err(|e| unusable(&path, &e))?;
        if line == "\n" {
            continue;
        }
        report.lines += 1;
        let number = report.lines;
        let read: Result<Checkpoint, _> = serde_json::from_str(&line);
        let finding = match read {
            // A power cut tears the last line; the next start ends it and goes on after the last good one.
            Err(e) => Some(Finding::Line { line: number, says: format!("it cannot be read: {e}") }),
            Ok(checkpoint) => {
                let expected = previous.replace(digest_of(&line));
                one(&mut conn, &base, number, (&checkpoint, expected), &public, &mut report.signed_to).await?
            }
        };
        if report.findings.len() < FINDINGS_SHOWN {
            report.findings.extend(finding);
        }
    }
    Ok(Some(report))
}

async fn one(
    conn: &mut SqliteConnection,
    base: &Base,
    line: u64,
    (checkpoint, previous): (&Checkpoint, Option<Digest>),
    key: &PublicKey,
    signed_to: &mut Position,
) -> Result<Option<Finding>, StoreError> {
    if let Err(says) = check_checkpoint(checkpoint, key) {
        return Ok(Some(Finding::Line { line, says }));
    }
    let found: Option<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM record WHERE position = ?1")
        .bind(checkpoint.position.cast_signed())
        .fetch_optional(&mut *conn)
        .await
        .map_err(|e| StoreError::unreadable(&e))?;
    let position = checkpoint.position;
    let found = found.map(|bytes| digest(bytes).unwrap_or(Digest::ZERO)).or_else(|| {
        // Sealed away. Of the last of them the hash is known; of the others a signature is all that is left.
        let gone = base.sealed_at.is_some() && position < base.before;
        let last = position + 1 == base.before;
        gone.then_some(if last { base.hash } else { checkpoint.hash })
    });
    match found {
        None => {
            let head: i64 = sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM record")
                .fetch_one(conn)
                .await
                .map_err(|e| StoreError::unreadable(&e))?;
            Ok(Some(Finding::Cut { line, signed: position, head: head.cast_unsigned() }))
        }
        Some(found) if found != checkpoint.hash => {
            Ok(Some(Finding::Rewritten { line, position, signed: checkpoint.hash, found }))
        }
        // One that stands alone, as a notice or a bundle has it, says nothing of the lines around it; a line that was left
        // out shows at the next one that follows it.
        Some(_) if checkpoint.previous.is_some_and(|follows| previous != Some(follows)) => {
            Ok(Some(Finding::Line { line, says: "the line that it follows is not the one before it".into() }))
        }
        Some(_) => {
            *signed_to = position.max(*signed_to);
            Ok(None)
        }
    }
}
