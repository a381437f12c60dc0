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

/// By the values alone: up to `limit`, the newest or the oldest first. Where there is more than one arm, it finds by how often
/// the values are used which of them leads; the others end before they begin. A pattern does with up to [`MANY`] values and
/// `most` uses.
pub(super) fn by_columns(
    wanted: &[Wanted<'_>],
    arms: &[Arm],
    most: i64,
    newest: bool,
    limit: usize,
) -> Result<Sql, IndexError> {
    let mut sql = Sql::default();
    sql.look_up(wanted, arms)?;
    if arms.len() > 1 {
        sql.choose(wanted, arms, most)?;
    }
    for (at, arm) in arms.iter().enumerate() {
        sql.end(at, *arm, arms.len() > 1, wanted, newest)?;
    }
    for (at, arm) in arms.iter().enumerate() {
        if at > 0 {
            sql.text.push_str(" UNION ALL ");
        }
        sql.arm(at, *arm, arms.len() > 1, wanted, newest)?;
    }
    sql.first(newest, limit)?;
    Ok(sql)
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

    /// `fit_…` and `known_…`: values of patterns that were not listed before, no more than a list has, and how often they are
    /// used where one may lead.
    fn look_up(&mut self, wanted: &[Wanted<'_>], arms: &[Arm]) -> Result<(), IndexError> {
        for (at, wanted) in wanted.iter().enumerate().filter(|(_, w)| w.is_open()) {
            self.table(&format!("fit_{at}"), |sql| sql.some_values("id", wanted, MANY))?;
            let may_lead = arms.iter().any(|arm| arm.lead == Lead::Column(at));
            let uses = match may_lead {
                true => format!("SELECT coalesce(sum(uses), 0) FROM fit_{at} CROSS JOIN term USING (id)"),
                false => "NULL".to_owned(),
            };
            let known =
                format!("SELECT count(*), CASE WHEN count(*) <= {MANY} THEN ({uses}) END FROM fit_{at}");
            self.with.push(format!("known_{at} (number, uses) AS MATERIALIZED ({known})"));
        }
        Ok(())
    }

    /// `lead`: which condition leads.
    fn choose(&mut self, wanted: &[Wanted<'_>], arms: &[Arm], most: i64) -> Result<(), IndexError> {
        self.table(LEAD, |sql| {
            sql.text.push_str("SELECT at FROM (");
            for (n, Arm { lead, .. }) in arms.iter().enumerate() {
                sql.text.push_str(if n == 0 { "" } else { " UNION ALL " });
                let number = lead.number();
                match lead {
                    Lead::Positions => {
                        sql.text.push_str(&format!("SELECT {number} AS at, {most} + 1 AS uses"))
                    }
                    Lead::Column(at) if wanted[*at].is_open() => {
                        let known = format!("FROM known_{at} WHERE uses <= {most}");
                        sql.text.push_str(&format!("SELECT {number} AS at, uses {known}"));
                    }
                    Lead::Column(at) => {
                        sql.text.push_str(&format!(
                            "SELECT {number} AS at, coalesce(sum(uses), 0) AS uses FROM ("
                        ));
                        sql.values("uses", &wanted[*at], None)?;
                        sql.text.push(')');
                    }
                }
            }
            sql.text.push_str(") ORDER BY uses, at LIMIT 1");
            Ok(())
        })
    }

    /// `end_…`: where an arm has walked as many records as it may.
    fn end(
        &mut self,
        n: usize,
        arm: Arm,
        chosen: bool,
        wanted: &[Wanted<'_>],
        newest: bool,
    ) -> Result<(), IndexError> {
        let (Some(rows), Lead::Column(_)) = (arm.rows, arm.lead) else { return Ok(()) };
        let down = if newest { "DESC" } else { "" };
        self.ends.push(format!("(SELECT position FROM end_{n})"));
        self.table(&format!("end_{n}"), |sql| {
            sql.led(arm, chosen, wanted, ("?", "?"))?;
            sql.text.push_str(&format!(" ORDER BY entry.position {down} LIMIT 1 OFFSET {rows}"));
            Ok(())
        })
    }

    /// One SELECT of positions, for the case that this leads.
    fn arm(
        &mut self,
        n: usize,
        arm: Arm,
        chosen: bool,
        wanted: &[Wanted<'_>],
        newest: bool,
    ) -> Result<(), IndexError> {
        let end = format!("coalesce((SELECT position FROM end_{n}), ?)");
        let walks = arm.rows.is_some() && matches!(arm.lead, Lead::Column(_));
        match walks {
            true if newest => self.led(arm, chosen, wanted, (&end, "?"))?,
            true => self.led(arm, chosen, wanted, ("?", &end))?,
            false => self.led(arm, chosen, wanted, ("?", "?"))?,
        }
        self.test(Some(arm.lead), wanted)
    }

    /// All records of what leads, between two positions.
    fn led(
        &mut self,
        arm: Arm,
        chosen: bool,
        wanted: &[Wanted<'_>],
        (first, last): (&str, &str),
    ) -> Result<(), IndexError> {
        let Arm { lead, range, .. } = arm;
        let from = match lead {
            Lead::Column(at) => format!("entry INDEXED BY entry_{}", wanted[at].word.as_str()),
            Lead::Positions => "entry NOT INDEXED".to_owned(),
        };
        // Where a value depends on it, SQLite has nothing to walk; a condition of its own is asked for each row.
        let leads = chosen.then(|| format!("(SELECT at FROM lead) = {}", lead.number()));
        let last = match (lead, &leads) {
            (Lead::Positions, Some(leads)) => format!("iif({leads}, {last}, 0)"),
            (Lead::Positions, None) | (Lead::Column(_), _) => last.to_owned(),
        };
        let select = "SELECT entry.position FROM";
        self.text.push_str(&format!("{select} {from} WHERE entry.position BETWEEN {first} AND {last}"));
        self.bind(signed(range.0))?;
        self.bind(signed(range.1))?;
        let Lead::Column(at) = lead else { return Ok(()) };
        let column = format!("entry.{}", wanted[at].word.as_str());
        // SQLite has to see that the index, which leaves out records without a value, has all that are wanted.
        self.text.push_str(&format!(" AND {column} IS NOT NULL AND "));
        if wanted[at].is_open() {
            let provided = leads.map(|leads| format!(" WHERE {leads}")).unwrap_or_default();
            self.text.push_str(&format!("{column} IN (SELECT id FROM fit_{at}{provided})"));
            return Ok(());
        }
        self.is_one_of(&column, &wanted[at], leads.as_deref())
    }
}
