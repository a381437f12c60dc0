//! The report as named tables: what Markdown and the page have in common.

use super::{Decision, Guard, Made, Report};
use crate::kernel::domain::{Cause, Name, Span};
use serde_json::Value;

/// One fact of the report's head: a name and what it is.
pub(super) fn head(report: &Report) -> Vec<(&'static str, String)> {
    let within = |objective: Option<Span>| match (objective, report.whole) {
        (Some(objective), Some(whole)) if whole <= objective => format!(" (objective {objective}: met)"),
        (Some(objective), Some(_)) => format!(" (objective {objective}: MISSED)"),
        (Some(objective), None) => format!(" (objective {objective})"),
        (None, _) => String::new(),
    };
    let cause = match &report.cause {
        Cause::Alert { occurrences, started, .. } => {
            let first = occurrences.first().map_or("unknown", |o| o.as_str());
            format!("alert {first}, which fires since {started}")
        }
        Cause::Person { by, reason } => format!("{by}: {reason}"),
    };
    let bytes = report.rpo.as_ref().and_then(|rpo| rpo.bytes);
    let bound = bytes.map_or(String::new(), |bytes| format!(" (at most {bytes} bytes by the samples)"));
    let objective = report.rpo_objective.map_or(String::new(), |o| format!("; objective {o}"));
    vec![
        ("service", format!("{}, from {} to {}", report.service, report.from, report.to)),
        ("playbook", format!("{} {}", report.playbook, report.playbook_digest.short())),
        ("cause", cause),
        ("outcome", report.outcome.map_or("not ended".to_owned(), |outcome| outcome.to_string())),
        ("stands", report.says.clone()),
        ("opened", report.opened.to_string()),
        ("ended", report.ended.map_or("not yet".to_owned(), |at| at.to_string())),
        (
            "took",
            report.whole.map_or("not known yet".to_owned(), |whole| whole.to_string())
                + &within(report.rto_objective),
        ),
        (
            "data",
            report.rpo.as_ref().map_or("not known: nothing was measured".to_owned(), |rpo| rpo.says.clone())
                + &bound
                + &objective,
        ),
    ]
}

/// A table of the report: its name, its columns, its rows.
pub(super) struct Section {
    pub title: &'static str,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
    /// Said where there are no rows.
    pub none: &'static str,
}

fn json(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn decision(d: &Decision) -> Vec<String> {
    let what = match (d.yes, d.solo) {
        (true, true) => "approved ALONE, by who asked for the run",
        (true, false) => "approved",
        (false, _) => "rejected",
    };
    let over: Vec<&str> = d.accepted_unfenced.iter().map(Name::as_str).collect();
    let cells =
        [d.at.to_string(), d.by.to_string(), d.via.clone(), what.into(), d.plan.short(), over.join(" ")];
    cells.into_iter().chain([d.reason.clone(), d.position.to_string()]).collect()
}

fn guard(g: &Guard) -> Vec<String> {
    let verdict = serde_json::to_value(g.verdict).map_or(String::new(), |v| json(&v));
    let seen = g.seen.map_or("-".to_owned(), |at| at.to_string());
    vec![g.name.to_string(), verdict, g.says.clone(), json(&g.evidence), seen]
}

fn change(c: &Made) -> Vec<String> {
    let way = if c.undo { "taken back" } else { "done" };
    let cells =
        [c.at.to_string(), c.step.to_string(), c.target.to_string(), way.into(), c.attempt.to_string()];
    let result = c.result.clone().unwrap_or_else(|| "NOT KNOWN: no end on record".into());
    let took = c.took.map_or("-".to_owned(), |took| took.to_string());
    let rest = [c.before.clone(), c.after.clone(), result, took, json(&c.reply), c.position.to_string()];
    cells.into_iter().chain(rest).collect()
}

pub(super) fn sections(report: &Report) -> Vec<Section> {
    let one = |list: &[String]| list.iter().map(|text| vec![text.clone()]).collect::<Vec<_>>();
    let next = match report.outcome {
        Some(_) => "nothing is left to do by hand",
        None => "the run has not ended; `pointsman watch` shows what it waits for",
    };
    let timeline = report.timeline.iter();
    let timeline =
        timeline.map(|l| vec![l.position.to_string(), l.at.to_string(), l.action.clone(), l.says.clone()]);
    let phases = report.rto.iter().map(|(phase, span)| vec![phase.as_str().to_owned(), span.to_string()]);
    let section = |title, columns: &[&'static str], rows: Vec<Vec<String>>, none| Section {
        title,
        columns: columns.to_vec(),
        rows,
        none,
    };
    vec![
        section("What to do next", &["By hand"], one(&report.by_hand), next),
        section("Time by phase", &["Phase", "Took"], phases.collect(), "no phase was measured"),
        section(
            "Data at risk, as shown before",
            &["In words"],
            one(&report.at_risk),
            "nothing was said about it",
        ),
        section(
            "Who decided",
            &["Time", "Who", "Via", "What", "Plan", "Accepted unfenced", "Reason", "Record"],
            report.decisions.iter().map(decision).collect(),
            "nobody was asked, or nobody answered",
        ),
        section(
            "Guards of the last plan",
            &["Guard", "Verdict", "Says", "Evidence", "Record"],
            report.guards.iter().map(guard).collect(),
            "no plan was made",
        ),
        section(
            "Changes",
            &[
                "Time", "Step", "Target", "Way", "Attempt", "Before", "After", "Result", "Took", "Reply",
                "Record",
            ],
            report.changes.iter().map(change).collect(),
            "nothing was changed",
        ),
        section(
            "Timeline",
            &["Record", "Time", "Action", "Says"],
            timeline.collect(),
            "there are no records",
        ),
    ]
}
