//! How far a question looks. A walk over records that may not fit is bounded: frequent values are met by their bits, and
//! whatever still takes too long ends, and says from where on it has not looked.

use super::bitmap::{BLOCK, FREQUENT, Frequent};
use super::meeting::Meeting;
use super::segment::Segment;
use super::statement::{Lead, Sql, among, by_columns, by_words, values};
use super::wanted::{MANY, Wanted, wanted};
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

/// One question on its way.
pub(super) struct Look<'i> {
    index: &'i Index,
    texts: &'i [Text],
    wanted: Vec<Wanted<'i>>,
    leads: Vec<Lead>,
    /// All that lead are frequent, and something else is asked for too.
    walks: bool,
    frequent: Arc<Frequent>,
    newest: bool,
    until: Instant,
}

impl<'i> Look<'i> {
    pub async fn new(index: &'i Index, filter: &'i Filter, newest: bool) -> Result<Look<'i>, IndexError> {
        let budget = if filter.texts.is_empty() { index.budget.columns } else { index.budget.words };
        let until = Instant::now() + budget;
        let mut wanted = wanted(filter);
        // Rows that have to be looked up cost more than rows that are only sorted.
        let most = if wanted.len() > 1 { FREQUENT } else { SORTABLE };
        let mut rare = None;
        for (at, pattern) in wanted.iter_mut().enumerate().filter(|(_, w)| !w.is_anything()) {
            if pattern.exactly().is_none() {
                let (values, uses) = counted(index, pattern, most).await?;
                pattern.many = values > MANY;
                rare = rare.or((!pattern.excluded && uses <= most).then_some(Lead::Column(at)));
            }
        }
        let frequent = index.frequent.borrow().clone();
        let (leads, walks) = leads(&wanted, &frequent, rare);
        Ok(Look { index, texts: &filter.texts, wanted, leads, walks, frequent, newest, until })
    }

    /// Up to `limit` positions.
    pub async fn within(&self, range: Stretch, limit: usize) -> Result<Looked, IndexError> {
        match self.texts.is_empty() {
            true => self.columns(range, limit).await,
            false => self.texts(range, limit).await,
        }
    }

    /// Of the first page of all, for whoever wants to see its plan.
    pub fn statement(&self) -> Result<Sql, IndexError> {
        let (all, limit) = ((1, Position::MAX), 51);
        match self.texts.iter().any(|text| !text.excluded) {
            true => by_words(self.texts, &self.wanted, Segment::of(1), all, self.newest, limit),
            false => by_columns(&self.wanted, &self.leads, all, self.newest, limit),
        }
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
            true => (range.0.max((block(range.1) + BLOCK).saturating_sub(count * BLOCK)), range.1),
            false => (range.0, range.1.min(block(range.0) + count * BLOCK - 1)),
        }
    }

    async fn ask(&self, sql: Sql) -> Result<Vec<Position>, IndexError> {
        let rows =
            sqlx::query_with(AssertSqlSafe(sql.text), sql.arguments).fetch_all(&self.index.readers).await?;
        let positions = rows.iter().map(|row| row.try_get::<i64, _>(0).map(i64::cast_unsigned));
        let mut positions = positions.collect::<Result<Vec<_>, sqlx::Error>>()?;
        self.arrange(&mut positions);
        Ok(positions)
    }

    fn arrange(&self, positions: &mut [Position]) {
        positions.sort_unstable();
        if self.newest {
            positions.reverse();
        }
    }

    /// By what is asked of columns alone.
    async fn columns(&self, range: Stretch, limit: usize) -> Result<Looked, IndexError> {
        let by_columns = |range, limit| by_columns(&self.wanted, &self.leads, range, self.newest, limit);
        if !self.walks {
            return Ok(Looked { positions: self.ask(by_columns(range, limit)?).await?, rest: None });
        }
        // Frequent values that do meet fill a page within a block or two.
        let bits_end = self.frequent.end.saturating_sub(1);
        let mut walked = self.blocks(range, 2);
        if self.newest {
            walked.0 = walked.0.min(bits_end + 1).max(range.0);
        }
        let mut found = self.ask(by_columns(walked, limit)?).await?;
        let behind = self.behind(range, self.end(walked)).filter(|_| found.len() < limit);
        let Some(behind) = behind else { return Ok(Looked { positions: found, rest: None }) };
        let bits = (behind.0, behind.1.min(bits_end));
        let met = self.meet(bits, limit - found.len()).await?;
        found.extend(met.positions);
        // Where the oldest come first, these are the last.
        let tail = (behind.0.max(bits_end + 1), behind.1);
        if found.len() < limit && met.rest.is_none() && tail.0 <= tail.1 {
            found.extend(self.ask(by_columns(tail, limit - found.len())?).await?);
        }
        Ok(Looked { positions: found, rest: met.rest })
    }

    /// By bits, and each record that they name is asked.
    async fn meet(&self, range: Stretch, limit: usize) -> Result<Looked, IndexError> {
        let (mut found, mut rest) = (Looked::default(), (range.0 <= range.1).then_some(range));
        if rest.is_none() {
            return Ok(found);
        }
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
    async fn texts(&self, range: Stretch, limit: usize) -> Result<Looked, IndexError> {
        let is_said = self.texts.iter().any(|text| !text.excluded);
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

/// Values that fit and their uses. Who has one value too many has one use too many.
async fn counted(index: &Index, wanted: &Wanted<'_>, most: i64) -> Result<(i64, i64), IndexError> {
    let Sql { text, arguments } = values("uses", wanted, most.max(MANY) + 1)?;
    let sql = format!("SELECT count(*), coalesce(sum(uses), 0) FROM ({text})");
    let row = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_one(&index.readers).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// A rare value leads, or a pattern of a few. Otherwise frequent ones do, or all positions, and are walked.
fn leads(wanted: &[Wanted<'_>], frequent: &Frequent, pattern: Option<Lead>) -> (Vec<Lead>, bool) {
    let exact = || wanted.iter().enumerate().filter(|(_, w)| !w.excluded && w.exactly().is_some());
    let is_rare = |w: &Wanted<'_>| w.exactly().is_some_and(|text| !frequent.has(w.word, text));
    let rare: Vec<Lead> = exact().filter(|(_, w)| is_rare(w)).map(|(at, _)| Lead::Column(at)).collect();
    if !rare.is_empty() {
        return (rare, false);
    }
    if let Some(pattern) = pattern {
        return (vec![pattern], false);
    }
    let leads: Vec<Lead> = exact().map(|(at, _)| Lead::Column(at)).collect();
    match leads.is_empty() {
        true => (vec![Lead::Positions], true),
        false => (leads, wanted.len() > 1),
    }
}
