//! The head file: where the chain ended when we last looked. SQLite drops a damaged tail of its WAL without a word;
//! only a note outside the database can show that records are missing.

use super::{StoreError, code};
use crate::kernel::domain::{Digest, Position, Time};
use crate::kernel::journal::Head;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const FILE: &str = "head";
const TEMP: &str = "head.new";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadFile {
    pub position: Position,
    pub hash: Digest,
    pub at: Time,
}

/// The head file held against the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadState {
    /// The database holds the noted record, unchanged.
    Agrees(HeadFile),
    /// Never written: a new directory.
    NoFile,
    Behind(HeadBehind),
}

/// The instance must start frozen, and only a person thaws it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadBehind {
    /// The journal ends before the noted position: records were lost, or an old copy was put back.
    Lost { noted: HeadFile, head: Position },
    /// The record at the noted position is another one: the journal was replaced or rewritten.
    Differs { noted: HeadFile, found: Digest },
    /// There is a note, and it cannot be read.
    Unreadable { why: String },
}

impl HeadBehind {
    /// For people, in four parts.
    pub fn error(&self) -> StoreError {
        let what = match self {
            HeadBehind::Lost { noted, head } => format!(
                "the journal ends at position {head}, but it had reached {} when the head file was written",
                noted.position
            ),
            HeadBehind::Differs { noted, found } => format!(
                "the record at position {} has hash {}, but the head file says {}",
                noted.position,
                found.short(),
                noted.hash.short()
            ),
            HeadBehind::Unreadable { why } => format!("the head file cannot be read: {why}"),
        };
        StoreError::new(
            code::HEAD_BEHIND,
            what,
            "records may be missing, among them calls that were made; nothing will be done until a person thaws",
            "run `pointsman audit verify`; compare with the targets what was done last; restore the newest copy of \
             the data directory if there is one; then `pointsman thaw --reason …`",
        )
    }
}

pub(super) enum Noted {
    None,
    File(HeadFile),
    Unreadable(String),
}

pub(super) fn read(dir: &Path) -> Noted {
    match std::fs::read(dir.join(FILE)) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(noted) => Noted::File(noted),
            Err(e) => Noted::Unreadable(e.to_string()),
        },
        Err(e) if e.kind() == ErrorKind::NotFound => Noted::None,
        Err(e) => Noted::Unreadable(e.to_string()),
    }
}

/// `at_noted` is the stored hash at the noted position, if there is such a record.
pub(super) fn compare(noted: Noted, head: Position, at_noted: Option<Digest>) -> HeadState {
    match noted {
        Noted::None => HeadState::NoFile,
        Noted::Unreadable(why) => HeadState::Behind(HeadBehind::Unreadable { why }),
        Noted::File(noted) if noted.position == 0 => HeadState::Agrees(noted),
        Noted::File(noted) => match at_noted {
            Some(found) if found == noted.hash => HeadState::Agrees(noted),
            Some(found) => HeadState::Behind(HeadBehind::Differs { noted, found }),
            None => HeadState::Behind(HeadBehind::Lost { noted, head }),
        },
    }
}

/// Replaces the note in one step that survives a power cut: the old one or the new one, never half of one.
pub(super) fn write(dir: &Path, head: Head) -> Result<(), StoreError> {
    let noted = HeadFile { position: head.position, hash: head.hash, at: head.at };
    let replace = || -> std::io::Result<()> {
        let temp = dir.join(TEMP);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temp)?;
        file.write_all(&serde_json::to_vec(&noted)?)?;
        file.sync_all()?;
        std::fs::rename(&temp, dir.join(FILE))?;
        File::open(dir)?.sync_all()
    };
    replace().map_err(|e| {
        StoreError::new(
            code::HEAD_FILE,
            format!("cannot write the head file in {}: {e}", dir.display()),
            format!(
                "the journal itself is durable up to position {}; the note of it is an older one",
                head.position
            ),
            "see whether the disk is full, read-only or failing; it is tried again every minute",
        )
    })
}
