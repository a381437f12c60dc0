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
    /// One column's index where few records have its values, else the positions: SQLite decides when it knows.
    Either(usize),
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
        // Not counted: it stands alone.
        (None, Some((at, alone))) if alone.exactly().is_some() => Lead::Column(*at),
        (None, Some((at, _))) => Lead::Either(*at),
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
    match lead(filter, wanted) {
        Lead::Either(at) => {
            sql.text.push_str("WITH fit AS MATERIALIZED (");
            sql.values("id, uses", &wanted[at])?;
            sql.text.push_str(") ");
            sql.select(filter, wanted, range, Lead::Column(at), Some(at))?;
            sql.text.push_str(" UNION ALL ");
            sql.select(filter, wanted, range, Lead::Positions, Some(at))?;
        }
        lead => sql.select(filter, wanted, range, lead, None)?,
    }
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

    /// `fit`: the condition whose values are in the table of that name.
    fn select(
        &mut self,
        filter: &Filter,
        wanted: &[Wanted<'_>],
        (first, last): (Position, Position),
        lead: Lead,
        fit: Option<usize>,
    ) -> Result<(), IndexError> {
        let position = match lead {
            Lead::Words => "words.rowid",
            Lead::Column(_) | Lead::Positions | Lead::Either(_) => "entry.position",
        };
        self.text.push_str(&format!("SELECT {position} FROM "));
        let mut upper = "?".to_owned();
        match lead {
            Lead::Column(at) | Lead::Either(at) => {
                let column = wanted[at].word.as_str();
                self.text.push_str(&format!("entry INDEXED BY entry_{column} WHERE "));
                match fit {
                    Some(_) => self.text.push_str(&format!(
                        "entry.{column} IN (SELECT id FROM fit WHERE (SELECT sum(uses) FROM fit) <= {SORTABLE})"
                    )),
                    None => self.is_one_of(&format!("entry.{column}"), &wanted[at])?,
                }
                // SQLite has to see that the index, which leaves out records without a value, has all that are wanted.
                self.text.push_str(&format!(" AND entry.{column} IS NOT NULL AND "));
            }
            Lead::Words => {
                // Where nothing else is asked, the words know all that there is.
                let entry = "CROSS JOIN entry ON entry.position = words.rowid";
                let entry = if wanted.is_empty() { "" } else { entry };
                self.text.push_str(&format!("words {entry} WHERE words MATCH ? AND "));
                self.bind(matching(&filter.texts))?;
            }
            Lead::Positions => {
                self.text.push_str("entry NOT INDEXED WHERE ");
                if fit.is_some() {
                    upper = format!("iif((SELECT sum(uses) FROM fit) > {SORTABLE}, ?, 0)");
                }
            }
        }
        self.text.push_str(&format!("{position} BETWEEN ? AND {upper}"));
        self.bind(signed(first))?;
        self.bind(signed(last))?;
        for (at, condition) in wanted.iter().enumerate().filter(|(at, _)| lead != Lead::Column(*at)) {
            // A record without a value is none of those that are excluded.
            let column = format!("ifnull(entry.{}, 0)", condition.word.as_str());
            self.text.push_str(if condition.excluded { " AND NOT " } else { " AND " });
            match fit == Some(at) {
                true => self.text.push_str(&format!("{column} IN (SELECT id FROM fit)")),
                false => self.is_one_of(&column, condition)?,
            }
        }
        if lead != Lead::Words {
            for text in &filter.texts {
                let not = if text.excluded { "NOT " } else { "" };
                let exists =
                    "EXISTS (SELECT 1 FROM words WHERE words MATCH ? AND words.rowid = entry.position)";
                self.text.push_str(&format!(" AND {not}{exists}"));
                self.bind(phrase(text))?;
            }
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
        self.values("id", wanted)?;
        self.text.push(')');
        Ok(())
    }

    /// The terms that one condition stands for.
    fn values(&mut self, columns: &str, wanted: &Wanted<'_>) -> Result<(), IndexError> {
        for (at, pattern) in wanted.patterns.iter().enumerate() {
            let union = if at == 0 { "" } else { " UNION ALL " };
            self.text.push_str(&format!("{union}SELECT {columns} FROM term WHERE {}", fitting(pattern)));
            self.bind(wanted.word as i64)?;
            for text in bounds(pattern) {
                self.bind(text)?;
            }
        }
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
