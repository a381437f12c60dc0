//! A plan as a person reads it before saying yes: guards, steps, what may be lost, how to go on.
//! Used by `plan`, `run` and `approve`.

use super::quoted;
use crate::cli::look::{Look, Paint};
use crate::cli::table::{Cell, Table, cell};
use crate::cli::wire::{PlanDoc, RunDoc};
use crate::kernel::domain::{ItemRole, Mode, PlanLine, Verdict};

/// Longer texts do not push the next column aside.
const WIDEST: usize = 44;

/// The whole sheet. `closing` is said after the count of steps.
pub fn sheet(doc: &PlanDoc, look: &Look, closing: &str) -> Vec<String> {
    let mut lines = head(doc, look);
    let of = |guard: bool| doc.lines.iter().filter(move |l| (l.role == ItemRole::Guard) == guard);
    if of(true).next().is_some() {
        lines.push(String::new());
        lines.push(look.paint(Paint::Strong, "Guards"));
        lines.extend(guards(of(true), look));
    }
    lines.push(String::new());
    lines.extend(steps(of(false), look));
    lines.push(String::new());
    lines.push(format!("{}. {closing}", count(doc)));
    lines.extend(after(doc, look));
    lines
}

impl From<&RunDoc> for PlanDoc {
    /// The plan that a run offers or has begun.
    fn from(run: &RunDoc) -> PlanDoc {
        let summary = &run.summary;
        PlanDoc {
            playbook: summary.playbook.clone(),
            service: summary.service.clone(),
            kind: run.kind.clone(),
            mode: summary.mode,
            from: summary.from.clone(),
            to: summary.to.clone(),
            plan: run.plan.clone(),
            lines: run.plan.as_ref().map(|p| p.lines.clone()).unwrap_or_default(),
            blockers: vec![],
        }
    }
}

fn head(doc: &PlanDoc, look: &Look) -> Vec<String> {
    let digest = doc.plan.as_ref().map_or_else(|| "BLOCKED".to_owned(), |p| p.digest.short());
    let title = format!("PLAN {digest}   {}  {} -> {}   {}", doc.service, doc.from, doc.to, doc.kind);
    let mut second = format!("playbook {} (mode {})", doc.playbook, mode(doc.mode));
    if let Some(plan) = &doc.plan {
        second.push_str(&format!("   observed {}   until {}", look.time(plan.at), look.time(plan.until)));
    }
    vec![look.paint(Paint::Strong, &title), second]
}

pub fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Observe => "observe",
        Mode::Approve => "approve",
        Mode::Auto => "auto",
    }
}

fn guards<'a>(lines: impl Iterator<Item = &'a PlanLine>, look: &Look) -> Vec<String> {
    let mut table = Table::new(2).widest(WIDEST);
    for line in lines {
        let mark = match line.verdict {
            Verdict::Ok | Verdict::Nothing => cell("ok").paint(Paint::Good),
            Verdict::Refused | Verdict::Change => cell("no").paint(Paint::Bad),
            Verdict::Later | Verdict::Asks | Verdict::Unknown => cell("?").paint(Paint::Asks),
        };
        table.row([mark, cell(&line.name), says(line)]);
        line.notes.iter().for_each(|note| table.note(note, Paint::Asks));
    }
    table.lines(look)
}

fn steps<'a>(lines: impl Iterator<Item = &'a PlanLine>, look: &Look) -> Vec<String> {
    let mut table = Table::new(0).widest(WIDEST);
    table.row(["Steps", "", "", "now", "after"].map(|h| cell(h).paint(Paint::Strong)));
    for (i, line) in lines.enumerate() {
        let (mark, paint) = match line.verdict {
            Verdict::Change => ("~", Paint::Plain),
            Verdict::Ok | Verdict::Nothing => ("=", Paint::Quiet),
            Verdict::Later => ("?", Paint::Quiet),
            Verdict::Asks => ("!", Paint::Asks),
            Verdict::Refused => ("x", Paint::Bad),
            Verdict::Unknown => ("?", Paint::Asks),
        };
        let undo = if line.no_undo { cell("NO UNDO").paint(Paint::Bad) } else { cell("") };
        table.row([
            cell(format!("{} {mark}", i + 1)).right().paint(paint),
            cell(&line.name),
            cell(&line.target),
            says(line),
            will_be(line),
            undo,
        ]);
        line.notes.iter().for_each(|note| table.note(&format!("note: {note}"), Paint::Asks));
    }
    table.lines(look)
}

fn says(line: &PlanLine) -> Cell {
    match (line.verdict, line.now.is_empty()) {
        (Verdict::Unknown, true) => cell("unknown"),
        (Verdict::Unknown, false) => cell(format!("unknown: {}", line.now)),
        (_, true) => cell("-"),
        (_, false) => cell(&line.now),
    }
}

fn will_be(line: &PlanLine) -> Cell {
    match line.verdict {
        _ if !line.after.is_empty() => cell(&line.after),
        Verdict::Later => cell("checked in its turn"),
        Verdict::Asks => cell("a person is asked"),
        Verdict::Ok | Verdict::Nothing => cell("already right"),
        Verdict::Change | Verdict::Refused | Verdict::Unknown => cell("-"),
    }
}

fn count(doc: &PlanDoc) -> String {
    let steps: Vec<&PlanLine> = doc.lines.iter().filter(|l| l.role != ItemRole::Guard).collect();
    let of = |wanted: &[Verdict]| steps.iter().filter(|l| wanted.contains(&l.verdict)).count();
    let mut parts = vec![];
    let mut part = |n: usize, word: &str| {
        if n > 0 {
            parts.push(format!("{n} {word}"));
        }
    };
    let verb = |n: usize, one: &str, many: &str| if n == 1 { one.to_owned() } else { many.to_owned() };
    let changes = of(&[Verdict::Change]);
    part(changes, &verb(changes, "changes", "change"));
    part(of(&[Verdict::Ok, Verdict::Nothing]), "already right");
    let asks = of(&[Verdict::Asks]);
    part(asks, &verb(asks, "asks", "ask"));
    let checks = of(&[Verdict::Later]);
    part(checks, &verb(checks, "checks", "check"));
    part(of(&[Verdict::Refused]), "refused");
    part(of(&[Verdict::Unknown]), "unknown");
    let noun = if steps.len() == 1 { "step" } else { "steps" };
    format!("{} {noun}: {}", steps.len(), parts.join(", "))
}

/// What follows the steps: risk and the next command, or everything that stands in the way.
fn after(doc: &PlanDoc, look: &Look) -> Vec<String> {
    let mut table = Table::new(0);
    let Some(plan) = &doc.plan else {
        for blocker in &doc.blockers {
            let title = cell("Blocked").paint(Paint::Bad);
            table.row([title, cell(format!("{}  {}", blocker.code, blocker.says))]);
        }
        table.row([cell("Read on"), cell("pointsman explain CODE")]);
        return table.lines(look);
    };
    let unsaid = ["not known: the playbook measures no lag, and nothing here bounds it".to_owned()];
    let risks = if plan.at_risk.is_empty() { &unsaid[..] } else { &plan.at_risk[..] };
    for (i, words) in risks.iter().enumerate() {
        table.row([cell(if i == 0 { "Data at risk" } else { "" }), cell(words)]);
    }
    table.row([cell("Digest"), cell(plan.digest.to_string())]);
    table.lines(look)
}

/// How to start what was shown, and nothing else than what was shown.
pub fn run_it(doc: &PlanDoc) -> Option<String> {
    let plan = doc.plan.as_ref()?;
    let digest = quoted(plan.digest);
    Some(format!(
        "Run it        pointsman run {} --reason \"...\" --confirm={} --digest={digest}",
        doc.playbook, doc.service
    ))
}

pub fn has_changes(doc: &PlanDoc) -> bool {
    let changes = |l: &PlanLine| matches!(l.verdict, Verdict::Change | Verdict::Asks);
    doc.lines.iter().any(|l| l.role != ItemRole::Guard && changes(l))
}
