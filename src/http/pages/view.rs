//! What the approval page says, made of the run and nothing else, in the order in which a person needs it: why, what it
//! does, what may be lost, how long, and what happens if nobody does anything.

use crate::kernel::domain::{Cause, Digest, PlanLine, RunKind, Time, Verdict};
use crate::kernel::engine::{Consent, Run, Said};
use crate::notify::words::{self, changes, clock, lose, nothing, sites, why};

/// One change, or one thing that was looked at.
pub struct Line {
    pub name: String,
    pub target: String,
    pub now: String,
    pub after: String,
    pub word: &'static str,
    pub no_undo: bool,
    pub notes: Vec<String>,
}

pub struct View {
    pub title: String,
    pub run: String,
    pub service: String,
    pub from: String,
    pub to: String,
    pub playbook: String,
    pub why: Vec<String>,
    pub does: Vec<Line>,
    pub lose: Vec<String>,
    pub takes: String,
    /// What happens if nobody decides; once somebody did, that is not said any more.
    pub nothing: Option<String>,
    pub asked_by: String,
    pub plan: String,
    pub seen: String,
    pub all: Vec<Line>,
    pub yes: Vec<String>,
    pub passed: Vec<String>,
    /// Where things stand, when nothing can be decided.
    pub closed: Option<String>,
    /// The plan that can be decided about now, and until when.
    pub open: Option<(Digest, Time)>,
    /// To choose from: where will traffic go?
    pub sites: Vec<String>,
}

impl View {
    pub fn of(run: &Run, now: Time) -> View {
        let spec = &run.spec;
        let open = match &run.consent {
            Consent::Asked { digest, until, .. } if now < *until && run.finished.is_none() => {
                Some((*digest, *until))
            }
            _ => None,
        };
        let (yes, passed) = match &run.consent {
            Consent::Asked { yes, passed, .. } => (said(yes), said(passed)),
            Consent::Given { by, .. } => (said(by), vec![]),
            Consent::None | Consent::Denied { .. } => (vec![], vec![]),
        };
        let lines = words::lines(run);
        View {
            title: title(spec.kind, open.is_some()),
            run: spec.run.to_string(),
            service: spec.service.to_string(),
            from: spec.from.to_string(),
            to: spec.to.to_string(),
            playbook: spec.playbook.to_string(),
            why: why(&spec.cause, lines),
            does: lines.iter().filter(|l| changes(l)).map(line).collect(),
            lose: lose(run),
            takes: match spec.objective.rto {
                Some(rto) => format!("not measured by a drill yet; the objective is {rto}"),
                None => "not measured by a drill yet".to_owned(),
            },
            nothing: open.map(|(_, until)| nothing(run, &clock(until, now))),
            asked_by: asked_by(&spec.cause),
            plan: run.plan.as_ref().map_or_else(|| "none".to_owned(), |plan| plan.digest.short()),
            seen: run.plan.as_ref().map_or_else(|| "not yet".to_owned(), |plan| clock(plan.at, now)),
            all: lines.iter().map(line).collect(),
            yes,
            passed,
            closed: closed(run, open.is_some(), now),
            open,
            sites: sites(&spec.from, &spec.to),
        }
    }
}

fn title(kind: RunKind, open: bool) -> String {
    let word = words::kind(kind);
    if open { format!("Approve {word}?") } else { format!("A {word}") }
}

fn said(list: &[Said]) -> Vec<String> {
    list.iter().map(|said| format!("{} at {}", said.by, said.at)).collect()
}

fn line(line: &PlanLine) -> Line {
    let word = match line.verdict {
        Verdict::Ok => "ok",
        Verdict::Change => "changes",
        Verdict::Nothing => "already right",
        Verdict::Later => "checked in its turn",
        Verdict::Asks => "asks a person",
        Verdict::Refused => "refused",
        Verdict::Unknown => "NOT KNOWN",
    };
    Line {
        name: line.name.to_string(),
        target: line.target.clone(),
        now: line.now.clone(),
        after: line.after.clone(),
        word,
        no_undo: line.no_undo,
        notes: line.notes.clone(),
    }
}

fn asked_by(cause: &Cause) -> String {
    match cause {
        Cause::Alert { .. } => "an alert".to_owned(),
        Cause::Person { by, .. } => by.to_string(),
    }
}

fn closed(run: &Run, open: bool, now: Time) -> Option<String> {
    if open {
        return None;
    }
    let decided = run.decided().map(|says| format!("{says}. "));
    let stands = match run.finished {
        Some(outcome) => format!("The run is over: {outcome}."),
        None if matches!(run.consent, Consent::Asked { .. }) => {
            "Nobody decided in time; a new plan is being made.".to_owned()
        }
        None => format!("Now: {}.", run.next(now).says),
    };
    let mut says = decided.unwrap_or_default() + &stands;
    says[..1].make_ascii_uppercase();
    Some(says)
}
