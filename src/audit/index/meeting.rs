//! Where several conditions meet, by their bits: frequent values that seldom meet are found without a walk over the records
//! of either. Bits say only where to look; a statement judges what they name.

use super::IndexError;
use super::bitmap::{BITS, Block, WORDS, add, any_of, key, within};
use super::statement::values_to_meet;
use super::wanted::Wanted;
use crate::audit::Word;
use crate::kernel::domain::Position;
use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, Row as _};
use std::ops::Range;

/// Values of one condition whose bits are put together, and uses of others that are listed; beyond them, all records that
/// have any value there are looked at.
const TOGETHER: usize = if cfg!(test) { 4 } else { 64 };
const LISTED: i64 = if cfg!(test) { 30 } else { 20_000 };

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
                let bits: &[u8] = row.try_get(1)?;
                let added = has.get_mut(of(block)).and_then(|has| add(has, bits));
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
    if wanted.is_anything() || (wanted.is_many() && !excluded) {
        return Ok(anything);
    }
    if wanted.is_many() {
        return Ok(Condition { excluded, ids: vec![], listed: vec![] });
    }
    let values = values_to_meet(wanted)?;
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
