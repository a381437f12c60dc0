//! The report as one HTML page that needs nothing from outside: for a browser, a printer or an attachment.

use super::Report;
use super::tables::{head, sections};
use std::fmt::Write as _;

/// Wide tables on a screen and on paper; on a narrow screen each row is a card, its cells below each other, each with the name
/// of its column. Words are broken only where one alone is too long.
const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:15px/1.45 system-ui,sans-serif;max-width:80rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;\
background:#fff}\
h1{font-size:1.6rem;overflow-wrap:anywhere}h2{font-size:1.15rem;margin:1.75rem 0 .25rem}\
table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem}\
th,td{text-align:left;vertical-align:top;border-bottom:1px solid #ccc;padding:.25rem .6rem .25rem 0;\
overflow-wrap:break-word}\
th{font-weight:600;white-space:nowrap}tbody th{width:7rem}\
.long{overflow-wrap:anywhere;min-width:9rem}\
@media(prefers-color-scheme:dark){body{color:#eee;background:#181818}th,td{border-color:#444}}\
@media screen and (max-width:52rem){\
table,tbody,tr,td,tbody th{display:block}thead{display:none}tbody th{width:auto;border:0;padding-bottom:0}\
tr{border-bottom:1px solid #8888;padding:.4rem 0}\
td,td.long{border:0;min-width:0;padding:.1rem 0;overflow-wrap:anywhere}\
td[data-of]{display:grid;grid-template-columns:6.5rem 1fr;gap:.5rem}\
td[data-of]:before{content:attr(data-of);font-weight:600}\
td:empty{display:none}}\
@media print{:root{color-scheme:light}body{margin:0;max-width:none;font-size:9pt;color:#000;background:#fff}\
th,td{border-color:#999;padding-right:.4rem}.long{min-width:5rem}tr{break-inside:avoid}h2{break-after:avoid}}";

/// Longer ones may be broken anywhere.
const LONGEST_WORD: usize = 20;

pub fn html(report: &Report) -> String {
    let title = escape(&format!("Run {} of {}", report.run, report.service));
    // No script, nothing loaded: also where a browser would take what a remote said for more than text.
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n<table>\n"
    );
    for (name, value) in head(report) {
        let _ = writeln!(out, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escape(name), escape(&value));
    }
    out.push_str("</table>\n");
    for section in sections(report) {
        let _ = writeln!(out, "<h2>{}</h2>", escape(section.title));
        if section.rows.is_empty() {
            let _ = writeln!(out, "<p>{}.</p>", escape(section.none));
            continue;
        }
        out.push_str("<table>\n<thead><tr>");
        section.columns.iter().for_each(|column| {
            let _ = write!(out, "<th scope=\"col\">{}</th>", escape(column));
        });
        out.push_str("</tr></thead>\n<tbody>\n");
        for cells in &section.rows {
            let cells = section.columns.iter().zip(cells).map(|(column, text)| cell(column, text));
            let _ = writeln!(out, "<tr>{}</tr>", cells.collect::<String>());
        }
        out.push_str("</tbody>\n</table>\n");
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn cell(column: &str, text: &str) -> String {
    let is_long = text.split_whitespace().any(|word| word.chars().count() > LONGEST_WORD);
    let class = if is_long { " class=\"long\"" } else { "" };
    format!("<td data-of=\"{}\"{class}>{}</td>", escape(column), escape(text))
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn tags_and_attributes_stay_text() {
        let said = "<script>alert('1')</script>\" onload=\"x";
        assert_eq!(escape(said), "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot; onload=&quot;x");
    }
}
