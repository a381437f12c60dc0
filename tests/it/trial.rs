//! The shipped playbooks against their own tests, and the matrix of those that promote nothing; through the program,
//! as a build server would run it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks")
}

fn pointsman(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pointsman")).args(arguments).output().unwrap()
}

/// Every shipped playbook has tests, they pass, and they have seen most of it.
#[test]
fn shipped_playbooks_pass_their_tests() {
    let xml = tempfile::NamedTempFile::new().unwrap();
    let folder = folder();
    let out = pointsman(&[
        "test",
        folder.to_str().unwrap(),
        "--no-matrix",
        "--coverage=60",
        "--junit",
        xml.path().to_str().unwrap(),
        "-o",
        "json",
    ]);
    let told = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(0), "{told}");
    let document: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let playbooks = document["playbooks"].as_array().unwrap();
    assert!(playbooks.len() >= 2 && playbooks.iter().all(|p| p["cases"].as_u64() >= Some(5)), "{told}");
    let junit = std::fs::read_to_string(xml.path()).unwrap();
    assert!(junit.contains("failures=\"0\"") && junit.contains("the name moves"), "{junit}");
}

/// Zones, load balancers, health checks and machines at providers have models, and users are led where those lead.
#[test]
fn what_stands_at_providers_is_simulated() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/playbooks/traffic");
    let out = pointsman(&["test", folder.to_str().unwrap(), "--no-matrix"]);
    let told = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{told}");
}

/// The leader moves within a cluster of Patroni, or two clusters change sides; a primary of Redis hands over, or its Sentinels
/// replace it.
#[test]
fn what_moves_by_its_own_means_is_simulated() {
    for folder in ["patroni", "redis", "sentinel"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/playbooks").join(folder);
        let out = pointsman(&["test", folder.to_str().unwrap(), "--no-matrix"]);
        let told = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(0), "{told}");
    }
}

/// With no test written: at no moment two writers, and nothing that was accepted is lost by a planned move.
#[test]
fn the_matrix_of_a_move_that_patroni_makes() {
    matrix_of_a_switchover("patroni");
}

#[test]
fn the_matrix_of_a_move_that_sentinels_make() {
    matrix_of_a_switchover("sentinel");
}

fn matrix_of_a_switchover(folder: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/playbooks").join(folder);
    let (playbook, config) = (folder.join("switchover.yaml"), folder.join("pointsman.toml"));
    let out =
        pointsman(&["test", playbook.to_str().unwrap(), "--config", config.to_str().unwrap(), "-o", "json"]);
    let document: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(0), "{document:#}");
    let worlds = document["playbooks"][0]["matrix"]["worlds"].as_array().unwrap();
    assert!(worlds.len() == 5 && worlds.iter().all(|w| w["wrong"] == 0), "{document:#}");
}

#[test]
fn a_failing_test_leaves_with_3_and_says_where() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["dns-only.yaml", "pointsman.example.toml"] {
        std::fs::copy(folder().join(file), dir.path().join(file)).unwrap();
    }
    let text = std::fs::read_to_string(folder().join("dns-only.test.yaml")).unwrap();
    let wrong = text.replacen("outcome: succeeded", "outcome: undone", 1);
    assert_ne!(text, wrong);
    std::fs::write(dir.path().join("dns-only.test.yaml"), wrong).unwrap();
    let out = pointsman(&["test", dir.path().to_str().unwrap(), "--no-matrix", "--diff"]);
    let told = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(3), "{told}");
    assert!(told.contains("FAIL") && told.contains("expected undone, but it came to succeeded"), "{told}");
    assert!(told.contains("dns-only.test.yaml:") && told.contains("- undone"), "{told}");
}

/// A name with a slip in it must not look green, and a script reads one document.
#[test]
fn no_case_of_that_name_is_an_error() {
    let out = pointsman(&["test", folder().to_str().unwrap(), "--only", "no such case", "-o", "json"]);
    let told = [out.stdout, out.stderr].concat();
    let document: serde_json::Value = serde_json::from_slice(&told).unwrap();
    assert_eq!((out.status.code(), &document["code"]), (Some(5), &"PM1402".into()), "{document:#}");
}

/// With no test written.
#[test]
fn the_matrix_of_a_playbook_that_promotes_nothing() {
    let (playbook, config) = (folder().join("dns-only.yaml"), folder().join("pointsman.example.toml"));
    let out =
        pointsman(&["test", playbook.to_str().unwrap(), "--config", config.to_str().unwrap(), "-o", "json"]);
    let document: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(0), "{document:#}");
    let worlds = document["playbooks"][0]["matrix"]["worlds"].as_array().unwrap();
    assert!(worlds.iter().all(|w| w["wrong"] == 0 && w["finished"].as_u64() > Some(100)), "{document:#}");
}

/// Warnings let a file be used; a build server may want none.
#[test]
fn check_speaks_to_people_scripts_and_pull_requests() {
    let (playbook, config) = (folder().join("dns-only.yaml"), folder().join("pointsman.example.toml"));
    let dir = tempfile::tempdir().unwrap();
    let auto = dir.path().join("auto.yaml");
    let text = std::fs::read_to_string(&playbook).unwrap();
    std::fs::write(&auto, text.replace("mode: observe", "mode: auto")).unwrap();
    let (auto, config) = (auto.to_str().unwrap(), config.to_str().unwrap());
    let check = |more: &[&str]| pointsman(&[&["check", auto, "--config", config], more].concat());
    let (plain, strict, github) = (check(&[]), check(&["--strict"]), check(&["-o", "github"]));
    assert_eq!((plain.status.code(), strict.status.code()), (Some(0), Some(3)));
    let told = String::from_utf8_lossy(&github.stdout).into_owned();
    assert!(told.starts_with("::warning file=") && told.contains("title=PM1254::"), "{told}");
    let json: serde_json::Value = serde_json::from_slice(&check(&["-o", "json"]).stdout).unwrap();
    assert!(json["problems"][0]["column"].as_u64() > Some(0) && json["warnings"] == 1, "{json:#}");
    assert_eq!(pointsman(&["explain", "PM1254", "-o", "github"]).status.code(), Some(2));
}

#[test]
fn match_tells_which_playbook_would_start_and_why_not_the_others() {
    let (folder, config) = (folder(), folder().join("pointsman.example.toml"));
    let base = ["match", "--config", config.to_str().unwrap(), "--playbooks", folder.to_str().unwrap()];
    let ask = |more: &[&str]| pointsman(&[&base[..], more].concat());
    let labels = ["-l", "alertname=SiteDown", "-l", "site=gra", "-l"];
    let out = ask(&[&labels[..], &["severity=critical"]].concat());
    assert_eq!(out.status.code(), Some(0));
    insta::assert_snapshot!("match_starts", String::from_utf8_lossy(&out.stdout));
    let out = ask(&[&labels[..], &["severity=warning"]].concat());
    assert_eq!(out.status.code(), Some(5), "nothing would start");
    let told = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(told.contains("severity is \"warning\"") && told.contains("nothing would start"), "{told}");
    let payload =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/alertmanager-0.25/single-001.body.json");
    let out = ask(&[payload.to_str().unwrap(), "-o", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(json["alerts"][0]["playbooks"].as_array().unwrap().len(), 8, "{json:#}");
    assert!(json["alerts"][0]["playbooks"][0]["mode"] == "observe", "{json:#}");
    let resolved =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/alertmanager-0.25/single-002.body.json");
    let out = ask(&[resolved.to_str().unwrap()]);
    assert_eq!((out.status.code(), out.stdout.len()), (Some(5), 0), "what is resolved starts nothing");
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(told.contains("1 alert left out: resolved"), "{told}");
}
