//! How far a question looks. A walk over records that may not fit is bounded: frequent values are met by their bits, and
//! whatever still takes too long ends, and says from where on it has not looked.

use super::bitmap::{BLOCK, FREQUENT, Frequent};
use super::lead::{Arm, ByColumns, Lead, Leads, by_values};
use super::meeting::Meeting;
use super::segment::Segment;
use super::statement::{Sql, among, by_words};
use super::wanted::{Wanted, wanted};
use super::{Index, IndexError};
use crate::audit::{Filter, Text};
use crate::kernel::domain::Position;
use futures_util::future::try_join_all;
use sqlx::{AssertSqlSafe, Row as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Uses up to which a pattern leads that is all that is asked for: rows that are sorted.
const SORTABLE: i64 = if cfg!(test) { 40 } else { 20_000 };
/// Positions that may fit, which are looked up in the words one by one; where there are more, the words lead.
const LOOKED_UP: usize = if cfg!(test) { 40 } else { 2_000 };
/// Of these at a time.
const AT_ONCE: usize = 200;
/// Segments whose words are walked at once. FTS5 uses one core.
const ABREAST: usize = 2;
/// Records of a frequent value that are walked before its bits are put together.
const WALKED: usize = if cfg!(test) { 5 } else { 1_000 };
/// Blocks whose bits are put together at once.
const BLOCKS: u64 = if cfg!(test) { 2 } else { 64 };

/// How long a question looks before it answers with what it has. The step that it is in comes to its end.
#[derive(Clone, Copy)]
pub(super) struct Budget {
    pub columns: Duration,
    pub words: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { columns: Duration::from_millis(10), words: Duration::from_millis(60) }
    }
}

/// First and last position.
pub(super) type Stretch = (Position, Position);

/// Positions that fit, in the order of the page.
#[derive(Default)]
pub(super) struct Looked {
    pub positions: Vec<Position>,
    /// The first that was not looked at, as the page goes.
    pub rest: Option<Position>,
}

/// The statement that a question begins with, and where its walk over positions ends, where it has one.
struct First {
    sql: Sql,
    end: Option<Position>,
}

/// What a statement of several arms answers.
struct Chosen {
    positions: Vec<Position>,
    /// The number of what led, where it had a choice.
    led: Option<i64>,
    /// The last position that it walked, where there are more.
    end: Option<Position>,
}

/// One question on its way.
pub(super) struct Look<'i> {
    index: &'i Index,
    texts: &'i [Text],
    wanted: Vec<Wanted<'i>>,
    /// Uses up to which a pattern leads.
    most: i64,
    frequent: Arc<Frequent>,
    newest: bool,
    until: Instant,
}

impl<'i> Look<'i> {
    pub fn new(index: &'i Index, filter: &'i Filter, newest: bool) -> Look<'i> {
        let budget = if filter.texts.is_empty() { index.budget.columns } else { index.budget.words };
        let until = Instant::now() + budget;
        let wanted = wanted(filter);
        // Rows that have to be looked up cost more than rows that are only sorted.
        let most = if wanted.len() > 1 { FREQUENT } else { SORTABLE };
        let frequent = index.frequent.borrow().clone();
        Look { index, texts: &filter.texts, wanted, most, frequent, newest, until }
    }

    /// Up to `limit` positions.
    pub async fn within(&mut self, range: Stretch, limit: usize) -> Result<Looked, IndexError> {
        match self.texts.is_empty() {
            true => self.columns(range, limit).await,
            false => self.texts(range, limit).await,
        }
    }

    /// Of the first page of all, for whoever wants to see its plan.
    pub async fn statement(&mut self) -> Result<Sql, IndexError> {
        let (all, limit) = ((1, Position::MAX), 51);
        if self.texts.iter().any(|text| !text.excluded) {
            self.list().await?;
            return by_words(self.texts, &self.wanted, Segment::of(1), all, self.newest, limit);
        }
        Ok(self.first(all, limit)?.sql)
    }

    /// From here on no statement has to look for the values of a pattern.
    async fn list(&mut self) -> Result<(), IndexError> {
        for wanted in &mut self.wanted {
            wanted.list(self.index, self.most).await?;
        }
        Ok(())
    }

    fn leads(&self) -> Leads {
        Leads::of(&self.wanted, &self.frequent, self.most)
    }

    /// All records of what leads.
    fn all_of(&self, leads: &[Lead], range: Stretch, limit: usize) -> Result<Sql, IndexError> {
        let arms: Vec<Arm> = leads.iter().map(|lead| Arm { lead: *lead, range, rows: None }).collect();
        self.by_columns(&arms).sql(limit)
    }

    fn by_columns<'a>(&'a self, arms: &'a [Arm]) -> ByColumns<'a> {
        ByColumns { wanted: &self.wanted, arms, most: self.most, newest: self.newest }
    }

    /// What most questions need no more than.
    fn first(&self, range: Stretch, limit: usize) -> Result<First, IndexError> {
        if let [values] = self.wanted.as_slice()
            && values.is_written_out()
        {
            return Ok(First { sql: by_values(values, range, self.newest, limit)?, end: None });
        }
        let Leads { whole, walked } = self.leads();
        // Most do meet within some records, or a block or two.
        let blocks = self.blocks(range, 2);
        let walks = walked.iter().map(|lead| match lead {
            Lead::Column(_) => Arm { lead: *lead, range, rows: Some(WALKED) },
            Lead::Positions => Arm { lead: *lead, range: blocks, rows: None },
        });
        let whole = whole.iter().map(|lead| Arm { lead: *lead, range, rows: None });
        let sql = self.by_columns(&whole.chain(walks).collect::<Vec<_>>()).sql(limit)?;
        Ok(First { sql, end: walked.contains(&Lead::Positions).then(|| self.end(blocks)) })
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// What is left of a range behind a position, as the page goes.
    fn behind(&self, range: Stretch, position: Position) -> Option<Stretch> {
        let rest = match self.newest {
            true => (range.0, position.saturating_sub(1)),
            false => (position + 1, range.1),
        };
        (rest.0 <= rest.1).then_some(rest)
    }

    /// The part of it from that position on, as the page goes.
    fn from(&self, range: Stretch, first: Position) -> Stretch {
        if self.newest { (range.0, first) } else { (first, range.1) }
    }

    /// Where the page begins in it.
    fn start(&self, range: Stretch) -> Position {
        if self.newest { range.1 } else { range.0 }
    }

    fn end(&self, range: Stretch) -> Position {
        if self.newest { range.0 } else { range.1 }
    }

    /// Some blocks of a range, from where the page begins.
    fn blocks(&self, range: Stretch, count: u64) -> Stretch {
        let block = |position: Position| position - position % BLOCK;
        match self.newest {
            true => {
                (range.0.max(block(range.1).saturating_add(BLOCK).saturating_sub(count * BLOCK)), range.1)
            }
            false => (range.0, range.1.min(block(range.0) + count * BLOCK - 1)),
        }
    }

    async fn ask(&self, sql: Sql) -> Result<Vec<Position>, IndexError> {
        Ok(self.ask_chosen(sql).await?.positions)
    }

    async fn ask_chosen(&self, sql: Sql) -> Result<Chosen, IndexError> {
        // One row: each of its own would be carried from SQLite's thread to this one.
        let row = sqlx::query_with(AssertSqlSafe(sql.in_one_row()), sql.arguments);
        let row = row.fetch_one(&self.index.readers).await?;
        let mut positions: Vec<Position> =
            serde_json::from_str(row.try_get(0)?).map_err(|e| IndexError::Broken(e.to_string()))?;
        self.arrange(&mut positions);
        let end = row.try_get::<Option<i64>, _>(2)?.map(i64::cast_unsigned);
        Ok(Chosen { positions, led: row.try_get(1)?, end })
    }

    fn arrange(&self, positions: &mut [Position]) {
        positions.sort_unstable();
        if self.newest {
            positions.reverse();
        }
    }

    /// By what is asked of columns alone.
    async fn columns(&mut self, range: Stretch, limit: usize) -> Result<Looked, IndexError> {
        let First { sql, end: of_blocks } = self.first(range, limit)?;
        let Chosen { mut positions, led, end } = self.ask_chosen(sql).await?;
        let by_positions = led.is_none_or(|led| led == Lead::Positions.number());
        let end = end.or(of_blocks.filter(|_| by_positions));
        match end.filter(|_| positions.len() < limit).and_then(|end| self.behind(range, end)) {
            None => Ok(Looked { positions, rest: None }),
            Some(behind) => {
                let more = self.go_on(behind, limit - positions.len()).await?;
                positions.extend(more.positions);
                Ok(Looked { positions, rest: more.rest })
            }
        }
    }

    /// Behind what the first statement walked.
    async fn go_on(&mut self, range: Stretch, limit: usize) -> Result<Looked, IndexError> {
        self.list().await?;
        let Leads { whole, walked } = self.leads();
        // A pattern of many values that all are rare.
        if walked.is_empty() {
            return Ok(Looked { positions: self.ask(self.all_of(&whole, range, limit)?).await?, rest: None });
        }
        // Records without bits are the newest.
        let first = self.frequent.end.max(1);
        let mut parts = [((range.0, range.1.min(first - 1)), true), ((range.0.max(first), range.1), false)];
        if self.newest {
            parts.reverse();
        }
        let mut found = Looked::default();
        for (part, has_bits) in parts {
            let left = limit.saturating_sub(found.positions.len());
            if left == 0 || found.rest.is_some() || part.0 > part.1 {
                continue;
            }
            let more = match has_bits {
                true => self.meet(part, left).await?,
                false => Looked { positions: self.ask(self.all_of(&walked, part, left)?).await?, rest: None },
            };
            found.positions.extend(more.positions);
            found.rest = more.rest;
        }
        Ok(found)
    }

    /// By bits, and each record that they name is asked.
    async fn meet(&self, range: Stretch, limit: usize) -> Result<Looked, IndexError> {
        let (mut found, mut rest) = (Looked::default(), Some(range));
        let meeting = Meeting::of(&self.index.readers, &self.wanted, range).await?;
        let mut blocks = 4;
        while let Some(range) = rest {
            let some = self.blocks(range, blocks.min(BLOCKS));
            blocks *= 4;
            let mut positions = meeting.within(some).await?;
            self.arrange(&mut positions);
            let mut candidates = positions.as_slice();
            let mut asked = limit;
            while let Some((now, later)) = candidates.split_at_checked(asked.min(candidates.len()))
                && !now.is_empty()
            {
                found.positions.extend(self.ask(among(&self.wanted, now, None)?).await?);
                let behind = now.last().and_then(|last| self.behind(range, *last));
                found.rest = behind.map(|behind| self.start(behind));
                if found.positions.len() >= limit || (self.is_over() && found.rest.is_some()) {
                    return Ok(found);
                }
                (candidates, asked) = (later, (asked * 4).min(LOOKED_UP));
            }
            rest = self.behind(range, self.end(some));
            if self.is_over() {
                break;
            }
        }
        found.rest = rest.map(|rest| self.start(rest));
        Ok(found)
    }

    /// By what is asked of words, and of columns as well.
    async fn texts(&mut self, range: Stretch, limit: usize) -> Result<Looked, IndexError> {
        let is_said = self.texts.iter().any(|text| !text.excluded);
        self.list().await?;
        if is_said && self.wanted.is_empty() {
            return self.by_words(range, limit).await;
        }
        let (mut found, mut rest) = (Looked::default(), Some(range));
        while let Some(range) = rest {
            let some = self.columns(range, LOOKED_UP).await?;
            rest = match some.positions.last() {
                Some(last) if some.positions.len() >= LOOKED_UP => self.behind(range, *last),
                Some(_) | None => some.rest.map(|first| self.from(range, first)),
            };
            if is_said && rest.is_some() {
                return self.by_words(range, limit).await;
            }
            for same in some.positions.chunk_by(|a, b| Segment::of(*a) == Segment::of(*b)) {
                for few in same.chunks(AT_ONCE) {
                    let asked = among(&self.wanted, few, Some((Segment::of(few[0]), self.texts)))?;
                    found.positions.extend(self.ask(asked).await?);
                    if found.positions.len() >= limit {
                        return Ok(found);
                    }
                }
            }
            if self.is_over() {
                break;
            }
        }
        found.rest = rest.map(|rest| self.start(rest));
        Ok(found)
    }

    async fn by_words(&self, range: Stretch, limit: usize) -> Result<Looked, IndexError> {
        let mut segments: Vec<Segment> = Segment::all(range).collect();
        if self.newest {
            segments.reverse();
        }
        let (mut found, mut rest) = (Looked::default(), Some(range));
        // Most words are found in the first.
        let (first, others) = segments.split_at(1);
        for abreast in std::iter::once(first).chain(others.chunks(ABREAST)) {
            let asked = abreast.iter().map(|segment| async {
                let ends = segment.ends();
                let part = (range.0.max(ends.0), range.1.min(ends.1));
                self.ask(by_words(self.texts, &self.wanted, *segment, part, self.newest, limit)?).await
            });
            found.positions.extend(try_join_all(asked).await?.concat());
            rest = abreast.last().and_then(|segment| self.behind(range, self.end(segment.ends())));
            if found.positions.len() >= limit || self.is_over() {
                break;
            }
        }
        found.rest = rest.map(|rest| self.start(rest));
        Ok(found)
    }
}
