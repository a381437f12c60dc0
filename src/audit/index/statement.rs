//! A filter to SQL. The text of every statement is ours; what people typed is bound. `index/tests` holds every plan to an
//! index.

use super::IndexError;
use super::lead::Lead;
use super::segment::Segment;
use super::wanted::{MANY, Values, Wanted, bounds, fitting};
use crate::audit::filter::Pattern;
use crate::audit::{Text, Word};
use crate::kernel::domain::Position;
use serde_json::json;
use sqlx::Arguments as _;
use sqlx::sqlite::SqliteArguments;

/// Of positions that are on average no further apart, the words are read from the first to the last at once; of others one by
/// one, which costs some twenty times as much for each.
const DENSE: u64 = if cfg!(test) { 2 } else { 16 };

#[derive(Default)]
pub(super) struct Sql {
    /// Tables that it looks up once.
    pub with: Vec<String>,
    /// Where its arms have walked as many records as they may.
    pub ends: Vec<String>,
    pub text: String,
    pub arguments: SqliteArguments,
}

/// By the words of one segment: up to `limit`, the newest or the oldest first.
pub(super) fn by_words(
    texts: &[Text],
    wanted: &[Wanted<'_>],
    segment: Segment,
    range: (Position, Position),
    newest: bool,
    limit: usize,
) -> Result<Sql, IndexError> {
    let (mut sql, words) = (Sql::default(), segment.table());
    // Where nothing else is asked, the words know all that there is.
    let join = match wanted.is_empty() {
        true => String::new(),
        false => format!(" CROSS JOIN entry ON entry.position = {words}.rowid"),
    };
    sql.text = format!(
        "SELECT {words}.rowid FROM {words}{join} WHERE {words}.rowid BETWEEN ? AND ? AND {words} MATCH ?"
    );
    sql.bind(signed(range.0))?;
    sql.bind(signed(range.1))?;
    sql.bind(matching(texts))?;
    sql.test(None, wanted)?;
    sql.first(newest, limit)?;
    Ok(sql)
}

/// Which of these positions fit: all conditions on columns, and those on words of the segment that has all of the positions.
pub(super) fn among(
    wanted: &[Wanted<'_>],
    positions: &[Position],
    said: Option<(Segment, &[Text])>,
) -> Result<Sql, IndexError> {
    let mut sql = Sql::default();
    let given =
        "SELECT entry.position FROM json_each(?) AS given CROSS JOIN entry ON entry.position = given.value";
    sql.text = format!("{given} WHERE TRUE");
    sql.bind(json!(positions).to_string())?;
    sql.test(None, wanted)?;
    let Some((segment, texts)) = said else { return Ok(sql) };
    let words = segment.table();
    let (first, last) = (positions.iter().min().unwrap_or(&0), positions.iter().max().unwrap_or(&0));
    let is_dense = last - first < DENSE * positions.len() as u64;
    for text in texts {
        let not = if text.excluded { "NOT " } else { "" };
        let said = format!("SELECT {words}.rowid FROM {words} WHERE {words} MATCH ? AND {words}.rowid");
        sql.bind(phrase(text))?;
        if is_dense {
            sql.text.push_str(&format!(" AND entry.position {not}IN ({said} BETWEEN ? AND ?)"));
            sql.bind(signed(*first))?;
            sql.bind(signed(*last))?;
        } else {
            sql.text.push_str(&format!(" AND {not}EXISTS ({said} = entry.position)"));
        }
    }
    Ok(sql)
}

/// Ids and uses of the values that fit, or of one more than `most`.
pub(super) fn fitting_values(wanted: &Wanted<'_>, most: i64) -> Result<Sql, IndexError> {
    let mut sql = Sql::default();
    sql.some_values("id, uses", wanted, most)?;
    Ok(sql)
}

/// Ids and uses of the values of a condition that is not many, and which of them have bits.
pub(super) fn values_to_meet(wanted: &Wanted<'_>) -> Result<Sql, IndexError> {
    let mut sql = Sql::default();
    sql.text.push_str("SELECT id, uses, kept FROM term WHERE id IN (");
    sql.ids(wanted, None)?;
    sql.text.push(')');
    Ok(sql)
}

impl Sql {
    pub fn whole(&self) -> String {
        match self.with.is_empty() {
            true => self.text.clone(),
            false => format!("WITH {} {}", self.with.join(", "), self.text),
        }
    }

    pub fn bind<'t, T: sqlx::Encode<'t, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>>(
        &mut self,
        value: T,
    ) -> Result<(), IndexError> {
        self.arguments.add(value).map_err(|e| IndexError::Broken(e.to_string()))
    }

    pub fn first(&mut self, newest: bool, limit: usize) -> Result<(), IndexError> {
        self.text.push_str(if newest { " ORDER BY 1 DESC LIMIT +?" } else { " ORDER BY 1 LIMIT +?" });
        self.bind(i64::try_from(limit).unwrap_or(i64::MAX))
    }

    /// A table that is looked up once; its text is what `write` adds.
    pub fn table(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut Sql) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let before = std::mem::take(&mut self.text);
        write(self)?;
        let text = std::mem::replace(&mut self.text, before);
        self.with.push(format!("{name} AS MATERIALIZED ({text})"));
        Ok(())
    }

    /// Whatever does not lead.
    pub fn test(&mut self, lead: Option<Lead>, wanted: &[Wanted<'_>]) -> Result<(), IndexError> {
        for (at, condition) in wanted.iter().enumerate().filter(|(at, _)| lead != Some(Lead::Column(*at))) {
            self.text.push_str(if condition.excluded { " AND NOT " } else { " AND " });
            let column = format!("entry.{}", condition.word.as_str());
            match condition.is_anything() {
                true => self.text.push_str(&format!("({column} IS NOT NULL)")),
                false => self.holds(at, condition)?,
            }
        }
        Ok(())
    }

    /// Of a row whose value is one of those that fit.
    fn holds(&mut self, at: usize, wanted: &Wanted<'_>) -> Result<(), IndexError> {
        let column = format!("entry.{}", wanted.word.as_str());
        // A record without a value is none of those that are excluded. The plus is for what leads, not this, to be looked up.
        let value = if wanted.excluded { format!("ifnull({column}, 0)") } else { format!("+{column}") };
        if wanted.is_many() {
            return self.fits(&column, wanted);
        }
        if !wanted.is_open() {
            return self.is_one_of(&value, wanted, None);
        }
        let few = format!("(SELECT number FROM known_{at}) <= {MANY}");
        self.text.push_str(&format!("CASE WHEN {few} THEN {value} IN (SELECT id FROM fit_{at}) ELSE "));
        self.fits(&column, wanted)?;
        self.text.push_str(" END");
        Ok(())
    }

    /// Looks at the value of each row, where a list of all that fit would be long.
    fn fits(&mut self, column: &str, wanted: &Wanted<'_>) -> Result<(), IndexError> {
        self.text.push_str("EXISTS (");
        self.values("1", wanted, Some(&format!("id = {column}")))?;
        self.text.push(')');
        Ok(())
    }

    /// `column` stands for the ids' column. One value is asked for by `=`, which needs no sorting behind an index.
    pub fn is_one_of(
        &mut self,
        column: &str,
        wanted: &Wanted<'_>,
        provided: Option<&str>,
    ) -> Result<(), IndexError> {
        let is = if wanted.exactly().is_some() && !wanted.excluded { "=" } else { "IN" };
        self.text.push_str(&format!("{column} {is} ("));
        self.ids(wanted, provided)?;
        self.text.push(')');
        Ok(())
    }

    /// Of the values that fit; none where something is `provided` that does not hold.
    fn ids(&mut self, wanted: &Wanted<'_>, provided: Option<&str>) -> Result<(), IndexError> {
        let Values::Listed { ids, .. } = &wanted.values else { return self.values("id", wanted, provided) };
        let provided = provided.map(|condition| format!(" WHERE {condition}")).unwrap_or_default();
        self.text.push_str(&format!("SELECT value FROM json_each(?){provided}"));
        self.bind(ids.clone())
    }

    pub fn some_values(&mut self, columns: &str, wanted: &Wanted<'_>, most: i64) -> Result<(), IndexError> {
        self.values(columns, wanted, None)?;
        self.text.push_str(&format!(" LIMIT {most} + 1"));
        Ok(())
    }

    /// Those columns of all values that fit; none where something is `provided` that does not hold.
    pub fn values(
        &mut self,
        columns: &str,
        wanted: &Wanted<'_>,
        provided: Option<&str>,
    ) -> Result<(), IndexError> {
        let provided = provided.map(|condition| format!(" AND {condition}")).unwrap_or_default();
        for (at, pattern) in wanted.patterns.iter().enumerate() {
            self.text.push_str(if at == 0 { "" } else { " UNION ALL " });
            self.value(columns, wanted.word, pattern, &provided)?;
        }
        Ok(())
    }

    /// Of one pattern; `and` is SQL.
    pub fn value(
        &mut self,
        columns: &str,
        word: Word,
        pattern: &Pattern,
        and: &str,
    ) -> Result<(), IndexError> {
        let fits = fitting(pattern);
        self.text.push_str(&format!("SELECT {columns} FROM term WHERE {fits}{and}"));
        self.bind(word as i64)?;
        bounds(pattern).into_iter().try_for_each(|text| self.bind(text))
    }
}

pub(super) fn signed(position: Position) -> i64 {
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
