//! The report as one HTML page that needs nothing from outside: for a browser, a printer or an attachment.

use super::Report;
use super::tables::{head, sections};
use std::fmt::Write as _;

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;\
color:#1b1b1b;background:#fff}table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}th,td{text-align:left;\
vertical-align:top;border-bottom:1px solid #ccc;padding:.25rem .5rem;overflow-wrap:anywhere}\
@media(prefers-color-scheme:dark){body{color:#eee;background:#181818}th,td{border-color:#444}}";

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
            let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
            let _ = writeln!(out, "<tr>{cells}</tr>");
        }
        out.push_str("</tbody>\n</table>\n");
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
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
