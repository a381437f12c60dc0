//! What is far too much, read by the real program under the kernel's own limits of memory and processor time: it answers
//! with what is wrong, and is not killed. Limits, not stop watches: a busy machine changes nothing.

use crate::serve::rig::BINARY;
use std::path::Path;
use std::process::Command;

/// Address space in KiB: the program itself, four stacks for expressions, and not many copies of what it reads.
const SPACE: u32 = 512 * 1024;
/// Processor time in seconds, for one file.
const TIME: u32 = 20;

/// Exit code, or none: it was killed.
fn limited(program: &str, words: &[&str]) -> (Option<i32>, String) {
    let limits = format!("ulimit -v {SPACE} && ulimit -t {TIME} && exec \"$0\" \"$@\"");
    let out = Command::new("sh").arg("-c").arg(limits).arg(program).args(words).output().unwrap();
    (out.status.code(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
}

fn laughs(levels: usize) -> String {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..levels {
        text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(", ")));
    }
    text
}

fn expression(source: &str) -> String {
    format!("playbook: p\nservice: s\ntriggers: [ {{ when: {} }} ]\n", serde_json::Value::from(source))
}

#[test]
fn the_limits_are_those_of_the_kernel() {
    let (code, said) = limited("dd", &["if=/dev/zero", "of=/dev/null", "bs=600M", "count=1"]);
    assert_eq!(code, Some(1), "{said}");
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/playbooks");
    let config = format!("{shipped}/pointsman.example.toml");
    let (code, said) = limited(BINARY, &["check", "--config", &config, shipped]);
    assert_eq!(code, Some(0), "what people write fits: {said}");
}

#[test]
fn what_is_far_too_much_is_refused_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let deep = |open: &str, close: &str, n: usize| format!("{}x{}", open.repeat(n), close.repeat(n));
    let hostile = [
        ("laughs.yaml", laughs(40), "PM1209"),
        ("laughs-merged.yaml", format!("{}p: {{ <<: *a9 }}\n", laughs(10)), "PM1209"),
        ("deep-flow.yaml", format!("playbook: {}\n", deep("[", "]", 120_000)), "PM1200"),
        ("deep-block.yaml", "- ".repeat(120_000), "PM1200"),
        ("deep-maps.yaml", "{a: ".repeat(60_000), "PM1200"),
        ("deep.toml", format!("playbook = {}\n", deep("[", "]", 120_000)), "PM120"),
        ("deep-keys.toml", format!("{}x = 1\n", "a.".repeat(120_000)), "PM120"),
        ("five-mebibytes.yaml", format!("playbook: {}\n", "x".repeat(5 << 20)), "PM1200"),
        ("five-mebibytes.toml", format!("playbook = '{}'\n", "x".repeat(5 << 20)), "PM1200"),
        ("five-mebibytes-of-keys.yaml", "a: [\n".repeat(1 << 20), "PM1200"),
        ("many.yaml", "- { name: a, manual: b }\n".repeat(10_000), "PM12"),
        ("brackets.yaml", expression(&deep("(", ")", 500)), "PM1220"),
        ("loops.yaml", expression("[1].all(a, [1].all(b, [1].all(c, true)))"), "PM1220"),
        ("pattern.yaml", expression("alert.name.matches('((x{1000}){1000}){1000}')"), "PM12"),
        ("nots.yaml", expression(&"!".repeat(20_000)), "PM1220"),
    ];
    for (name, text, code) in &hostile {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let (exit, said) = limited(BINARY, &["check", file.to_str().unwrap()]);
        let head: String = said.chars().take(300).collect();
        assert_eq!(exit, Some(3), "{name}: {head}");
        assert!(said.contains(code), "{name}: no {code}: {head}");
        assert!(said.len() < 8 << 20, "{name}: {} bytes are said", said.len());
    }
}

/// A file without end, as playbook, as configuration and as test.
#[test]
fn a_file_without_end_is_refused_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["p.yaml", "p.test.yaml", "c.toml"] {
        std::os::unix::fs::symlink(Path::new("/dev/zero"), at(name)).unwrap();
    }
    let [playbook, test, config] =
        ["p.yaml", "p.test.yaml", "c.toml"].map(|name| at(name).display().to_string());
    let folder = folder.path().to_str().unwrap();
    for words in [
        &["check", &playbook] as &[&str],
        &["check", &test],
        &["check", "--config", &config, &playbook],
        &["test", &test],
        &["match", "-l", "a=b", "--playbooks", folder],
    ] {
        let (exit, said) = limited(BINARY, words);
        assert_eq!(exit, Some(3), "{words:?}: {said}");
        assert!(said.contains("PM1200") && said.contains("more than"), "{words:?}: {said}");
    }
}
