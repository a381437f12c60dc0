//! The answer to `why`: one sentence, what stands against it now, then what was decided, newest last.

use crate::cli::look::{Look, Paint, clean};
use crate::cli::wire::WhyDoc;
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
