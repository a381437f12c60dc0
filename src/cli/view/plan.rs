//! A plan as a person reads it before saying yes: guards, steps, what may be lost, how to go on.
//! Used by `plan`, `run` and `approve`.

use super::quoted;
use crate::audit::markdown_text as text;
use crate::cli::look::{Look, Paint};
use crate::cli::table::{Cell, Table, cell};
use crate::cli::wire::{PlanDoc, ReachDoc, RunDoc};
use crate::kernel::domain::{ItemId, ItemRole, Mode, PlanLine, Verdict};

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
            id: None,
            state: None,
            time: None,
            no_return: None,
            reach: vec![],
        }
    }
}

fn head(doc: &PlanDoc, look: &Look) -> Vec<String> {
    let title = title(doc);
    let mut second = format!("playbook {} (mode {})", doc.playbook, mode(doc.mode));
    if let Some(plan) = &doc.plan {
        second.push_str(&format!("   observed {}   until {}", look.time(plan.at), look.time(plan.until)));
    }
    match doc.state.as_deref() {
        None => {}
        Some("valid") => second.push_str(", for one run"),
        Some(other) => second.push_str(&format!("   {}", other.to_uppercase())),
    }
    vec![look.paint(Paint::Strong, &title), second]
}

fn title(doc: &PlanDoc) -> String {
    let digest = doc.plan.as_ref().map_or_else(|| "BLOCKED".to_owned(), |p| p.digest.short());
    let name = doc.id.clone().unwrap_or(digest);
    format!("PLAN {name}   {}  {} -> {}   {}", doc.service, doc.from, doc.to, doc.kind)
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
    for (i, words) in reach(doc).into_iter().enumerate() {
        table.row([cell(if i == 0 { "At worst" } else { "" }), cell(words)]);
    }
    if let Some(words) = no_return(doc) {
        table.row([cell("No return"), cell(words)]);
    }
    if let Some(words) = time(doc) {
        table.row([cell("Time"), cell(words)]);
    }
    table.row([cell("Digest"), cell(plan.digest.to_string())]);
    table.lines(look)
}

/// The number a person knows a step by: 1 is the first that is not a guard.
fn number(doc: &PlanDoc, item: ItemId) -> String {
    let place = doc.lines.iter().filter(|l| l.role != ItemRole::Guard).position(|l| l.item == item);
    place.map_or_else(String::new, |place| (place + 1).to_string())
}

/// What each step can touch, beside what it is meant to.
fn reach(doc: &PlanDoc) -> Vec<String> {
    let of = |r: &ReachDoc| format!("{} {}: {}", number(doc, r.item), r.name, r.says.join("; or "));
    doc.reach.iter().map(of).collect()
}

fn no_return(doc: &PlanDoc) -> Option<String> {
    let end = doc.no_return.as_ref()?;
    Some(format!(
        "from step {} on, {}; before it, `pointsman abort` takes back what can be",
        number(doc, end.item),
        end.name
    ))
}

fn time(doc: &PlanDoc) -> Option<String> {
    let time = doc.time.as_ref()?;
    let past = match &time.history {
        None => "no history: this playbook has not succeeded yet".to_owned(),
        Some(past) if past.runs == 1 => format!("{} in the one run that succeeded", past.median),
        Some(past) => {
            format!(
                "about {} (median of the last {} runs that succeeded, longest {})",
                past.median, past.runs, past.longest
            )
        }
    };
    let objective = time.objective.map(|span| format!("; objective {span}")).unwrap_or_default();
    Some(past + &objective)
}

/// For a ticket or a chat: the same sheet as Markdown, every text as text.
pub fn markdown(doc: &PlanDoc, look: &Look) -> String {
    let mut out = format!("# {}\n\n", text(&title(doc)));
    for line in head(doc, &plain(look)).into_iter().skip(1) {
        out.push_str(&format!("{}\n\n", text(&line)));
    }
    for (title, guard) in [("Guards", true), ("Steps", false)] {
        out.push_str(&format!("## {title}\n\n| | | target | now | after |\n|---|---|---|---|---|\n"));
        for line in doc.lines.iter().filter(|l| (l.role == ItemRole::Guard) == guard) {
            let verdict = serde_json::to_value(line.verdict).ok();
            let verdict = verdict.as_ref().and_then(|v| v.as_str()).unwrap_or("unknown").to_owned();
            let mut name = line.name.to_string();
            if line.no_undo {
                name.push_str(" (NO UNDO)");
            }
            let number = if guard { String::new() } else { format!("{} ", number(doc, line.item)) };
            let cells = [number + &verdict, name, line.target.clone(), line.now.clone(), line.after.clone()];
            out.push_str(&format!("| {} |\n", cells.map(|cell| text(&cell)).join(" | ")));
            for note in &line.notes {
                out.push_str(&format!("| | {} | | | |\n", text(&format!("note: {note}"))));
            }
        }
        out.push('\n');
    }
    out.push_str("## Before you say yes\n\n");
    let closing = after(doc, &plain(look)).into_iter().chain(run_it(doc));
    for line in closing {
        let place = if line.starts_with(' ') { "  " } else { "" };
        out.push_str(&format!("{place}- {}\n", text(line.trim())));
    }
    out
}

/// Columns by tabs, and no colour: what a table of the terminal would be is none in Markdown.
fn plain(look: &Look) -> Look {
    Look { color: false, ..look.clone() }
}

/// How to start what was shown, and nothing else than what was shown.
pub fn run_it(doc: &PlanDoc) -> Option<String> {
    let plan = doc.plan.as_ref()?;
    if doc.state.as_deref().is_some_and(|state| state != "valid") {
        return None;
    }
    if let Some(name) = &doc.id {
        return Some(format!(
            "Run it        pointsman run --plan {name} --reason \"...\" --confirm={}",
            doc.service
        ));
    }
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
