//! A filter to SQL. The text of every statement is ours; what people typed is bound. How many records have each value
//! is known where it matters, so the most selective condition leads and the others only test; `index/tests`
//! holds every plan to an index.

use super::IndexError;
use super::search::Page;
use super::wanted::{Values, Wanted, bounds, fitting};
use crate::audit::{Filter, Text};
use crate::kernel::domain::Position;
use sqlx::Arguments as _;
use sqlx::sqlite::SqliteArguments;

/// Rows that a leading condition with several values may have to sort.
const SORTABLE: i64 = 20_000;
/// Rows that are looked up in the words one by one; beyond it the words lead.
const LOOKED_UP: i64 = 2_000;

#[derive(Default)]
pub(super) struct Sql {
    pub text: String,
    pub arguments: SqliteArguments,
}

/// What leads: one column's index, the words, or the positions themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lead {
    Column(usize),
    Words,
    Positions,
}

fn lead(filter: &Filter, wanted: &[Wanted<'_>]) -> Lead {
    let included: Vec<(usize, &Wanted<'_>)> =
        wanted.iter().enumerate().filter(|(_, w)| !w.excluded).collect();
    let text = filter.texts.iter().any(|t| !t.excluded);
    let counted = included.iter().filter_map(|(at, w)| Some((*at, w.found?)));
    match (counted.min_by_key(|(_, found)| found.uses), included.first()) {
        (Some((at, found)), _) if text && found.uses <= LOOKED_UP => Lead::Column(at),
        _ if text => Lead::Words,
        (Some((at, found)), _) if found.count == 1 || found.uses <= SORTABLE => Lead::Column(at),
        (Some(_), _) | (None, None) => Lead::Positions,
        // Not counted: one value that stands alone.
        (None, Some((at, _))) => Lead::Column(*at),
    }
}

pub(super) fn statement(
    filter: &Filter,
    wanted: &[Wanted<'_>],
    range: (Position, Position),
    page: Page,
    max: u32,
) -> Result<Sql, IndexError> {
    let mut sql = Sql::default();
    let lead = lead(filter, wanted);
    let position = sql.lead_by(lead, filter, wanted)?;
    sql.text.push_str(&format!("{position} BETWEEN ? AND ?"));
    sql.bind(signed(range.0))?;
    sql.bind(signed(range.1))?;
    sql.test(lead, filter, wanted)?;
    let order = if matches!(page, Page::Before(_)) { "DESC" } else { "" };
    sql.text.push_str(&format!(" ORDER BY 1 {order} LIMIT +?"));
    sql.bind(i64::from(max) + 1)?;
    Ok(sql)
}

impl Sql {
    fn bind<'t, T: sqlx::Encode<'t, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>>(
        &mut self,
        value: T,
    ) -> Result<(), IndexError> {
        self.arguments.add(value).map_err(|e| IndexError::Broken(e.to_string()))
    }

    /// Up to its WHERE; the column that has the positions.
    fn lead_by(
        &mut self,
        lead: Lead,
        filter: &Filter,
        wanted: &[Wanted<'_>],
    ) -> Result<&'static str, IndexError> {
        match lead {
            Lead::Column(at) => {
                let column = wanted[at].word.as_str();
                let from = format!("SELECT entry.position FROM entry INDEXED BY entry_{column} WHERE ");
                self.text.push_str(&from);
                self.is_one_of(&format!("entry.{column}"), &wanted[at])?;
                // SQLite has to see that the index, which leaves out records without a value, has all that are wanted.
                self.text.push_str(&format!(" AND entry.{column} IS NOT NULL AND "));
                Ok("entry.position")
            }
            Lead::Words => {
                // Where nothing else is asked, the words know all that there is.
                let entry = "CROSS JOIN entry ON entry.position = words.rowid";
                let entry = if wanted.is_empty() { "" } else { entry };
                self.text
                    .push_str(&format!("SELECT words.rowid FROM words {entry} WHERE words MATCH ? AND "));
                self.bind(matching(&filter.texts))?;
                Ok("words.rowid")
            }
            Lead::Positions => {
                self.text.push_str("SELECT entry.position FROM entry NOT INDEXED WHERE ");
                Ok("entry.position")
            }
        }
    }

    /// Whatever does not lead.
    fn test(&mut self, lead: Lead, filter: &Filter, wanted: &[Wanted<'_>]) -> Result<(), IndexError> {
        for (_, condition) in wanted.iter().enumerate().filter(|(at, _)| lead != Lead::Column(*at)) {
            self.text.push_str(if condition.excluded { " AND NOT " } else { " AND " });
            // A record without a value is none of those that are excluded.
            self.is_one_of(&format!("ifnull(entry.{}, 0)", condition.word.as_str()), condition)?;
        }
        for text in filter.texts.iter().filter(|_| lead != Lead::Words) {
            let not = if text.excluded { "NOT " } else { "" };
            let exists = "EXISTS (SELECT 1 FROM words WHERE words MATCH ? AND words.rowid = entry.position)";
            self.text.push_str(&format!(" AND {not}{exists}"));
            self.bind(phrase(text))?;
        }
        Ok(())
    }

    /// `column` stands for the ids' column. One value is asked for by `=`, which needs no sorting behind an index.
    fn is_one_of(&mut self, column: &str, wanted: &Wanted<'_>) -> Result<(), IndexError> {
        if let Some(Values { id: Some(id), .. }) = wanted.found {
            self.text.push_str(&format!("{column} = ?"));
            return self.bind(id);
        }
        let one = wanted.exactly().is_some() && !wanted.excluded;
        self.text.push_str(&format!("{column} {} (", if one { "=" } else { "IN" }));
        for (at, pattern) in wanted.patterns.iter().enumerate() {
            let union = if at == 0 { "" } else { " UNION ALL " };
            self.text.push_str(&format!("{union}SELECT id FROM term WHERE {}", fitting(pattern)));
            self.bind(wanted.word as i64)?;
            for text in bounds(pattern) {
                self.bind(text)?;
            }
        }
        self.text.push(')');
        Ok(())
    }
}

fn signed(position: Position) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

/// A string of FTS5: nothing inside it is read as an operator.
fn phrase(text: &Text) -> String {
    format!("\"{}\"{}", text.phrase.replace('"', "\"\""), if text.prefix { "*" } else { "" })
}

fn matching(texts: &[Text]) -> String {
    let list = |excluded: bool, between: &str| {
        let phrases: Vec<String> = texts.iter().filter(|t| t.excluded == excluded).map(phrase).collect();
        phrases.join(between)
    };
    match list(true, " OR ") {
        excluded if excluded.is_empty() => list(false, " AND "),
        excluded => format!("({}) NOT ({excluded})", list(false, " AND ")),
    }
}

/// The plan that SQLite makes of a statement, for tests.
#[cfg(test)]
pub(super) fn explained(
    filter: &Filter,
    wanted: &[Wanted<'_>],
) -> Result<(String, SqliteArguments), IndexError> {
    let Sql { text, arguments } = statement(filter, wanted, (1, 200), Page::Before(Position::MAX), 50)?;
    Ok((format!("EXPLAIN QUERY PLAN {text}"), arguments))
}
