//! A filter to SQL. The text of every statement is ours; what people typed is bound. How many records have each value
//! is known, so the most selective condition leads and the others only test; `index/tests`
//! holds every plan to an index.

use super::{Index, IndexError};
use crate::audit::filter::When;
use crate::audit::{Filter, Term, Text, Word};
use crate::kernel::domain::{Position, Time};
use crate::store::JournalSpan;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe, Row as _};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a question waits for the index.
const PATIENCE: Duration = Duration::from_secs(5);
/// Rows that a leading condition with several values may have to sort.
const SORTABLE: i64 = 20_000;
/// Rows that are looked up in the words one by one; beyond it the words lead.
const LOOKED_UP: i64 = 2_000;
/// Values that one pattern may stand for.
const VALUES: i64 = 200_000;

/// Which part of what fits. Positions already given never change their place: pages of the past are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The newest before that position.
    Before(Position),
    /// The oldest from that position on.
    From(Position),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Oldest first.
    pub positions: Vec<Position>,
    /// There is more in the direction that was asked for.
    pub more: bool,
    /// The journal's end when the question came.
    pub head: Position,
}

/// One condition on a column: ids of its terms, and how many records have them.
pub(super) struct Wanted {
    word: Word,
    ids: Vec<i64>,
    uses: i64,
    excluded: bool,
    /// The only condition there is, by its text: its id is looked up on the way, since nothing else could lead.
    alone: Option<String>,
}

/// What one term stands for: ids of its values, and how many records have one of them.
#[derive(Clone, Default)]
struct Values {
    ids: Vec<i64>,
    uses: i64,
}

struct Sql {
    text: String,
    arguments: SqliteArguments,
}

impl Sql {
    fn bind<'t, T: sqlx::Encode<'t, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>>(
        &mut self,
        value: T,
    ) -> Result<(), IndexError> {
        self.arguments.add(value).map_err(|e| IndexError::Broken(e.to_string()))
    }

    /// `column` stands for the ids' column; a plus before it keeps SQLite from leading with its index.
    fn is_one_of(&mut self, column: &str, wanted: &Wanted) -> Result<(), IndexError> {
        if let Some(text) = &wanted.alone {
            self.text.push_str(&format!("{column} = (SELECT id FROM term WHERE word = ? AND text = ?)"));
            self.bind(wanted.word as i64)?;
            return self.bind(text.clone());
        }
        match wanted.ids.as_slice() {
            [id] => {
                self.text.push_str(&format!("{column} = ?"));
                self.bind(*id)
            }
            ids => {
                self.text.push_str(&format!("{column} IN (SELECT value FROM json_each(?))"));
                self.bind(serde_json::json!(ids).to_string())
            }
        }
    }
}

impl Index {
    /// Positions of the records that fit, up to the journal's end as it is now.
    pub async fn search(
        &self,
        filter: &Filter,
        page: Page,
        max: u32,
        now: Time,
    ) -> Result<Found, IndexError> {
        loop {
            let made = self.made.load(Ordering::SeqCst);
            let time = |when: Option<When>| when.map(|when| when.at(now));
            let span = self.store.span(time(filter.since), time(filter.until)).await?;
            self.catch_up(span.last, PATIENCE).await?;
            let found = self.look(filter, page, max, span).await?;
            // Made anew meanwhile, it may have had nothing to find.
            if made == self.made.load(Ordering::SeqCst) {
                return Ok(found);
            }
        }
    }

    async fn look(
        &self,
        filter: &Filter,
        page: Page,
        max: u32,
        span: JournalSpan,
    ) -> Result<Found, IndexError> {
        let none = Found { positions: vec![], more: false, head: span.last };
        let (first, last) = range(filter, page, span);
        if first > last {
            return Ok(none);
        }
        let Some(wanted) = self.wanted(filter).await? else { return Ok(none) };
        let Sql { text, arguments } = statement(filter, &wanted, (first, last), page, max)?;
        let rows = sqlx::query_with(AssertSqlSafe(text), arguments).fetch_all(&self.readers).await?;
        let position = |row| -> Result<Position, sqlx::Error> {
            let row: &sqlx::sqlite::SqliteRow = row;
            row.try_get::<i64, _>(0).map(i64::cast_unsigned)
        };
        let mut positions = rows.iter().map(position).collect::<Result<Vec<_>, _>>()?;
        let more = positions.len() > max as usize;
        positions.truncate(max as usize);
        positions.sort_unstable();
        Ok(Found { positions, more, ..none })
    }

    /// None: a value was asked for that no record has.
    pub(super) async fn wanted(&self, filter: &Filter) -> Result<Option<Vec<Wanted>>, IndexError> {
        if let [Term { word, pattern, excluded: false }] = filter.terms.as_slice()
            && filter.texts.is_empty()
            && let Some(text) = pattern.exactly()
        {
            let alone = Some(text.to_owned());
            return Ok(Some(vec![Wanted { word: *word, ids: vec![], uses: 0, excluded: false, alone }]));
        }
        let mut wanted: Vec<Wanted> = vec![];
        for (term, values) in filter.terms.iter().zip(self.values(&filter.terms).await?) {
            let same = wanted.iter_mut().find(|w| w.word == term.word && w.excluded == term.excluded);
            let place = match same {
                Some(place) => place,
                None => {
                    let (word, excluded) = (term.word, term.excluded);
                    wanted.push(Wanted { word, ids: vec![], uses: 0, excluded, alone: None });
                    wanted.last_mut().expect("invariant: just pushed")
                }
            };
            place.ids.extend(values.ids);
            place.uses += values.uses;
        }
        wanted.retain(|w| !w.excluded || !w.ids.is_empty());
        match wanted.iter().any(|w| w.ids.is_empty()) {
            true => Ok(None),
            false => Ok(Some(wanted)),
        }
    }

    /// For each term the values that it stands for. All that are written out are asked for at once; those of a pattern
    /// come in one row, since they may be many.
    async fn values(&self, terms: &[Term]) -> Result<Vec<Values>, IndexError> {
        let mut values = vec![Values::default(); terms.len()];
        let (mut exact, mut rows) = (vec![], vec![]);
        for (place, term) in (0_i64..).zip(terms) {
            let word = term.word as i64;
            match term.pattern.exactly() {
                Some(text) => exact.push((place, word, text.to_owned())),
                None => {
                    let sql = "SELECT ?1, json_group_array(id), coalesce(sum(uses), 0) FROM (\
                                 SELECT id, uses FROM term \
                                 WHERE word = ?2 AND text >= ?3 AND text < ?4 AND text GLOB ?5 LIMIT +?6)";
                    let beginning = term.pattern.beginning();
                    let query = sqlx::query(sql).bind(place).bind(word).bind(beginning.to_owned());
                    let query = query.bind(format!("{beginning}\u{10FFFF}")).bind(term.pattern.as_glob());
                    rows.extend(query.bind(VALUES).fetch_all(&self.readers).await?);
                }
            }
        }
        if !exact.is_empty() {
            let sql = format!(
                "SELECT asked.column1, json_array(id), uses FROM (VALUES {}) AS asked \
                 CROSS JOIN term ON word = asked.column2 AND text = asked.column3",
                vec!["(?, ?, ?)"; exact.len()].join(", ")
            );
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for (place, word, text) in exact {
                query = query.bind(place).bind(word).bind(text);
            }
            rows.extend(query.fetch_all(&self.readers).await?);
        }
        for row in rows {
            let place = usize::try_from(row.try_get::<i64, _>(0)?).ok().and_then(|at| values.get_mut(at));
            let ids = serde_json::from_str(row.try_get(1)?).map_err(|e| IndexError::Broken(e.to_string()))?;
            *place.expect("invariant: one of ours") = Values { ids, uses: row.try_get(2)? };
        }
        Ok(values)
    }
}

/// Times of records never go back, so times are positions. Records that are on their way out are found no more.
fn range(filter: &Filter, page: Page, span: JournalSpan) -> (Position, Position) {
    let (first, last) = filter.seq.unwrap_or((1, span.last));
    let (first, last) = (first.max(span.first), last.min(span.last));
    let (first, last) = match page {
        Page::Before(before) => (first, last.min(before.saturating_sub(1))),
        Page::From(from) => (first.max(from), last),
    };
    let until = span.until.map_or(last, |until| until.saturating_sub(1));
    (first.max(span.since.unwrap_or(first)), last.min(until))
}

/// What leads: one column's index, the words, or the positions themselves.
enum Lead {
    Column(usize),
    Words,
    Positions,
}

fn lead(filter: &Filter, wanted: &[Wanted]) -> Lead {
    let included = || wanted.iter().enumerate().filter(|(_, w)| !w.excluded);
    let fewest = included().min_by_key(|(_, w)| w.uses).map(|(at, w)| (at, w.uses, w.ids.len()));
    let text = filter.texts.iter().any(|t| !t.excluded);
    match fewest {
        Some((at, uses, _)) if text && uses <= LOOKED_UP => Lead::Column(at),
        _ if text => Lead::Words,
        Some((at, uses, ids)) if ids == 1 || uses <= SORTABLE => Lead::Column(at),
        Some(_) | None => Lead::Positions,
    }
}

fn statement(
    filter: &Filter,
    wanted: &[Wanted],
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
pub(super) fn explained(filter: &Filter, wanted: &[Wanted]) -> Result<(String, SqliteArguments), IndexError> {
    let Sql { text, arguments } = statement(filter, wanted, (1, 200), Page::Before(Position::MAX), 50)?;
    Ok((format!("EXPLAIN QUERY PLAN {text}"), arguments))
}
