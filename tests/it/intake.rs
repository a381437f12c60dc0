//! Bodies captured from Alertmanager 0.25 mean what their names say: parsed, and told to the occurrences in the order
//! in which they came.

use pointsman::intake::alertmanager::{fingerprint, parse};
use pointsman::intake::occurrence::{Arrival, Meaning, Occurrences};
use pointsman::intake::{Delivery, Status};
use pointsman::kernel::domain::{Name, SourceKind, Time};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/alertmanager-0.25")
}

fn body(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(format!("{name}.body.json"))).unwrap()
}

fn delivery(name: &str) -> Delivery {
    parse(&body(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Every case that was captured: its bodies, in the order received.
fn cases() -> BTreeMap<String, Vec<String>> {
    let mut cases: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in std::fs::read_dir(folder()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if let Some(name) = name.strip_suffix(".body.json") {
            let case = name.rsplit_once('-').unwrap().0;
            cases.entry(case.to_owned()).or_default().push(name.to_owned());
        }
    }
    cases.values_mut().for_each(|names| names.sort());
    cases
}

/// (opened, refreshed, closed) of each delivery of a case.
fn tell(case: &str) -> Vec<(usize, usize, usize)> {
    let source = Name::from("am");
    let mut state = Occurrences::default();
    let mut told = vec![];
    for (i, name) in cases()[case].iter().enumerate() {
        let delivery = delivery(name);
        let arrival = Arrival {
            source: &source,
            kind: SourceKind::Alertmanager,
            delivery: i as u64 + 1,
            at: Time(i64::MAX / 2),
        };
        let decision = state.decide(arrival, &delivery.alerts);
        decision.records.iter().for_each(|r| state.apply(&source, r));
        let count = |f: fn(&Meaning) -> bool| decision.meanings.iter().filter(|m| f(m)).count();
        let over = count(|m| matches!(m, Meaning::OverAlready(_)));
        assert_eq!(over, 0, "{name}: every resolved alert was seen firing before");
        told.push((
            count(|m| matches!(m, Meaning::Opened(_))),
            count(|m| matches!(m, Meaning::Refreshed(_))),
            count(|m| matches!(m, Meaning::Closed(_))),
        ));
    }
    told
}

#[test]
fn every_captured_body_is_taken_and_every_fingerprint_is_the_one_we_compute() {
    let (mut bodies, mut alerts) = (0, 0);
    for name in cases().into_values().flatten() {
        let delivery = delivery(&name);
        assert!(!delivery.alerts.is_empty(), "{name}");
        assert_eq!(delivery.truncated, 0, "{name}");
        assert_eq!(delivery.reason, None, "{name}: 0.25 does not say why");
        assert!(delivery.external_url.starts_with("http"), "{name}");
        for alert in &delivery.alerts {
            assert_eq!(alert.fingerprint, fingerprint(&alert.labels), "{name}");
            assert_eq!(alert.ends.is_some(), alert.status == Status::Resolved, "{name}");
            assert!(alert.ends.is_none_or(|end| Some(end) > alert.starts), "{name}");
            assert!(alert.starts > Some(Time(1_700_000_000_000_000)), "{name}");
        }
        bodies += 1;
        alerts += delivery.alerts.len();
    }
    assert_eq!((bodies, alerts), (26, 536));
}

#[test]
fn one_alert_fires_and_resolves() {
    assert_eq!(delivery("single-001").receiver, "single");
    assert_eq!(tell("single"), [(1, 0, 0), (0, 0, 1)]);
}

#[test]
fn a_group_fires_is_mixed_and_resolves() {
    let statuses = |name| delivery(name).alerts.iter().map(|a| a.status).collect::<Vec<_>>();
    assert_eq!(statuses("grouped-001"), [Status::Firing; 3]);
    assert!(statuses("grouped-002").contains(&Status::Firing));
    assert_eq!(statuses("grouped-002").iter().filter(|s| **s == Status::Resolved).count(), 1);
    let told = tell("grouped");
    assert_eq!(told[..2], [(3, 0, 0), (0, 2, 1)]);
    assert_eq!(told.iter().map(|t| t.2).sum::<usize>(), 3);
}

#[test]
fn byte_equal_repeats_are_one_occurrence() {
    for n in 2..=4 {
        assert_eq!(body("repeat-001"), body(&format!("repeat-00{n}")));
    }
    assert_eq!(tell("repeat"), [(1, 0, 0), (0, 1, 0), (0, 1, 0), (0, 1, 0), (0, 0, 1)]);
}

#[test]
fn retries_after_a_5xx_are_one_occurrence() {
    assert_eq!(tell("retry"), [(1, 0, 0), (0, 1, 0), (0, 1, 0)]);
}

#[test]
fn the_first_message_of_a_storm_is_not_the_whole_storm() {
    assert_eq!(delivery("storm-001").alerts.len(), 7);
    assert_eq!(delivery("storm-002").alerts.len(), 500);
    assert_eq!(tell("storm"), [(7, 0, 0), (493, 7, 0)]);
}

#[test]
fn two_alertmanagers_deliver_a_real_rule_twice_in_two_rounds() {
    let told = tell("prom");
    assert_eq!(told.len(), 8);
    let sum = |f: fn(&(usize, usize, usize)) -> usize| told.iter().map(f).sum::<usize>();
    assert_eq!((sum(|t| t.0), sum(|t| t.2)), (2, 2), "{told:?}");
}

#[test]
fn everything_in_one_group_and_with_a_bearer_token() {
    assert_eq!(delivery("auth-001").alerts.len(), 1);
    let headers = std::fs::read_to_string(folder().join("auth-001.headers.txt")).unwrap();
    assert!(headers.to_lowercase().contains("authorization: bearer "), "{headers}");
    assert!(tell("group_all")[0].0 >= 1);
}

proptest! {
    /// A body that was damaged on the way is refused or read; it never brings the process down.
    #[test]
    fn damaged_bodies_are_answered(
        which in prop_oneof![Just("grouped-002"), Just("prom-001"), Just("single-002")],
        hits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut damaged = body(which);
        let whole = parse(&damaged).unwrap();
        for (at, byte) in hits {
            let at = at.index(damaged.len());
            damaged[at] = byte;
        }
        if let Ok(delivery) = parse(&damaged) {
            prop_assert!(delivery.alerts.len() <= whole.alerts.len());
        }
        let cut = keep.index(damaged.len());
        prop_assert!(parse(&body(which)[..cut]).is_err() || cut + 1 >= damaged.len());
    }
}
