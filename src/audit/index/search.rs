//! Which records fit a filter: where times lie in the journal, what the filter wants, and the page of positions.

use super::statement::{Sql, statement};
use super::{Index, IndexError};
use crate::audit::Filter;
use crate::audit::filter::When;
use crate::kernel::domain::{Position, Time};
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Oldest first.
    pub positions: Vec<Position>,
    /// There is more in the direction that was asked for.
    pub more: bool,
    /// The journal's end when the question came.
    pub head: Position,
}

impl Index {
    /// Positions of the records that fit, up to the journal's end as it is now.
    pub async fn search(
        &self,
        filter: &Filter,
        page: Page,
        max: u32,
        now: Time,
    ) -> Result<Found, IndexError> {
        loop {
            let made = self.made.load(Ordering::SeqCst);
            let time = |when: Option<When>| when.map(|when| when.at(now));
            let span = self.store.span(time(filter.since), time(filter.until)).await?;
            self.catch_up(span.last, PATIENCE).await?;
            let found = self.look(filter, page, max, span).await?;
            // Made anew meanwhile, it may have had nothing to find.
            if made == self.made.load(Ordering::SeqCst) {
                return Ok(found);
            }
        }
    }

    async fn look(
        &self,
        filter: &Filter,
        page: Page,
        max: u32,
        span: JournalSpan,
    ) -> Result<Found, IndexError> {
        let none = Found { positions: vec![], more: false, head: span.last };
        let (first, last) = range(filter, page, span);
        if first > last {
            return Ok(none);
        }
        let positions = match filter.terms.is_empty() && filter.texts.is_empty() {
            // The journal has no gaps.
            true => every((first, last), page, max),
            false => self.ask(filter, (first, last), page, max).await?,
        };
        let more = positions.len() > max as usize;
        let mut positions: Vec<Position> = positions.into_iter().take(max as usize).collect();
        positions.sort_unstable();
        Ok(Found { positions, more, ..none })
    }

    /// Up to one more than `max`, in the order of the page.
    async fn ask(
        &self,
        filter: &Filter,
        within: (Position, Position),
        page: Page,
        max: u32,
    ) -> Result<Vec<Position>, IndexError> {
        let Some(wanted) = self.wanted(filter).await? else { return Ok(vec![]) };
        let Sql { text, arguments } = statement(filter, &wanted, within, page, max)?;
        let rows = sqlx::query_with(AssertSqlSafe(text), arguments).fetch_all(&self.readers).await?;
        let positions = rows.iter().map(|row| row.try_get::<i64, _>(0).map(i64::cast_unsigned));
        Ok(positions.collect::<Result<_, sqlx::Error>>()?)
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

/// Up to one more than `max`, in the order of the page.
fn every((first, last): (Position, Position), page: Page, max: u32) -> Vec<Position> {
    let most = max as usize + 1;
    match page {
        Page::Before(_) => (first..=last).rev().take(most).collect(),
        Page::From(_) => (first..=last).take(most).collect(),
    }
}
