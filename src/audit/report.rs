//! A run for the morning after: what happened when, how long it took against the objective, what may be lost, who
//! decided, what the guards saw, what was changed and what is left to do. From the run's records alone.

mod page;
mod tables;
mod text;

pub use page::html;
pub use text::{markdown, safe as markdown_text};

use super::facets::call_result;
use crate::kernel::domain::{
    Cause, Digest, ItemId, ItemRole, Mode, Name, Outcome, Phase, PlanSheet, Position, Record, Resolved, Rpo,
    RunId, Span, Stamped, Time, Verdict,
};
use crate::kernel::engine::Run;
use crate::kernel::engine::tell::tell;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub const SCHEMA: &str = "pointsman.report/v1";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub position: Position,
    pub at: Time,
    pub action: String,
    pub says: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub position: Position,
    pub at: Time,
    pub by: Name,
    pub via: String,
    pub yes: bool,
    pub plan: Digest,
    pub reason: String,
    /// Targets whose missing fence was accepted by name.
    pub accepted_unfenced: Vec<Name>,
    /// By the one who asked for the run, alone.
    pub solo: bool,
}

/// A guard in the last plan that was shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    pub name: Name,
    pub verdict: Verdict,
    pub says: String,
    /// Record and evidence of the observation.
    pub seen: Option<Position>,
    pub evidence: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Made {
    pub position: Position,
    pub at: Time,
    pub item: ItemId,
    pub step: Name,
    pub target: Name,
    pub attempt: u32,
    /// Taken back.
    pub undo: bool,
    pub before: String,
    pub after: String,
    /// Record of its end. Nothing is known where there is none.
    pub ended: Option<Position>,
    pub result: Option<String>,
    pub reply: Value,
    pub took: Option<Span>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub schema: String,
    pub run: RunId,
    pub service: Name,
    pub playbook: Name,
    pub playbook_digest: Digest,
    pub from: Name,
    pub to: Name,
    pub mode: Mode,
    pub cause: Cause,
    pub opened: Time,
    pub ended: Option<Time>,
    pub outcome: Option<Outcome>,
    pub says: String,
    /// The alert's start, as its source says, to the end.
    pub whole: Option<Span>,
    pub rto: Vec<(Phase, Span)>,
    pub rto_objective: Option<Span>,
    pub rpo: Option<Rpo>,
    pub rpo_objective: Option<Span>,
    pub at_risk: Vec<String>,
    pub decisions: Vec<Decision>,
    pub guards: Vec<Guard>,
    pub changes: Vec<Made>,
    pub by_hand: Vec<String>,
    pub timeline: Vec<Line>,
}

/// `records`: all of one run, oldest first.
pub fn report(records: &[Stamped]) -> Result<Report, String> {
    let run = Run::fold(records).map_err(|e| e.to_string())?;
    let spec = run.spec.clone();
    let finished = records.iter().find_map(|r| match &r.record {
        Record::Finished { outcome, rto, rpo, by_hand, says, .. } => {
            Some((r.at, *outcome, rto, rpo, by_hand, says))
        }
        _ => None,
    });
    let plan = records.iter().rev().find_map(|r| match &r.record {
        Record::Planned(sheet) => Some((r, &**sheet)),
        _ => None,
    });
    let began = match &spec.cause {
        Cause::Alert { started, .. } => *started,
        Cause::Person { .. } => run.opened,
    };
    let ended = finished.map(|(at, ..)| at);
    Ok(Report {
        schema: SCHEMA.into(),
        run: spec.run.clone(),
        service: spec.service.clone(),
        playbook: spec.playbook.clone(),
        playbook_digest: spec.playbook_digest,
        from: spec.from.clone(),
        to: spec.to.clone(),
        mode: spec.mode,
        cause: spec.cause.clone(),
        opened: run.opened,
        ended,
        outcome: finished.map(|(_, outcome, ..)| outcome),
        says: finished.map_or_else(|| run.next(run.at).says, |(.., says)| says.clone()),
        whole: ended.map(|at| at.since(began)),
        rto: finished.map_or_else(|| run.rto(), |(_, _, rto, ..)| rto.clone()),
        rto_objective: spec.objective.rto,
        rpo: finished.map_or_else(|| run.rpo(), |(_, _, _, rpo, ..)| rpo.clone()),
        rpo_objective: spec.objective.rpo,
        at_risk: plan.map_or(vec![], |(_, sheet)| sheet.at_risk.clone()),
        decisions: records.iter().filter_map(decision).collect(),
        guards: plan.map_or(vec![], |(at, sheet)| guards(records, at, sheet)),
        changes: changes(records, &spec),
        by_hand: finished.map_or(vec![], |(_, _, _, _, by_hand, _)| by_hand.clone()),
        timeline: records.iter().filter(|r| is_told(&r.record)).map(|r| line(r, &spec)).collect(),
    })
}

/// Looks that found what was expected are left to the record itself.
fn is_told(record: &Record) -> bool {
    !matches!(record, Record::Observed { .. })
}

fn line(stamped: &Stamped, spec: &Resolved) -> Line {
    Line {
        position: stamped.position,
        at: stamped.at,
        action: stamped.record.kind().to_owned(),
        says: tell(&stamped.record, Some(spec)),
    }
}

fn decision(stamped: &Stamped) -> Option<Decision> {
    let Record::Decided { digest, by, yes, reason, accept_unfenced, solo } = &stamped.record else {
        return None;
    };
    Some(Decision {
        position: stamped.position,
        at: stamped.at,
        by: by.name.clone(),
        via: by.via.as_str().to_owned(),
        yes: *yes,
        plan: *digest,
        reason: reason.clone(),
        accepted_unfenced: accept_unfenced.clone(),
        solo: *solo,
    })
}

/// Guards of one plan, with what each had seen.
pub fn guards(records: &[Stamped], plan: &Stamped, sheet: &PlanSheet) -> Vec<Guard> {
    let lines = sheet.lines.iter().filter(|line| line.role == ItemRole::Guard);
    lines
        .map(|line| {
            let seen = last_look(records, line.item, plan.seq);
            Guard {
                name: line.name.clone(),
                verdict: line.verdict,
                says: line.now.clone(),
                seen: seen.as_ref().map(|(at, _)| *at),
                evidence: seen.map_or(Value::Null, |(_, evidence)| evidence),
            }
        })
        .collect()
}

/// What was seen last of an item before a record of its run.
fn last_look(records: &[Stamped], of: ItemId, before: u64) -> Option<(Position, Value)> {
    records.iter().rev().filter(|r| r.seq < before).find_map(|r| match &r.record {
        Record::Observed { item, seen, .. } if *item == of => Some((
            r.position,
            match seen {
                Ok(seen) => seen.evidence.clone(),
                Err(why) => Value::String(why.clone()),
            },
        )),
        _ => None,
    })
}

/// Every call of a run, with what came back.
pub fn changes(records: &[Stamped], spec: &Resolved) -> Vec<Made> {
    let intended = records.iter().filter_map(|r| match &r.record {
        Record::Intended { call, spec, change } => Some((r, call, spec, change)),
        _ => None,
    });
    intended
        .map(|(at, call, what, change)| {
            let end = records.iter().find_map(|r| match &r.record {
                Record::Ended { call: ended, end } if ended == call => Some((r, end)),
                _ => None,
            });
            let item = spec.items.get(usize::from(call.item));
            Made {
                position: at.position,
                at: at.at,
                item: call.item,
                step: item.map_or_else(|| format!("step {}", call.item).into(), |item| item.name.clone()),
                target: what.target.clone(),
                attempt: call.attempt,
                undo: call.undo,
                before: change.now.clone(),
                after: change.after.clone(),
                ended: end.map(|(ended, _)| ended.position),
                result: end.map(|(_, end)| call_result(end.result).to_owned()),
                reply: end.map_or(Value::Null, |(_, end)| end.detail.clone()),
                took: end.map(|(ended, _)| ended.at.since(at.at)),
            }
        })
        .collect()
}
