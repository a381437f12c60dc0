//! A filter to SQL. The text of every statement is ours; what people typed is bound. The rarest condition leads and the
//! others only test. `index/tests` holds every plan to an index.

use super::IndexError;
use super::segment::Segment;
use super::wanted::{Wanted, bounds, fitting};
use crate::audit::Text;
use crate::kernel::domain::Position;
use serde_json::json;
use sqlx::Arguments as _;
use sqlx::sqlite::SqliteArguments;

#[derive(Default)]
pub(super) struct Sql {
    pub text: String,
    pub arguments: SqliteArguments,
}

/// What leads: one column's index, or the positions themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lead {
    Column(usize),
    Positions,
}

/// By the values alone: up to `limit`, the newest or the oldest first. Where there is more than one lead, all are columns
/// with one value. Then it has an arm for each, and finds by how often the values are used which of them it is; the others
/// end before they begin.
pub(super) fn by_columns(
    wanted: &[Wanted<'_>],
    leads: &[Lead],
    range: (Position, Position),
    newest: bool,
    limit: usize,
) -> Result<Sql, IndexError> {
    let mut sql = Sql::default();
    if leads.len() > 1 {
        sql.choose(wanted, leads)?;
    }
    for (at, lead) in leads.iter().enumerate() {
        if at > 0 {
            sql.text.push_str(" UNION ALL ");
        }
        sql.arm(*lead, leads.len() > 1, wanted, range)?;
    }
    sql.first(newest, limit)?;
    Ok(sql)
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
    for text in texts {
        let not = if text.excluded { "NOT " } else { "" };
        let said = format!("SELECT 1 FROM {words} WHERE {words} MATCH ? AND {words}.rowid = entry.position");
        sql.text.push_str(&format!(" AND {not}EXISTS ({said})"));
        sql.bind(phrase(text))?;
    }
    Ok(sql)
}

/// Those columns of some of the values that fit: of all, unless there are more than `most`.
pub(super) fn values(columns: &str, wanted: &Wanted<'_>, most: i64) -> Result<Sql, IndexError> {
    let mut sql = Sql::default();
    sql.values(columns, wanted, None)?;
    sql.text.push_str(&format!(" LIMIT {most}"));
    Ok(sql)
}

impl Sql {
    fn bind<'t, T: sqlx::Encode<'t, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>>(
        &mut self,
        value: T,
    ) -> Result<(), IndexError> {
        self.arguments.add(value).map_err(|e| IndexError::Broken(e.to_string()))
    }

    fn first(&mut self, newest: bool, limit: usize) -> Result<(), IndexError> {
        self.text.push_str(if newest { " ORDER BY 1 DESC LIMIT +?" } else { " ORDER BY 1 LIMIT +?" });
        self.bind(i64::try_from(limit).unwrap_or(i64::MAX))
    }

    /// `lead`: which condition leads.
    fn choose(&mut self, wanted: &[Wanted<'_>], leads: &[Lead]) -> Result<(), IndexError> {
        self.text.push_str("WITH lead (at) AS MATERIALIZED (SELECT at FROM (");
        for (n, lead) in leads.iter().enumerate() {
            let Lead::Column(at) = lead else { continue };
            let union = if n == 0 { "" } else { " UNION ALL " };
            self.text.push_str(&format!("{union}SELECT {at} AS at, coalesce(sum(uses), 0) AS uses FROM ("));
            self.values("uses", &wanted[*at], None)?;
            self.text.push(')');
        }
        self.text.push_str(") ORDER BY uses, at LIMIT 1) ");
        Ok(())
    }

    /// One SELECT of positions, for the case that this leads.
    fn arm(
        &mut self,
        lead: Lead,
        chosen: bool,
        wanted: &[Wanted<'_>],
        range: (Position, Position),
    ) -> Result<(), IndexError> {
        let from = match lead {
            Lead::Column(at) => format!("entry INDEXED BY entry_{}", wanted[at].word.as_str()),
            Lead::Positions => "entry NOT INDEXED".to_owned(),
        };
        let select = "SELECT entry.position FROM";
        self.text.push_str(&format!("{select} {from} WHERE entry.position BETWEEN ? AND ?"));
        self.bind(signed(range.0))?;
        self.bind(signed(range.1))?;
        if let Lead::Column(at) = lead {
            let column = format!("entry.{}", wanted[at].word.as_str());
            // SQLite has to see that the index, which leaves out records without a value, has all that are wanted.
            self.text.push_str(&format!(" AND {column} IS NOT NULL AND "));
            // Where a value depends on it, SQLite has nothing to walk; a condition of its own is asked for each row.
            let leads = chosen.then(|| format!("(SELECT at FROM lead) = {at}"));
            self.is_one_of(&column, &wanted[at], leads.as_deref())?;
        }
        self.test(Some(lead), wanted)
    }

    /// Whatever does not lead.
    fn test(&mut self, lead: Option<Lead>, wanted: &[Wanted<'_>]) -> Result<(), IndexError> {
        for (_, condition) in wanted.iter().enumerate().filter(|(at, _)| lead != Some(Lead::Column(*at))) {
            self.text.push_str(if condition.excluded { " AND NOT " } else { " AND " });
            let column = format!("entry.{}", condition.word.as_str());
            match condition.is_anything() {
                true => self.text.push_str(&format!("({column} IS NOT NULL)")),
                false if condition.many => self.fits(&column, condition)?,
                // A record without a value is none of those that are excluded.
                false => self.is_one_of(&format!("ifnull({column}, 0)"), condition, None)?,
            }
        }
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
    fn is_one_of(
        &mut self,
        column: &str,
        wanted: &Wanted<'_>,
        provided: Option<&str>,
    ) -> Result<(), IndexError> {
        let is = if wanted.exactly().is_some() && !wanted.excluded { "=" } else { "IN" };
        self.text.push_str(&format!("{column} {is} ("));
        self.values("id", wanted, provided)?;
        self.text.push(')');
        Ok(())
    }

    /// Those columns of all values that fit; none where something is `provided` that does not hold.
    fn values(
        &mut self,
        columns: &str,
        wanted: &Wanted<'_>,
        provided: Option<&str>,
    ) -> Result<(), IndexError> {
        let provided = provided.map(|condition| format!(" AND {condition}")).unwrap_or_default();
        for (at, pattern) in wanted.patterns.iter().enumerate() {
            let union = if at == 0 { "" } else { " UNION ALL " };
            let fits = fitting(pattern);
            self.text.push_str(&format!("{union}SELECT {columns} FROM term WHERE {fits}{provided}"));
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
