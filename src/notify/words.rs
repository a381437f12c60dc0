//! What a person reads about a run before deciding, made of the run and nothing else: the approval page and every channel
//! say it in the same words.

use crate::kernel::domain::{Cause, ItemRole, Name, OnExpiry, PlanLine, RunKind, Time, Verdict};
use crate::kernel::engine::Run;
use serde_json::Value;

pub fn kind(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Failover => "failover",
        RunKind::Switchover => "switchover",
        RunKind::Failback => "failback",
        RunKind::Drill => "drill",
        RunKind::Refence => "fence",
        RunKind::Other => "run",
    }
}

pub fn lines(run: &Run) -> &[PlanLine] {
    run.plan.as_ref().map(|plan| plan.lines.as_slice()).unwrap_or_default()
}

pub fn changes(line: &PlanLine) -> bool {
    line.role == ItemRole::Step && !matches!(line.verdict, Verdict::Ok | Verdict::Nothing)
}

/// The alert or the person, then what the guards saw.
pub fn why(cause: &Cause, lines: &[PlanLine]) -> Vec<String> {
    let guards = lines.iter().filter(|l| l.role == ItemRole::Guard);
    std::iter::once(cause_of(cause)).chain(guards.map(|l| format!("{}: {}", l.name, l.now))).collect()
}

pub fn cause_of(cause: &Cause) -> String {
    match cause {
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
    }
}

/// What may be lost. Unknown is said, and is not nothing.
pub fn lose(run: &Run) -> Vec<String> {
    match run.plan.as_ref().map(|plan| plan.at_risk.clone()).filter(|words| !words.is_empty()) {
        Some(words) => words,
        None => vec!["not known: the playbook measures no lag, and nothing here bounds it".to_owned()],
    }
}

/// What happens if nobody does anything.
pub fn nothing(run: &Run, until: &str) -> String {
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
    format!("{stays} At {until} {then}.")
}

/// To choose from: both sites and an answer that is none, in an order that tells nothing.
pub fn sites(from: &Name, to: &Name) -> Vec<String> {
    let mut sites = vec![from.to_string(), to.to_string()];
    sites.sort();
    sites.dedup();
    sites.push("nowhere, it stays".to_owned());
    sites
}

/// "03:22:07 UTC"
pub fn of_day(at: Time) -> String {
    let text = at.to_string();
    let time = text.split([' ', 'T']).nth(1).unwrap_or(&text);
    format!("{} UTC", time.chars().take(8).collect::<String>())
}

/// "03:22:07 UTC (in 6 min)"
pub fn clock(at: Time, now: Time) -> String {
    let seconds = (at.0 - now.0) / 1_000_000;
    let distance = match seconds.unsigned_abs() {
        s if s < 100 => format!("{s} s"),
        s => format!("{} min", s / 60),
    };
    let time = of_day(at);
    if seconds > 0 { format!("{time} (in {distance})") } else { format!("{time} ({distance} ago)") }
}
