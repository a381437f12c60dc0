//! A corpus of broken playbooks with exactly what `check` says of each, and what must be refused in bounded time.

use pointsman::config::Config;
use pointsman::document::Problem;
use pointsman::playbook::{check, has_errors};
use pointsman::provider::{Ports, ProviderRegistry};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn root(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

fn config() -> Arc<Config> {
    let text = std::fs::read_to_string(root("playbooks/pointsman.example.toml")).unwrap();
    Arc::new(pointsman::config::parse(&text, "example.toml").0.unwrap())
}

fn problems(text: &str, file: &str, config: &Arc<Config>) -> Vec<Problem> {
    let registry = ProviderRegistry { config: config.clone(), ports: Ports::real(config.clone()) };
    check(text, file, config, &registry).1
}

#[test]
fn every_broken_playbook_is_told_exactly() {
    let config = config();
    let entries = std::fs::read_dir(root("tests/playbooks/bad")).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|p| p.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    assert!(files.len() >= 60, "{} broken playbooks", files.len());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(root("tests/playbooks/bad/told"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut silent = vec![];
    settings.bind(|| {
        for path in &files {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(path).unwrap();
            let found = problems(&text, &format!("{name}.yaml"), &config);
            if found.is_empty() {
                silent.push(name.clone());
            }
            insta::assert_snapshot!(name, found.iter().map(Problem::to_string).collect::<String>());
        }
    });
    assert!(silent.is_empty(), "nothing is said of {silent:?}");
}

/// Whatever somebody puts into a file: an answer within a moment.
#[test]
fn what_is_far_too_much_is_refused_at_once() {
    let config = config();
    let deep = format!("playbook: {}x{}\n", "[".repeat(100_000), "]".repeat(100_000));
    let mut laughs = String::from("a0: &a0 [x, x]\n");
    for level in 1..30 {
        laughs.push_str(&format!("a{level}: &a{level} [*a{0}, *a{0}]\n", level - 1));
    }
    let huge = format!("playbook: {}\n", "x".repeat(5 << 20));
    let many = format!("steps: [{}]\n", "{ name: a, manual: b },".repeat(9_000));
    let when = |expression: &str| format!("playbook: p\ntriggers: [ {{ when: '{expression}' }} ]\n");
    let hostile = [
        deep,
        laughs,
        huge,
        many,
        when(&format!("{}true{}", "(".repeat(5_000), ")".repeat(5_000))),
        when(&"[1,2,3].all(a, [1,2,3].all(b, [1,2,3].all(c, a+b+c > 0)))".repeat(200)),
        when(&format!("alert.name.matches(\"{}\")", "(a+)+".repeat(500))),
        when(&"!".repeat(20_000)),
        "\u{0}\u{1}\u{2}".to_owned(),
        "? ? ? ? ? ?\n: : : :".to_owned(),
    ];
    for text in hostile {
        let begun = Instant::now();
        let found = problems(&text, "hostile.yaml", &config);
        let (took, head) = (begun.elapsed(), text.chars().take(40).collect::<String>());
        assert!(has_errors(&found), "{head:?} is taken");
        assert!(took < Duration::from_secs(5), "{head:?} took {took:?}");
        assert!(found.len() <= 20_000, "{head:?}: {} problems", found.len());
    }
}

/// Every key and every word of what is shipped is in the schema that editors complete from; and the checked-in schemas are
/// those that the program prints.
#[test]
fn the_schemas_know_what_is_shipped() {
    let pairs = [
        ("playbooks/playbook.schema.json", pointsman::playbook::schema()),
        ("playbooks/test.schema.json", pointsman::trial::schema()),
    ];
    for (file, schema) in &pairs {
        let text = std::fs::read_to_string(root(file)).unwrap();
        let kept: serde_json::Value = serde_json::from_str(&text).unwrap();
        // Not `assert_eq`: nobody reads two schemas in a failure.
        assert!(kept == *schema, "write {file} again: pointsman schema [--tests] > {file}");
    }
    for entry in std::fs::read_dir(root("playbooks")).unwrap().map(|e| e.unwrap().path()) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".yaml") {
            continue;
        }
        let (kept, schema) = if name.ends_with(".test.yaml") { &pairs[1] } else { &pairs[0] };
        let text = std::fs::read_to_string(&entry).unwrap();
        let line = format!("$schema={}", kept.trim_start_matches("playbooks/"));
        assert!(text.lines().take(2).any(|l| l.contains(&line)), "{name} does not name its schema");
        let sink = pointsman::document::Sink::new(&name, &text);
        let document = pointsman::document::read(&sink).unwrap().json();
        let mut wrong = vec![];
        fits(&document, schema, &name, &mut wrong);
        assert!(wrong.is_empty(), "{wrong:#?}");
        let mut broken = document.clone();
        broken["no-such-key"] = 1.into();
        fits(&broken, schema, &name, &mut wrong);
        assert_eq!(wrong.len(), 1, "the schema takes anything");
    }
}

/// As much of JSON Schema as ours use.
fn fits(value: &serde_json::Value, schema: &serde_json::Value, at: &str, wrong: &mut Vec<String>) {
    use serde_json::Value;
    if let Some(any) = schema["enum"].as_array()
        && !any.contains(value)
    {
        wrong.push(format!("{at}: {value} is not one of {any:?}"));
    }
    if let Some(one) = schema["oneOf"].as_array()
        && one.iter().filter(|s| s["const"] == *value).count() != 1
    {
        wrong.push(format!("{at}: {value} is none of them"));
    }
    match value {
        Value::Object(entries) => {
            for need in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !entries.contains_key(need) {
                    wrong.push(format!("{at}: {need} is missing"));
                }
            }
            for (key, inner) in entries {
                match &schema["properties"][key] {
                    Value::Null if key.starts_with("x-") => {}
                    Value::Null if schema["additionalProperties"] == false => {
                        wrong.push(format!("{at}: {key} is not known"));
                    }
                    Value::Null => {}
                    known => fits(inner, known, &format!("{at}.{key}"), wrong),
                }
            }
            for rule in schema["allOf"].as_array().into_iter().flatten() {
                if rule["if"]["properties"]["action"]["const"]
                    == entries.get("action").cloned().unwrap_or_default()
                {
                    let with = entries.get("with").cloned().unwrap_or_default();
                    fits(&with, &rule["then"]["properties"]["with"], &format!("{at}.with"), wrong);
                }
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                fits(inner, &schema["items"], &format!("{at}[{index}]"), wrong);
            }
        }
        _ => {}
    }
}

/// One edit somewhere in a file: bytes cut out, doubled, or put in from elsewhere.
#[derive(Clone, Debug)]
struct Edit {
    at: prop::sample::Index,
    length: usize,
    from: prop::sample::Index,
    how: u8,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let one = (any::<prop::sample::Index>(), 0_usize..40, any::<prop::sample::Index>(), 0_u8..4);
    let one = one.prop_map(|(at, length, from, how)| Edit { at, length, from, how });
    prop::collection::vec(one, 1..6)
}

fn edited(text: &str, edits: &[Edit]) -> String {
    const SPICE: [&str; 8] = ["${", "}", ": ", "- ", "\n", "\"", "[{", "&a *a"];
    let mut chars: Vec<char> = text.chars().collect();
    for edit in edits {
        let at = edit.at.index(chars.len().max(1));
        let end = (at + edit.length).min(chars.len());
        let from = edit.from.index(chars.len().max(1));
        match edit.how {
            0 => drop(chars.drain(at.min(end)..end)),
            1 => {
                let copy: Vec<char> = chars[at.min(end)..end].to_vec();
                chars.splice(from..from, copy);
            }
            2 => {
                let spice = SPICE[edit.length % SPICE.len()].chars();
                chars.splice(at..at, spice);
            }
            _ => chars.truncate(at),
        }
    }
    chars.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever became of a file, `check` says something of it, with a place that is in it.
    #[test]
    fn no_edit_makes_the_readers_panic(edits in edits(), which in 0_usize..3) {
        let files = ["postgres-two-sites.yaml", "postgres-two-sites.test.yaml", "pointsman.example.toml"];
        let text = std::fs::read_to_string(root("playbooks").join(files[which])).unwrap();
        let text = edited(&text, &edits);
        let lines = text.split('\n').count() as u32;
        let found = match which {
            0 => problems(&text, "p.yaml", &config()),
            1 => pointsman::trial::read(&text, "p.test.yaml").1,
            _ => pointsman::config::parse(&text, "p.toml").1,
        };
        for problem in found {
            prop_assert!(problem.line >= 1 && problem.line <= lines + 1, "{problem}");
            prop_assert!(problem.to_string().len() < 20_000, "{problem}");
        }
    }
}
