//! The last records as they were written. Who follows the journal (triage, people's screens) reads them here and
//! costs the database nothing; the writer fills it after each commit, and empties it when a commit was unclear. It
//! also rings for whoever waits for more.

use super::ledger::RecordRow;
use crate::kernel::domain::{Position, Stream};
use crate::kernel::journal::Entry;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use tokio::sync::watch;

const KEPT: usize = 1_024;
const KEPT_BYTES: usize = 1 << 20;

#[derive(Default)]
pub(super) struct Tail {
    kept: Mutex<Kept>,
    /// The last position that was pushed.
    end: watch::Sender<Position>,
}

/// Without a gap, up to the end of the journal; or empty, which says nothing.
#[derive(Default)]
struct Kept {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Where the journal begins, since somebody looked.
    first: Option<Position>,
    /// How often it was emptied: what was looked up before that says nothing.
    emptied: u64,
}

impl Tail {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("invariant: no panic while holding the lock")
    }

    /// These are durable, in this order, and nothing came between them and what was pushed before.
    pub fn push<'a>(&self, rows: impl Iterator<Item = &'a RecordRow<'a>>) {
        let mut kept = self.lock();
        let mut end = None;
        for row in rows {
            let last = kept.entries.back().map_or(row.position - 1, |e| e.position);
            match entry(row) {
                Some(entry) if last + 1 == row.position => kept.push(entry),
                Some(_) | None => kept.empty(),
            }
            end = Some(row.position);
        }
        drop(kept);
        if let Some(end) = end {
            self.end.send_replace(end);
        }
    }

    /// Rung at each commit.
    pub fn follow(&self) -> watch::Receiver<Position> {
        self.end.subscribe()
    }

    /// Nobody knows what the database holds at its ends.
    pub fn clear(&self) {
        self.lock().empty();
    }

    /// The first and the last position. `Err`: ask the database, and say what it answered with this number.
    pub fn ends(&self) -> Result<(Position, Position), u64> {
        let kept = self.lock();
        kept.first.zip(kept.entries.back().map(|last| last.position)).ok_or(kept.emptied)
    }

    /// The journal began there when `emptied` was given.
    pub fn begins(&self, first: Position, emptied: u64) {
        let mut kept = self.lock();
        if kept.emptied == emptied {
            kept.first = Some(first);
        }
    }

    /// Up to `max` records from position `from` on. None: ask the database.
    pub fn scan(&self, from: Position, max: u32) -> Option<Vec<Entry>> {
        let kept = self.lock();
        let first = kept.entries.front()?.position;
        let skip = usize::try_from(from.checked_sub(first)?).unwrap_or(usize::MAX);
        Some(kept.entries.iter().skip(skip).take(max as usize).cloned().collect())
    }
}

impl Kept {
    fn empty(&mut self) {
        *self = Kept { emptied: self.emptied + 1, ..Kept::default() };
    }

    fn push(&mut self, entry: Entry) {
        self.bytes += entry.body.len();
        self.entries.push_back(entry);
        while self.entries.len() > KEPT || self.bytes > KEPT_BYTES {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.body.len();
        }
    }
}

fn entry(row: &RecordRow<'_>) -> Option<Entry> {
    Some(Entry {
        position: row.position,
        stream: Stream::try_from(row.stream.clone()).ok()?,
        seq: row.seq,
        at: row.at,
        kind: row.kind.to_owned(),
        version: row.version,
        body: row.body.to_vec(),
        hash: row.hash,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::domain::{Digest, Time};

    fn push(tail: &Tail, position: Position, body: &[u8]) {
        let (stream, kind, hash) = ("instance".to_owned(), "started", Digest::ZERO);
        let row = RecordRow { position, stream, seq: position, at: Time(1), kind, version: 1, body, hash };
        tail.push([row].iter());
    }

    fn positions(tail: &Tail, from: Position, max: u32) -> Option<Vec<Position>> {
        Some(tail.scan(from, max)?.iter().map(|e| e.position).collect())
    }

    #[test]
    fn it_answers_only_what_it_knows_without_a_gap() {
        let tail = Tail::default();
        assert_eq!(positions(&tail, 1, 9), None, "empty, it does not say that there is nothing");
        push(&tail, 5, b"{}");
        push(&tail, 6, b"{}");
        assert_eq!(positions(&tail, 4, 9), None, "4 is in the database only");
        assert_eq!(positions(&tail, 5, 9), Some(vec![5, 6]));
        assert_eq!(positions(&tail, 5, 1), Some(vec![5]));
        assert_eq!(positions(&tail, 7, 9), Some(vec![]), "nothing is there yet");
        push(&tail, 8, b"{}");
        assert_eq!(positions(&tail, 6, 9), None, "7 was missed, so nothing of it counts");
        tail.clear();
        assert_eq!(positions(&tail, 8, 9), None);
    }

    #[test]
    fn the_ends_are_known_until_it_is_emptied() {
        let tail = Tail::default();
        let before = tail.ends().unwrap_err();
        push(&tail, 5, b"{}");
        tail.begins(2, before);
        assert_eq!(tail.ends(), Ok((2, 5)));
        push(&tail, 6, b"{}");
        assert_eq!(tail.ends(), Ok((2, 6)));
        tail.clear();
        push(&tail, 7, b"{}");
        let after = tail.ends().unwrap_err();
        tail.begins(2, before);
        assert_eq!(tail.ends(), Err(after), "that was looked up before something went");
        tail.begins(4, after);
        assert_eq!(tail.ends(), Ok((4, 7)));
        push(&tail, 9, b"{}");
        assert!(tail.ends().is_err(), "8 was missed");
    }

    #[test]
    fn it_stays_small() {
        let tail = Tail::default();
        for position in 1..=KEPT as u64 + 3 {
            push(&tail, position, b"{}");
        }
        assert_eq!(positions(&tail, 3, 1), None);
        assert_eq!(positions(&tail, 4, 1), Some(vec![4]));
        let large = vec![b' '; KEPT_BYTES / 2];
        for position in 1..=3 {
            push(&tail, KEPT as u64 + 3 + position, &large);
        }
        assert_eq!(tail.lock().entries.len(), 2);
        push(&tail, KEPT as u64 + 7, &vec![b' '; KEPT_BYTES + 1]);
        assert_eq!(positions(&tail, KEPT as u64 + 7, 1), None, "too large for it: the database has it");
    }
}
