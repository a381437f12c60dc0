//! `audit verify`: recomputes the chain over every stored column, with no server and no lock, and names the first
//! record that is not as it was written. Then it folds the records and compares the cached rows with that.

mod base;
mod blame;
mod cache;
mod chain;
mod claims;
mod difference;
mod fold;
mod pages;
#[cfg(test)]
mod pages_tests;
mod resume;
mod rows;

use super::head::{Noted, compare, read as read_head};
use super::open::{digest, existing, load_head};
use super::{HeadState, StoreError, code};
use crate::kernel::domain::{Digest, Position, Seq};
use crate::kernel::journal::Head;
pub(super) use base::Base;
use cache::Caches;
use claims::Claims;
pub use difference::Difference;
use futures_util::stream::{self, StreamExt as _};
use pages::Layout;
pub use resume::verify_resuming;
use sqlx::SqliteConnection;
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

/// The columns of a record, as far as a change can be pinned down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The position itself: a record is missing here, or moved away.
    Position,
    Stream,
    Seq,
    At,
    Kind,
    Version,
    Body,
    Hash,
    /// One of at, kind, version, body, stream or seq; the chain tells that, not which.
    Covered,
    /// The raw delivery that the record names by digest.
    Content,
}

/// The first record that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    pub position: Position,
    /// As stored now, with a sign for what is no text; empty when the record is missing or the column cannot be read.
    pub stream: String,
    pub seq: Option<Seq>,
    pub column: Column,
    pub says: String,
}

impl BadRecord {
    pub fn error(&self) -> StoreError {
        let seq = self.seq.map_or("?".to_owned(), |s| s.to_string());
        let stream = if self.stream.is_empty() { "?" } else { &self.stream };
        StoreError::new(
            code::BAD_RECORD,
            format!(
                "the record at position {} ({stream}, sequence {seq}) is bad: {}",
                self.position, self.says
            ),
            format!(
                "every record before position {} is as it was written; later ones prove nothing",
                self.position
            ),
            "keep a copy of the data directory as evidence; compare with the newest backup; do not let this instance \
             act on it",
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub at: Position,
    /// Stored hash of the record there; it was found right.
    pub hash: Digest,
    pub of: Position,
}

#[derive(Clone, Debug, PartialEq)]
pub struct VerifyReport {
    pub from: Position,
    /// Last position that was read.
    pub to: Position,
    pub checked: u64,
    /// The end of the chain as stored; none when it cannot even be read.
    pub head: Option<Head>,
    pub head_file: HeadState,
    pub bad: Option<BadRecord>,
    /// Cached rows compared with the fold of their records.
    pub cached: u64,
    /// Rows that differ, the first [`DIFFERENCES_SHOWN`] of them.
    pub differences: Vec<Difference>,
    /// What this check does not prove.
    pub notes: Vec<String>,
}

impl VerifyReport {
    /// No bad record, the journal is not shorter than it once was, and every cached row is what its records say.
    pub fn ok(&self) -> bool {
        self.chain_ok() && self.differences.is_empty()
    }

    /// The records alone.
    pub fn chain_ok(&self) -> bool {
        self.bad.is_none() && !matches!(self.head_file, HeadState::Behind(_))
    }
}

/// More are counted by nobody: the first few say what happened.
pub const DIFFERENCES_SHOWN: usize = 100;

/// Reads the records of `range` (clipped to what is there) and the head file. Errors are for what could not be
/// checked at all; a bad record is a report.
pub async fn verify(
    dir: &Path,
    range: RangeInclusive<Position>,
    mut progress: impl FnMut(Progress),
) -> Result<VerifyReport, StoreError> {
    check(dir, range, None, |at, _| progress(at)).await
}

/// `earlier`: the claims of what lies before the range, if that was checked earlier. Then the caches are compared as well.
async fn check(
    dir: &Path,
    range: RangeInclusive<Position>,
    earlier: Option<Claims>,
    progress: impl FnMut(Progress, &Claims),
) -> Result<VerifyReport, StoreError> {
    // First the note, then the database: a running server only ever adds.
    let noted = read_head(dir);
    let mut conn = existing(dir).await?;
    let head = load_head(&mut conn).await.ok();
    let last = last_position(&mut conn).await?;
    let (base, broken) = match Base::load(&mut conn).await? {
        Ok(base) => (Arc::new(base), None),
        Err(bad) => (Arc::default(), Some(bad)),
    };
    let (from, to) = ((*range.start()).max(base.before), (*range.end()).min(last));
    let at_noted = match &noted {
        Noted::File(noted) => hash_at(&mut conn, noted.position).await?,
        Noted::None | Noted::Unreadable(_) => None,
    };
    let before = earlier.is_some();
    let mut claims = earlier.unwrap_or_default();
    let (checked, bad) = match broken {
        Some(bad) => (0, Some(bad)),
        None => walk(dir, &base, from..=to, &mut claims, progress).await?,
    };
    let mut notes = base.notes();
    let mut caches = Caches::default();
    match ((before || from == base.before) && to == last, &bad) {
        (true, None) => caches = cache::compare(&mut conn, &base, (claims, to)).await?,
        (false, _) => notes.push("only a check of all records compares the cached rows as well".to_owned()),
        (true, Some(_)) => notes.push(
            "cached rows (summaries, locks, epochs) were not compared: their records are not sound"
                .to_owned(),
        ),
    }
    if from > base.before && !before {
        notes.push(format!("the hash stored at position {} is taken as true", from - 1));
    }
    if matches!(noted, Noted::None) {
        notes.push("there is no head file: records missing at the end would not show".to_owned());
    }
    let head_file = compare(noted, last, at_noted);
    let Caches { compared: cached, differences } = caches;
    Ok(VerifyReport { from, to, checked, head, head_file, bad, cached, differences, notes })
}

/// Records that one thread checks, on a connection of its own. Each segment begins with what its streams had before.
const SEGMENT: RangeInclusive<u64> = 20_000..=250_000;
/// More threads would only wait for the disk.
const THREADS: usize = 8;

/// Every segment takes the hash stored before it as true, and the segment before it has just proven that one. So the
/// segments may be walked side by side; their results are taken in order.
async fn walk(
    dir: &Path,
    base: &Arc<Base>,
    range: RangeInclusive<Position>,
    claims: &mut Claims,
    mut progress: impl FnMut(Progress, &Claims),
) -> Result<(u64, Option<BadRecord>), StoreError> {
    let (from, to) = range.into_inner();
    let at_once = std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS);
    // Short enough that all threads end at about the same time.
    let even = to.saturating_sub(from) / (4 * at_once as u64) + 1;
    let segment = even.clamp(*SEGMENT.start(), *SEGMENT.end());
    let layout = Arc::new(Layout::of(dir));
    // The first also looks for what stands before it.
    let starts = std::iter::successors(Some(from), |start| start.checked_add(segment))
        .take_while(|at| *at <= to || *at == 1);
    let segments = starts.map(|start| {
        let (dir, base, end) = (dir.to_owned(), base.clone(), to.min(start + (segment - 1)));
        let layout = layout.clone();
        tokio::task::spawn_blocking(move || chain::walk(&dir, layout.as_ref().as_ref(), base, start, end))
    });
    // One more, so that who is done before its neighbour does not wait for it.
    let mut segments = stream::iter(segments).buffered(at_once + 1);
    let (mut checked, mut bad) = (0, None);
    while bad.is_none()
        && let Some(ended) = segments.next().await
    {
        let chain = ended.map_err(|e| StoreError::unreadable(&e))??;
        checked += chain.checked;
        let at = Progress { at: chain.next - 1, hash: chain.hash(), of: to };
        claims.merge(chain.claims);
        progress(at, claims);
        bad = chain.bad;
    }
    Ok((checked, bad))
}

async fn last_position(conn: &mut SqliteConnection) -> Result<Position, StoreError> {
    let last: i64 = sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM record")
        .fetch_one(conn)
        .await
        .map_err(|e| StoreError::unreadable(&e))?;
    Ok(last.cast_unsigned())
}

async fn hash_at(conn: &mut SqliteConnection, position: Position) -> Result<Option<Digest>, StoreError> {
    let found: Option<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM record WHERE position = ?1")
        .bind(position.cast_signed())
        .fetch_optional(conn)
        .await
        .map_err(|e| StoreError::unreadable(&e))?;
    // A hash of another length is bad wherever it is compared.
    Ok(found.map(|bytes| digest(bytes).unwrap_or(Digest::ZERO)))
}
