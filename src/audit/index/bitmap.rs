//! Which records have a frequent value: a bit for each position, in blocks, written once when a block is complete.

use super::{Filler, IndexError};
use crate::audit::Word;
use crate::audit::filter::Pattern;
use crate::kernel::domain::Position;
use sqlx::{AssertSqlSafe, Row as _};
use std::collections::{BTreeMap, HashMap};

/// Positions of a block, as a power of two: 2 KB of bits.
pub(super) const BITS: u32 = if cfg!(test) { 6 } else { 14 };
pub(super) const BLOCK: u64 = 1 << BITS;
pub(super) const WORDS: usize = 1 << (BITS - 6);
/// Uses of a value from which on its bits are kept.
pub(super) const FREQUENT: i64 = if cfg!(test) { 20 } else { 4_096 };
/// Digits of a block's number in a key.
const BLOCKS: u32 = 24;

pub(super) type Block = [u64; WORDS];

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

    /// Whether values of that pattern are known to have more than so many uses.
    pub fn is_used_more(&self, word: Word, pattern: &Pattern, most: i64) -> bool {
        let beginning = pattern.beginning();
        let from = self.ids.range((word, beginning.to_owned())..).map(|(key, _)| key);
        let alike = from.take_while(|(of, text)| *of == word && text.starts_with(beginning));
        let enough = usize::try_from(most / FREQUENT + 1).unwrap_or(usize::MAX);
        alike.filter(|(_, text)| pattern.fits(text)).take(enough).count() == enough
    }
}

/// Where a value's bits of a block lie. Those of a column, for records that have any value there, come before all values.
pub(super) fn key(id: i64, block: u64) -> i64 {
    (id << BLOCKS) + block.cast_signed()
}

pub(super) fn any_of(word: Word) -> i64 {
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
pub(super) fn add(block: &mut Block, kept: &[u8]) -> Option<()> {
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

pub(super) fn within(position: Position) -> u16 {
    u16::try_from(position & (BLOCK - 1)).unwrap_or_default()
}
