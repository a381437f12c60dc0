//! The second walk, over what goes: all that a fold can no longer find afterwards, and that `Sealed` must carry.

use super::{Cut, RetainError};
use crate::kernel::domain::{
    Actor, Digest, Epoch, Name, Position, Record, RunId, Sealed, Seq, Stamped, Stream, Time,
};
use std::collections::BTreeMap;

/// What is known of the records that go, so far.
pub struct Parting {
    before: Position,
    head: Position,
    sealed: Sealed,
    /// Whose run it is, for those that are not finished yet.
    services: BTreeMap<RunId, Name>,
    /// The last that was said of each playbook: which form is in force. Where that goes, it is said again.
    loaded: BTreeMap<Name, (Seq, Record)>,
}

/// What the cut is decided with.
pub struct Parted {
    pub sealed: Sealed,
    /// By playbook: its last record that goes, with its sequence.
    pub loaded: BTreeMap<Name, (Seq, Record)>,
}

impl Parting {
    /// `None`: nothing goes.
    pub fn new(cut: &Cut, by: Option<Actor>) -> Option<Parting> {
        if cut.goes() == 0 {
            return None;
        }
        let sealed = Sealed { before: cut.before, by, ..Sealed::default() };
        let (before, head) = (cut.before, cut.first - 1);
        let (services, loaded) = (BTreeMap::new(), BTreeMap::new());
        let mut parting = Parting { before, head, sealed, services, loaded };
        if let Some(earlier) = &cut.earlier {
            parting.inherit(earlier);
        }
        Some(parting)
    }

    /// The next record that goes, with its hash.
    pub fn apply(&mut self, stamped: &Stamped, hash: Digest) -> Result<(), RetainError> {
        let position = stamped.position;
        if position != self.head + 1 {
            return Err(RetainError::Gap { after: self.head, found: position });
        }
        if position >= self.before {
            return Err(RetainError::Beyond(position));
        }
        self.head = position;
        self.sealed.hash = hash;
        if position == 1 {
            self.sealed.origin = Some(hash);
        }
        if !matches!(stamped.stream, Stream::Run(_)) {
            self.sealed.streams.insert(stamped.stream.clone(), stamped.seq);
        }
        match (&stamped.stream, &stamped.record) {
            (Stream::Run(id), Record::Opened(spec)) => {
                self.services.insert(id.clone(), spec.service.clone());
                self.epoch(&spec.service, spec.epoch);
            }
            (Stream::Run(id), Record::Taken { epoch, .. }) => {
                if let Some(service) = self.services.get(id).cloned() {
                    self.epoch(&service, *epoch);
                }
            }
            (Stream::Run(id), Record::Finished { .. }) => drop(self.services.remove(id)),
            (Stream::Service(service), Record::Claimed { epoch, .. }) => self.epoch(service, *epoch),
            (Stream::Alerts(source), Record::OccurrenceClosed { ended, .. }) => self.end(source, *ended),
            (Stream::Playbook(name), record @ Record::Loaded { .. }) => {
                self.loaded.insert(name.clone(), (stamped.seq, record.clone()));
            }
            _ => {}
        }
        Ok(())
    }

    /// The newest cut before this one knows of all before it; its own record may stay or go.
    fn inherit(&mut self, earlier: &Sealed) {
        self.sealed.origin = earlier.origin;
        for (stream, seq) in &earlier.streams {
            let known = self.sealed.streams.entry(stream.clone()).or_default();
            *known = (*known).max(*seq);
        }
        for (service, epoch) in &earlier.epochs {
            self.epoch(service, *epoch);
        }
        for (source, ended) in &earlier.ends {
            self.end(source, *ended);
        }
    }

    fn end(&mut self, source: &Name, ended: Time) {
        let newest = self.sealed.ends.entry(source.clone()).or_insert(ended);
        *newest = ended.max(*newest);
    }

    fn epoch(&mut self, service: &Name, epoch: Epoch) {
        let known = self.sealed.epochs.entry(service.clone()).or_default();
        *known = epoch.max(*known);
    }

    /// What the record that decides the cut says, once every record that goes was seen.
    pub fn parted(self) -> Result<Parted, RetainError> {
        match self.head + 1 == self.before {
            true => Ok(Parted { sealed: self.sealed, loaded: self.loaded }),
            false => Err(RetainError::Gap { after: self.head, found: self.before }),
        }
    }
}
