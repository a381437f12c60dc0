//! What the documents show on a terminal, typed again, and the playbook of the README. `TRYCMD=overwrite` writes anew what
//! was printed; read the difference before you keep it.

use crate::serve::rig::{BINARY, pointsman};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many blocks each has: one whose fence loses its word `console` would not be tried any more.
const DOCUMENTS: [(&str, usize); 7] = [
    ("README.md", 1),
    ("docs/PLAYBOOKS.md", 2),
    ("tests/cmd/check.md", 4),
    ("tests/cmd/codes.md", 1),
    ("tests/cmd/init.md", 1),
    ("tests/cmd/match.md", 2),
    ("tests/cmd/test.md", 1),
];

fn text(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

#[test]
fn what_the_documents_show_is_what_is_printed() {
    let cases = trycmd::TestCases::new();
    cases.register_bin("pointsman", PathBuf::from(BINARY)).timeout(Duration::from_secs(120));
    // Nothing of these needs a server; one that did would not find it.
    cases.env("POINTSMAN_SERVER", "http://127.0.0.1:9").env("POINTSMAN_TOKEN", "");
    for (file, blocks) in DOCUMENTS {
        assert_eq!(text(file).matches("```console\n").count(), blocks, "{file}");
        cases.case(file);
    }
    cases.run();
}

/// The block that begins with the comment `# NAME`, as a file of that name.
fn put(readme: &str, name: &str, folder: &Path) {
    let begins = format!("```yaml\n# {name}\n");
    let block = readme.split_once(&begins).unwrap_or_else(|| panic!("the README has no {name}")).1;
    std::fs::write(folder.join(name), block.split_once("\n```").unwrap().0).unwrap();
}

#[test]
fn the_playbook_of_the_readme_passes_its_check_and_its_test() {
    let (readme, folder) = (text("README.md"), tempfile::tempdir().unwrap());
    let at = |name: &str| folder.path().join(name).display().to_string();
    put(&readme, "shop.yaml", folder.path());
    put(&readme, "shop.test.yaml", folder.path());
    std::fs::write(at("pointsman.example.toml"), text("playbooks/pointsman.example.toml")).unwrap();
    let says = |words: &[&str]| {
        let out = pointsman(words);
        let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        assert_eq!(out.status.code(), Some(0), "{said}");
        said
    };
    let config = at("pointsman.example.toml");
    let said = says(&["check", "--strict", "--config", &config, &at("shop.yaml"), &at("shop.test.yaml")]);
    assert!(said.contains("1 playbook and 1 test file checked"), "{said}");
    let said = says(&["test", &at("shop.test.yaml"), "--no-matrix", "--diff"]);
    assert!(said.contains("2 cases: 0 failed"), "{said}");
}

/// Words in backticks of the README's table of commands; those in brackets belong to the one before them.
fn commands(readme: &str) -> Vec<Vec<String>> {
    let table =
        readme.split_once("## The command line\n").unwrap().1.split_once("\n\nWhat decides").unwrap().0;
    let (mut all, mut outer, mut inside) = (vec![], String::new(), false);
    for (index, part) in table.split('`').enumerate() {
        match index % 2 {
            0 if part.contains('(') => inside = true,
            0 if part.contains(')') => inside = false,
            0 => {}
            _ if inside && !part.starts_with('-') => all.push(vec![outer.clone(), part.to_owned()]),
            _ if inside => {}
            _ => {
                outer = part.to_owned();
                all.push(part.split(' ').map(str::to_owned).collect());
            }
        }
    }
    all
}

#[test]
fn every_command_that_the_readme_names_is_one() {
    let all = commands(&text("README.md"));
    assert!(all.len() > 40, "{all:?}");
    for command in all {
        let words: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let out = pointsman(&words);
        assert_eq!(out.status.code(), Some(0), "pointsman {words:?}");
        // `help` of the command above would be printed for a word that is only an argument.
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(said.contains(&format!("Usage: pointsman {}", command.join(" "))), "{command:?}: {said}");
    }
}
