//! Records from the pages of the file themselves, beside SQLite, which hands out a row in about the time that its hash takes
//! (decision 0097). What is read here is never believed: the chain proves it, since it covers every column; and whatever does
//! not prove right, is missing, or is laid out in any other way than the plain one, SQLite is asked for. The format is
//! <https://www.sqlite.org/fileformat2.html>.

use super::rows::{Stored, connect};
use crate::kernel::domain::{Position, Time};
use crate::store::open::database_file;
use rusqlite::Connection;
use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

const COLUMNS: &str = "position,stream,seq,at,kind,version,body,hash";
/// Bytes before the first page's tree, of which the sizes and the encoding are told.
const HEADER: usize = 100;
/// Pages read at once where they follow each other.
const AHEAD: u32 = 64;
/// A tree of more levels does not fit into a file.
const LEVELS: u32 = 20;
/// Of a longer WAL nobody knows quickly what is in it.
const LONGEST_WAL: u64 = 4 << 30;

/// Kinds of columns, from these on: two more with each byte.
const BLOB: u64 = 12;
const TEXT: u64 = 13;

const INTERIOR: u8 = 5;
const LEAF: u8 = 13;

/// The tree is not in the order of its keys: damaged, or caught while it changed. SQLite reads the whole segment.
pub(super) struct Disorder;

/// Where the records are in the file.
pub(super) struct Layout {
    file: PathBuf,
    page: usize,
    root: u32,
    /// The WAL has, or had, other pages in place of these.
    newer: HashSet<u32>,
}

/// A page of the tree, with the positions above `low` up to `high`.
pub(super) struct Leaf {
    number: u32,
    low: Position,
    high: Position,
}

impl Layout {
    /// None: SQLite reads all of it.
    pub fn of(dir: &Path) -> Option<Layout> {
        let root = root(&connect(dir).ok()?)?;
        let file = database_file(dir);
        let mut header = [0; HEADER];
        File::open(&file).ok()?.read_exact_at(&mut header, 0).ok()?;
        let page = match u16_at(&header, 16)? {
            1 => 1 << 16,
            size => size,
        };
        let (reserved, encoding) = (header[20], u32_at(&header, 56)?);
        let rolls_back = dir.join("pointsman.db-journal").exists();
        if reserved != 0 || encoding != 1 || !page.is_power_of_two() || page < 512 || rolls_back {
            return None;
        }
        let newer = in_wal(&dir.join("pointsman.db-wal"), page)?;
        Some(Layout { file, page, root, newer })
    }

    pub fn pages(&self) -> Option<Pages<'_>> {
        let file = File::open(&self.file).ok()?;
        Some(Pages { layout: self, file, first: 0, bytes: vec![] })
    }
}

/// Of the table, where its columns are the known ones.
fn root(conn: &Connection) -> Option<u32> {
    let sql = "SELECT rootpage, (SELECT group_concat(name) FROM pragma_table_info('record')) \
               FROM sqlite_schema WHERE type = 'table' AND name = 'record'";
    let (root, columns): (u32, String) =
        conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).ok()?;
    (columns == COLUMNS).then_some(root)
}

/// Every page that the file of the WAL names, also in frames that count no longer: those are in the database, and SQLite
/// gives them as well.
fn in_wal(path: &Path, page: usize) -> Option<HashSet<u32>> {
    const FILE_HEADER: u64 = 32;
    const FRAME_HEADER: u64 = 24;
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Some(HashSet::new()),
        Err(_) => return None,
    };
    let length = file.metadata().ok()?.len();
    if length > LONGEST_WAL {
        return None;
    }
    let mut header = [0; FILE_HEADER as usize];
    if file.read_exact_at(&mut header, 0).is_ok() && u32_at(&header, 8)? as usize != page {
        // Its frames are of another length than ours, and where they name pages we would read something else.
        return None;
    }
    let frame = FRAME_HEADER + u64::try_from(page).ok()?;
    let mut pages = HashSet::new();
    let mut at = FILE_HEADER;
    while at + FRAME_HEADER <= length {
        let mut number = [0; 4];
        file.read_exact_at(&mut number, at).ok()?;
        pages.insert(u32::from_be_bytes(number));
        at += frame;
    }
    Some(pages)
}

pub(super) struct Pages<'l> {
    layout: &'l Layout,
    file: File,
    /// What was read last: pages from that one on.
    first: u32,
    bytes: Vec<u8>,
}

impl Pages<'_> {
    /// The leaves of these positions, in order; those that only SQLite can tell are left out.
    pub fn leaves(&mut self, from: Position, to: Position) -> Result<Vec<Leaf>, Disorder> {
        let mut leaves = vec![];
        let root = Leaf { number: self.layout.root, low: 0, high: Position::MAX };
        self.below(root, (from, to), LEVELS, &mut leaves)?;
        Ok(leaves)
    }

    fn below(
        &mut self,
        at: Leaf,
        wanted: (Position, Position),
        levels: u32,
        leaves: &mut Vec<Leaf>,
    ) -> Result<(), Disorder> {
        let Some(page) = self.page(at.number).map(<[u8]>::to_vec) else { return Ok(()) };
        match page[0] {
            LEAF => leaves.push(at),
            INTERIOR if levels > 0 => {
                let mut children = children(&page, &at).ok_or(Disorder)?;
                children.retain(|child| child.high >= wanted.0 && child.low < wanted.1);
                // All leaves are on one level, so one of them says what its neighbours are.
                let one = children.iter().find_map(|child| Some(self.page(child.number)?[0]));
                for child in children {
                    match one {
                        Some(LEAF) => leaves.push(child),
                        _ => self.below(child, wanted, levels - 1, leaves)?,
                    }
                }
            }
            _ => return Err(Disorder),
        }
        Ok(())
    }

    /// The records of a leaf, in order; those that cannot be read plainly are left out.
    pub fn records(&mut self, leaf: &Leaf) -> Result<Vec<Stored<'_>>, Disorder> {
        let Some(page) = self.page(leaf.number) else { return Ok(vec![]) };
        let cells = u16_at(page, 3).filter(|_| page[0] == LEAF).ok_or(Disorder)?;
        let mut records = Vec::with_capacity(cells);
        let mut above = leaf.low;
        for cell in 0..cells {
            let (position, record) =
                u16_at(page, 8 + 2 * cell).and_then(|at| record(page, at)).ok_or(Disorder)?;
            if position <= above || position > leaf.high {
                return Err(Disorder);
            }
            above = position;
            records.extend(record);
        }
        Ok(records)
    }

    fn page(&mut self, number: u32) -> Option<&[u8]> {
        if number < 2 || self.layout.newer.contains(&number) {
            return None;
        }
        let size = self.layout.page;
        let held = u32::try_from(self.bytes.len() / size).ok()?;
        if !(self.first..self.first + held).contains(&number) {
            let follows = number >= self.first && number - self.first < held + AHEAD;
            let count = if follows { AHEAD as usize } else { 1 };
            self.bytes.resize(count * size, 0);
            let at = u64::from(number - 1) * size as u64;
            let read = self.file.read_at(&mut self.bytes, at).unwrap_or(0);
            self.bytes.truncate(read / size * size);
            self.first = number;
        }
        let at = (number - self.first) as usize * size;
        self.bytes.get(at..at + size)
    }
}

/// None: it is not what SQLite would have written.
fn children(page: &[u8], of: &Leaf) -> Option<Vec<Leaf>> {
    let mut children = vec![];
    let mut low = of.low;
    for cell in 0..u16_at(page, 3)? {
        let mut at = u16_at(page, 12 + 2 * cell)?;
        let number = u32_at(page, at)?;
        at += 4;
        let high = varint(page, &mut at)?;
        if high <= low || high > of.high {
            return None;
        }
        children.push(Leaf { number, low, high });
        low = high;
    }
    children.push(Leaf { number: u32_at(page, 8)?, low, high: of.high });
    Some(children)
}

/// The position, and the record where it lies in one page as a whole and looks as we write them.
#[inline]
fn record(page: &[u8], mut at: usize) -> Option<(Position, Option<Stored<'_>>)> {
    let length = usize::try_from(varint(page, &mut at)?).ok()?;
    let position = varint(page, &mut at)?;
    // Of a longer one more lies elsewhere.
    let whole = length <= page.len() - 35;
    let row = if whole { page.get(at..at.checked_add(length)?) } else { None };
    Some((position, row.and_then(|row| columns(row, position))))
}

/// Most of what a check does beside the hash is here.
#[inline]
fn columns(row: &[u8], position: Position) -> Option<Stored<'_>> {
    let mut at = 0;
    let header = usize::try_from(varint(row, &mut at)?).ok()?;
    let mut kinds = [0; 8];
    for kind in &mut kinds {
        *kind = varint(row, &mut at)?;
    }
    // The first is the position, which is kept as the key alone.
    let [0, stream, seq, time, kind, version, body, hash] = kinds else { return None };
    if at != header {
        return None;
    }
    let mut rest = row.get(at..)?;
    let stream = bytes(&mut rest, stream, TEXT)?;
    let seq = integer(&mut rest, seq)?.cast_unsigned();
    let time = Time(integer(&mut rest, time)?);
    // All of ours are; of any other, SQLite says whether it is text.
    let kind = bytes(&mut rest, kind, TEXT).filter(|kind| kind.is_ascii())?;
    let version = u16::try_from(integer(&mut rest, version)?).ok()?;
    let body = bytes(&mut rest, body, BLOB)?;
    let hash = bytes(&mut rest, hash, BLOB)?.as_array()?;
    rest.is_empty().then_some(Stored { position, stream, seq, at: time, kind, version, body, hash })
}

/// `of`: the kind of one with no bytes.
#[inline]
fn bytes<'r>(rest: &mut &'r [u8], kind: u64, of: u64) -> Option<&'r [u8]> {
    let twice = kind.checked_sub(of).filter(|twice| twice % 2 == 0)?;
    rest.split_off(..usize::try_from(twice / 2).ok()?)
}

/// The hash follows, so there are eight bytes to take it from.
#[inline]
fn integer(rest: &mut &[u8], kind: u64) -> Option<i64> {
    let length = match kind {
        8 => return Some(0),
        9 => return Some(1),
        1..=4 => usize::try_from(kind).ok()?,
        5 => 6,
        6 => 8,
        _ => return None,
    };
    let number = i64::from_be_bytes(*rest.first_chunk()?) >> (64 - 8 * length);
    *rest = rest.get(length..)?;
    Some(number)
}

/// Seven bits a byte, the last of nine has eight. Most have one byte.
#[inline]
fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let first = *bytes.get(*at)?;
    *at += 1;
    if first & 0x80 == 0 { Some(first.into()) } else { longer(bytes, at, first & 0x7f) }
}

fn longer(bytes: &[u8], at: &mut usize, first: u8) -> Option<u64> {
    let mut number = u64::from(first);
    for nth in 1..9 {
        let byte = u64::from(*bytes.get(*at)?);
        *at += 1;
        if nth == 8 {
            return Some(number << 8 | byte);
        }
        number = number << 7 | byte & 0x7f;
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(number)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let two = bytes.get(at..at.checked_add(2)?)?;
    Some(usize::from(u16::from_be_bytes(two.try_into().ok()?)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}
