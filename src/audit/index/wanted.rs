//! What a filter wants of each column, and which values these are.

use super::statement::{Sql, fitting_values};
use super::{Index, IndexError};
use crate::audit::filter::Pattern;
use crate::audit::{Filter, Word};
use sqlx::{AssertSqlSafe, Row as _};

/// Values that a list is made of; where more fit, each row's value is looked at.
pub(super) const MANY: i64 = if cfg!(test) { 5 } else { 128 };

/// Values that are looked for side by side.
const WRITTEN_OUT: usize = 16;

/// One condition on a column: any of these patterns, or none of them.
pub(super) struct Wanted<'f> {
    pub word: Word,
    pub patterns: Vec<&'f Pattern>,
    pub excluded: bool,
    pub values: Values,
}

/// Which values a pattern stands for. They are looked for once: one that begins with `*` reads all values of its column.
pub(super) enum Values {
    /// Not known, or never asked for: a value that is written out, or any.
    Unlisted,
    /// All of them: ids as JSON, their number, and how many records have one.
    Listed { ids: String, number: i64, uses: i64 },
    /// More than are listed.
    TooMany,
}

impl Wanted<'_> {
    /// Up to `most` values, or [`MANY`] where that is more.
    pub async fn list(&mut self, index: &Index, most: i64) -> Result<(), IndexError> {
        if !self.is_open() {
            return Ok(());
        }
        let most = most.max(MANY);
        let Sql { text, arguments, .. } = fitting_values(self, most)?;
        let sql = format!("SELECT json_group_array(id), count(*), coalesce(sum(uses), 0) FROM ({text})");
        let row = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_one(&index.readers).await?;
        let (ids, number, uses) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        self.values = if number > most { Values::TooMany } else { Values::Listed { ids, number, uses } };
        Ok(())
    }

    /// A pattern whose values were not listed; each statement looks them up.
    pub fn is_open(&self) -> bool {
        self.exactly().is_none() && !self.is_anything() && matches!(self.values, Values::Unlisted)
    }

    /// A pattern whose values were listed, and have so few uses.
    pub fn is_used_at_most(&self, most: i64) -> bool {
        matches!(self.values, Values::Listed { uses, .. } if uses <= most)
    }

    /// A pattern of values that were listed, or too many for that.
    pub fn is_many(&self) -> bool {
        match self.values {
            Values::Unlisted => false,
            Values::Listed { number, .. } => number > MANY,
            Values::TooMany => true,
        }
    }

    /// The value, where it is one that is written out.
    pub fn exactly(&self) -> Option<&str> {
        match self.patterns.as_slice() {
            [pattern] => pattern.exactly(),
            _ => None,
        }
    }

    /// One of some values that are written out.
    pub fn is_written_out(&self) -> bool {
        !self.excluded
            && self.patterns.len() <= WRITTEN_OUT
            && self.patterns.iter().all(|pattern| pattern.exactly().is_some())
    }

    /// Any value will do.
    pub fn is_anything(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.is_anything())
    }
}

/// Patterns for one column are alternatives.
pub(super) fn wanted(filter: &Filter) -> Vec<Wanted<'_>> {
    let mut wanted: Vec<Wanted<'_>> = vec![];
    for term in &filter.terms {
        match wanted.iter_mut().find(|w| w.word == term.word && w.excluded == term.excluded) {
            Some(same) if same.patterns.contains(&&term.pattern) => {}
            Some(same) => same.patterns.push(&term.pattern),
            None => wanted.push(Wanted {
                word: term.word,
                patterns: vec![&term.pattern],
                excluded: term.excluded,
                values: Values::Unlisted,
            }),
        }
    }
    wanted
}

/// SQL over `term` for the values that a pattern stands for; [`bounds`] are bound behind the word.
pub(super) fn fitting(pattern: &Pattern) -> &'static str {
    match (pattern.exactly(), pattern.beginning()) {
        (Some(_), _) => "word = ? AND text = ?",
        // GLOB costs several times what the range does.
        (None, _) if pattern.is_beginning() => "word = ? AND text >= ? AND text < ?",
        (None, "") => "word = ? AND text GLOB ?",
        (None, _) => "word = ? AND text >= ? AND text < ? AND text GLOB ?",
    }
}

pub(super) fn bounds(pattern: &Pattern) -> Vec<String> {
    if let Some(text) = pattern.exactly() {
        return vec![text.to_owned()];
    }
    let beginning = pattern.beginning();
    let range = [beginning.to_owned(), format!("{beginning}\u{10FFFF}")];
    let glob = || pattern.as_glob();
    match (pattern.is_beginning(), beginning) {
        (true, _) => range.into(),
        (false, "") => vec![glob()],
        (false, _) => range.into_iter().chain([glob()]).collect(),
    }
}
