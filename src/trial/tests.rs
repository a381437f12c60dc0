//! A test that cannot fail proves nothing: each expectation is broken once, and each slip of a test file is told.

use super::*;
use crate::config::Config;
use crate::document::Problem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks")
}

fn config() -> Arc<Config> {
    let text = std::fs::read_to_string(folder().join("pointsman.example.toml")).unwrap();
    Arc::new(crate::config::parse(&text, "example.toml").0.unwrap())
}

fn stage(file: &str) -> Stage {
    let text = std::fs::read_to_string(folder().join(file)).unwrap();
    Stage::new(&text, file, config(), &folder()).0.unwrap()
}

const HEAD: &str = "playbook: dns-only.yaml\nmode: auto\ncases:\n  - name: one\n";
const ALERT: &str = "    alerts: [ { labels: { alertname: WebDown, site: gra, severity: critical } } ]\n";

/// What was not met when this case of the DNS-only playbook was told.
fn unmet(case: &str) -> Vec<String> {
    let (file, problems) = read(&format!("{HEAD}{ALERT}{case}"), "t.test.yaml");
    let case = file.unwrap_or_else(|| panic!("{problems:?}")).cases.remove(0);
    let told = tell(&stage("dns-only.yaml"), &case).unwrap();
    failures(&case, &told).into_iter().map(|failure| failure.says).collect()
}

#[test]
fn every_expectation_can_fail() {
    let dead = "    world: { app: dead }\n";
    let cases = [
        ("    expect: { outcome: held }\n", "expected held, but it came to succeeded"),
        ("    expect: { outcome: succeeded, says: nobody }\n", "last words do not say \"nobody\""),
        (
            "    expect: { outcome: succeeded, steps: { move the name: parked } }\n",
            "expected parked, but it is done",
        ),
        (
            "    expect: { outcome: succeeded, steps: { move the nam: done } }\n",
            "did you mean \"move the name\"?",
        ),
        (
            "    expect: { outcome: succeeded, order: [move the name, the other site answers for the name] }\n",
            "does not come where it is expected",
        ),
        ("    expect: { outcome: succeeded, journal: [approved by bo] }\n", "the journal does not say"),
        (
            "    expect: { outcome: succeeded, journal: [succeeded, opened for web] }\n",
            "it does, but earlier",
        ),
        ("    expect: { outcome: succeeded, never: [about to change] }\n", "which must never be"),
        ("    expect: { outcome: succeeded, within: 1s }\n", "at most 1.0 s was expected"),
        ("    expect: { outcome: succeeded, loses_at_most: 0B }\n", "what was lost is not known"),
        ("    expect: { outcome: succeeded, writers: [pg-gra] }\n", "writes are taken by"),
        (
            "    faults: [ { step: move the name, fault: fail, times: 9 } ]\n    expect: { outcome: parked }\n",
            "never struck as often",
        ),
        (
            "    people: [ { who: bo, says: approve } ]\n    expect: { outcome: succeeded }\n",
            "bo was never asked",
        ),
        (
            "    meanwhile: [ { after: 3h, hand: move DNS } ]\n    expect: { outcome: succeeded }\n",
            "the story was over before",
        ),
    ];
    for (case, wanted) in cases {
        let found = unmet(&format!("{dead}{case}"));
        assert!(found.iter().any(|says| says.contains(wanted)), "{case}: {found:?}");
    }
    assert_eq!(unmet(&format!("{dead}    expect: {{ outcome: succeeded }}\n")), [""; 0]);
}

#[test]
fn a_person_who_is_not_known_cannot_speak() {
    let text = "    mode: approve\n    world: { app: dead }\n    people: [ { who: zed, says: approve } ]\n    \
                expect: { outcome: succeeded }\n";
    let (file, _) = read(&format!("{HEAD}{ALERT}{text}"), "t.test.yaml");
    let why = tell(&stage("dns-only.yaml"), &file.unwrap().cases[0]).err().unwrap();
    assert!(why.contains("zed is not among [people]"), "{why}");
}

#[test]
fn every_fault_of_the_language_strikes_and_the_run_comes_through_or_stops() {
    for (fault, outcome) in [
        ("fail", "succeeded"),
        ("refuse", "parked"),
        ("timeout", "succeeded"),
        ("timeout after applied", "succeeded"),
        ("crash", "succeeded"),
        ("crash after applied", "succeeded"),
        ("gap", "succeeded"),
        ("stale read", "succeeded"),
        ("changed by hand, hand: move DNS", "parked"),
    ] {
        let case = format!(
            "    world: {{ app: dead }}\n    faults: [ {{ step: move the name, fault: {fault} }} ]\n    \
             expect: {{ outcome: {outcome} }}\n"
        );
        let found = unmet(&case);
        assert_eq!(found, [""; 0], "{fault}");
    }
}

#[test]
fn problems_of_a_test_file_are_told_at_their_places() {
    let text = "\
playbook: dns-only.yaml
mode: automatic
cases:
  - name: one
    alerts: [ { label: { a: b } } ]
    world: { app: ded, machin: answers, behind: 3 parsecs }
    faults:
      - { step: move the name, fault: explode }
      - { step: move the name, fault: fail, hand: move DNS }
    people: [ { who: bo, says: shout }, { who: bo, says: approve, as: [bos] } ]
    meanwhile: [ { after: 3, hand: move DNS } ]
    expect: { outcome: fine, steps: { move the name: finished } }
  - name: one
    started_by: bo
    expect: {}
";
    let (file, problems) = read(text, "t.test.yaml");
    assert!(file.is_none());
    let told: String = problems.iter().map(Problem::to_string).collect();
    insta::assert_snapshot!(told);
}

#[test]
fn the_difference_is_shown_line_by_line() {
    let lines = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let shown = diff(&lines(&["b", "x", "d"]), &lines(&["a", "bb", "c", "d"]));
    assert_eq!(shown, ["+ a", "  bb", "- x", "+ c", "  d"]);
    assert!(diff(&[], &[]).is_empty());
}

#[test]
fn coverage_knows_what_no_test_has_seen() {
    let (file, _) =
        read(&format!("{HEAD}{ALERT}    world: {{ app: dead }}\n    expect: {{ outcome: held }}\n"), "t");
    let (stage, case) = (stage("dns-only.yaml"), file.unwrap().cases.remove(0));
    let told = tell(&stage, &case).unwrap();
    let mut coverage = Coverage::of(told.spec.as_ref().unwrap());
    assert_eq!(coverage.percent(), 0);
    coverage.add(&told);
    assert!(coverage.percent() > 40 && coverage.percent() < 100, "{coverage:?}");
    let missed = coverage.missed();
    assert!(missed.contains(&"move the name: never failed".to_owned()), "{missed:?}");
    assert!(missed.contains(&"destination is healthy: never refused".to_owned()), "{missed:?}");
}

/// Every story of the shipped tests, but those in which somebody changes the world by hand, which no record tells.
#[test]
fn a_story_told_again_from_its_own_records_comes_to_the_same() {
    let mut again = 0;
    for path in test_files(&[folder()]).unwrap() {
        let text = std::fs::read_to_string(&path).unwrap();
        let file = read(&text, &path.display().to_string()).0.unwrap();
        let stage = stage(&file.playbook.0);
        for case in &file.cases {
            let by_hand = case.faults.iter().any(|fault| matches!(fault.kind, model::FaultKind::ByHand(_)))
                || case
                    .meanwhile
                    .iter()
                    .any(|deed| deed.what != model::WorldDeed::Hand(crate::simulated::world::Hand::Resolve));
            let told = tell(&stage, case).unwrap();
            if by_hand || told.run.is_none() {
                continue;
            }
            let made = test_of(&told.records, &file.playbook.0, "pointsman.example.toml").unwrap();
            let (read, problems) = read(&made, "made.test.yaml");
            let case = read.unwrap_or_else(|| panic!("{made}\n{problems:?}")).cases.remove(0);
            let second = tell(&stage, &case).unwrap_or_else(|why| panic!("{why}: {made}"));
            let unmet: Vec<String> =
                failures(&case, &second).into_iter().map(|failure| failure.says).collect();
            assert!(unmet.is_empty(), "{made}\n{unmet:#?}\n{}", sentences(&second).join("\n"));
            again += 1;
        }
    }
    assert!(again >= 20, "only {again} stories were told again");
}
