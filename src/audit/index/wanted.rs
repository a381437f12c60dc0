//! What a filter wants of each column.

use crate::audit::filter::Pattern;
use crate::audit::{Filter, Word};

/// One condition on a column: any of these patterns, or none of them.
pub(super) struct Wanted<'f> {
    pub word: Word,
    pub patterns: Vec<&'f Pattern>,
    pub excluded: bool,
}

impl Wanted<'_> {
    /// It is one value, written out.
    pub fn is_exact(&self) -> bool {
        matches!(self.patterns.as_slice(), [pattern] if pattern.exactly().is_some())
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
