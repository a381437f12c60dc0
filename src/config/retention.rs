//! `[retention]`: how long the journal keeps its records. Read by the worker, which looks for what may go, and in the end by
//! the one rule that holds here and for `pointsman db retain`: nothing goes that is younger than [`LEAST_AGE`].

use crate::document::{Table, code};
use crate::kernel::domain::Span;

/// Longer than the longest freeze, the longest override and every budget: none of these is cut by time alone.
pub const LEAST_AGE: Span = Span::mins(35 * 24 * 60);

pub(super) fn read(top: &Table<'_>) -> Option<Span> {
    let table = top.table("retention")?;
    table.need("older_than");
    let age = table.span("older_than");
    if age.is_some_and(|age| age < LEAST_AGE) {
        let says = "\"older_than\" must be at least 35d: freezes, overrides and budgets look back so far";
        table.sink.error(code::BAD_VALUE, table.key_at("older_than"), says);
    }
    table.finish();
    age.filter(|age| *age >= LEAST_AGE)
}
