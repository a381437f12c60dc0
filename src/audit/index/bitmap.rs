//! Which records have a frequent value: a bit for each position, in blocks. Frequent values that seldom meet are found by
//! these, without a walk over the records of either. Bits say only where to look; a statement judges what they name.

use super::statement::values;
use super::wanted::{MANY, Wanted};
use super::{Filler, IndexError};
use crate::audit::Word;
use crate::kernel::domain::Position;
use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, Row as _};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// Positions of a block, as a power of two: 2 KB of bits.
const BITS: u32 = if cfg!(test) { 6 } else { 14 };
pub(super) const BLOCK: u64 = 1 << BITS;
const WORDS: usize = 1 << (BITS - 6);
/// Uses of a value from which on its bits are kept.
pub(super) const FREQUENT: i64 = if cfg!(test) { 20 } else { 4_096 };
/// Values of one condition whose bits are put together, and uses of others that are listed; beyond them, all records that
/// have any value there are looked at.
const TOGETHER: usize = if cfg!(test) { 4 } else { 64 };
const LISTED: i64 = if cfg!(test) { 30 } else { 20_000 };
/// Digits of a block's number in a key.
const BLOCKS: u32 = 24;

type Block = [u64; WORDS];

/// What is known by heart of the values that have bits.
#[derive(Clone, Default)]
pub(super) struct Frequent {
    ids: BTreeMap<(Word, String), i64>,
    /// The first position that has none yet; always a block's first.
    pub end: Position,
}

impl Frequent {
    pub fn has(&self, word: Word, text: &str) -> bool {
        // The key is borrowed as it is kept, which costs a copy of the text.
        self.ids.contains_key(&(word, text.to_owned()))
    }
}

/// Where a value's bits of a block lie. Those of a column, for records that have any value there, come before all values.
fn key(id: i64, block: u64) -> i64 {
    (id << BLOCKS) + block.cast_signed()
}

fn any_of(word: Word) -> i64 {
    -1 - word as i64
}

/// Few positions as their numbers, two bytes each; many as bits.
fn encoded(positions: &[u16]) -> Vec<u8> {
    if positions.len() * 2 < WORDS * 8 {
        return positions.iter().flat_map(|at| at.to_le_bytes()).collect();
    }
    let mut block: Block = [0; WORDS];
    positions.iter().for_each(|at| block[usize::from(at >> 6)] |= 1 << (at & 63));
    block.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Adds what was kept to a block; None is for what nobody has written so.
fn add(block: &mut Block, kept: &[u8]) -> Option<()> {
    if kept.len() == WORDS * 8 {
        let words = kept.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        block.iter_mut().zip(words).for_each(|(to, from)| *to |= from);
        return Some(());
    }
    for at in kept.as_chunks().0.iter().map(|bytes| u16::from_le_bytes(*bytes)) {
        *block.get_mut(usize::from(at >> 6))? |= 1 << (at & 63);
    }
    Some(())
}

impl Filler {
    /// The bits of all blocks that are complete with `last`. What is known by heart is for whoever sees this committed.
    pub(super) async fn keep_bits(&mut self, last: Position) -> Result<Option<Frequent>, IndexError> {
        let known = self.frequent.borrow().clone();
        let (start, end) = (known.end, (last + 1) >> BITS << BITS);
        if end <= start {
            return Ok(None);
        }
        let mut bits: HashMap<i64, Vec<Position>> = HashMap::new();
        let rows = sqlx::query("SELECT * FROM entry WHERE position >= ? AND position < ? ORDER BY position")
            .bind(start.cast_signed())
            .bind(end.cast_signed())
            .fetch_all(&mut self.conn)
            .await?;
        for row in rows {
            let position = row.try_get::<i64, _>(0)?.cast_unsigned();
            for word in Word::ALL {
                if let Some(id) = row.try_get::<Option<i64>, _>(1 + word as usize)? {
                    bits.entry(id).or_default().push(position);
                    bits.entry(any_of(word)).or_default().push(position);
                }
            }
        }
        let ids = serde_json::json!(bits.keys().collect::<Vec<_>>()).to_string();
        let frequent = "SELECT id, word, text, kept FROM term \
                        WHERE id IN (SELECT value FROM json_each(?1)) AND uses >= ?2";
        let frequent = sqlx::query(frequent).bind(ids).bind(FREQUENT).fetch_all(&mut self.conn).await?;
        let mut known = Frequent { end, ids: known.ids.clone() };
        for word in Word::ALL {
            let positions = bits.remove(&any_of(word)).unwrap_or_default();
            self.keep(any_of(word), &positions).await?;
        }
        for row in frequent {
            let (id, word, text): (i64, i64, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let mut positions = bits.remove(&id).unwrap_or_default();
            if row.try_get::<i64, _>(3)? == 0 {
                let word = word_of(word)?;
                positions.splice(0..0, self.before(word, id, start).await?);
                sqlx::query("UPDATE term SET kept = 1 WHERE id = ?").bind(id).execute(&mut self.conn).await?;
                known.ids.insert((word, text), id);
            }
            self.keep(id, &positions).await?;
        }
        Ok(Some(known))
    }

    /// Where a value was used before `start`.
    async fn before(&mut self, word: Word, id: i64, start: Position) -> Result<Vec<Position>, IndexError> {
        let column = word.as_str();
        let sql = format!(
            "SELECT position FROM entry INDEXED BY entry_{column} WHERE {column} = ? AND {column} IS NOT NULL \
             AND position < ? ORDER BY position"
        );
        let rows = sqlx::query_scalar(AssertSqlSafe(sql)).bind(id).bind(start.cast_signed());
        let positions: Vec<i64> = rows.fetch_all(&mut self.conn).await?;
        Ok(positions.into_iter().map(i64::cast_unsigned).collect())
    }

    /// Positions in order, of whole blocks.
    async fn keep(&mut self, id: i64, positions: &[Position]) -> Result<(), IndexError> {
        for of_block in positions.chunk_by(|a, b| a >> BITS == b >> BITS) {
            let within: Vec<u16> = of_block.iter().map(|at| within(*at)).collect();
            sqlx::query("INSERT INTO bitmap (at, bits) VALUES (?, ?)")
                .bind(key(id, of_block[0] >> BITS))
                .bind(encoded(&within))
                .execute(&mut self.conn)
                .await?;
        }
        Ok(())
    }

    /// What another start left.
    pub(super) async fn known_bits(&mut self) -> Result<Frequent, IndexError> {
        let rows =
            sqlx::query("SELECT id, word, text FROM term WHERE kept = 1").fetch_all(&mut self.conn).await?;
        let ids = rows.iter().map(|row| Ok(((word_of(row.try_get(1)?)?, row.try_get(2)?), row.try_get(0)?)));
        Ok(Frequent { ids: ids.collect::<Result<_, IndexError>>()?, end: (self.at + 1) >> BITS << BITS })
    }
}

fn word_of(number: i64) -> Result<Word, IndexError> {
    let word = Word::ALL.into_iter().find(|word| *word as i64 == number);
    word.ok_or_else(|| IndexError::Broken(format!("a value of column {number}, which there is not")))
}

fn within(position: Position) -> u16 {
    u16::try_from(position & (BLOCK - 1)).unwrap_or_default()
}

/// One condition: who has it has one of these bits, or is listed.
#[derive(Debug)]
struct Condition {
    excluded: bool,
    ids: Vec<i64>,
    /// In order.
    listed: Vec<Position>,
}

/// Where all conditions of a filter may hold: nowhere else, and nearly everywhere that is named.
pub(super) struct Meeting<'i> {
    readers: &'i SqlitePool,
    conditions: Vec<Condition>,
}

impl<'i> Meeting<'i> {
    /// For positions of that range.
    pub async fn of(
        readers: &'i SqlitePool,
        wanted: &[Wanted<'_>],
        range: (Position, Position),
    ) -> Result<Meeting<'i>, IndexError> {
        let mut conditions = vec![];
        for wanted in wanted {
            conditions.push(condition(readers, wanted, range).await?);
        }
        // What rules out most for the least comes first.
        conditions.sort_by_key(|c| (c.excluded, c.ids.len()));
        Ok(Meeting { readers, conditions })
    }

    /// Positions of that range, in order. It should be of few blocks.
    pub async fn within(&self, range: (Position, Position)) -> Result<Vec<Position>, IndexError> {
        let blocks = range.0 >> BITS..(range.1 >> BITS) + 1;
        let count = usize::try_from(blocks.end - blocks.start).unwrap_or(0);
        let mut all: Vec<Block> = vec![[!0; WORDS]; count];
        for condition in &self.conditions {
            let has = self.having(condition, blocks.clone(), count).await?;
            let mut some = 0;
            for (all, has) in all.iter_mut().flatten().zip(has.iter().flatten()) {
                *all &= if condition.excluded { !has } else { *has };
                some |= *all;
            }
            if some == 0 {
                return Ok(vec![]);
            }
        }
        let words = all.iter().flatten().zip(0_u64..);
        let positions = words.flat_map(|(word, n)| ones(*word).map(move |bit| n * 64 + bit));
        let first = blocks.start << BITS;
        Ok(positions.map(|at| first + at).filter(|at| (range.0..=range.1).contains(at)).collect())
    }

    async fn having(
        &self,
        condition: &Condition,
        blocks: Range<u64>,
        count: usize,
    ) -> Result<Vec<Block>, IndexError> {
        let mut has: Vec<Block> = vec![[0; WORDS]; count];
        let of = |at: u64| usize::try_from(at - blocks.start).unwrap_or(usize::MAX);
        for id in &condition.ids {
            let rows = sqlx::query("SELECT at, bits FROM bitmap WHERE at >= ? AND at < ?")
                .bind(key(*id, blocks.start))
                .bind(key(*id, blocks.end))
                .fetch_all(self.readers)
                .await?;
            for row in rows {
                let block = (row.try_get::<i64, _>(0)? - key(*id, 0)).cast_unsigned();
                let added = has.get_mut(of(block)).and_then(|has| add(has, row.get(1)));
                added.ok_or_else(|| IndexError::Broken(format!("the bits of block {block} of {id}")))?;
            }
        }
        let from = condition.listed.partition_point(|at| at >> BITS < blocks.start);
        for at in condition.listed[from..].iter().take_while(|at| *at >> BITS < blocks.end) {
            has[of(at >> BITS)][usize::from(within(*at) >> 6)] |= 1 << (at & 63);
        }
        Ok(has)
    }
}

fn ones(mut word: u64) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| u64::from(word.trailing_zeros()))?;
        word &= word - 1;
        Some(bit)
    })
}

/// Its values with bits and the places of those without. Of what is excluded some may be left out; of what is included none.
async fn condition(
    readers: &SqlitePool,
    wanted: &Wanted<'_>,
    range: (Position, Position),
) -> Result<Condition, IndexError> {
    let Wanted { word, excluded, .. } = *wanted;
    let anything = Condition { excluded, ids: vec![any_of(word)], listed: vec![] };
    if wanted.is_anything() || (wanted.many && !excluded) {
        return Ok(anything);
    }
    let values = values("id, uses, kept", wanted, MANY)?;
    let rows = sqlx::query_with(AssertSqlSafe(values.text), values.arguments).fetch_all(readers).await?;
    let (mut ids, mut others, mut uses) = (vec![], vec![], 0);
    for row in rows {
        let kept = row.try_get::<i64, _>(2)? == 1;
        if kept { &mut ids } else { &mut others }.push(row.try_get::<i64, _>(0)?);
        uses += if kept { 0 } else { row.try_get::<i64, _>(1)? };
    }
    let too_many = ids.len() > TOGETHER || uses > LISTED;
    if too_many && !excluded {
        return Ok(anything);
    }
    ids.truncate(TOGETHER);
    let listed = match too_many || others.is_empty() {
        true => vec![],
        false => listed(readers, word, &others, range).await?,
    };
    Ok(Condition { excluded, ids, listed })
}

async fn listed(
    readers: &SqlitePool,
    word: Word,
    ids: &[i64],
    range: (Position, Position),
) -> Result<Vec<Position>, IndexError> {
    let column = word.as_str();
    // One row: twenty thousand of their own would take longer than finding them.
    let sql = format!(
        "SELECT json_group_array(position) FROM entry INDEXED BY entry_{column} WHERE {column} IS NOT NULL \
         AND {column} IN (SELECT value FROM json_each(?1)) AND position BETWEEN ?2 AND ?3"
    );
    let list: String = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(serde_json::json!(ids).to_string())
        .bind(range.0.cast_signed())
        .bind(range.1.cast_signed())
        .fetch_one(readers)
        .await?;
    let mut listed: Vec<Position> =
        serde_json::from_str(&list).map_err(|e| IndexError::Broken(e.to_string()))?;
    listed.sort_unstable();
    Ok(listed)
}
