//! Records as rows, and one record in full. Used by `audit`.

use crate::cli::look::{Look, Paint};
use crate::cli::table::{Table, cell};
use crate::cli::wire::RecordDoc;

pub fn rows(records: &[RecordDoc], look: &Look, head: bool) -> Vec<String> {
    let mut table = Table::new(0);
    if head {
        table.head(&["POSITION", "TIME", "STREAM", "KIND", "SAYS"]);
    }
    for record in records {
        table.row([
            cell(record.position.to_string()).right(),
            cell(look.record_time(record.at)),
            cell(&record.stream),
            cell(&record.kind),
            cell(&record.says),
        ]);
    }
    table.lines(look)
}

/// A record that comes alone has no neighbours to align with: the columns are as wide as such records are.
pub fn row(record: &RecordDoc, look: &Look) -> String {
    match look.aligned {
        true => format!(
            "{:>8}  {}  {:<18}  {:<11}  {}",
            record.position,
            look.record_time(record.at),
            crate::cli::look::clean(&record.stream),
            record.kind,
            crate::cli::look::clean(&record.says)
        ),
        false => rows(std::slice::from_ref(record), look, false).join(""),
    }
}

pub fn whole(record: &RecordDoc, look: &Look) -> Vec<String> {
    let mut table = Table::new(0);
    table.row([cell("position"), cell(record.position.to_string())]);
    table.row([cell("time"), cell(look.record_time(record.at))]);
    table.row([cell("stream"), cell(format!("{} (number {} in it)", record.stream, record.seq))]);
    table.row([cell("kind"), cell(&record.kind)]);
    table.row([cell("says"), cell(&record.says).paint(Paint::Strong)]);
    for (name, value) in &record.columns {
        table.row([cell(name), cell(value)]);
    }
    let mut lines = table.lines(look);
    lines.extend(attempts(record, look));
    lines.extend(guards(record, look));
    let body = serde_json::to_string_pretty(&record.body).unwrap_or_else(|_| record.body.to_string());
    lines.extend(body.lines().map(crate::cli::look::harmless));
    lines
}

/// Every call of the step, with what it changed and what came back.
fn attempts(record: &RecordDoc, look: &Look) -> Vec<String> {
    if record.attempts.is_empty() {
        return vec![];
    }
    let mut table = Table::new(2).widest(60);
    table.head(&["ATTEMPT", "BEFORE", "AFTER", "INTENDED", "ENDED", "RESULT", "REPLY"]);
    for call in &record.attempts {
        let way = if call.undo { " back" } else { "" };
        let reply = match &call.reply {
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(serde_json::Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        };
        table.row([
            cell(format!("{}{way}", call.attempt)),
            cell(&call.before),
            cell(&call.after),
            cell(call.position).right(),
            cell(call.ended.map_or("-".to_owned(), |at| at.to_string())).right(),
            cell(call.result.as_deref().unwrap_or("no end on record")),
            cell(reply),
        ]);
    }
    std::iter::once("calls of this step".to_owned()).chain(table.lines(look)).collect()
}

/// What the guards said, and where it stands what they saw.
fn guards(record: &RecordDoc, look: &Look) -> Vec<String> {
    if record.guards.is_empty() {
        return vec![];
    }
    let mut table = Table::new(2);
    table.head(&["GUARD", "VERDICT", "SAYS", "SEEN", "EVIDENCE"]);
    for guard in &record.guards {
        table.row([
            cell(&guard.name),
            cell(&guard.verdict),
            cell(&guard.says),
            cell(guard.seen.map_or("-".to_owned(), |at| at.to_string())).right(),
            cell(guard.evidence.as_ref().map_or(String::new(), ToString::to_string)),
        ]);
    }
    std::iter::once("guards of this plan".to_owned()).chain(table.lines(look)).collect()
}
