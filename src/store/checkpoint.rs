//! Signed checkpoints: where the chain ended, signed with a key that is not in the database, in a file of their own
//! and in the log. The chain shows what was changed inside it; only a note elsewhere shows that its end was cut off or
//! that all of it was written anew. `serve` writes them with the head file; `audit verify` and bundles check them.

mod check;
mod key;

pub use check::{CheckpointReport, Finding, check_checkpoint, verify_checkpoints};
pub use key::{PublicKey, SigningKey};

use super::{StoreError, code};
use crate::kernel::domain::{Digest, Position, Time};
use crate::kernel::journal::Head;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

const KEY: &str = "checkpoint.key";
const PUBLIC: &str = "checkpoint.pub";
const FILE: &str = "checkpoints.jsonl";
/// A line is about 400 bytes.
const LONGEST_LINE: usize = 4_096;

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    pub schema: String,
    pub position: Position,
    pub hash: Digest,
    /// Time of the record at that position.
    pub at: Time,
    /// SHA-256 of the line before; none in the first.
    pub previous: Option<Digest>,
    /// Which key signed it: the beginning of the SHA-256 of the public key.
    pub key: String,
    /// Ed25519, in hexadecimal.
    pub signature: String,
}

const SCHEMA: &str = "pointsman.checkpoint/v1";

impl Checkpoint {
    /// What is signed.
    fn message(&self) -> String {
        let previous = self.previous.map_or("-".to_owned(), |digest| digest.to_string());
        let Checkpoint { position, hash, at, .. } = self;
        format!("{SCHEMA}\n{position}\n{hash}\n{}\n{previous}\n", at.0)
    }
}

/// Where they go. Without a name both lie in the data directory: good against mistakes, not against whoever can write
/// there.
#[derive(Clone, Debug, Default)]
pub struct CheckpointFiles {
    pub key: Option<PathBuf>,
    pub file: Option<PathBuf>,
}

impl CheckpointFiles {
    pub fn key(&self, dir: &Path) -> PathBuf {
        self.key.clone().unwrap_or_else(|| dir.join(KEY))
    }
    pub fn file(&self, dir: &Path) -> PathBuf {
        self.file.clone().unwrap_or_else(|| dir.join(FILE))
    }
    /// The public half, for whoever checks.
    pub fn public(dir: &Path) -> PathBuf {
        dir.join(PUBLIC)
    }
}

struct Last {
    position: Position,
    hash: Digest,
    line: Option<Digest>,
}

/// Writes checkpoints. One for each data directory.
pub struct Checkpoints {
    key: SigningKey,
    path: PathBuf,
    last: Mutex<Last>,
}

impl Checkpoints {
    /// Takes the key that is there, or makes one; notes the public half in the data directory.
    pub fn open(dir: &Path, files: &CheckpointFiles) -> Result<Checkpoints, StoreError> {
        let key = SigningKey::take(&files.key(dir))?;
        let public = CheckpointFiles::public(dir);
        let failed = |path: &Path, e: std::io::Error| unusable(path, &e);
        std::fs::write(&public, key.public().as_pem()).map_err(|e| failed(&public, e))?;
        let path = files.file(dir);
        super::create_private(&path).map_err(|e| failed(&path, e))?;
        let mut last = Last { position: 0, hash: Digest::ZERO, line: None };
        let mut torn = false;
        for line in lines(&path).map_err(|e| failed(&path, e))? {
            let line = line.map_err(|e| failed(&path, e))?;
            torn = !line.ends_with('\n');
            // What cannot be read is found by `audit verify`; the next line follows the last one that can.
            if let Ok(read) = serde_json::from_str::<Checkpoint>(&line) {
                last = Last { position: read.position, hash: read.hash, line: Some(digest_of(&line)) };
            }
        }
        if torn {
            append(&path, "\n").map_err(|e| failed(&path, e))?;
        }
        Ok(Checkpoints { key, path, last: Mutex::new(last) })
    }

    /// A line for this head, unless it is the last one's; also to the log.
    pub fn write(&self, head: Head) -> Result<Option<Checkpoint>, StoreError> {
        let mut last = self.last.lock().expect("invariant: no panic while holding the lock");
        if head.position == 0 || head.position == last.position {
            return Ok(None);
        }
        let mut made = self.sign(head);
        made.previous = last.line;
        made.signature = self.key.sign(made.message().as_bytes());
        let line = format!("{}\n", serde_json::to_string(&made).expect("invariant: plain data"));
        append(&self.path, &line).map_err(|e| unusable(&self.path, &e))?;
        *last = Last { position: head.position, hash: head.hash, line: Some(digest_of(&line)) };
        tracing::info!(
            position = made.position, hash = %made.hash, at = made.at.0, key = made.key,
            previous = made.previous.map(|d| d.to_string()), signature = made.signature, "checkpoint"
        );
        Ok(Some(made))
    }

    /// What the last line signed.
    pub fn last(&self) -> (Position, Digest) {
        let last = self.last.lock().expect("invariant: no panic while holding the lock");
        (last.position, last.hash)
    }

    /// A person has looked at a journal that is not the one that was signed, and goes on with it: the lines so far are
    /// kept in a file of their own as evidence, and a new file begins.
    pub fn begin_anew(&self) -> Result<PathBuf, StoreError> {
        let mut last = self.last.lock().expect("invariant: no panic while holding the lock");
        let aside = |n: u32| self.path.with_extension(format!("until-{}.{n}.jsonl", last.position));
        let aside = (1..u32::MAX).map(aside).find(|path| !path.exists()).unwrap_or_else(|| aside(0));
        std::fs::rename(&self.path, &aside).map_err(|e| unusable(&self.path, &e))?;
        super::create_private(&self.path).map_err(|e| unusable(&self.path, &e))?;
        *last = Last { position: 0, hash: Digest::ZERO, line: None };
        Ok(aside)
    }

    /// A checkpoint that stands alone, for a bundle.
    pub fn sign(&self, head: Head) -> Checkpoint {
        let mut made = Checkpoint {
            schema: SCHEMA.into(),
            position: head.position,
            hash: head.hash,
            at: head.at,
            previous: None,
            key: self.key.public().id(),
            signature: String::new(),
        };
        made.signature = self.key.sign(made.message().as_bytes());
        made
    }

    pub fn public(&self) -> PublicKey {
        self.key.public()
    }
}

fn digest_of(line: &str) -> Digest {
    Digest::of(line.trim_end_matches('\n').as_bytes())
}

fn append(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().append(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

/// Lines with their ends, each bounded.
fn lines(path: &Path) -> std::io::Result<impl Iterator<Item = std::io::Result<String>>> {
    let mut reader = BufReader::new(File::open(path)?);
    Ok(std::iter::from_fn(move || {
        let mut line = vec![];
        let mut bounded = std::io::Read::take(&mut reader, LONGEST_LINE as u64);
        match bounded.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(Ok(String::from_utf8_lossy(&line).into_owned())),
            Err(e) => Some(Err(e)),
        }
    }))
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::new(
        code::CHECKPOINT_FILE,
        format!("{} cannot be used: {why}", path.display()),
        "the journal itself is not concerned; its end is not signed until this is mended",
        "give the user that runs pointsman the right to read and write it, or name other files with --checkpoint-key and \
         --checkpoints",
    )
}
