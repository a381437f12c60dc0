//! The answer to `why`: one sentence, what stands against it now, then what was decided, newest last.

use crate::cli::look::{Look, Paint, clean};
use crate::cli::wire::WhyDoc;

pub fn screen(doc: &WhyDoc, look: &Look) -> Vec<String> {
    let mut lines =
        vec![look.paint(Paint::Strong, &format!("{} {}: {}", doc.kind, clean(&doc.of), clean(&doc.says)))];
    for reason in &doc.now {
        lines.push(look.paint(Paint::Asks, &format!("  now  {}  {}", reason.code, clean(&reason.says))));
    }
    if doc.left_out > 0 {
        lines.push(format!("{} earlier records are left out; `pointsman audit` has them all", doc.left_out));
    }
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
