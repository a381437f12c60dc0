//! Which condition leads. Where that depends on how often values are used, the statement finds it out itself: it has an arm
//! for each that may, and all but one end before they begin.

use super::IndexError;
use super::bitmap::Frequent;
use super::statement::{Sql, signed};
use super::wanted::{MANY, Wanted};
use crate::kernel::domain::Position;

/// What leads: one column's index, or the positions themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lead {
    Column(usize),
    Positions,
}

impl Lead {
    /// As a statement calls it, where there are several.
    pub fn number(self) -> i64 {
        match self {
            Lead::Column(at) => i64::try_from(at).unwrap_or(i64::MAX),
            Lead::Positions => -1,
        }
    }
}

/// What leads to all that fits, and what is walked where none of those does.
pub(super) struct Leads {
    pub whole: Vec<Lead>,
    pub walked: Vec<Lead>,
}

impl Leads {
    /// Rare values lead. A pattern may: its statement finds out, where it is not known. Otherwise frequent values are walked,
    /// or all positions. `most`: uses up to which a pattern leads.
    pub fn of(wanted: &[Wanted<'_>], frequent: &Frequent, most: i64) -> Leads {
        let columns = |leads: &dyn Fn(&Wanted<'_>) -> bool| -> Vec<Lead> {
            let included = wanted.iter().enumerate().filter(|(_, w)| !w.excluded && !w.is_anything());
            included.filter(|(_, w)| leads(w)).map(|(at, _)| Lead::Column(at)).collect()
        };
        let whole = |whole| Leads { whole, walked: vec![] };
        let exact = columns(&|w| w.exactly().is_some());
        let rare = columns(&|w| w.exactly().is_some_and(|text| !frequent.has(w.word, text)));
        if !rare.is_empty() {
            return whole(rare);
        }
        if let Some(few) = columns(&|w| w.is_used_at_most(most)).first() {
            return whole(vec![*few]);
        }
        let used = |w: &Wanted<'_>| w.patterns.iter().any(|p| frequent.is_used_more(w.word, p, most));
        Leads {
            whole: columns(&|w| w.is_open() && !used(w)),
            walked: if exact.is_empty() { vec![Lead::Positions] } else { exact },
        }
    }
}

const LEAD: &str = "lead (at)";

/// Of what leads: within which positions it is looked for, and how many of its records are walked at most.
#[derive(Clone, Copy)]
pub(super) struct Arm {
    pub lead: Lead,
    pub range: (Position, Position),
    pub rows: Option<usize>,
}

/// A question by the values alone. Where there is more than one arm, the statement finds by how often the values are used which of
/// them leads; the others end before they begin. A pattern does with up to [`MANY`] values and `most` uses.
pub(super) struct ByColumns<'a> {
    pub wanted: &'a [Wanted<'a>],
    pub arms: &'a [Arm],
    pub most: i64,
    pub newest: bool,
}

/// By several values of one column that are written out, and nothing else: each by itself is in order already.
pub(super) fn by_values(
    wanted: &Wanted<'_>,
    range: (Position, Position),
    newest: bool,
    limit: usize,
) -> Result<Sql, IndexError> {
    let mut sql = Sql::default();
    let column = wanted.word.as_str();
    for (at, pattern) in wanted.patterns.iter().enumerate() {
        let union = if at == 0 { "" } else { " UNION ALL " };
        let select = format!("SELECT entry.position FROM entry INDEXED BY entry_{column}");
        let within = format!("entry.position BETWEEN ? AND ? AND entry.{column} IS NOT NULL");
        sql.text.push_str(&format!("{union}{select} WHERE {within} AND entry.{column} = ("));
        sql.bind(signed(range.0))?;
        sql.bind(signed(range.1))?;
        sql.value("id", wanted.word, pattern, "")?;
        sql.text.push(')');
    }
    sql.first(newest, limit)?;
    Ok(sql)
}

impl Sql {
    /// All positions as a list, the number of what led, where it was chosen, and the last position that was walked, where there
    /// are more.
    pub fn in_one_row(&self) -> String {
        let chosen = self.with.iter().any(|table| table.starts_with(LEAD));
        let led = if chosen { "(SELECT at FROM lead)" } else { "NULL" };
        let found = format!("found (at) AS ({})", self.text);
        let with = [self.with.as_slice(), &[found]].concat().join(", ");
        let end = self.ends.iter().fold("NULL".to_owned(), |all, end| format!("ifnull({all}, {end})"));
        format!("WITH {with} SELECT json_group_array(at), {led}, {end} FROM found")
    }
}

impl ByColumns<'_> {
    /// Up to `limit`, the newest or the oldest first.
    pub fn sql(&self, limit: usize) -> Result<Sql, IndexError> {
        let mut sql = Sql::default();
        self.look_up(&mut sql)?;
        if self.has_a_choice() {
            self.choose(&mut sql)?;
        }
        for (at, arm) in self.arms.iter().enumerate() {
            self.end(&mut sql, at, *arm)?;
        }
        for (at, arm) in self.arms.iter().enumerate() {
            if at > 0 {
                sql.text.push_str(" UNION ALL ");
            }
            self.arm(&mut sql, at, *arm)?;
        }
        sql.first(self.newest, limit)?;
        Ok(sql)
    }

    fn has_a_choice(&self) -> bool {
        self.arms.len() > 1
    }

    /// `fit_…` and `known_…`: values of patterns that were not listed before, no more than a list has, and how often they are
    /// used where one may lead.
    fn look_up(&self, sql: &mut Sql) -> Result<(), IndexError> {
        for (at, wanted) in self.wanted.iter().enumerate().filter(|(_, w)| w.is_open()) {
            sql.table(&format!("fit_{at}"), |sql| sql.some_values("id", wanted, MANY))?;
            let may_lead = self.arms.iter().any(|arm| arm.lead == Lead::Column(at));
            let uses = match may_lead {
                true => format!("SELECT coalesce(sum(uses), 0) FROM fit_{at} CROSS JOIN term USING (id)"),
                false => "NULL".to_owned(),
            };
            let known =
                format!("SELECT count(*), CASE WHEN count(*) <= {MANY} THEN ({uses}) END FROM fit_{at}");
            sql.with.push(format!("known_{at} (number, uses) AS MATERIALIZED ({known})"));
        }
        Ok(())
    }

    /// `lead`: which condition leads.
    fn choose(&self, sql: &mut Sql) -> Result<(), IndexError> {
        let most = self.most;
        sql.table(LEAD, |sql| {
            sql.text.push_str("SELECT at FROM (");
            for (n, Arm { lead, .. }) in self.arms.iter().enumerate() {
                sql.text.push_str(if n == 0 { "" } else { " UNION ALL " });
                let number = lead.number();
                match lead {
                    Lead::Positions => {
                        sql.text.push_str(&format!("SELECT {number} AS at, {most} + 1 AS uses"))
                    }
                    Lead::Column(at) if self.wanted[*at].is_open() => {
                        let known = format!("FROM known_{at} WHERE uses <= {most}");
                        sql.text.push_str(&format!("SELECT {number} AS at, uses {known}"));
                    }
                    Lead::Column(at) => {
                        sql.text.push_str(&format!(
                            "SELECT {number} AS at, coalesce(sum(uses), 0) AS uses FROM ("
                        ));
                        sql.values("uses", &self.wanted[*at], None)?;
                        sql.text.push(')');
                    }
                }
            }
            sql.text.push_str(") ORDER BY uses, at LIMIT 1");
            Ok(())
        })
    }

    /// `end_…`: where an arm has walked as many records as it may.
    fn end(&self, sql: &mut Sql, n: usize, arm: Arm) -> Result<(), IndexError> {
        let (Some(rows), Lead::Column(_)) = (arm.rows, arm.lead) else { return Ok(()) };
        let down = if self.newest { "DESC" } else { "" };
        sql.ends.push(format!("(SELECT position FROM end_{n})"));
        sql.table(&format!("end_{n}"), |sql| {
            self.led(sql, arm, ("?", "?"))?;
            sql.text.push_str(&format!(" ORDER BY entry.position {down} LIMIT 1 OFFSET {rows}"));
            Ok(())
        })
    }

    /// One SELECT of positions, for the case that this leads.
    fn arm(&self, sql: &mut Sql, n: usize, arm: Arm) -> Result<(), IndexError> {
        let end = format!("coalesce((SELECT position FROM end_{n}), ?)");
        let walks = arm.rows.is_some() && matches!(arm.lead, Lead::Column(_));
        match walks {
            true if self.newest => self.led(sql, arm, (&end, "?"))?,
            true => self.led(sql, arm, ("?", &end))?,
            false => self.led(sql, arm, ("?", "?"))?,
        }
        sql.test(Some(arm.lead), self.wanted)
    }

    /// All records of what leads, between two positions.
    fn led(&self, sql: &mut Sql, arm: Arm, (first, last): (&str, &str)) -> Result<(), IndexError> {
        let Arm { lead, range, .. } = arm;
        let from = match lead {
            Lead::Column(at) => format!("entry INDEXED BY entry_{}", self.wanted[at].word.as_str()),
            Lead::Positions => "entry NOT INDEXED".to_owned(),
        };
        // Where a value depends on it, SQLite has nothing to walk; a condition of its own is asked for each row.
        let leads = self.has_a_choice().then(|| format!("(SELECT at FROM lead) = {}", lead.number()));
        let last = match (lead, &leads) {
            (Lead::Positions, Some(leads)) => format!("iif({leads}, {last}, 0)"),
            (Lead::Positions, None) | (Lead::Column(_), _) => last.to_owned(),
        };
        let select = "SELECT entry.position FROM";
        sql.text.push_str(&format!("{select} {from} WHERE entry.position BETWEEN {first} AND {last}"));
        sql.bind(signed(range.0))?;
        sql.bind(signed(range.1))?;
        let Lead::Column(at) = lead else { return Ok(()) };
        let column = format!("entry.{}", self.wanted[at].word.as_str());
        // SQLite has to see that the index, which leaves out records without a value, has all that are wanted.
        sql.text.push_str(&format!(" AND {column} IS NOT NULL AND "));
        if self.wanted[at].is_open() {
            let provided = leads.map(|leads| format!(" WHERE {leads}")).unwrap_or_default();
            sql.text.push_str(&format!("{column} IN (SELECT id FROM fit_{at}{provided})"));
            return Ok(());
        }
        sql.is_one_of(&column, &self.wanted[at], leads.as_deref())
    }
}
