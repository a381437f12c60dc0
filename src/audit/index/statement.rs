//! A filter to SQL. The text of every statement is ours; what people typed is bound. The most selective condition leads
//! and the others only test: a statement has one arm for each that might lead, and finds by how often the values are used
//! which arm it is; the others end before they begin. `index/tests` holds every plan to an index.

use super::IndexError;
use super::search::Page;
use super::wanted::{Wanted, bounds, fitting, wanted};
use crate::audit::{Filter, Text};
use crate::kernel::domain::Position;
use sqlx::Arguments as _;
use sqlx::sqlite::SqliteArguments;

/// Rows that a leading condition with several values may have to sort. Small in tests, so that every arm leads somewhere.
const SORTABLE: i64 = if cfg!(test) { 40 } else { 20_000 };
/// Rows that are looked up in the words one by one; beyond it the words lead.
const LOOKED_UP: i64 = if cfg!(test) { 40 } else { 2_000 };
/// Values of one pattern whose uses are added up; beyond that it is one of the frequent ones anyway.
const COUNTED: i64 = 200_000;

/// Tables of words; who asks for words asks all of them. FTS5 uses one core, and two frequent phrases that never meet are
/// walked to their ends.
pub(super) const HALVES: usize = 2;
/// This bit of a position says which. Low in tests, so that there are both.
const HALF: u32 = if cfg!(test) { 3 } else { 9 };

pub(super) fn half_of(position: Position) -> usize {
    usize::from(position >> HALF & 1 == 1)
}

#[derive(Default)]
pub(super) struct Sql {
    pub text: String,
    pub arguments: SqliteArguments,
    /// The table of words of this half.
    words: String,
    half: usize,
}

/// What leads: one column's index, the words, or the positions themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lead {
    Column(usize),
    Words,
    Positions,
}

/// Who may lead. What is excluded never does.
fn leads(filter: &Filter, wanted: &[Wanted<'_>]) -> Vec<Lead> {
    let included = || wanted.iter().enumerate().filter(|(_, w)| !w.excluded);
    let mut leads: Vec<Lead> = included().map(|(at, _)| Lead::Column(at)).collect();
    match filter.texts.iter().any(|text| !text.excluded) {
        true => leads.push(Lead::Words),
        false if leads.is_empty() || included().any(|(_, w)| !w.is_exact()) => leads.push(Lead::Positions),
        false => {}
    }
    leads
}

/// Up to one more than `max`, in the order of the page. Where words are asked for, of that half alone.
pub(super) fn statement(
    filter: &Filter,
    range: (Position, Position),
    page: Page,
    max: u32,
    half: usize,
) -> Result<Sql, IndexError> {
    let mut sql = Sql { words: format!("words_{half}"), half, ..Sql::default() };
    let wanted = wanted(filter);
    let leads = leads(filter, &wanted);
    if leads.len() > 1 {
        sql.choose(filter, &wanted)?;
    }
    for (at, lead) in leads.iter().enumerate() {
        if at > 0 {
            sql.text.push_str(" UNION ALL ");
        }
        sql.arm(*lead, leads.len() > 1, filter, &wanted, range)?;
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

    /// `lead`: which condition on a column leads, or -1.
    fn choose(&mut self, filter: &Filter, wanted: &[Wanted<'_>]) -> Result<(), IndexError> {
        let text = filter.texts.iter().any(|text| !text.excluded);
        self.text.push_str("WITH lead (at) AS MATERIALIZED (SELECT iif(uses <= most, at, -1) FROM (");
        for (n, (at, condition)) in wanted.iter().enumerate().filter(|(_, w)| !w.excluded).enumerate() {
            let most = match condition.is_exact() {
                _ if text => LOOKED_UP,
                true => i64::MAX,
                false => SORTABLE,
            };
            let union = if n == 0 { "" } else { " UNION ALL " };
            let columns = format!("{at} AS at, {most} AS most, coalesce(sum(uses), 0) AS uses");
            self.text.push_str(&format!("{union}SELECT {columns} FROM ("));
            self.values("uses", condition, None)?;
            self.text.push_str(&format!(" LIMIT {COUNTED})"));
        }
        self.text.push_str(") ORDER BY uses, at LIMIT 1) ");
        Ok(())
    }

    /// One SELECT of positions, for the case that this leads.
    fn arm(
        &mut self,
        lead: Lead,
        chosen: bool,
        filter: &Filter,
        wanted: &[Wanted<'_>],
        range: (Position, Position),
    ) -> Result<(), IndexError> {
        let words = self.words.clone();
        let by_words = format!("{words}.rowid");
        let (from, position, number) = match lead {
            Lead::Column(at) => {
                let from = format!("entry INDEXED BY entry_{}", wanted[at].word.as_str());
                (from, "entry.position", i64::try_from(at).unwrap_or(-1))
            }
            // Where nothing else is asked, the words know all that there is.
            Lead::Words if wanted.is_empty() => (words.clone(), by_words.as_str(), -1),
            Lead::Words => {
                (format!("{words} CROSS JOIN entry ON entry.position = {by_words}"), by_words.as_str(), -1)
            }
            Lead::Positions => ("entry NOT INDEXED".to_owned(), "entry.position", -1),
        };
        // Where a value or a bound depends on it, SQLite has nothing to walk; a condition of its own is asked for each row.
        let leads = chosen.then(|| format!("(SELECT at FROM lead) = {number}"));
        let first = match (&leads, lead) {
            (Some(leads), Lead::Positions) => format!("iif({leads}, ?, {})", i64::MAX),
            _ => "?".to_owned(),
        };
        self.text.push_str(&format!("SELECT {position} FROM {from} WHERE {position} BETWEEN {first} AND ?"));
        self.bind(signed(range.0))?;
        self.bind(signed(range.1))?;
        match lead {
            Lead::Column(at) => {
                let column = format!("entry.{}", wanted[at].word.as_str());
                // SQLite has to see that the index, which leaves out records without a value, has all that are wanted.
                self.text.push_str(&format!(" AND {column} IS NOT NULL AND "));
                self.is_one_of(&column, &wanted[at], leads.as_deref())?;
            }
            Lead::Words => {
                let what = leads.map_or("?".to_owned(), |leads| format!("iif({leads}, ?, '\"\"')"));
                self.text.push_str(&format!(" AND {words} MATCH {what}"));
                self.bind(matching(&filter.texts))?;
            }
            Lead::Positions => {}
        }
        self.test(lead, filter, wanted)
    }

    /// Whatever does not lead.
    fn test(&mut self, lead: Lead, filter: &Filter, wanted: &[Wanted<'_>]) -> Result<(), IndexError> {
        for (_, condition) in wanted.iter().enumerate().filter(|(at, _)| lead != Lead::Column(*at)) {
            self.text.push_str(if condition.excluded { " AND NOT " } else { " AND " });
            // A record without a value is none of those that are excluded.
            self.is_one_of(&format!("ifnull(entry.{}, 0)", condition.word.as_str()), condition, None)?;
        }
        if lead != Lead::Words && !filter.texts.is_empty() {
            self.text.push_str(&format!(" AND (entry.position >> {HALF} & 1) = {}", self.half));
        }
        for text in filter.texts.iter().filter(|_| lead != Lead::Words) {
            let not = if text.excluded { "NOT " } else { "" };
            let words = &self.words;
            let exists = format!(
                "EXISTS (SELECT 1 FROM {words} WHERE {words} MATCH ? AND {words}.rowid = entry.position)"
            );
            self.text.push_str(&format!(" AND {not}{exists}"));
            self.bind(phrase(text))?;
        }
        Ok(())
    }

    /// `column` stands for the ids' column. One value is asked for by `=`, which needs no sorting behind an index.
    fn is_one_of(
        &mut self,
        column: &str,
        wanted: &Wanted<'_>,
        provided: Option<&str>,
    ) -> Result<(), IndexError> {
        let is = if wanted.is_exact() && !wanted.excluded { "=" } else { "IN" };
        self.text.push_str(&format!("{column} {is} ("));
        self.values("id", wanted, provided)?;
        self.text.push(')');
        Ok(())
    }

    /// That column of all values that fit; none where something is `provided` that does not hold.
    fn values(
        &mut self,
        column: &str,
        wanted: &Wanted<'_>,
        provided: Option<&str>,
    ) -> Result<(), IndexError> {
        let provided = provided.map(|condition| format!(" AND {condition}")).unwrap_or_default();
        for (at, pattern) in wanted.patterns.iter().enumerate() {
            let union = if at == 0 { "" } else { " UNION ALL " };
            let fits = fitting(pattern);
            self.text.push_str(&format!("{union}SELECT {column} FROM term WHERE {fits}{provided}"));
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
