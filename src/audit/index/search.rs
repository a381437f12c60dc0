//! A page of the records that fit a filter. What asks for times and positions alone is the journal's own to answer; for
//! everything else the index has the positions.

use super::statement::{HALVES, Sql, statement};
use super::{Index, IndexError};
use crate::audit::Filter;
use crate::audit::filter::When;
use crate::kernel::domain::{Digest, Position, Stamped, Time};
use crate::store::JournalSpan;
use futures_util::future::try_join_all;
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
    /// There is more in the direction that was asked for.
    pub more: bool,
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
            let found = self.look(filter, page, max, span).await?;
            // Made anew meanwhile, it may have had nothing to find.
            if made == self.made.load(Ordering::SeqCst) {
                return Ok(found);
            }
        }
    }

    /// How SQLite goes about the positions of what fits, for tests and measurements.
    pub async fn plan(&self, filter: &Filter) -> Result<Vec<String>, IndexError> {
        let all = (1, Position::MAX);
        let Sql { text, arguments, .. } = statement(filter, all, Page::Before(Position::MAX), 50, 0)?;
        let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
        let rows = sqlx::query_with(sql, arguments).fetch_all(&self.readers).await?;
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
        if newest {
            records.reverse();
        }
        Ok(Found { records, more, head: span.last })
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
            return Ok(Found { records: vec![], more: false, head: span.last });
        }
        let halves = if filter.texts.is_empty() { 1 } else { HALVES };
        let asked = (0..halves).map(|half| self.positions(filter, range, page, max, half));
        let mut positions = try_join_all(asked).await?.concat();
        positions.sort_unstable();
        let beyond = positions.len().saturating_sub(max as usize);
        match page {
            Page::Before(_) => drop(positions.drain(..beyond)),
            Page::From(_) => positions.truncate(max as usize),
        }
        Ok(Found { records: self.store.records(&positions).await?, more: beyond > 0, head: span.last })
    }

    async fn positions(
        &self,
        filter: &Filter,
        range: (Position, Position),
        page: Page,
        max: u32,
        half: usize,
    ) -> Result<Vec<Position>, IndexError> {
        let Sql { text, arguments, .. } = statement(filter, range, page, max, half)?;
        let rows = sqlx::query_with(AssertSqlSafe(text), arguments).fetch_all(&self.readers).await?;
        let positions = rows.iter().map(|row| row.try_get::<i64, _>(0));
        Ok(positions.map(|at| at.map(i64::cast_unsigned)).collect::<Result<_, sqlx::Error>>()?)
    }
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
