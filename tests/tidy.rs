//! The house rules, held from the first day: arrows between rooms, sizes, openings, banned words, pages of codes.

#![allow(clippy::unwrap_used, reason = "a test ends there, and says where")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const MAX_FILE: usize = 600;
const MAX_FUNCTION: usize = 70;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = vec![];
    let mut todo = vec![dir.to_path_buf()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() {
                todo.push(entry);
            } else if entry.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&entry).unwrap();
                found.push((entry, text));
            }
        }
    }
    found.sort();
    found
}

fn is_test(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.ends_with("tests.rs") || text.ends_with("testing.rs") || text.contains("/tests/")
}

fn ours() -> Vec<(PathBuf, String)> {
    let folders = ["src", "lab/src", "lab/tests", "tests", "benches"].map(|d| root().join(d));
    folders.iter().filter(|d| d.exists()).flat_map(|d| sources(d)).collect()
}

fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

fn report(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// Who may import whom; the table of docs/ARCHITECTURE.md.
fn may_import(room: &str) -> Option<&'static [&'static str]> {
    Some(match room {
        "units" => &["kernel"],
        "document" => &["kernel", "units"],
        "config" => &["kernel", "units", "document", "expr"],
        "expr" => &["kernel", "units", "document"],
        "playbook" => &["kernel", "units", "document", "expr", "config"],
        "intake" => &["kernel", "units", "config", "expr"],
        "store" => &["kernel", "units"],
        "provider" => &["kernel", "units", "config"],
        "notify" => &["kernel", "units", "config", "store", "provider"],
        "simulated" => &["kernel", "units", "config", "provider"],
        "trial" => &["kernel", "units", "document", "config", "playbook", "intake", "provider", "simulated"],
        "audit" => &["kernel", "units", "store"],
        "worker" => &[
            "kernel", "units", "config", "playbook", "expr", "intake", "store", "audit", "provider",
            "notify", "http",
        ],
        "http" => &[
            "kernel", "units", "config", "playbook", "intake", "store", "audit", "provider", "notify",
            "worker",
        ],
        "codes" => &[],
        "cli" => &[
            "kernel", "units", "document", "config", "expr", "playbook", "intake", "store", "audit",
            "provider", "worker", "http", "codes", "trial",
        ],
        _ => return None,
    })
}

fn may_import_in_kernel(room: &str) -> Option<&'static [&'static str]> {
    Some(match room {
        "domain" => &[],
        "engine" => &["domain"],
        "journal" => &["domain"],
        "port" => &["domain", "journal"],
        "drive" => &["domain", "engine", "journal", "port"],
        "inject" => &["domain", "journal", "port"],
        "sim" => &["domain", "engine", "journal", "port", "drive"],
        _ => return None,
    })
}

fn imports(text: &str) -> BTreeSet<String> {
    let word =
        |rest: &str| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>();
    let code = text.lines().filter(|l| !l.trim_start().starts_with("//"));
    code.flat_map(|l| l.split("crate::").skip(1).map(word).collect::<Vec<_>>())
        .filter(|w| !w.is_empty())
        .collect()
}

#[test]
fn arrows_point_one_way() {
    let mut problems = vec![];
    for (path, text) in sources(&root().join("src")).into_iter().filter(|(p, _)| !is_test(p)) {
        let inside = path.strip_prefix(root().join("src")).unwrap().to_path_buf();
        let mut parts = inside.iter().map(|p| p.to_string_lossy().trim_end_matches(".rs").to_owned());
        let first = parts.next().unwrap();
        let (room, allowed) = match first.as_str() {
            "lib" | "main" => continue,
            "kernel" => {
                let room = parts.next().unwrap();
                if room == "lib" || is_test(&path) {
                    continue;
                }
                let allowed = may_import_in_kernel(&room);
                (room, allowed)
            }
            room => (room.to_owned(), may_import(room)),
        };
        let Some(allowed) = allowed else {
            problems.push(format!("{}: the room {room} is not on the map", short(&path)));
            continue;
        };
        for import in imports(&text) {
            if import != room && !allowed.contains(&import.as_str()) {
                problems.push(format!("{}: {room} may not import {import}", short(&path)));
            }
        }
    }
    report(problems);
}

#[test]
fn files_and_functions_stay_small() {
    let mut problems = vec![];
    for (path, text) in ours().into_iter().filter(|(p, _)| !is_test(p)) {
        let lines = text.lines().count();
        if lines > MAX_FILE {
            problems.push(format!("{}: {lines} lines, at most {MAX_FILE}", short(&path)));
        }
        let tests = text.find("#[cfg(test)]").unwrap_or(text.len());
        for (line, name, length) in functions(&text[..tests]) {
            if length > MAX_FUNCTION {
                problems.push(format!(
                    "{}:{line}: {name} has {length} lines, at most {MAX_FUNCTION}",
                    short(&path)
                ));
            }
        }
    }
    report(problems);
}

/// Line, name and length of each function, by rustfmt's indentation.
fn functions(text: &str) -> Vec<(usize, String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = vec![];
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        let is_fn = [
            "fn ",
            "pub fn ",
            "async fn ",
            "pub async fn ",
            "pub(super) fn ",
            "pub(crate) fn ",
            "pub(super) async fn ",
        ]
        .iter()
        .any(|p| code.starts_with(p));
        if !is_fn {
            continue;
        }
        let end = format!("{}}}", " ".repeat(indent));
        let Some(length) = lines[start..].iter().position(|l| *l == end) else { continue };
        let name = code.split("fn ").nth(1).unwrap_or_default();
        found.push((start + 1, name.split(['(', '<']).next().unwrap_or_default().to_owned(), length + 1));
    }
    found
}

#[test]
fn every_module_says_why_it_exists() {
    let missing = |(path, text): (PathBuf, String)| {
        let opens = text.lines().find(|l| !l.trim().is_empty()).unwrap_or_default().starts_with("//!");
        (!opens).then(|| format!("{}: begins without `//!`", short(&path)))
    };
    report(
        ours()
            .into_iter()
            .filter(|(p, _)| !p.ends_with("main.rs") || p.starts_with(root().join("src")))
            .filter_map(missing)
            .collect(),
    );
}

#[test]
fn banned_words() {
    let banned = [
        ("todo!", "unfinished code is not committed"),
        ("unimplemented!", "unfinished code is not committed"),
        ("#[ignore", "a test runs, or it is deleted"),
        ("allow(dead_code)", "dead code is deleted"),
        ("dbg!(", "left over from a search"),
    ];
    let mut problems = vec![];
    for (path, text) in ours().into_iter().filter(|(p, _)| !p.ends_with("tidy.rs")) {
        for (word, why) in banned {
            if text.contains(word) {
                problems.push(format!("{}: {word}: {why}", short(&path)));
            }
        }
        let code = &text[..text.find("#[cfg(test)]").unwrap_or(text.len())];
        let shipped = path.starts_with(root().join("src")) && !is_test(&path);
        if shipped && code.lines().any(|l| l.contains(".unwrap()") && !l.trim_start().starts_with("//")) {
            problems.push(format!("{}: .unwrap() outside tests", short(&path)));
        }
        let applies = code.lines().filter(|l| l.contains(".apply(&ctx, permit)")).count();
        if applies > usize::from(path.ends_with("drive.rs")) {
            problems.push(format!("{}: only drive calls apply", short(&path)));
        }
        // The wrapper of a fault passes the call on to what it wraps, once; nothing else does. The faults of `pointsman
        // test` are around models only.
        let passed_on = shipped && code.contains(".apply(ctx, ");
        if passed_on && !["kernel/inject.rs", "trial/faults.rs"].iter().any(|wraps| path.ends_with(wraps)) {
            problems.push(format!("{}: only a fault on purpose wraps an action", short(&path)));
        }
    }
    report(problems);
}

#[test]
fn every_code_has_a_page() {
    let mut codes = BTreeSet::new();
    for (_, text) in sources(&root().join("src")).into_iter().filter(|(p, _)| !is_test(p)) {
        for (at, _) in text.match_indices("PM") {
            let digits: String = text[at + 2..].chars().take_while(char::is_ascii_digit).collect();
            if digits.len() == 4 {
                codes.insert(format!("PM{digits}"));
            }
        }
    }
    let missing = |code: &String| !root().join(format!("docs/codes/{code}.md")).exists();
    report(codes.into_iter().filter(missing).map(|c| format!("docs/codes/{c}.md is missing")).collect());
}

/// The feature with the planted mistakes is for tests alone: cargo joins a dev-dependency's features only into builds
/// of tests and benches.
#[test]
fn only_tests_turn_planted_mistakes_on() {
    let manifests = ["Cargo.toml", "src/kernel/Cargo.toml", "lab/Cargo.toml"];
    let mut problems = vec![];
    for name in manifests {
        let text = fs::read_to_string(root().join(name)).unwrap();
        let mut table = "";
        for line in text.lines().filter(|l| !l.trim_start().starts_with('#')) {
            if line.starts_with('[') {
                table = line;
            }
            let own = name == "src/kernel/Cargo.toml" && table == "[features]" && line == "planted = []";
            if line.contains("planted") && table != "[dev-dependencies]" && !own {
                problems.push(format!("{name}: {table}: {line}"));
            }
        }
    }
    for (path, text) in sources(&root().join("src")).into_iter().filter(|(p, _)| !is_test(p)) {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, l)| l.contains("istake")) {
            let guarded = at > 0 && lines[at - 1].contains("feature = \"planted\"");
            let words = line.trim_start().starts_with("//") || path.ends_with("drive/mistake.rs");
            let module = path.ends_with("kernel/drive.rs") || path.ends_with("kernel/sim/run.rs");
            if !words && !guarded && !module {
                problems.push(format!("{}:{}: {line}", short(&path), at + 1));
            }
        }
    }
    report(problems);
}
