//! The demo itself: the README's first screen must not rot. It checks every claim that it makes; here it is run.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

const README: &str = include_str!("../../../README.md");

/// The story alone takes the supervisor's 20 s; two busy cores take their time.
const LIMIT: Duration = Duration::from_secs(200);

async fn demo(words: &[&str]) -> String {
    let pointsman = std::path::Path::new(env!("CARGO_BIN_EXE_pointsman"));
    let program = pointsman.with_file_name("lab-demo");
    assert!(program.is_file(), "no {}: run `cargo build -p lab` first", program.display());
    let mut command = tokio::process::Command::new(program);
    command.args(words).env("POINTSMAN_BIN", pointsman).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = tokio::time::timeout(LIMIT, command.output()).await;
    let output = ended.expect("the demo ends in its time").expect("the demo starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "the demo ended with {}:\n{said}", output.status);
    assert!(!said.contains('\u{1b}'), "colours where no terminal is:\n{said}");
    said
}

#[tokio::test]
async fn the_demo_observes_all_that_it_claims() {
    let said = demo(&[]).await;
    for part in ["SiteDown", "rung: stopped", "SERVED", "refused: masked", "verified: ", "were observed"] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
    let start = README.find("$ scripts/demo\n").expect("a transcript");
    let shown = &README[start..start + README[start..].find("```").expect("the end of the block")];
    let wanted = skeleton(shown);
    assert!(wanted.len() > 30, "a whole story: {wanted:?}");
    let missing: Vec<String> = wanted.difference(&skeleton(&said)).cloned().collect();
    assert!(missing.is_empty(), "the README shows what the demo does not print: {missing:?}\n{said}");
}

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

#[tokio::test]
async fn the_demo_with_a_lost_machine_asks_and_promotes_nothing() {
    let said = demo(&["--host-lost"]).await;
    for part in ["--accept-unfenced=pg-gra", "nothing was promoted", "were observed"] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
}
