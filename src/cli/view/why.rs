//! The answer to `why`: one sentence, what stands against it now, then what was decided, newest last.

use crate::cli::look::{Look, Paint, clean};
use crate::cli::wire::{ReplayDoc, WhyDoc};
use crate::units::counted;

pub fn screen(doc: &WhyDoc, look: &Look) -> Vec<String> {
    let mut lines =
        vec![look.paint(Paint::Strong, &format!("{} {}: {}", doc.kind, clean(&doc.of), clean(&doc.says)))];
    for reason in &doc.now {
        lines.push(look.paint(Paint::Asks, &format!("  now  {}  {}", reason.code, clean(&reason.says))));
    }
    let left_out = match (doc.left_out, doc.older) {
        (0, false) => None,
        (0, true) => Some("older records were not looked at".to_owned()),
        (n, false) => Some(format!("{} left out", counted(n, "earlier record"))),
        (n, true) => {
            Some(format!("{} left out, and older ones were not looked at", counted(n, "earlier record")))
        }
    };
    lines.extend(left_out.map(|says| format!("{says}; `pointsman audit list` has them all")));
    for record in &doc.records {
        lines.push(format!(
            "{:>8}  {}  {}",
            record.position,
            look.record_time(record.at),
            clean(&record.says)
        ));
        for reason in &record.reasons {
            lines.push(
                look.paint(Paint::Quiet, &format!("          {}  {}", reason.code, clean(&reason.says))),
            );
        }
    }
    lines.push("pointsman explain CODE has the page of each code.".to_owned());
    lines
}

/// A stored alert asked again: each playbook's verdict, then what the first would do.
pub fn replay(doc: &ReplayDoc, look: &Look) -> Vec<String> {
    let head = format!("alert {} (record {}), asked again", clean(&doc.occurrence), doc.record);
    let mut lines = vec![look.paint(Paint::Strong, &head)];
    if doc.verdicts.is_empty() {
        lines.push("  there is no active playbook".to_owned());
    }
    for verdict in &doc.verdicts {
        let sign = if verdict.matched { "matches" } else { "no     " };
        lines.push(format!("  {sign}  {}  {}", verdict.playbook, clean(&verdict.says)));
    }
    match &doc.plan {
        Some(plan) => {
            lines.extend(super::plan::sheet(plan, look, "This command changed and recorded nothing."))
        }
        None => lines.push("Nothing would be started.".to_owned()),
    }
    lines
}
