//! Playbooks as they are listed, what became of one, and the difference between two forms of it. Used by `playbook`.

use super::plan::mode;
use crate::cli::look::{Look, Paint, clean, harmless};
use crate::cli::table::{Cell, Table, cell};
use crate::cli::wire::{FormDoc, PastFormsDoc, PlaybookDoc, PlaybooksDoc};
use crate::cli::{Fault, client};
use crate::trial;
use crate::units::counted;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Lines around a change.
const AROUND: usize = 3;
/// Characters of a digest that people quote.
const QUOTED: usize = 7;
/// Problems shown of one form.
const PROBLEMS: usize = 3;

/// The server's document; problems of several lines are taken apart first, since reading makes one line of every text.
pub fn read<T: DeserializeOwned>(document: &Value, kind: &str) -> Result<T, Fault> {
    let mut document = document.clone();
    apart(&mut document);
    client::read(&document, kind)
}

fn apart(value: &mut Value) {
    match value {
        Value::Object(map) => map.iter_mut().for_each(|(name, inner)| match (name.as_str(), inner) {
            ("problems" | "warnings", Value::Array(list)) => list.iter_mut().for_each(super::status::lines),
            (_, inner) => apart(inner),
        }),
        Value::Array(list) => list.iter_mut().for_each(apart),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// In force, in which form, or why not.
pub fn state(playbook: &PlaybookDoc) -> Cell {
    match (playbook.active, &playbook.disabled, &playbook.refused) {
        (false, ..) => cell("NOT ACTIVE").paint(Paint::Bad),
        (true, Some(_), _) => cell("DISABLED").paint(Paint::Asks),
        (true, None, Some(_)) => cell("LAST GOOD").paint(Paint::Bad),
        (true, None, None) => cell("active").paint(Paint::Good),
    }
}

pub fn list(doc: &PlaybooksDoc, look: &Look) -> Vec<String> {
    let mut lines: Vec<String> =
        doc.trouble.iter().map(|trouble| look.paint(Paint::Bad, &clean(&trouble.says))).collect();
    if doc.playbooks.is_empty() {
        lines.push("No playbooks are loaded: nothing can be started.".to_owned());
        return lines;
    }
    let mut table = Table::new(0);
    table.head(&["PLAYBOOK", "SERVICE", "KIND", "MODE", "OWNER", "STATE", "DIGEST"]);
    for playbook in &doc.playbooks {
        let name = |name: &Option<crate::kernel::domain::Name>| {
            cell(name.as_ref().map_or("-", |name| name.as_str()))
        };
        table.row([
            cell(&playbook.name).paint(Paint::Strong),
            name(&playbook.service),
            cell(playbook.kind.as_deref().unwrap_or("-")),
            cell(playbook.mode.map_or("-", mode)),
            name(&playbook.owner),
            state(playbook),
            cell(short(playbook.digest.as_deref().unwrap_or("-"))),
        ]);
        if let Some(disabled) = &playbook.disabled {
            table.note(&disabled.says, Paint::Asks);
        }
        if let Some(refused) = &playbook.refused {
            let says = format!(
                "the file is {} now and is refused: `pointsman playbook diff {}`",
                short(refused),
                playbook.name
            );
            table.note(&says, Paint::Bad);
        }
        if let (false, Some(first)) = (playbook.active, playbook.problems.first()) {
            let says = first.first().map_or("", String::as_str);
            table.note(&format!("{says}  ({})", counted(playbook.problems.len(), "problem")), Paint::Bad);
        }
    }
    lines.extend(table.lines(look));
    lines
}

/// What the text is, said beside it.
pub fn head(doc: &FormDoc, look: &Look) -> Vec<String> {
    let (form, now) = (short(&doc.form), doc.digest.as_deref());
    let is =
        match (doc.active, now == Some(doc.form.as_str()), doc.refused.as_deref() == Some(doc.form.as_str()))
        {
            (true, true, _) => "in force",
            (_, _, true) => "refused, NOT in force",
            (false, true, _) => "NOT ACTIVE: it has problems",
            (false, false, _) => "NOT in force: no file defines this playbook any more",
            (true, false, false) => "of the past, not in force",
        };
    let since = doc.first.map_or_else(String::new, |at| format!(", first read {}", look.date_time(at)));
    let mut lines = vec![format!("playbook {} {form}: {is}{since}", doc.name)];
    lines.extend(doc.disabled.iter().map(|disabled| clean(&disabled.says)));
    lines
}

/// Line by line, without what could drive a terminal.
pub fn text(document: &Value) -> Vec<String> {
    document["text"].as_str().unwrap_or_default().lines().map(harmless).collect()
}

pub fn history(doc: &PastFormsDoc, look: &Look) -> Vec<String> {
    let mut lines = vec![look.paint(Paint::Strong, &format!("playbook {}", doc.playbook))];
    if !doc.whole {
        lines.push("older records are not shown; `pointsman audit playbook:NAME` has them all".to_owned());
    }
    for record in &doc.records {
        let form = record.digest.as_deref().map_or("       ", short);
        let line =
            format!("{:>8}  {}  {form}  {}", record.position, look.date_time(record.at), clean(&record.says));
        let bad = record.active == Some(false);
        lines.push(look.paint(if bad { Paint::Bad } else { Paint::Plain }, &line));
        for problem in record.problems.iter().take(PROBLEMS) {
            let says = problem.first().map_or("", String::as_str);
            lines.push(look.paint(Paint::Quiet, &format!("          {}", clean(says))));
        }
        if let more @ 1.. = record.problems.len().saturating_sub(PROBLEMS) {
            lines.push(look.paint(Paint::Quiet, &format!("          and {}", counted(more, "more problem"))));
        }
    }
    lines
}

/// From which form to which: what was named, or else from the form in force to what wants to take its place, or else to
/// the form in force from the one before it. No `from`: there was no other form.
pub fn between(
    doc: &FormDoc,
    past: &PastFormsDoc,
    (from, to): (Option<&str>, Option<&str>),
    file: bool,
) -> (Option<String>, String) {
    let newest = doc.refused.clone().unwrap_or_else(|| doc.form.clone());
    let to = to.map_or(newest, str::to_owned);
    let other = |digest: &&str| !digest.starts_with(&to) && !to.starts_with(*digest);
    let before = || {
        let forms = past.records.iter().filter_map(|record| record.digest.as_deref());
        let until: Vec<&str> = forms.collect();
        let end = until.iter().rposition(|digest| digest.starts_with(&to)).unwrap_or(until.len());
        until[..end].iter().rev().copied().find(other).map(str::to_owned)
    };
    let from = match from {
        Some(from) => Some(from.to_owned()),
        None if file => Some(doc.form.clone()),
        None if other(&doc.form.as_str()) => Some(doc.form.clone()),
        None => before(),
    };
    (from, to)
}

/// As `diff -u`, each with its name and its lines; nothing: they are equal.
pub fn diff(old: (&str, &[String]), new: (&str, &[String])) -> Vec<String> {
    let lines = trial::compare(old.1, new.1, |old, new| old == new);
    let changed: Vec<usize> = (0..lines.len()).filter(|i| lines[*i].0 != ' ').collect();
    if changed.is_empty() {
        return vec![];
    }
    let mut shown = vec![format!("--- {}", old.0), format!("+++ {}", new.0)];
    let near = |i: usize| changed.iter().any(|c| c.abs_diff(i) <= AROUND);
    let (mut old_line, mut new_line, mut inside) = (1, 1, false);
    for (i, (mark, line)) in lines.iter().enumerate() {
        if near(i) {
            if !inside {
                shown.push(format!("@@ line {old_line} is line {new_line} now @@"));
            }
            shown.push(format!("{mark}{line}"));
        }
        inside = near(i);
        old_line += usize::from(*mark != '+');
        new_line += usize::from(*mark != '-');
    }
    shown
}

pub fn painted(line: &str, look: &Look) -> String {
    let paint = match line.chars().next() {
        Some('+') => Paint::Good,
        Some('-') => Paint::Bad,
        Some('@') => Paint::Quiet,
        _ => Paint::Plain,
    };
    look.paint(paint, line)
}

fn short(digest: &str) -> &str {
    digest.get(..QUOTED).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_difference_is_shown_with_what_is_around_it_and_none_as_nothing() {
        let old = lines("a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl");
        let new = lines("a\nb\nc\nd\nE\nf\ng\nh\ni\nj\nk\nl\nm");
        assert!(diff(("x", &old), ("y", &old)).is_empty());
        let shown = diff(("x", &old), ("y", &new)).join("\n");
        let wanted = "--- x\n+++ y\n@@ line 2 is line 2 now @@\n b\n c\n d\n-e\n+E\n f\n g\n h\n\
                      @@ line 10 is line 10 now @@\n j\n k\n l\n+m";
        assert_eq!(shown, wanted);
    }
}
