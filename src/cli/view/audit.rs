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
    let mut lines = table.lines(look);
    let body = serde_json::to_string_pretty(&record.body).unwrap_or_else(|_| record.body.to_string());
    lines.extend(body.lines().map(crate::cli::look::harmless));
    lines
}
