//! What a filter wants of each column, and how often that is in the journal: what the statement is planned by.

use super::{Index, IndexError};
use crate::audit::filter::Pattern;
use crate::audit::{Filter, Word};
use sqlx::{AssertSqlSafe, Row as _};

/// Values of one pattern that are counted; beyond that it is one of the frequent ones anyway.
const COUNTED: i64 = 200_000;

/// One condition on a column: any of these patterns, or none of them.
pub(in crate::audit) struct Wanted<'f> {
    pub word: Word,
    pub patterns: Vec<&'f Pattern>,
    pub excluded: bool,
    /// None: nothing is to be decided by it.
    pub found: Option<Values>,
}

/// The values of a column that fit.
#[derive(Clone, Copy, Default)]
pub(in crate::audit) struct Values {
    pub count: i64,
    /// Records that have one of them.
    pub uses: i64,
    /// The only one.
    pub id: Option<i64>,
}

impl Wanted<'_> {
    /// The value itself, where the condition is one that is written out.
    pub fn exactly(&self) -> Option<&str> {
        match self.patterns.as_slice() {
            [pattern] => pattern.exactly(),
            _ => None,
        }
    }
}

/// Patterns for one column are alternatives.
fn gather(filter: &Filter) -> Vec<Wanted<'_>> {
    let mut wanted: Vec<Wanted<'_>> = vec![];
    for term in &filter.terms {
        match wanted.iter_mut().find(|w| w.word == term.word && w.excluded == term.excluded) {
            Some(same) => same.patterns.push(&term.pattern),
            None => wanted.push(Wanted {
                word: term.word,
                patterns: vec![&term.pattern],
                excluded: term.excluded,
                found: None,
            }),
        }
    }
    wanted
}

/// Where one value stands alone it leads, whatever its number; what is excluded never does.
fn worth_counting(filter: &Filter, wanted: &[Wanted<'_>]) -> bool {
    let mut included = wanted.iter().filter(|w| !w.excluded);
    match (included.next(), included.next()) {
        (None, _) => false,
        (Some(only), None) => only.exactly().is_none() || filter.texts.iter().any(|text| !text.excluded),
        (Some(_), Some(_)) => true,
    }
}

impl Index {
    /// None: a value was asked for that no record has.
    pub(super) async fn wanted<'f>(&self, filter: &'f Filter) -> Result<Option<Vec<Wanted<'f>>>, IndexError> {
        let mut wanted = gather(filter);
        if worth_counting(filter, &wanted) {
            self.count(&mut wanted).await?;
        }
        let missing = |w: &Wanted<'_>| w.found.is_some_and(|found| found.count == 0);
        Ok((!wanted.iter().any(missing)).then_some(wanted))
    }

    /// In one statement, for what is included.
    async fn count(&self, wanted: &mut [Wanted<'_>]) -> Result<(), IndexError> {
        let asked: Vec<(usize, &Wanted<'_>, &Pattern)> = wanted
            .iter()
            .enumerate()
            .filter(|(_, w)| !w.excluded)
            .flat_map(|(at, w)| w.patterns.iter().map(move |pattern| (at, w, *pattern)))
            .collect();
        let select = |(_, _, pattern): &(usize, &Wanted<'_>, &Pattern)| {
            let fits = fitting(pattern);
            format!(
                "SELECT count(*), coalesce(sum(uses), 0), max(id) FROM \
                 (SELECT id, uses FROM term WHERE {fits} LIMIT +{COUNTED})"
            )
        };
        let sql: Vec<String> = asked.iter().map(select).collect();
        let mut query = sqlx::query(AssertSqlSafe(sql.join(" UNION ALL ")));
        for (_, w, pattern) in &asked {
            query = query.bind(w.word as i64);
            for text in bounds(pattern) {
                query = query.bind(text);
            }
        }
        let rows = query.fetch_all(&self.readers).await?;
        let places: Vec<usize> = asked.iter().map(|(at, _, _)| *at).collect();
        for (at, row) in places.into_iter().zip(rows) {
            let (count, uses, id): (i64, i64, Option<i64>) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let all = wanted[at].found.get_or_insert_default();
            let id = if all.count == 0 { id } else { all.id.filter(|_| count == 0) };
            *all = Values { count: all.count + count, uses: all.uses + uses, id };
            all.id = all.id.filter(|_| all.count == 1);
        }
        Ok(())
    }
}

/// SQL over `term` for the values that a pattern stands for; [`bounds`] are bound behind the word.
pub(super) fn fitting(pattern: &Pattern) -> &'static str {
    match pattern.exactly() {
        Some(_) => "word = ? AND text = ?",
        // GLOB costs several times what the range does.
        None if pattern.is_beginning() => "word = ? AND text >= ? AND text < ?",
        None => "word = ? AND text >= ? AND text < ? AND text GLOB ?",
    }
}

pub(super) fn bounds(pattern: &Pattern) -> Vec<String> {
    if let Some(text) = pattern.exactly() {
        return vec![text.to_owned()];
    }
    let beginning = pattern.beginning();
    let mut bounds = vec![beginning.to_owned(), format!("{beginning}\u{10FFFF}")];
    if !pattern.is_beginning() {
        bounds.push(pattern.as_glob());
    }
    bounds
}
