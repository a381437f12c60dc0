//! What both languages must agree on.

use super::*;
use proptest::prelude::*;

fn read_text(file: &str, text: &str) -> (Option<Node>, Vec<Problem>) {
    let sink = Sink::new(file, text);
    let node = read(&sink);
    (node, sink.finish())
}

fn codes(file: &str, text: &str) -> Vec<(&'static str, u32, u32)> {
    read_text(file, text).1.iter().map(|p| (p.code, p.line, p.column)).collect()
}

#[test]
fn yaml_and_toml_give_the_same_tree() {
    let yaml = "a: 1\nb: [x, 'y', no]\nc: { d: true, e: 1.5 }\nf: 10.0.0.1\n";
    let toml = "a = 1\nb = ['x', 'y', 'no']\nc = { d = true, e = 1.5 }\nf = '10.0.0.1'\n";
    let (from_yaml, problems) = read_text("p.yaml", yaml);
    assert_eq!(problems, []);
    let (from_toml, problems) = read_text("p.toml", toml);
    assert_eq!(problems, []);
    assert_eq!(from_yaml.unwrap().json(), from_toml.unwrap().json());
}

#[test]
fn every_duplicate_key_is_found_with_its_place() {
    let yaml = "a: 1\nb: { c: 1, c: 2 }\na: 3\na: 4\n";
    assert_eq!(codes("p.yaml", yaml), [("PM1202", 2, 12), ("PM1202", 3, 1), ("PM1202", 4, 1)]);
    let toml = "a = 1\na = 2\n[t]\nb = 1\nb = 2\n";
    assert_eq!(codes("p.toml", toml), [("PM1202", 2, 1), ("PM1202", 5, 1)]);
}

#[test]
fn an_alias_bomb_is_refused_without_expanding() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let all = vec![format!("*a{}", i - 1); 9].join(", ");
        bomb.push_str(&format!("a{i}: &a{i} [{all}]\n"));
    }
    let (_, problems) = read_text("p.yaml", &bomb);
    assert!(problems.iter().all(|p| p.code == "PM1209"), "{problems:?}");
    assert_eq!(problems.len(), 12 + 11 * 9);
}

#[test]
fn size_count_and_depth_are_bounded() {
    let says = |file: &str, text: &str| {
        let (node, problems) = read_text(file, text);
        assert!(node.is_none(), "{file}");
        problems.iter().map(|p| p.says.clone()).collect::<String>()
    };
    assert!(says("p.yaml", &"a: 1\n".repeat(60_000)).contains("at most 262144"));
    assert!(says("p.yaml", &"- 1\n".repeat(21_000)).contains("more than 20000 values"));
    assert!(
        says("p.yaml", &format!("{}{}", "[".repeat(60), "]".repeat(60))).contains("nested more than 32 deep")
    );
    assert!(says("p.yaml", &"- ".repeat(200)).contains("nested more than 32 deep"));
    let deep = format!("a = {}{}", "[".repeat(60), "]".repeat(60));
    assert!(says("p.toml", &deep).contains("nested more than 32 deep"));
    assert!(says("p.yaml", "").contains("empty"));
    assert!(says("p.yaml", "a: 1\n---\nb: 2\n").contains("one document"));
}

#[test]
fn a_credential_written_into_the_file_is_never_shown() {
    let sink = Sink::new("p.toml", "x = 1\npassword = \"hunter2\"\n");
    let root = read(&sink).unwrap();
    let table = sink.table(&root, "the file").unwrap();
    table.table("password");
    table.get("x");
    table.finish();
    let shown: String = sink.finish().iter().map(Problem::to_string).collect();
    assert!(shown.contains("must be a table, but this is text"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn columns_count_characters_and_long_lines_are_cut() {
    let text = format!("ö: {{ k: {} }}\n", "é".repeat(300));
    let sink = Sink::new("p.yaml", &text);
    let root = read(&sink).unwrap();
    sink.error("PM1206", root.get("ö").unwrap().get("k").unwrap().at.clone(), "too long");
    let shown = sink.finish()[0].to_string();
    assert!(shown.contains("p.yaml:1:9"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() < 120), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn arbitrary_text_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        for file in ["p.yaml", "p.toml"] {
            let (_, problems) = read_text(file, &text);
            for problem in problems { let _ = problem.to_string(); }
        }
    }
    #[test]
    fn text_that_looks_like_the_language_never_panics(
        words in proptest::collection::vec(
            prop_oneof![
                Just("a"), Just(": "), Just("- "), Just("\n"), Just("  "), Just("["), Just("]"), Just("{"),
                Just("}"), Just(", "), Just("&a "), Just("*a"), Just("|"), Just("\""), Just("'"), Just("="),
                Just("!!int "), Just("# "), Just("?"), Just("\t"), Just("---\n"), Just("é"), Just("1e9"),
            ], 0..80)
    ) {
        let text = words.concat();
        for file in ["p.yaml", "p.toml"] {
            let (_, problems) = read_text(file, &text);
            for problem in problems { let _ = problem.to_string(); }
        }
    }
}
