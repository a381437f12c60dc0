//! Walks the records in order and stops at the first bad one.

use super::blame::pin_down;
use super::claims::Claims;
use super::pages::{Disorder, Layout, Pages};
use super::rows::{NOT_TEXT, Stored, connect, damaged, nowhere, read, statement, stored, stray, unreadable};
use super::{BadRecord, Base, Column};
use crate::kernel::domain::{Digest, Position, Record, Seq, Stream, Time};
use crate::kernel::journal::{PairHash, chain_hash};
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension as _, Params, Row, Statement};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// Records read at a time: no transaction stays open, so a running server's WAL is not held up.
const PAGE: i64 = 500;

const DELIVERED: &str = "delivered";

pub(super) struct Chain {
    base: Arc<Base>,
    from: Position,
    pub next: Position,
    pub checked: u64,
    pub bad: Option<BadRecord>,
    pub claims: Claims,
    prev: Digest,
    last: Time,
    /// Last sequence of each stream in this segment.
    seqs: HashMap<Vec<u8>, Seq, foldhash::fast::RandomState>,
    /// Raw deliveries of this segment that were found right.
    contents: HashSet<Digest>,
}

/// The records of a segment, up to the first bad one.
pub(super) fn walk(
    dir: &Path,
    layout: Option<&Layout>,
    base: Arc<Base>,
    from: Position,
    to: Position,
) -> Result<Chain, StoreError> {
    let conn = connect(dir)?;
    let mut chain = Chain::start(&conn, from, base.clone())?;
    let mut statement = statement(&conn)?;
    if let Some(mut pages) = layout.and_then(Layout::pages)
        && chain.bad.is_none()
    {
        match chain.take_leaves(&conn, &mut statement, &mut pages, to) {
            Ok(()) => {}
            Err(Halt::Disorder) => chain = Chain::start(&conn, from, base)?,
            Err(Halt::Store(e)) => return Err(e),
        }
    }
    chain.take_rows(&conn, &mut statement, to)?;
    Ok(chain)
}

/// What ends the reading of pages.
enum Halt {
    Disorder,
    Store(StoreError),
}

impl From<Disorder> for Halt {
    fn from(_: Disorder) -> Self {
        Halt::Disorder
    }
}

impl From<StoreError> for Halt {
    fn from(e: StoreError) -> Self {
        Halt::Store(e)
    }
}

/// `with` one record, if it is there and the file can be read so far.
fn one<T>(
    conn: &Connection,
    position: Position,
    with: impl FnOnce(Result<Stored<'_>, BadRecord>) -> T,
) -> Result<Option<T>, StoreError> {
    let mut statement = statement(conn)?;
    let mut rows = read(&mut statement, position, position, 1)?;
    match rows.next() {
        Ok(row) => Ok(row.map(|row| with(stored(row)))),
        Err(e) if damaged(&e) => Ok(Some(with(Err(broken(position, &e))))),
        Err(e) => Err(unreadable(&e)),
    }
}

/// A row beside the walk. Prepared once for each connection: such a question costs more to read than to answer.
fn ask<T>(
    conn: &Connection,
    sql: &str,
    with: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    let mut statement = conn.prepare_cached(sql).map_err(|e| unreadable(&e))?;
    statement.query_row(with, read).optional().map_err(|e| unreadable(&e))
}

fn broken(position: Position, e: &rusqlite::Error) -> BadRecord {
    nowhere(position, Column::Covered, format!("the file is damaged there: {e}"))
}

impl Chain {
    fn start(conn: &Connection, from: Position, base: Arc<Base>) -> Result<Chain, StoreError> {
        let (first, prev) = (base.before, base.hash);
        let mut chain = Chain {
            base,
            from,
            next: from,
            checked: 0,
            bad: None,
            claims: Claims::default(),
            prev,
            last: Time(i64::MIN),
            seqs: HashMap::default(),
            contents: HashSet::new(),
        };
        if from == 1 {
            chain.bad = stray(conn)?;
        }
        if from > first {
            match one(conn, from - 1, |before| before.map(|before| (Digest(*before.hash), before.at)))? {
                Some(Ok(before)) => (chain.prev, chain.last) = before,
                Some(Err(bad)) => chain.bad = Some(bad),
                None => chain.bad = Some(nowhere(from - 1, Column::Position, "it is missing")),
            }
        }
        Ok(chain)
    }

    /// Of the last record that was found right.
    pub fn hash(&self) -> Digest {
        self.prev
    }

    /// As far as the pages give records that prove right. What they do not give SQLite is asked for, and it alone has the
    /// word that a record is bad.
    fn take_leaves(
        &mut self,
        conn: &Connection,
        statement: &mut Statement<'_>,
        pages: &mut Pages<'_>,
        to: Position,
    ) -> Result<(), Halt> {
        let mut pair = PairHash::default();
        for leaf in pages.leaves(self.next, to)? {
            let records = pages.records(&leaf)?;
            let wanted = self.next..=to;
            let mut wanted = records.iter().filter(|row| wanted.contains(&row.position)).peekable();
            let mut ahead = None;
            while let Some(row) = wanted.next() {
                if row.position > self.next {
                    self.take_rows(conn, statement, row.position - 1)?;
                }
                let computed = ahead.take().unwrap_or_else(|| {
                    let link = row.link(self.prev);
                    match wanted.peek().filter(|next| next.position == row.position + 1) {
                        None => chain_hash(&link),
                        Some(next) => {
                            let [computed, after] = pair.of([&link, &next.link(Digest(*row.hash))]);
                            ahead = Some(after);
                            computed
                        }
                    }
                });
                if self.bad.is_none() && self.check(conn, row, computed)?.is_some() {
                    self.take_rows(conn, statement, row.position)?;
                }
                // In a wider range SQLite sees more of what is wrong.
                if self.bad.take().is_some() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// By SQLite.
    fn take_rows(
        &mut self,
        conn: &Connection,
        statement: &mut Statement<'_>,
        to: Position,
    ) -> Result<(), StoreError> {
        while self.bad.is_none() && self.next <= to {
            self.take_page(conn, statement, to)?;
        }
        Ok(())
    }

    fn take_page(
        &mut self,
        conn: &Connection,
        statement: &mut Statement<'_>,
        to: Position,
    ) -> Result<(), StoreError> {
        let mut rows = read(statement, self.next, to, PAGE)?;
        let before = self.next;
        while self.bad.is_none() {
            match rows.next() {
                Ok(Some(row)) => {
                    self.bad = match stored(row) {
                        Ok(row) => self.check(conn, &row, chain_hash(&row.link(self.prev)))?,
                        Err(bad) => Some(bad),
                    };
                }
                Ok(None) if self.next == before => {
                    self.bad = Some(nowhere(self.next, Column::Position, "it is missing"));
                }
                Ok(None) => break,
                Err(e) if damaged(&e) => self.bad = Some(broken(self.next, &e)),
                Err(e) => return Err(unreadable(&e)),
            }
        }
        Ok(())
    }

    /// `computed`: of the record, after the hash of the one before it.
    fn check(
        &mut self,
        conn: &Connection,
        row: &Stored<'_>,
        computed: Digest,
    ) -> Result<Option<BadRecord>, StoreError> {
        if row.position != self.next {
            let says = format!("it is missing; the next record there is has position {}", row.position);
            return Ok(Some(nowhere(self.next, Column::Position, says)));
        }
        if computed.0 != *row.hash {
            let expected = self.seq_by_position(conn, row)?;
            let pinned = |next: Option<&Stored<'_>>| pin_down(row, self.prev, computed, expected, next);
            let bad = one(conn, row.position + 1, |next| pinned(next.ok().as_ref()))?;
            return Ok(Some(bad.unwrap_or_else(|| pinned(None))));
        }
        if row.at < self.last {
            return Ok(Some(row.bad(Column::At, "it is older than the record before it")));
        }
        if let Some(says) = self.content(conn, row)? {
            return Ok(Some(row.bad(Column::Content, says)));
        }
        // Last, since it is noted: a record that is not right leaves nothing behind.
        let bad = |expected: Seq| {
            let says = format!("its sequence is {}, but {expected} comes next in that stream", row.seq);
            Ok(Some(row.bad(Column::Seq, says)))
        };
        match self.seqs.get_mut(row.stream) {
            Some(last) if row.seq == *last + 1 => *last = row.seq,
            Some(last) => return bad(*last + 1),
            None => {
                let Ok(stream) = std::str::from_utf8(row.stream) else {
                    return Ok(Some(row.bad(Column::Stream, NOT_TEXT)));
                };
                if let Err(why) = Stream::try_from(stream.to_owned()) {
                    return Ok(Some(row.bad(Column::Stream, why)));
                }
                let expected = self.first_seq(conn, row, stream)?;
                if row.seq != expected {
                    return bad(expected);
                }
                self.seqs.insert(row.stream.to_owned(), expected);
            }
        }
        self.claims.note(row);
        (self.prev, self.last, self.next) = (Digest(*row.hash), row.at, row.position + 1);
        self.checked += 1;
        Ok(None)
    }

    /// Of a stream that is new to this segment, by the index over streams and sequences alone: one step, however long the
    /// stream is. A gap gives another number than the record's own, and so does a record that stands before its predecessor.
    fn first_seq(&self, conn: &Connection, row: &Stored<'_>, stream: &str) -> Result<Seq, StoreError> {
        let sql = "SELECT seq, position FROM record WHERE stream = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT 1";
        let before: Option<(i64, i64)> = match row.seq {
            // Nothing stands before the first.
            0 | 1 => None,
            seq => ask(conn, sql, (stream, seq.cast_signed()), |row| Ok((row.get(0)?, row.get(1)?)))?,
        };
        let standing = before.filter(|(_, position)| position.cast_unsigned() < row.position);
        Ok(standing.map_or(self.base.seq(stream), |(seq, _)| seq.cast_unsigned()) + 1)
    }

    /// By the records before it, whatever its own sequence says. It walks over the whole stream: for the blame alone.
    fn seq_by_position(&self, conn: &Connection, row: &Stored<'_>) -> Result<Seq, StoreError> {
        if let Some(last) = self.seqs.get(row.stream) {
            return Ok(last + 1);
        }
        let stream = String::from_utf8_lossy(row.stream);
        let gone = self.base.seq(&stream);
        if self.from == self.base.before {
            return Ok(gone + 1);
        }
        let sql = "SELECT coalesce(max(seq), 0) FROM record WHERE stream = ?1 AND position < ?2";
        let last: Option<i64> = ask(conn, sql, (&*stream, self.from.cast_signed()), |row| row.get(0))?;
        Ok(last.unwrap_or(0).cast_unsigned().max(gone) + 1)
    }

    /// Raw deliveries lie outside the chain; it holds their digest.
    fn content(&mut self, conn: &Connection, row: &Stored<'_>) -> Result<Option<String>, StoreError> {
        if row.kind != DELIVERED.as_bytes() {
            return Ok(None);
        }
        let Ok(Record::Delivered(delivered)) = Record::decode(DELIVERED, row.version, row.body) else {
            return Ok(None);
        };
        let wanted = delivered.digest;
        if self.contents.contains(&wanted) {
            return Ok(None);
        }
        let sql = "SELECT bytes FROM content WHERE digest = ?1";
        let is = ask(conn, sql, [wanted.0.as_slice()], |row| {
            // Of another type it is not what was stored, either.
            Ok(row.get_ref(0)?.as_bytes().is_ok_and(|bytes| Digest::of(bytes) == wanted))
        })?;
        Ok(match is {
            None => Some("the raw delivery that it names is missing".to_owned()),
            Some(false) => Some("the raw delivery that it names was changed".to_owned()),
            Some(true) => {
                self.contents.insert(wanted);
                None
            }
        })
    }
}
