//! Records for spreadsheets: RFC 4180, and no cell that a spreadsheet would take for a formula. Used by `audit -o csv`.

use crate::cli::look::{harmless, utc};
use crate::cli::wire::RecordDoc;

const COLUMNS: [&str; 9] =
    ["actor", "via", "playbook", "service", "run", "object", "target", "result", "source"];

pub fn head() -> String {
    format!("position,time,stream,action,{},says", COLUMNS.join(","))
}

pub fn row(record: &RecordDoc) -> String {
    let mut cells = vec![
        record.position.to_string(),
        cell(&utc(record.at).unwrap_or_default()),
        cell(&record.stream),
        cell(&record.kind),
    ];
    cells.extend(COLUMNS.iter().map(|name| cell(record.columns.get(*name).map_or("", String::as_str))));
    cells.push(cell(&record.says));
    cells.join(",")
}

/// A text that begins like a formula gets an apostrophe, which makes it text again.
fn cell(text: &str) -> String {
    let text = harmless(text);
    let first = text.trim_start().chars().next();
    let formula = matches!(
        first,
        Some('=' | '+' | '-' | '@' | '|' | '%' | '\u{FF1D}' | '\u{FF0B}' | '\u{FF0D}' | '\u{FF20}')
    );
    let text = if formula { format!("'{text}") } else { text };
    match text.contains([',', '"', '\n', '\r', ';']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn formulas_and_separators_stay_text() {
        for (text, shown) in [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+1", "'+1"),
            ("-2+3", "'-2+3"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "' =1"),
            ("a,\"b\"", "\"a,\"\"b\"\"\""),
            ("two\nlines", "two lines"),
            ("plain", "plain"),
        ] {
            assert_eq!(cell(text), shown);
        }
    }
}
