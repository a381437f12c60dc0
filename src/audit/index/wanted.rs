//! What a filter wants of each column.

use crate::audit::filter::Pattern;
use crate::audit::{Filter, Word};

/// Values that a statement lists; where more fit, it looks at the value of each row.
pub(super) const MANY: i64 = if cfg!(test) { 5 } else { 1_000 };

/// One condition on a column: any of these patterns, or none of them.
pub(super) struct Wanted<'f> {
    pub word: Word,
    pub patterns: Vec<&'f Pattern>,
    pub excluded: bool,
    /// It fits more values than a statement should list. Not known of a new one.
    pub many: bool,
}

impl Wanted<'_> {
    /// The value, where it is one that is written out.
    pub fn exactly(&self) -> Option<&str> {
        match self.patterns.as_slice() {
            [pattern] => pattern.exactly(),
            _ => None,
        }
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
            Some(same) => same.patterns.push(&term.pattern),
            None => wanted.push(Wanted {
                word: term.word,
                patterns: vec![&term.pattern],
                excluded: term.excluded,
                many: false,
            }),
        }
    }
    wanted
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
