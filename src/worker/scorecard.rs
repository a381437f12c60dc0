//! What a playbook that only observes would have done with each alert of the last weeks, against what people did: the evidence
//! for letting it ask, or act. From the journal alone; nothing is looked at anew.

use super::App;
use crate::kernel::domain::{
    Cause, ItemRole, Name, OccurrenceId, Outcome, PlanSheet, Position, Record, RunId, Stamped, Stream, Time,
    Verdict,
};
use crate::kernel::engine::Summary;
use crate::kernel::journal::ReadError;
use serde::Serialize;
use std::collections::BTreeMap;

/// Sources, and records of each, that are looked through, newest first.
const SOURCES: u32 = 100;
const LOOK_BACK: u32 = 10_000;
const RUNS: u32 = 1_000;

/// How the two compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// Both acted, or neither did.
    Agrees,
    /// It would have acted, people did not, and it went away by itself.
    Needless,
    /// People acted, and it would not have.
    Missed,
    /// The alert is not over, or its plan is not on record.
    Open,
}

#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub record: Position,
    pub at: Time,
    pub occurrence: OccurrenceId,
    pub labels: serde_json::Value,
    /// Whether it would have acted; null: its plan could not be made.
    pub would: Option<bool>,
    /// Why it would not have.
    pub why: Vec<String>,
    /// The run that people started meanwhile.
    pub run: Option<RunId>,
    pub outcome: Option<Outcome>,
    /// When the alert was over.
    pub over: Option<Time>,
    pub score: Score,
}

/// Oldest first. `since`: alerts that were decided before are left out.
pub async fn scorecard(
    app: &App,
    playbook: &Name,
    service: &Name,
    since: Time,
) -> Result<Vec<Line>, ReadError> {
    let runs: Vec<Summary> =
        app.summaries(RUNS).await?.into_iter().filter(|run| run.service == *service).collect();
    let mut people = vec![];
    for run in runs {
        if let Some(Record::Opened(spec)) = app.first_record(&Stream::Run(run.run.clone())).await?
            && matches!(spec.cause, Cause::Person { .. })
        {
            people.push(run);
        }
    }
    let mut lines = vec![];
    for row in app.journal.backend().summaries("alerts:", SOURCES).await? {
        let kinds = ["not_started", "occurrence_closed"];
        let records = app.journal.newest(&row.stream, &kinds, LOOK_BACK).await?;
        lines.extend(of_source(&records, playbook, since, &people));
    }
    lines.sort_by_key(|line| line.record);
    Ok(lines)
}

fn of_source(records: &[Stamped], playbook: &Name, since: Time, people: &[Summary]) -> Vec<Line> {
    let closed: BTreeMap<&OccurrenceId, Time> = records
        .iter()
        .filter_map(|stamped| match &stamped.record {
            Record::OccurrenceClosed { occurrence, .. } => Some((occurrence, stamped.at)),
            _ => None,
        })
        .collect();
    let observed = records.iter().filter(|stamped| stamped.at >= since).filter_map(|stamped| {
        let Record::NotStarted { occurrence, labels, why, plan, .. } = &stamped.record else { return None };
        let only_observed = |v: &&crate::kernel::domain::PlaybookVerdict| {
            v.playbook == *playbook && v.matched && v.why.code == "PM5404"
        };
        why.iter().find(only_observed)?;
        let over = closed.get(occurrence).copied();
        let run =
            people.iter().find(|run| run.opened >= stamped.at && over.is_none_or(|over| run.opened <= over));
        let against = plan.as_deref().map(against);
        let would = against.as_ref().map(Vec::is_empty);
        Some(Line {
            record: stamped.position,
            at: stamped.at,
            occurrence: occurrence.clone(),
            labels: labels.clone(),
            would,
            why: against.unwrap_or_default(),
            run: run.map(|run| run.run.clone()),
            outcome: run.and_then(|run| run.outcome),
            over,
            score: score(would, run.is_some(), over.is_some()),
        })
    });
    observed.collect()
}

/// What stood in its way: the lines of the plan that are refused or not known.
fn against(sheet: &PlanSheet) -> Vec<String> {
    let stops = sheet.lines.iter().filter(|line| {
        matches!(line.verdict, Verdict::Refused | Verdict::Unknown) && line.role != ItemRole::Verify
    });
    stops.map(|line| format!("{}: {}", line.name, line.now)).collect()
}

fn score(would: Option<bool>, people_acted: bool, over: bool) -> Score {
    match (would, people_acted, over) {
        (None, ..) => Score::Open,
        (Some(true), true, _) | (Some(false), false, true) => Score::Agrees,
        (Some(false), true, _) => Score::Missed,
        (Some(true), false, true) => Score::Needless,
        (Some(_), false, false) => Score::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_agrees_with_nobody() {
        assert_eq!(score(None, true, true), Score::Open);
        assert_eq!(score(Some(true), false, false), Score::Open, "people may still act");
        assert_eq!(score(Some(true), true, false), Score::Agrees);
        assert_eq!(score(Some(true), false, true), Score::Needless);
        assert_eq!(score(Some(false), true, true), Score::Missed);
        assert_eq!(score(Some(false), false, true), Score::Agrees);
    }
}
