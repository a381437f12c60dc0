//! A page of the records that fit a filter. What asks for times and positions alone is the journal's own to answer; for
//! everything else the index has the positions.

use super::look::{Look, Looked};
use super::{Index, IndexError};
use crate::audit::Filter;
use crate::audit::filter::When;
use crate::kernel::domain::{Digest, Position, Stamped, Time};
use crate::store::JournalSpan;
use sqlx::{AssertSqlSafe, Row as _};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a question waits for the index.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which part of what fits. Positions already given never change their place: pages of the past are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The newest before that position.
    Before(Position),
    /// The oldest from that position on.
    From(Position),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Oldest first, each with its hash.
    pub records: Vec<(Stamped, Digest)>,
    /// Where the next page in that direction goes on, for the same kind of [`Page`]: there is more, or it was not looked
    /// further for the time that it takes. Then there may be fewer records than were asked for, or none.
    pub rest: Option<Position>,
    /// The journal's end when the question came.
    pub head: Position,
}

impl Found {
    pub fn positions(&self) -> impl DoubleEndedIterator<Item = Position> {
        self.records.iter().map(|(stamped, _)| stamped.position)
    }
}

impl Index {
    /// The records that fit, up to the journal's end as it is now.
    pub async fn search(
        &self,
        filter: &Filter,
        page: Page,
        max: u32,
        now: Time,
    ) -> Result<Found, IndexError> {
        let time = |when: Option<When>| when.map(|when| when.at(now));
        let times = (time(filter.since), time(filter.until));
        if filter.terms.is_empty() && filter.texts.is_empty() {
            return self.read(filter, page, max, times).await;
        }
        loop {
            let made = self.made.load(Ordering::SeqCst);
            let span = self.store.span(times.0, times.1).await?;
            self.catch_up(span.last, PATIENCE).await?;
            let found = self.look(filter, page, max, span).await;
            // Made anew meanwhile, it may have had nothing to find, or nowhere to look.
            if made == self.made.load(Ordering::SeqCst) {
                return found;
            }
        }
    }

    /// How SQLite goes about the positions of what fits: by values, or by the words of the first segment. For tests and
    /// measurements.
    pub async fn plan(&self, filter: &Filter) -> Result<Vec<String>, IndexError> {
        let sql = Look::new(self, filter, true).statement().await?;
        let text = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", sql.whole()));
        let rows = sqlx::query_with(text, sql.arguments).fetch_all(&self.readers).await?;
        Ok(rows.iter().map(|row| row.try_get(3)).collect::<Result<_, sqlx::Error>>()?)
    }

    /// Without the index.
    async fn read(
        &self,
        filter: &Filter,
        page: Page,
        max: u32,
        times: (Option<Time>, Option<Time>),
    ) -> Result<Found, IndexError> {
        let span = self.store.span(None, None).await?;
        let newest = matches!(page, Page::Before(_));
        let mut records =
            self.store.within(range(filter, page, span), times, newest, max.saturating_add(1)).await?;
        let more = records.len() > max as usize;
        records.truncate(max as usize);
        let last = records.last().filter(|_| more).map(|(stamped, _)| stamped.position);
        if newest {
            records.reverse();
        }
        Ok(Found { records, rest: last.map(|last| beyond(newest, last)), head: span.last })
    }

    async fn look(
        &self,
        filter: &Filter,
        page: Page,
        max: u32,
        span: JournalSpan,
    ) -> Result<Found, IndexError> {
        let range = range(filter, page, span);
        if range.0 > range.1 {
            return Ok(Found { records: vec![], rest: None, head: span.last });
        }
        let (newest, max) = (matches!(page, Page::Before(_)), max as usize);
        let Looked { mut positions, rest } = Look::new(self, filter, newest).within(range, max + 1).await?;
        let more = positions.len() > max;
        positions.truncate(max);
        let rest = match positions.last() {
            Some(last) if more => Some(beyond(newest, *last)),
            Some(_) | None => rest.map(|first| if newest { first + 1 } else { first }),
        };
        positions.sort_unstable();
        Ok(Found { records: self.store.records(&positions).await?, rest, head: span.last })
    }
}

/// Where the page behind that position goes on.
fn beyond(newest: bool, last: Position) -> Position {
    if newest { last } else { last + 1 }
}

/// Times of records never go back, so times are positions. Records that are on their way out are found no more.
fn range(filter: &Filter, page: Page, span: JournalSpan) -> (Position, Position) {
    let (first, last) = filter.seq.unwrap_or((1, span.last));
    let (first, last) = (first.max(span.first), last.min(span.last));
    let (first, last) = match page {
        Page::Before(before) => (first, last.min(before.saturating_sub(1))),
        Page::From(from) => (first.max(from), last),
    };
    let until = span.until.map_or(last, |until| until.saturating_sub(1));
    (first.max(span.since.unwrap_or(first)), last.min(until))
}
