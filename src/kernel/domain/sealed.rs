//! Where the journal is cut: the beginning of it goes, and the chain still holds.

use super::{Actor, Digest, Epoch, Name, Position, Seq, Stream, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The records in front of `before` go: the cut is decided by this record, and what a fold can no longer find is kept in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The first record that stays.
    pub before: Position,
    /// Of the last record that goes: the chain goes on from it.
    pub hash: Digest,
    /// Of the very first record that there was: the journal's own name at targets, which must outlive that record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Digest>,
    /// Who asked for it; nobody where Pointsman did, by the age in its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// The last sequence that goes, of every stream that is no run's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub streams: BTreeMap<Stream, Seq>,
    /// The highest fencing number that goes, of every service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub epochs: BTreeMap<Name, Epoch>,
    /// The newest end of an occurrence that goes, of every source: an alert that began before may belong to it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ends: BTreeMap<Name, Time>,
}

impl Default for Sealed {
    fn default() -> Self {
        let (streams, epochs, ends) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Sealed { before: 1, hash: Digest::ZERO, origin: None, by: None, streams, epochs, ends }
    }
}
