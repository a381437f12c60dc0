//! Readiness: one line for each playbook, then what stands in the way, with what to do. Used by `ready`.

use crate::cli::look::{Look, Paint, clean};
use crate::cli::wire::{ReadyDoc, ReadyFindingDoc, ReadyPlaybookDoc};
use crate::kernel::domain::{Grade, Span, Time};
use crate::units::counted;

pub fn screen(doc: &ReadyDoc, all: bool, look: &Look) -> Vec<String> {
    let in_use = doc.playbooks.iter().filter(|playbook| playbook.disabled.is_none()).count();
    if doc.playbooks.is_empty() {
        return vec!["No playbooks are loaded: nothing can be started.".to_owned()];
    }
    let says = format!("{} of {} would work now", doc.ready, counted(in_use, "playbook"));
    let paint = if doc.ready >= in_use { Paint::Good } else { Paint::Bad };
    let mut lines = vec![look.paint(paint, &says)];
    for playbook in &doc.playbooks {
        lines.push(String::new());
        lines.extend(one(playbook, doc.at, all, look));
    }
    lines
}

fn one(playbook: &ReadyPlaybookDoc, now: Time, all: bool, look: &Look) -> Vec<String> {
    let (word, paint) = match (&playbook.disabled, playbook.ready) {
        (Some(_), _) => ("DISABLED", Paint::Asks),
        (None, Some(true)) => ("ready", Paint::Good),
        (None, Some(false)) if !playbook.active => ("NOT ACTIVE", Paint::Bad),
        (None, Some(false)) => ("NOT READY", Paint::Bad),
        (None, None) => ("NOT LOOKED AT", Paint::Bad),
    };
    let age = playbook.at.map_or_else(String::new, |at| {
        format!("   looked at {} ago", Span::secs(now.since(at).0 / 1_000_000))
    });
    let mut lines = vec![format!(
        "{}  {}{age}",
        look.paint(Paint::Strong, playbook.playbook.as_str()),
        look.paint(paint, word)
    )];
    lines.extend(playbook.disabled.iter().map(|says| format!("  {}", clean(says))));
    if !playbook.active {
        let first = playbook.problems.iter().filter_map(|problem| problem.first()).take(1);
        lines.extend(first.map(|says| look.paint(Paint::Bad, &format!("  {}", clean(says)))));
    }
    let well = |grade| matches!(grade, Grade::Ok | Grade::Open);
    let (hidden, shown): (Vec<_>, Vec<_>) = playbook.findings.iter().partition(|f| well(f.grade) && !all);
    lines.extend(shown.into_iter().flat_map(|finding| found(finding, look)));
    let of = |grade| hidden.iter().filter(|finding| finding.grade == grade).count();
    let rest: Vec<String> = [(of(Grade::Ok), "well"), (of(Grade::Open), "known only when it is done")]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if !rest.is_empty() {
        lines.push(look.paint(Paint::Quiet, &format!("  {}; --all shows them", rest.join(", "))));
    }
    lines
}

fn found(finding: &ReadyFindingDoc, look: &Look) -> Vec<String> {
    let (word, paint) = match finding.grade {
        Grade::Bad => ("bad", Paint::Bad),
        Grade::Unknown => ("unknown", Paint::Bad),
        Grade::Warn => ("warn", Paint::Asks),
        Grade::Open => ("open", Paint::Quiet),
        Grade::Ok => ("ok", Paint::Good),
    };
    let target =
        if finding.target.is_empty() { String::new() } else { format!(" [{}]", clean(&finding.target)) };
    let code = if finding.code.is_empty() { String::new() } else { format!("{}  ", finding.code) };
    let word = look.paint(paint, &format!("{word:<8}"));
    let mut lines =
        vec![format!("  {word} {code}{}{target}: {}", clean(&finding.about), clean(&finding.says))];
    if !finding.fix.is_empty() {
        lines.push(look.paint(Paint::Quiet, &format!("           do: {}", clean(&finding.fix))));
    }
    lines
}
