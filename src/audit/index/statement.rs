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

pub(super) struct Sql {
    pub text: String,
    pub arguments: SqliteArguments,
}

impl Sql {
    fn bind<'t, T: sqlx::Encode<'t, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>>(
        &mut self,
        value: T,
    ) -> Result<(), IndexError> {
        self.arguments.add(value).map_err(|e| IndexError::Broken(e.to_string()))
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

/// What leads: one column's index, the words, or the positions themselves.
enum Lead {
    Column(usize),
    Words,
    Positions,
}

fn lead(filter: &Filter, wanted: &[Wanted<'_>]) -> Lead {
    let included = || wanted.iter().enumerate().filter(|(_, w)| !w.excluded);
    // What was not counted is one value that stands alone.
    let counted = |w: &Wanted<'_>| w.found.unwrap_or(Values { count: 1, uses: 0, id: None });
    let fewest = included().map(|(at, w)| (at, counted(w))).min_by_key(|(_, found)| found.uses);
    let text = filter.texts.iter().any(|t| !t.excluded);
    match fewest {
        Some((at, found)) if text && found.uses <= LOOKED_UP => Lead::Column(at),
        _ if text => Lead::Words,
        Some((at, found)) if found.count == 1 || found.uses <= SORTABLE => Lead::Column(at),
        Some(_) | None => Lead::Positions,
    }
}

pub(super) fn statement(
    filter: &Filter,
    wanted: &[Wanted<'_>],
    (first, last): (Position, Position),
    page: Page,
    max: u32,
) -> Result<Sql, IndexError> {
    let lead = lead(filter, wanted);
    let mut sql = Sql { text: "SELECT entry.position FROM ".into(), arguments: SqliteArguments::default() };
    let position = match lead {
        Lead::Column(at) => {
            let column = wanted[at].word.as_str();
            sql.text.push_str(&format!("entry INDEXED BY entry_{column} WHERE "));
            sql.is_one_of(&format!("entry.{column}"), &wanted[at])?;
            // SQLite has to see that the index, which leaves out records without a value, has all that are wanted.
            sql.text.push_str(&format!(" AND entry.{column} IS NOT NULL AND "));
            "entry.position"
        }
        Lead::Words => {
            sql.text
                .push_str("words CROSS JOIN entry ON entry.position = words.rowid WHERE words MATCH ? AND ");
            sql.bind(matching(&filter.texts))?;
            "words.rowid"
        }
        Lead::Positions => {
            sql.text.push_str("entry NOT INDEXED WHERE ");
            "entry.position"
        }
    };
    sql.text.push_str(&format!("{position} BETWEEN ? AND ?"));
    sql.bind(signed(first))?;
    sql.bind(signed(last))?;
    for (at, condition) in wanted.iter().enumerate() {
        if matches!(lead, Lead::Column(leading) if leading == at) {
            continue;
        }
        let column = condition.word.as_str();
        sql.text.push_str(if condition.excluded { " AND NOT " } else { " AND " });
        // A record without a value is none of those that are excluded.
        sql.is_one_of(&format!("ifnull(entry.{column}, 0)"), condition)?;
    }
    if !matches!(lead, Lead::Words) {
        for text in &filter.texts {
            let not = if text.excluded { "NOT " } else { "" };
            let exists = "EXISTS (SELECT 1 FROM words WHERE words MATCH ? AND words.rowid = entry.position)";
            sql.text.push_str(&format!(" AND {not}{exists}"));
            sql.bind(phrase(text))?;
        }
    }
    let order = if matches!(page, Page::Before(_)) { "DESC" } else { "" };
    sql.text.push_str(&format!(" ORDER BY {position} {order} LIMIT +?"));
    sql.bind(i64::from(max) + 1)?;
    Ok(sql)
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
