//! What the approval page says, made of the run and nothing else, in the order in which a person needs it: why, what it
//! does, what may be lost, how long, and what happens if nobody does anything.

use crate::kernel::domain::{Cause, Digest, ItemRole, Name, OnExpiry, PlanLine, RunKind, Time, Verdict};
use crate::kernel::engine::{Consent, Run, Said};
use serde_json::Value;

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
        let lines = run.plan.as_ref().map(|plan| plan.lines.as_slice()).unwrap_or_default();
        let changes =
            |l: &&PlanLine| l.role == ItemRole::Step && !matches!(l.verdict, Verdict::Ok | Verdict::Nothing);
        View {
            title: title(spec.kind, open.is_some()),
            run: spec.run.to_string(),
            service: spec.service.to_string(),
            from: spec.from.to_string(),
            to: spec.to.to_string(),
            playbook: spec.playbook.to_string(),
            why: why(&spec.cause, lines),
            does: lines.iter().filter(changes).map(line).collect(),
            lose: lose(run),
            takes: match spec.objective.rto {
                Some(rto) => format!("not measured by a drill yet; the objective is {rto}"),
                None => "not measured by a drill yet".to_owned(),
            },
            nothing: open.map(|(_, until)| nothing(run, until, now)),
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
    let word = match kind {
        RunKind::Failover => "failover",
        RunKind::Switchover => "switchover",
        RunKind::Failback => "failback",
        RunKind::Drill => "drill",
        RunKind::Refence => "fence",
        RunKind::Other => "run",
    };
    if open { format!("Approve {word}?") } else { format!("A {word}") }
}

fn said(list: &[Said]) -> Vec<String> {
    list.iter().map(|said| format!("{} at {}", said.by, said.at)).collect()
}

fn why(cause: &Cause, lines: &[PlanLine]) -> Vec<String> {
    let first = match cause {
        Cause::Alert { labels, .. } => {
            let text = |name: &str| labels.get(name).and_then(Value::as_str).unwrap_or_default();
            let rest = labels.as_object().into_iter().flatten().filter(|(name, _)| *name != "alertname");
            let rest: Vec<String> = rest
                .take(6)
                .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or("?")))
                .collect();
            format!("Alert {} ({})", text("alertname"), rest.join(", "))
        }
        Cause::Person { by, reason } => format!("{by} asks: {reason}"),
    };
    let guards = lines.iter().filter(|l| l.role == ItemRole::Guard);
    std::iter::once(first).chain(guards.map(|l| format!("{}: {}", l.name, l.now))).collect()
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

fn lose(run: &Run) -> Vec<String> {
    match run.plan.as_ref().map(|plan| plan.at_risk.clone()).filter(|words| !words.is_empty()) {
        Some(words) => words,
        None => vec!["not known: the playbook measures no lag, and nothing here bounds it".to_owned()],
    }
}

fn nothing(run: &Run, until: Time, now: Time) -> String {
    let stays = match run.first_change {
        None => format!("Pointsman changes nothing, and {} stays as it is.", run.spec.service),
        Some(_) => "Pointsman changes nothing more; what it changed so far stays.".to_owned(),
    };
    let then = match run.spec.approval.on_expiry {
        OnExpiry::Escalate => "a new plan is made, and more people are asked",
        OnExpiry::Hold => "a new plan is made and asked for again",
        OnExpiry::Reject if run.first_change.is_none() => "the run ends",
        OnExpiry::Reject => "it is asked for again",
    };
    format!("{stays} At {} {then}.", clock(until, now))
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

/// Both sites and an answer that is none, in an order that tells nothing.
fn sites(from: &Name, to: &Name) -> Vec<String> {
    let mut sites = vec![from.to_string(), to.to_string()];
    sites.sort();
    sites.dedup();
    sites.push("nowhere, it stays".to_owned());
    sites
}

/// "03:22:07 UTC (in 6 min)"
pub fn clock(at: Time, now: Time) -> String {
    let text = at.to_string();
    let time = text.split([' ', 'T']).nth(1).unwrap_or(&text);
    let time: String = time.chars().take(8).collect();
    let seconds = (at.0 - now.0) / 1_000_000;
    let distance = match seconds.unsigned_abs() {
        s if s < 100 => format!("{s} s"),
        s => format!("{} min", s / 60),
    };
    if seconds > 0 { format!("{time} UTC (in {distance})") } else { format!("{time} UTC ({distance} ago)") }
}
