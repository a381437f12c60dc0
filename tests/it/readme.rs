//! The transcript in the README is what the demo prints: every heading and every kind of line in it is in a real run.

use std::collections::BTreeSet;
use std::process::Command;

const README: &str = include_str!("../../README.md");

/// Headings, and the first word of each line below them; of the story's lines the kind of event.
fn skeleton(text: &str) -> BTreeSet<String> {
    let mut heading = "";
    let mut found = BTreeSet::new();
    for line in text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with("$ ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let indent = line.len() - line.trim_start().len();
        let story = words.first().is_some_and(|w| w.starts_with('+')) && words.len() > 2;
        match (indent, story) {
            (0, _) => {
                heading = line.split(':').next().unwrap_or_default();
                let counted = heading.chars().any(|c| c.is_ascii_digit());
                found.insert(if counted {
                    "All things were observed".to_owned()
                } else {
                    heading.to_owned()
                });
            }
            (_, true) => drop(found.insert(format!("{heading} / {}", words[2]))),
            (2, false) => drop(found.insert(format!("{heading} / {}", words[0]))),
            // The rest of a long line.
            (_, false) => {}
        }
    }
    found
}

#[test]
fn the_transcript_is_what_the_demo_prints() {
    if !lab::faults::root_or_skip("the demo") {
        return;
    }
    let start = README.find("$ scripts/demo\n").expect("a transcript");
    let shown = &README[start..start + README[start..].find("```").expect("the end of the block")];
    let wanted = skeleton(shown);
    assert!(wanted.len() > 30, "a whole story: {wanted:?}");

    let mut program = std::env::current_exe().expect("this test");
    program.pop();
    program.pop();
    let out =
        Command::new(program.join("lab-demo")).output().expect("lab-demo; `cargo build -p lab` makes it");
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text}{}", String::from_utf8_lossy(&out.stderr));
    let missing: Vec<String> = wanted.difference(&skeleton(&text)).cloned().collect();
    assert!(missing.is_empty(), "the README shows what the demo does not print: {missing:?}\n{text}");
}
