//! The report as Markdown, for a ticket or a post-mortem.

use super::Report;
use super::tables::{head, sections};
use std::fmt::Write as _;

pub fn markdown(report: &Report) -> String {
    let mut out = format!("# Run {} of {}\n\n", safe(report.run.as_str()), safe(report.service.as_str()));
    out.push_str("| | |\n|---|---|\n");
    for (name, value) in head(report) {
        row(&mut out, &[name.to_owned(), value]);
    }
    for section in sections(report) {
        // Writing to a string does not fail.
        let _ = write!(out, "\n## {}\n\n", section.title);
        if section.rows.is_empty() {
            let _ = writeln!(out, "{}.", section.none);
            continue;
        }
        let _ =
            writeln!(out, "| {} |\n|{}", section.columns.join(" | "), "---|".repeat(section.columns.len()));
        section.rows.iter().for_each(|cells| row(&mut out, cells));
    }
    out
}

fn row(out: &mut String, cells: &[String]) {
    let cells: Vec<String> = cells.iter().map(|cell| safe(cell)).collect();
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}

/// Text stays text: no tags, links, images, emphasis, columns or lines of its own.
pub fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '!' | '#' | '~' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn text_stays_text() {
        assert_eq!(safe("a|b\n![x](http://y) <b>"), "a\\|b \\!\\[x\\](http://y) &lt;b&gt;");
    }
}
