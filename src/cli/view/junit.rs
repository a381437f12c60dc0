//! The results of `pointsman test` as build servers read them: JUnit's XML, a suite for each test file and one for the
//! crash matrices.

use crate::trial::{CaseReport, Report};
use std::collections::BTreeMap;

pub fn of(report: &Report) -> String {
    let mut suites: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for case in &report.cases {
        suites.entry(&case.file).or_default().push(one(case));
    }
    for problem in &report.problems {
        let failure = [(problem.line, problem.says.clone())];
        suites.entry(&problem.file).or_default().push(element(problem.code, "file", 0.0, &failure));
    }
    for playbook in &report.playbooks {
        let suite = suites.entry("crash matrix").or_default();
        match &playbook.matrix {
            None => {}
            Some(Err(why)) => suite.push(element("simulated", &playbook.name, 0.0, &[(0, why.join("; "))])),
            Some(Ok(worlds)) => {
                for world in worlds {
                    let bad: Vec<(u32, String)> = world.told.iter().map(|why| (0, why.clone())).collect();
                    suite.push(element(world.world, &playbook.name, 0.0, &bad));
                }
            }
        }
    }
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (name, cases) in suites.into_iter().filter(|(_, cases)| !cases.is_empty()) {
        let failed = cases.iter().filter(|case| case.contains("<failure")).count();
        let name = escaped(name);
        text.push_str(&format!(
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failed}\">\n",
            cases.len()
        ));
        cases.iter().for_each(|case| text.push_str(case));
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn one(case: &CaseReport) -> String {
    let failures: Vec<(u32, String)> =
        case.failures.iter().map(|(line, failure)| (*line, failure.says.clone())).collect();
    element(&case.name, &case.playbook, case.took.as_secs_f64(), &failures)
}

fn element(name: &str, class: &str, seconds: f64, failures: &[(u32, String)]) -> String {
    let (name, class) = (escaped(name), escaped(class));
    let open = format!("    <testcase name=\"{name}\" classname=\"{class}\" time=\"{seconds:.3}\"");
    if failures.is_empty() {
        return format!("{open}/>\n");
    }
    let mut text = format!("{open}>\n");
    for (line, says) in failures {
        let at = if *line > 0 { format!("line {line}: ") } else { String::new() };
        text.push_str(&format!("      <failure message=\"{}\"/>\n", escaped(&format!("{at}{says}"))));
    }
    text.push_str("    </testcase>\n");
    text
}

/// For text and attributes; characters that XML does not know become a question mark.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_can_break_the_document() {
        let text = element("a < b & \"c\"\u{1}", "p", 1.5, &[(3, "x\ny".into())]);
        assert!(text.contains("a &lt; b &amp; &quot;c&quot;?") && text.contains("line 3: x&#10;y"), "{text}");
    }
}
